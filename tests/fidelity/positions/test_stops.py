"""Sizes from the stop, stops in distances, levels and R, trailing, break-even, by hand."""

from __future__ import annotations

import math

import pytest

from tests.fidelity.positions.cases import fills, one, what
from tests.fidelity.positions.levels import distance_of
from tests.fidelity.positions.settings import (
    Costs,
    Instrument,
    Position,
    Sides,
    Sizing,
    Stops,
    Take,
    Trailing,
)
from tests.fidelity.positions.simulator import Result

FLAT = (100.0,)
NAN = math.nan
RISK = Sizing("fixed_risk", 0.01)


def reasons(result: Result) -> list[str]:
    return [trade.exit_reason for trade in result.trades]


# ------------------------------------------------------------------------------ size


@pytest.mark.parametrize(
    ("stops", "units"),
    [
        (Stops(stop_loss="3 * atr"), 100.0 / 6.0),  # 1 % of 10000 over a distance of 6
        (Stops(stop_loss="5%"), 20.0),
        (Stops(level="low_20"), 10.0),  # the close of 100 less 90
        (Stops(stop_loss="5%", level="low_20"), 20.0),  # the first stop is the nearer one
        (Stops(trailing=Trailing("2 * atr")), 25.0),
        (Stops(stop_loss="5%", trailing=Trailing("2 * atr", after="1R")), 20.0),  # not yet a stop
    ],
)
def test_fixed_risk_is_risk_times_equity_over_the_distance_to_the_first_stop(
    stops: Stops, units: float
) -> None:
    columns = {"atr": [2.0, 2.0], "low_20": [90.0, 90.0]}
    out = one("L-", [FLAT] * 2, columns, stops=stops, sizing=RISK, instrument=Instrument(lot=0.01))
    assert fills(out) == [(1.0, pytest.approx(math.floor(units * 100) / 100), 100.0)]


def test_fixed_risk_of_a_short() -> None:
    out = one("S-", [FLAT] * 2, stops=Stops(stop_loss="5%"), sizing=RISK)
    assert fills(out) == [(1.0, -20.0, 100.0)]


def test_without_a_stop_there_is_no_size() -> None:
    out = one("L-", [FLAT] * 2, stops=Stops(), sizing=RISK)
    assert (fills(out), what(out)) == ([], [(1.0, "size", "entry")])


@pytest.mark.parametrize("sizing", [RISK, Sizing("fixed_quantity", 10)])
@pytest.mark.parametrize(("signal", "level"), [("L-", 101.0), ("L-", 100.0), ("S-", 99.0)])
def test_a_level_that_the_close_has_passed_rejects_the_entry(
    signal: str, level: float, sizing: Sizing
) -> None:
    stops = Stops(level="low_20")
    out = one(signal, [FLAT] * 2, {"low_20": [level] * 2}, stops=stops, sizing=sizing)
    assert (fills(out), what(out)) == ([], [(1.0, "stop_unknown", "entry")])


def test_fixed_risk_is_capped_like_every_size() -> None:
    out = one("L-", [FLAT] * 2, stops=Stops(stop_loss="0.5%"), sizing=RISK)
    assert fills(out) == [(1.0, 100.0, 100.0)]
    assert what(out) == [(1.0, "capped_by position", "entry")]


# ------------------------------------------------------------------------------ distances


def test_a_distance_is_read_at_the_entrys_time_and_fixed() -> None:
    rows = [FLAT, (98.0,), (98.0, 98.0, 93.0, 93.0), (93.0, 93.0, 92.0, 92.0)]
    out = one("L---", rows, {"atr": [2.0, 9.0, 0.5, 0.5]}, stops=Stops(stop_loss="3 * atr"))
    # Entered at 98: the stop stands at 92, touched at the low of the last bar.
    assert fills(out) == [(1.0, 10.0, 98.0), (4.0, -10.0, 92.0)]


@pytest.mark.parametrize(
    ("text", "kind", "value"), [("4%", "share", 0.04), ("-6 %", "share", -0.06), ("2R", "r", 2)]
)
def test_texts_of_distances(text: str, kind: str, value: float) -> None:
    found = distance_of(text, {})
    assert found is not None
    assert (found.kind, float(found.value)) == (kind, value)


def test_an_unknown_distance_refuses_the_entry() -> None:
    out = one("L-", [FLAT] * 2, {"atr": [NAN, 2.0]}, stops=Stops(stop_loss="3 * atr"))
    assert (fills(out), what(out)) == ([], [(1.0, "stop_unknown", "entry")])


@pytest.mark.parametrize("loss", [None, "4%"])
@pytest.mark.parametrize("sizing", [RISK, Sizing("fixed_quantity", 10)])
def test_an_unknown_level_refuses_the_entry(sizing: Sizing, loss: str | None) -> None:
    stops = Stops(level="low", stop_loss=loss)
    out = one("L--", [FLAT] * 3, {"low": [NAN, 95.0, 95.0]}, stops=stops, sizing=sizing)
    assert what(out)[:1] == [(1.0, "stop_unknown", "entry")]
    assert [at for at, *_ in fills(out)] == []


def test_a_side_without_a_level_needs_none() -> None:
    out = one("S--", [FLAT] * 3, {"low": [NAN] * 3}, stops=Stops(level=Sides(long="low")))
    assert fills(out) == [(1.0, -10.0, 100.0)]


# ------------------------------------------------------------------------------ level


def test_a_level_is_read_at_every_time_and_only_tightens() -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 100.0, 95.0, 96.0), (96.0,)]
    out = one("L----", rows, {"low": [90.0, 95.0, 92.0, 92.0, NAN]}, stops=Stops(level="low"))
    # `low` as a feature: 90 at the entry, 95 from 2 h on; 92 would be looser.
    assert fills(out) == [(1.0, 10.0, 100.0), (4.0, -10.0, 95.0)]
    assert reasons(out) == ["level"]


def test_a_level_of_each_side() -> None:
    rows = [FLAT, FLAT, (100.0, 105.0, 100.0, 104.0)]
    columns = {"a": [95.0] * 3, "b": [105.0, 104.0, 106.0]}
    out = one("S--", rows, columns, stops=Stops(level=Sides("a", "b")))
    assert fills(out) == [(1.0, -10.0, 100.0), (3.0, 10.0, 104.0)]


# ------------------------------------------------------------------------------ trailing and R


def test_a_trailing_stop_in_r_waits_and_uses_highs_up_to_the_bar_before() -> None:
    stops = Stops(stop_loss="4", trailing=Trailing("3", after="1R"))
    rows = [
        FLAT,
        (100.0, 103.9, 98.0, 103.0),  # less than 1R above 100: not yet
        (103.0, 104.0, 97.0, 104.0),  # 1R is reached in this bar, 97 is above the stop of 96
        (104.0, 110.0, 101.5, 108.0),  # in force at 104 - 3 = 101; the high of 110 is of this bar
        (108.0, 108.0, 107.0, 107.0),  # 110 - 3
    ]
    assert fills(one("L----", rows, stops=stops)) == [(1.0, 10.0, 100.0), (5.0, -10.0, 107.0)]


def test_r_runs_from_the_first_price_to_the_first_stop() -> None:
    rows = [FLAT, (102.0, 102.0, 100.0, 102.0), (102.0, 119.0, 102.0, 110.0)]
    # Entered at 102 with a level of 94: R is 8, and two of it lie at 118.
    out = one("L--", rows, {"floor": [94.0] * 3}, stops=Stops(level="floor", take_profit="2R"))
    assert fills(out) == [(1.0, 10.0, 102.0), (3.0, -10.0, 118.0)]


def test_without_a_stop_there_is_no_r() -> None:
    rows = [FLAT, FLAT, (100.0, 500.0, 100.0, 500.0)]
    assert len(fills(one("L--", rows, stops=Stops(take_profit="1R")))) == 1


def test_the_take_profit_counts_from_the_entry_price() -> None:
    stops = Stops(stop_loss="5%", take_profit="4R")
    rows = [FLAT, (100.0, 120.0, 100.0, 110.0), (110.0, 120.1, 110.0, 120.0)]
    out = one("L--", rows, stops=stops)
    # A touch at 120 in the first bar is not through it.
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, -10.0, 120.0)]
    assert reasons(out) == ["take_profit"]


# ------------------------------------------------------------------------------ break-even


@pytest.mark.parametrize(("letter", "price", "back"), [("L", 120.1, 100.3), ("S", 79.9, 99.8)])
def test_break_even_closes_what_is_held_at_zero_after_fees_rounded_to_the_tick(
    letter: str, price: float, back: float
) -> None:
    """Long: 100 * 1.001/(1 - 0.001) = 100.2002, up to 100.3; short: 99.8002, down to 99.8.

    What the tick adds stays with the position.
    """
    steps = Position(take=(Take(size=0.5, at="20%", then_stop="break_even"),))
    away = (100.0, max(price, 100.0), min(price, 100.0), price)
    rows = [FLAT, away, (price, max(price, back), min(price, back), price), FLAT]
    out = one(
        letter + "---", rows, position=steps, costs=Costs(taker=0.001),
        instrument=Instrument(lot=1.0, tick=0.1),
    )  # fmt: skip
    sign = 1 if letter == "L" else -1
    level = 120.0 if sign > 0 else 80.0
    assert fills(out) == [
        (1.0, sign * 10.0, 100.0), (2.0, sign * -5.0, level), (3.0, sign * -5.0, back),
    ]  # fmt: skip
    assert reasons(out) == ["break_even"]
    last = out.round_trips[-1]
    assert 0.0 <= float(last.result) <= 5 * 0.1


@pytest.mark.parametrize("after", ["10%", "1R"])
def test_a_stop_moves_to_break_even_once_the_position_was_in_profit(after: str) -> None:
    """Nothing is sold at 110; the next bar has its stop at 100 * 1.001/(1 - 0.001) = 100.2002."""
    rows = [FLAT, (100.0, 110.0, 95.0, 105.0), (105.0, 106.0, 99.0, 100.0), FLAT]
    out = one(
        "L---", rows, stops=Stops(stop_loss="10%", break_even=after), costs=Costs(taker=0.001),
        instrument=Instrument(lot=1.0),
    )  # fmt: skip
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, -10.0, pytest.approx(100.2002002))]
    assert reasons(out) == ["break_even"]
    short = [FLAT, (100.0, 109.0, 91.0, 95.0), (95.0, 101.0, 94.0, 100.0), FLAT]
    out = one("S---", short, stops=Stops(stop_loss="10%", break_even=after))
    assert reasons(out) == []


def test_break_even_is_in_force_from_the_next_bar_on() -> None:
    steps = Position(take=(Take(size=0.5, at="10%", then_stop="break_even"),))
    rows = [FLAT, (100.0, 111.0, 99.0, 105.0), (105.0, 106.0, 99.0, 100.0)]
    out = one("L--", rows, position=steps, instrument=Instrument(lot=1.0))
    # In the bar of the take the low of 99 does nothing.
    assert fills(out)[1:] == [(2.0, -5.0, 110.0), (3.0, -5.0, 100.0)]


# ------------------------------------------------------------------------------ the bar


def test_an_open_beyond_the_stop_fills_there_less_slippage_and_a_touch_at_the_stop() -> None:
    costs = Costs(slippage=0.01)
    gap = one("L--", [FLAT, (101.0,), (80.0,)], stops=Stops(stop_loss="10"), costs=costs)
    # Bought at 102.01, the stop stands at 92.01.
    assert fills(gap) == [(1.0, 10.0, pytest.approx(102.01)), (2.0, -10.0, pytest.approx(79.2))]
    rows = [FLAT, (101.0, 101.0, 92.0, 100.0)]
    touched = one("L-", rows, stops=Stops(stop_loss="10"), costs=costs)
    assert fills(touched)[1] == (2.0, -10.0, pytest.approx(92.01 * 0.99))


def test_a_stop_too_small_to_send_is_retried_until_it_may_be_sent() -> None:
    inst = Instrument(lot=1.0, min_notional=950.0)
    rows = [FLAT, FLAT, (100.0, 100.0, 90.0, 92.0), (92.0,), (99.0,), (99.0,)]
    out = one("L-----", rows, stops=Stops(stop_loss="5.5%"), instrument=inst)
    # Ten units at 94.5 are worth 945; at the close of 99 they are worth 990.
    assert fills(out) == [(1.0, 10.0, 100.0), (5.0, -10.0, 99.0)]
    assert what(out)[0] == (3.0, "too_small", "stop_loss")


def test_after_a_stop_its_side_is_blocked_until_the_signal_has_differed() -> None:
    rows = [FLAT, (100.0, 100.0, 89.0, 95.0), *[(95.0,)] * 5]
    out = one("LLL-LLL", rows, stops=Stops(stop_loss="10%"))
    assert [each[0] for each in fills(out)] == [1.0, 2.0, 5.0]
    assert [each[0] for each in what(out) if each[1] == "reentry_blocked"] == [2.0, 3.0]


def test_a_trailing_share_after_a_share() -> None:
    rows = [
        FLAT,
        (100.0, 102.0, 98.0, 101.0),
        (101.0, 104.0, 96.5, 104.0),
        (104.0, 104.0, 98.0, 99.0),
    ]
    out = one("L---", rows, stops=Stops(trailing=Trailing("5%", after="3%")))
    # 104 is above 103 after the third bar: the stop is 98.8 in the fourth.
    assert fills(out)[1:] == [(4.0, -10.0, pytest.approx(98.8))]


def test_a_stop_never_loosens_when_its_distance_from_the_average_cost_would() -> None:
    rows = [FLAT, FLAT, (100.0, 108.0, 100.0, 108.0), (108.0, 108.0, 103.0, 104.0)]
    out = one("L---", rows, stops=Stops(stop_loss="5", trailing=Trailing("4")))
    # 96 at first, 104 after the high of 108.
    assert fills(out)[1:] == [(4.0, -10.0, 104.0)]
    assert reasons(out) == ["trailing"]


def test_what_waits_because_it_is_too_small_blocks_no_entry() -> None:
    inst = Instrument(lot=1.0, min_notional=950.0)
    rows = [FLAT, FLAT, (90.0,), (96.0,), (96.0,), (96.0,)]
    out = one("L-x-L-", rows, instrument=inst)
    # Ten units at 90 are too little to be sold; at 96 they are not, one bar later.
    assert fills(out) == [(1.0, 10.0, 100.0), (4.0, -10.0, 96.0), (5.0, 10.0, 96.0)]
    tenth = Sizing("fixed_fraction", 0.1)
    out = one("L-xL--", [FLAT, FLAT, *[(80.0,)] * 4], instrument=inst, sizing=tenth)
    # The exit of ten units at 80 waits; a tenth of 9800 is 980, twelve units more.
    assert [each[1] for each in fills(out)] == [10.0, 12.0]
    assert [o.reason for o in out.orders] == ["entry", "entry"]


def test_an_open_beyond_stop_and_target_fills_the_target_first() -> None:
    rows = [FLAT, FLAT, (100.0, 103.0, 100.0, 103.0), (107.0,), (107.0,)]
    stops = Stops(level="floor", take_profit="5%")
    out = one("L----", rows, {"floor": [90.0, 90.0, 110.0, 110.0, 110.0]}, stops=stops)
    assert fills(out)[1:] == [(3.0, -10.0, 107.0)]
    assert reasons(out) == ["take_profit"]
