"""A grid by hand: levels, the sale one level up, resting again, its mirror."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.positions.cases import fills, one, what
from tests.fidelity.positions.settings import (
    Costs,
    Grid,
    Instrument,
    Limits,
    Position,
    Stops,
    Take,
    TradingHours,
)
from tests.fidelity.positions.simulator import Result

FLAT = (100.0,)
GRID = Grid("centre", step=0.1, levels=2, size=0.09)
LOT = Instrument(lot=1.0)


def ran(rows: list[Any], centre: Any = 100.0, grid: Grid = GRID, **keys: Any) -> Result:
    columns = {"centre": centre if isinstance(centre, list) else [centre] * len(rows)}
    base = {"instrument": LOT, "sizing": None} | keys
    return one("-" * len(rows), rows, columns, signal=grid, **base)


def resting(result: Result) -> list[tuple[float, float]]:
    return [(float(o.price), float(o.units)) for o in result.orders if o.price and o.is_working]


def test_while_flat_levels_lie_one_step_below_each_other_and_each_buys_a_share() -> None:
    # 900 of equity: ten units at 90, eleven at 81 (that is 891).
    assert resting(ran([FLAT])) == [(90.0, 10.0), (81.0, 11.0)]


def test_the_fee_of_a_maker_is_part_of_the_size() -> None:
    assert resting(ran([FLAT], costs=Costs(maker=0.01)))[0] == (90.0, 9.0)


def test_while_flat_the_levels_follow_the_centre() -> None:
    out = ran([FLAT] * 2, [100.0, 90.0])
    assert resting(out) == [(81.0, 11.0), (pytest.approx(72.9), 12.0)]
    assert [o.ended_by for o in out.orders[:2]] == ["grid_moved"] * 2


def test_a_level_that_was_bought_is_sold_one_level_up_and_rests_again() -> None:
    rows = [
        FLAT,
        (100.0, 100.0, 89.0, 95.0),  # bought at 90
        (95.0, 100.0, 95.0, 99.0),  # 100 is touched, not passed
        (99.0, 101.0, 80.0, 90.0),  # sold at 100, and 81 is bought in the same bar
        (90.0, 90.5, 85.0, 88.0),  # sold at 90, and the level of 90 is bought again
    ]
    out = ran(rows)
    assert fills(out) == [
        (2.0, 10.0, 90.0), (4.0, -10.0, 100.0), (4.0, 11.0, 81.0), (5.0, -11.0, 90.0),
        (5.0, 10.0, 90.0),
    ]  # fmt: skip
    assert len(out.trades) == 2


def test_what_fills_inside_a_bar_is_sold_or_rests_again_from_the_next_bar_on() -> None:
    rows = [FLAT, (89.0, 101.0, 80.0, 100.0), (100.0, 100.0, 91.0, 91.0)]
    out = ran(rows)
    # The open of 89 is better than 90; 81 fills inside. 100 is passed after the open, so the first
    # level, bought at the open, is sold in the bar; the second one from the next bar on.
    assert fills(out) == [
        (1.0, 10.0, 89.0), (2.0, -10.0, 100.0), (2.0, 11.0, 81.0), (2.0, -11.0, 100.0),
    ]  # fmt: skip


def test_an_exit_that_the_price_has_passed_when_it_is_sent_takes_liquidity() -> None:
    rows = [FLAT, (100.0, 100.0, 80.0, 95.0), (95.0,)]
    out = ran(rows, costs=Costs(slippage=0.01))
    # Bought at 90 and 81 inside the bar; the exit of the second, 90, arrives at an open of 95.
    assert fills(out)[2] == (2.0, -11.0, pytest.approx(94.05))


def test_one_level_up_is_the_level_it_was_bought_below() -> None:
    rows = [FLAT, (100.0, 100.0, 80.0, 85.0), (85.0, 91.0, 85.0, 88.0), (88.0, 89.0, 80.0, 85.0)]
    out = ran(rows)
    # Both bought; the lower one is sold at 90, rests again and is bought again.
    assert fills(out) == [
        (2.0, 10.0, 90.0), (2.0, 11.0, 81.0), (3.0, -11.0, 90.0), (4.0, 11.0, 81.0),
    ]  # fmt: skip
    assert out.trades == []
    # First in first out: ten units of the sale belong to the level of 90, one to that of 81.
    assert [float(each.result) for each in out.round_trips] == [0.0, 9.0]


def test_while_held_the_levels_stay() -> None:
    rows = [FLAT, (100.0, 100.0, 89.0, 95.0), (95.0,)]
    out = ran(rows, [100.0, 120.0, 120.0])
    assert sorted(resting(out)) == [(81.0, 11.0), (100.0, -10.0)]


def test_levels_are_working_orders_nearest_first_and_must_fit_whole() -> None:
    out = ran([FLAT], limits=Limits(position=0.1))
    assert resting(out) == [(90.0, 10.0)]
    assert what(out) == [(1.0, "position", "grid_entry")]


def test_no_level_rests_outside_the_hours() -> None:
    out = ran([FLAT] * 2, hours=TradingHours(open="mon 00:00-01:30 UTC"))
    assert resting(out) == []


def test_without_a_centre_nothing_rests() -> None:
    assert resting(ran([FLAT], float("nan"))) == []


def test_a_stop_closes_the_grid_in_the_bar_of_its_first_fill_too() -> None:
    rows = [FLAT, (100.0, 100.0, 80.0, 85.0)]
    out = ran(rows, stops=Stops(stop_loss="5"))
    # Bought at 90, stopped at 85; 81 lies beyond the stop and is cancelled.
    assert fills(out) == [(2.0, 10.0, 90.0), (2.0, -10.0, 85.0)]


def test_a_short_grid_is_the_mirror() -> None:
    grid = Grid("centre", step=0.1, levels=2, size=0.11, short=True)
    assert resting(ran([FLAT], grid=grid, account="perpetual")) == [
        (90.0, 12.0), (110.0, -10.0), (81.0, 13.0), (121.0, -9.0),
    ]  # fmt: skip
    rows = [FLAT, (100.0, 111.0, 100.0, 105.0), (105.0, 105.0, 99.0, 100.0)]
    out = ran(rows, grid=grid, account="perpetual")
    assert fills(out) == [(2.0, -10.0, 110.0), (3.0, 10.0, 100.0)]


def test_the_first_fill_of_one_side_cancels_the_entries_of_the_other() -> None:
    grid = Grid("centre", step=0.1, levels=1, size=0.11, short=True)
    out = ran([FLAT, (100.0, 111.0, 100.0, 105.0)], grid=grid, account="perpetual")
    assert resting(out) == [(100.0, 10.0)]


def test_exits_of_a_grid_do_not_outlive_its_position() -> None:
    """A take has sold a part; the exit of the other level closes all and the first one's goes."""
    rows = [FLAT, (100.0, 100.0, 80.0, 85.0), (85.0, 91.0, 85.0, 85.0), FLAT, FLAT]
    steps = Position(take=(Take(0.5, when="close < 90"),))
    out = ran(rows, position=steps)
    # 21 units; 10 are sold at 2 h (11 stay), the 11 of the lower level at 90: flat.
    assert fills(out)[2:4] == [(2.0, -10.0, 85.0), (3.0, -11.0, 90.0)]
    (old,) = [o for o in out.orders if o.reduces and o.kind == "limit" and o.price == 100]
    assert old.ended_by == "position_closed"


def test_what_did_not_fit_is_tried_again_at_t_and_not_at_an_open() -> None:
    rows = [FLAT, (100.0, 100.0, 89.0, 95.0), (70.0, 72.0, 60.0, 61.0)]
    out = ran(rows, limits=Limits(position=0.1))
    # The level of 81 has never fitted beside that of 90: the open of 70 fills nothing.
    assert fills(out) == [(2.0, 10.0, 90.0)]


SMALL = Instrument(lot=1.0, min_notional=400.0)


def test_a_level_whose_units_are_too_few_to_be_sold_buys_again_and_sells_all() -> None:
    """The volume lets it buy three units, which are worth less than the venue takes."""
    rows = [
        FLAT,
        (100.0, 100.0, 89.0, 95.0, 30.0),  # 3 of 10 bought at 90: 300 at the exit price
        (95.0, 96.0, 89.0, 95.0, 900.0),  # 10 more
        (95.0, 101.0, 95.0, 99.0, 900.0),
    ]
    grid = Grid("centre", step=0.1, levels=1, size=0.09)
    out = ran(rows, grid=grid, instrument=SMALL, costs=Costs(participation=0.1))
    assert fills(out) == [(2.0, 3.0, 90.0), (3.0, 10.0, 90.0), (4.0, -13.0, 100.0)]


def test_where_all_that_is_held_is_too_little_the_grid_follows_its_centre() -> None:
    rows = [
        FLAT,
        (100.0, 100.0, 89.0, 95.0, 30.0),  # 3 of 10 bought at 90
        (120.0, 130.0, 110.0, 120.0, 900.0),
        (120.0, 120.0, 107.0, 109.0, 900.0),  # the level of 108, where 120 is the centre by now
        (109.0, 121.0, 109.0, 120.0, 900.0),
    ]
    grid = Grid("centre", step=0.1, levels=1, size=0.09)
    keys: dict[str, Any] = {"instrument": SMALL, "costs": Costs(participation=0.1)}
    out = ran(rows, [100.0, 120.0, 120.0, 120.0, 120.0], grid, **keys)
    # 3 units beside the 8 of the new level: they leave together, at its exit price.
    assert fills(out) == [(2.0, 3.0, 90.0), (4.0, 8.0, 108.0), (5.0, -11.0, 120.0)]
    assert len(out.trades) == 1


def test_a_stop_that_waits_because_it_is_too_small_is_dropped_by_the_next_entry() -> None:
    rows = [
        FLAT,
        (100.0, 100.0, 89.0, 95.0, 30.0),  # 3 of 10 bought at 90, with a stop at 81
        (85.0, 85.0, 80.0, 80.0, 0.0),
        (80.0, 80.0, 71.0, 75.0, 900.0),  # the level of 72, with a stop of its own
        (75.0, 75.0, 70.0, 75.0, 900.0),
        (75.0, 81.0, 75.0, 81.0, 900.0),
    ]
    grid = Grid("centre", step=0.1, levels=1, size=0.09)
    keys: dict[str, Any] = {"instrument": SMALL, "costs": Costs(participation=0.1)}
    keys |= {"stops": Stops(stop_loss="9")}
    out = ran(rows, [100.0, 80.0, 80.0, 80.0, 80.0, 80.0], grid, **keys)
    # Its stop is 9 below the average cost of 15 units: 3 at 90 and 12 at 72.
    assert fills(out) == [(2.0, 3.0, 90.0), (4.0, 12.0, 72.0), (6.0, -15.0, 80.0)]
