"""Takes by hand: levels and conditions, what stays, what is too small."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.positions.cases import fills, one, what
from tests.fidelity.positions.settings import (
    Add,
    Costs,
    Instrument,
    Position,
    Sizing,
    Stops,
    Take,
)
from tests.fidelity.positions.simulator import Result

FLAT = (100.0,)
UNIT = Instrument(lot=1.0)


def taken(signals: str, rows: list[Any], *takes: Take, adds: Any = (), **keys: Any) -> Result:
    return one(signals, rows, position=Position(add=adds, take=takes), **keys)


def test_a_take_at_a_multiple_of_r_counts_from_the_entry_price() -> None:
    rows = [FLAT, FLAT, (100.0, 110.0, 100.0, 110.0), (110.0, 110.1, 109.0, 109.0)]
    out = taken("L---", rows, Take(0.5, at="2R"), stops=Stops(stop_loss="5"),
                costs=Costs(maker=0.001))  # fmt: skip
    assert fills(out) == [(1.0, 10.0, 100.0), (4.0, -5.0, 110.0)]
    assert float(out.fills[1].fee) == pytest.approx(0.55)


def test_an_add_moves_the_levels_of_takes_with_the_entry_price() -> None:
    add = Add(size=1.0, at=("-10%",))
    rows = [FLAT, (100.0, 100.0, 89.0, 95.0), (95.0, 105.0, 95.0, 100.0)]
    # Average cost 95: ten per cent above it is 104.5; half of the twenty units entered.
    out = taken("L--", rows, Take(0.5, at="10%"), adds=(add,))
    assert fills(out)[-1] == (3.0, -10.0, 104.5)


def test_a_condition_takes_at_the_next_open() -> None:
    rows = [FLAT, FLAT, (105.0,), (106.0,)]
    out = taken("L---", rows, Take(0.25, when="open_return >= 0.05"), instrument=UNIT)
    # A quarter of ten: 7.5 would stay, rounded up to the lot 8.
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, -2.0, 106.0)]


def test_each_take_happens_once_a_trade_and_again_in_the_next_trade() -> None:
    rows = [FLAT] * 9
    out = taken("L--x-L---", rows, Take(0.5, when="bars_held > 0"))
    assert [each[1] for each in fills(out)] == [10.0, -5.0, -5.0, 10.0, -5.0]


def test_takes_of_one_hundred_per_cent_close_the_trade() -> None:
    rows = [FLAT, FLAT, (100.0, 121.0, 100.0, 120.0), (120.0,)]
    out = taken("L---", rows, Take(0.5, at="10%"), Take(0.5, at="20%"))
    assert fills(out)[1:] == [(3.0, -5.0, 110.0), (3.0, -5.0, 120.0)]
    assert [t.exit_reason for t in out.trades] == ["take"]


def test_more_than_one_hundred_per_cent_is_refused() -> None:
    with pytest.raises(ValueError, match="100 %"):
        taken("L", [FLAT], Take(0.6, at="10%"), Take(0.5, at="20%"))


def test_shares_are_of_all_units_entered_so_far() -> None:
    adds = (Add(size=1.0, when="bars_held == 1"),)
    takes = (Take(0.5, when="bars_held == 3"), Take(0.25, when="bars_held == 5"))
    out = taken("L-------", [FLAT] * 8, *takes, adds=adds)
    assert [each[1] for each in fills(out)] == [10.0, 10.0, -10.0, -5.0]


def test_what_is_entered_after_a_take_counts_at_the_next_one() -> None:
    adds = (Add(size=1.0, when="bars_held == 2"),)
    takes = (Take(0.5, when="bars_held == 1"), Take(0.25, when="bars_held == 4"))
    out = taken("L-------", [FLAT] * 8, *takes, adds=adds)
    # 5 of 10 sold; 10 more: of the 20 entered a quarter may stay, 10 of the 15 are sold.
    assert [each[1] for each in fills(out)] == [10.0, -5.0, 10.0, -10.0]


def test_the_next_take_makes_up_for_one_that_was_too_small() -> None:
    inst = Instrument(lot=1.0, min_notional=300.0)
    takes = (Take(0.2, when="bars_held == 1"), Take(0.3, when="bars_held == 2"))
    out = taken("L-----", [FLAT] * 6, *takes, instrument=inst)
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, -5.0, 100.0)]
    assert what(out) == [(2.0, "too_small", "take")]


def test_where_too_little_would_stay_nothing_does() -> None:
    inst = Instrument(lot=1.0, min_notional=300.0)
    out = taken("L---", [FLAT] * 4, Take(0.8, when="bars_held == 1"), instrument=inst)
    assert fills(out) == [(1.0, 10.0, 100.0), (2.0, -10.0, 100.0)]


def test_what_stays_is_rounded_up_to_the_lot() -> None:
    out = taken("L---", [FLAT] * 4, Take(0.55, when="bars_held == 1"), instrument=UNIT)
    assert fills(out)[1][1] == -5.0  # 4.5 would stay, 5 do


def test_at_one_time_exit_beats_take_and_take_comes_before_add() -> None:
    both = {"adds": (Add(size=0.3, when="bars_held == 1"),)}
    out = taken("L---", [FLAT] * 4, Take(0.5, when="bars_held == 1"), **both)
    assert fills(out)[1:] == [(2.0, -5.0, 100.0), (2.0, 3.0, 100.0)]
    assert [o.number for o in out.orders if o.time_ns == out.orders[1].time_ns] == [1, 2]
    out = taken("Lx--", [FLAT] * 4, Take(0.5, when="bars_held == 1"), **both)
    assert fills(out)[1:] == [(2.0, -10.0, 100.0)]


def test_a_take_that_closes_all_leaves_nothing_to_add_to() -> None:
    adds = (Add(size=1.0, when="bars_held == 1"),)
    out = taken("L---", [FLAT] * 4, Take(1.0, when="bars_held == 1"), adds=adds)
    assert fills(out) == [(1.0, 10.0, 100.0), (2.0, -10.0, 100.0)]


def test_a_short_takes_below() -> None:
    rows = [FLAT, (100.0, 100.0, 89.0, 95.0)]
    assert fills(taken("S-", rows, Take(0.5, at="10%")))[1] == (2.0, 5.0, 90.0)


def test_an_open_beyond_fills_takes_at_the_open() -> None:
    rows = [FLAT, FLAT, (115.0,)]
    out = taken("L--", rows, Take(0.5, at="10%"), Take(0.2, at="12%"))
    assert fills(out)[1:] == [(2.0, -5.0, 115.0), (2.0, -2.0, 115.0)]


def test_the_take_profit_closes_what_the_takes_have_left() -> None:
    rows = [FLAT, FLAT, (100.0, 125.0, 100.0, 125.0)]
    out = taken("L--", rows, Take(0.5, at="10%"), stops=Stops(take_profit="20%"))
    assert fills(out)[1:] == [(3.0, -5.0, 110.0), (3.0, -5.0, 120.0)]


def test_a_position_sized_by_risk_runs_through_r() -> None:
    rows = [FLAT, FLAT, (100.0, 111.0, 100.0, 110.0), (110.0, 110.0, 100.0, 100.0)]
    take = Take(0.5, at="2R", then_stop="break_even")
    out = taken("L---", rows, take, stops=Stops(stop_loss="5"), sizing=Sizing("fixed_risk", 0.01))
    assert fills(out) == [(1.0, 20.0, 100.0), (3.0, -10.0, 110.0), (4.0, -10.0, 100.0)]
    assert float(out.trades[0].result) == 100.0


def test_a_take_at_market_moves_the_stop_to_break_even_once_it_has_filled() -> None:
    rows = [FLAT, FLAT, (105.0, 105.0, 99.0, 105.0), (105.0, 105.0, 99.0, 105.0)]
    take = Take(0.5, when="bars_held == 1", then_stop="break_even")
    # Decided at 2 h, filled at the open of 105: 100 is passed in the same bar.
    assert fills(taken("L---", rows, take))[1:] == [(2.0, -5.0, 105.0), (3.0, -5.0, 100.0)]


def test_a_reduction_waits_for_an_open() -> None:
    rows = [FLAT, FLAT, None, None, (95.0,)]
    out = taken("L----", rows, Take(0.5, when="bars_held == 1"))
    assert fills(out)[1:] == [(4.0, -5.0, 95.0)]


def test_no_take_leaves_less_than_the_minimum_quantity() -> None:
    inst = Instrument(lot=1.0, min_quantity=5.0)
    out = one("L----", [FLAT] * 5, position=Position(take=(Take(0.6, when="bars_held == 1"),)),
              instrument=inst)  # fmt: skip
    assert [each[1] for each in fills(out)] == [10.0, -10.0]
    out = one("L----", [FLAT] * 5, position=Position(take=(Take(0.4, when="bars_held == 1"),)),
              instrument=inst)  # fmt: skip
    assert what(out)[0][1:] == ("too_small", "take")
