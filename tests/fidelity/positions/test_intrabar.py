"""Finer bars: the rules of a bar applied to each of them, by hand."""

from __future__ import annotations

from typing import Any

from tests.fidelity.positions.cases import LETTERS, LONG_ONLY, fills, what
from tests.fidelity.positions.market import HOUR, MINUTE, START, Market, bars_of
from tests.fidelity.positions.settings import (
    Add,
    Instrument,
    Position,
    Sizing,
    Stops,
    Strategy,
    Take,
)
from tests.fidelity.positions.simulator import Result, simulate

FLAT = (100.0,)
HALF = 30 * MINUTE
BOTH = (100.0, 111.0, 94.0, 100.0)
"""A bar that touches a stop at 95 and a target of 110."""


def ran(fine: list[Any], bar: Any = BOTH, **keys: Any) -> Result:
    """Enter at the open of the second bar; the third is `bar`, its halves are given."""
    rows = [FLAT, FLAT, bar]
    halves = bars_of([*[FLAT] * 4, *fine], HALF, START)
    made = Market(
        HOUR, {"A": bars_of(rows)}, {"side": {"A": [LETTERS[c] for c in "L--"]}},
        fine={"A": halves}, fine_ns=HALF,
    )  # fmt: skip
    base: dict[str, Any] = {
        "signal": LONG_ONLY, "sizing": Sizing("fixed_quantity", 10), "intrabar": True,
        "stops": Stops(stop_loss="5"),
    }  # fmt: skip
    return simulate(Strategy(**(base | keys)), made)


UP = [(100.0, 111.0, 99.0, 105.0), (105.0, 105.0, 94.0, 100.0)]
DOWN = [(100.0, 101.0, 94.0, 95.0), (95.0, 111.0, 95.0, 100.0)]
TAKES = Position(take=(Take(0.5, at="10%"),))


def test_the_path_of_finer_bars_decides_between_take_and_stop() -> None:
    assert fills(ran(UP, position=TAKES))[1:] == [(2.5, -5.0, 110.0), (3.0, -5.0, 95.0)]
    assert fills(ran(DOWN, position=TAKES))[1:] == [(2.5, -10.0, 95.0)]


def test_what_fills_in_one_finer_bar_moves_levels_from_the_next_one_on() -> None:
    add = Position(add=(Add(1.0, at=("10%",)),))
    # The average cost of 105 moves the stop to 100, passed by the second half's low.
    fine = [(100.0, 111.0, 99.0, 105.0), (105.0, 105.0, 94.0, 100.0)]
    assert fills(ran(fine, position=add))[1:] == [(2.5, 10.0, 110.0), (3.0, -20.0, 100.0)]


def test_the_open_of_a_finer_bar_is_an_open() -> None:
    fine = [(100.0, 111.0, 99.0, 105.0), (94.5, 100.0, 94.0, 100.0)]
    assert fills(ran(fine))[1:] == [(2.5, -10.0, 94.5)]


def test_elsewhere_the_bar_itself_is_used_and_counted() -> None:
    missing = ran([UP[0]], position=TAKES)
    differs = ran([UP[0], (105.0, 105.0, 93.0, 100.0)], position=TAKES)
    for out in (missing, differs):
        assert fills(out)[1:] == [(3.0, -10.0, 95.0)]
        assert what(out) == [(3.0, "no_finer_bars", "")]


def test_prices_may_differ_by_a_tick() -> None:
    fine = [UP[0], (105.0, 105.0, 93.5, 100.0)]
    out = ran(fine, position=TAKES, instrument=Instrument(lot=1.0, tick=0.5))
    assert (len(fills(out)), what(out)) == (3, [])
