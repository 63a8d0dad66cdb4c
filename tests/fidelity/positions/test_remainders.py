"""An entry into a position that is too small to be sold: what begins again with it, by hand.

The volume lets the first entry buy one unit of ten, which is worth less than the venue takes. Each
case is compared with both paths of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.fidelity.positions.cases import LETTERS, LONG_ONLY, RULES, fills, market
from tests.fidelity.positions.in_engine import assert_same_by_events, assert_same_run
from tests.fidelity.positions.settings import (
    Add,
    BuyEvery,
    Costs,
    Instrument,
    Position,
    Sizing,
    Stops,
    Strategy,
    Take,
    Trailing,
)
from tests.fidelity.positions.simulator import Result, simulate

FLAT = (100.0, 100.0, 100.0, 100.0, 900.0)
THIN = (100.0, 100.0, 100.0, 100.0, 10.0)  # one unit of ten is bought at its open
FALL = (95.0, 95.0, 79.0, 80.0, 900.0)
CALM = (80.0, 80.5, 79.9, 80.0, 900.0)
AVERAGE = (100.0 + 10 * 80.0) / 11


def ran(signals: str, rows: Sequence[Any], **keys: Any) -> Result:
    columns = {"side": {"A": [LETTERS[each] for each in signals]}}
    base: dict[str, Any] = {
        "signal": LONG_ONLY, "sizing": Sizing("fixed_quantity", 10), "reentry": "immediate",
        "costs": Costs(participation=0.1), "instrument": Instrument(lot=1.0, min_notional=400.0),
    }  # fmt: skip
    s, made = Strategy(**(base | keys)), market({"A": rows}, columns)
    out = simulate(s, made)
    assert_same_by_events(assert_same_run(s, made, out))
    return out


def bought(out: Result) -> list[tuple[Any, ...]]:
    """Return the fills after those of both entries."""
    assert fills(out)[:2] == [(1.0, 1.0, 100.0), (3.0, 10.0, 80.0)]
    return fills(out)[2:]


def test_a_stop_that_the_price_has_passed_long_ago_sells_no_new_entry() -> None:
    rows = [FLAT, THIN, FALL, CALM, CALM, (80.0, 80.0, 78.0, 78.2, 900.0), CALM]
    out = ran("L-L----", rows, stops=Stops(stop_loss="4%"))
    assert bought(out) == [(6.0, -11.0, pytest.approx(AVERAGE * 0.96))]
    assert [t.opened_ns for t in out.trades] == [out.fills[0].time_ns]  # one trade


def test_a_stop_in_steps_begins_again_with_the_entry() -> None:
    rows = [FLAT, THIN, FALL, CALM, CALM, (80.0, 80.0, 78.0, 78.2, 900.0), CALM]
    steps = Position(take=(Take(0.5, at="50%"),))
    out = ran("L-L----", rows, stops=Stops(stop_loss="3%"), position=steps)
    assert bought(out) == [(6.0, -11.0, pytest.approx(AVERAGE * 0.97))]


def test_a_level_that_only_tightens_is_read_anew_with_the_entry() -> None:
    rows = [FLAT, THIN, FALL, CALM, CALM, (80.0, 80.0, 78.0, 78.2, 900.0), CALM]
    steps = Position(take=(Take(0.5, at="50%"),))
    out = ran("L-L----", rows, stops=Stops(level="close - 1.5"), position=steps)
    assert bought(out) == [(6.0, -11.0, pytest.approx(78.5))]


def test_a_stop_moved_to_break_even_protects_no_more_than_its_own_trade() -> None:
    rise = (100.0, 103.0, 100.0, 103.0, 900.0)
    rows = [FLAT, THIN, rise, FALL, CALM, CALM, (80.0, 80.0, 78.0, 78.2, 900.0), CALM]
    stops = Stops(stop_loss="3%", break_even="1R")
    out = ran("L--L----", rows, stops=stops, position=Position(take=(Take(0.5, at="9R"),)))
    assert fills(out) == [(1.0, 1.0, 100.0), (4.0, 10.0, 80.0),
                          (7.0, -11.0, pytest.approx(AVERAGE * 0.97))]  # fmt: skip


def test_a_trailing_stop_counts_from_the_average_cost_on() -> None:
    rise = (100.0, 120.0, 100.0, 120.0, 900.0)
    rows = [FLAT, THIN, rise, FALL, CALM, CALM, (80.0, 80.0, 76.0, 78.2, 900.0), CALM]
    for position in (Position(), Position(take=(Take(0.5, at="50%"),))):
        out = ran("L--L----", rows, stops=Stops(trailing=Trailing("5%")), position=position)
        assert fills(out)[:2] == [(1.0, 1.0, 100.0), (4.0, 10.0, 80.0)]
        assert fills(out)[2:] == [(7.0, -11.0, pytest.approx(AVERAGE * 0.95))]


def test_takes_and_r_begin_again() -> None:
    """One R is 3 % of the average cost; the take that the first unit had reached is due again."""
    rise = (100.0, 104.0, 100.0, 103.0, 900.0)
    rows = [FLAT, THIN, rise, FALL, CALM, (80.0, 86.0, 80.0, 85.0, 900.0), CALM]
    steps = Position(take=(Take(0.6, at="1R"),))
    out = ran("L--L---", rows, stops=Stops(stop_loss="3%"), position=steps)
    assert fills(out)[2:] == [(6.0, -6.0, pytest.approx(AVERAGE * 1.03))]


@pytest.mark.parametrize("at", ["-2%", "2%"])
def test_adds_are_shares_of_the_new_entry(at: str) -> None:
    """Those of the first unit, which were too small to be placed, are not missing."""
    rows = [FLAT, THIN, FALL, CALM, (80.0, 85.0, 79.0, 80.0, 900.0), CALM]
    steps = Position(add=(Add(0.5, at=(at,)),))
    out = ran("L-L---", rows, stops=Stops(stop_loss="20%"), position=steps)
    level = AVERAGE * (1.0 + float(at.rstrip("%")) / 100)
    at_open = at == "-2%"  # it lies above the open after which it was placed
    assert [each[1] for each in bought(out)] == [5.0]
    if not at_open:
        assert bought(out) == [(5.0, 5.0, pytest.approx(level))]


def test_adds_by_a_condition_may_be_sent_again() -> None:
    rows = [FLAT, FLAT, (20.0, 20.0, 20.0, 20.0, 900.0), *[CALM] * 5]
    steps = Position(add=(Add(0.5, when="bars_held == 1"),))
    costs = Instrument(lot=1.0, min_notional=250.0)
    out = ran("L-x-L---", rows, position=steps, instrument=costs)
    assert [each[1] for each in fills(out)][:2] == [10.0, 5.0]


def test_a_short_position_begins_again_as_well() -> None:
    rise = (105.0, 121.0, 105.0, 120.0, 900.0)
    calm = (120.0, 120.1, 119.0, 120.0, 900.0)
    rows = [FLAT, THIN, rise, calm, calm, (120.0, 122.5, 120.0, 122.0, 900.0), calm]
    average = (100.0 + 10 * 120.0) / 11
    for position in (Position(), Position(take=(Take(0.5, at="50%"),))):
        out = ran("S-S----", rows, signal=RULES, account="perpetual", position=position,
                  stops=Stops(stop_loss="3.5%"))  # fmt: skip
        assert fills(out) == [(1.0, -1.0, 100.0), (3.0, -10.0, 120.0),
                              (6.0, 11.0, pytest.approx(average * 1.035))]  # fmt: skip


def test_a_regular_buy_begins_again_what_was_too_small_to_be_sold() -> None:
    rows = [FLAT, THIN, FALL, *[CALM] * 3, (80.0, 80.0, 77.0, 78.0, 900.0), CALM]
    buys = Position(buy_every=BuyEvery("2 bars", 1_000.0))
    out = ran("-" * len(rows), rows, signal=None, sizing=None, stops=Stops(stop_loss="4%"),
              position=buys)  # fmt: skip
    average = (100.0 + 12 * 80.0) / 13
    assert fills(out)[:3] == [(1.0, 1.0, 100.0), (3.0, 12.0, 80.0), (5.0, 12.0, 80.0)]
    # the last buy lowers the average cost, and a stop only tightens
    assert fills(out)[3:4] == [(7.0, -25.0, pytest.approx(average * 0.96))]
