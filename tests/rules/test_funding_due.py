"""Funding due while a symbol has no bar: on what is held then, at its last known mark."""

from __future__ import annotations

import numpy as np
import pytest

from septet._kernel import layout
from septet._kernel.layout import NO_BAR
from septet._rules import bars
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from tests.rules.small_run import fill_of, order_of, run_of, set_to

NAN = float("nan")
BEFORE, DUE = layout.X_FIXED, layout.X_FIXED + 1


def funded(symbols: int = 1) -> Run:
    """Return a run that holds two units of its last symbol, marked at 95; bars open at 90."""
    run = run_of(symbols=symbols)
    columns = np.full((symbols, DUE + 1, 4), 90.0)
    columns[:, BEFORE:] = 0.0
    run.arrays["X"], run.arrays["U"] = columns, np.zeros((symbols, 4))
    run.active_symbol[:] = np.arange(symbols)
    book_fill(symbols - 1, fill_of(2.0, 100.0), 0.0, 0, run)
    run.mark[:] = 95.0
    return run


def match(run: Run, t: int, **more: object) -> float:
    """Match the bars of a time; return the funding that was paid."""
    several = {"ONE_SYMBOL": False, "SYMBOLS": 2} if len(run.units) == 2 else {}
    named = {"FUNDED": True, "FUNDING_BEFORE_ROW": BEFORE, "FUNDING_ROW": DUE, "SPOT": False}
    with set_to(**named, **several, **more):
        bars.match_bar(t, 60 * (t + 1), len(run.units), run)
    return float(run.funding_paid)


@pytest.mark.parametrize("symbols", [1, 2])
def test_what_fell_due_before_a_bar_is_paid_at_the_last_mark(symbols: int) -> None:
    run = funded(symbols)
    run.X[symbols - 1, BEFORE, 1] = 0.01
    assert match(run, 1) == pytest.approx(2.0 * 95.0 * 0.01)
    assert run.trade_funding[symbols - 1] == run.funding_paid


def test_at_a_time_without_a_bar_it_is_paid_as_well() -> None:
    run = funded(2)
    run.bar[1, 1], run.U[1, 1] = NO_BAR, 0.02
    assert match(run, 1) == pytest.approx(2.0 * 95.0 * 0.02)


def test_it_is_paid_on_what_was_held_before_the_fills_of_the_bar() -> None:
    run = funded()
    run.X[0, BEFORE, 1] = 0.01
    place_order(0, order_of(layout.MARKET, 3.0), 0, 3, 0, 0, run)
    assert match(run, 1) == pytest.approx(2.0 * 95.0 * 0.01)
    assert run.units[0] == 5.0


def test_a_position_opened_later_never_pays_it() -> None:
    run = funded(2)
    run.X[0, BEFORE, 1] = 0.01
    place_order(0, order_of(layout.MARKET, 3.0), 0, 3, 0, 0, run)
    assert match(run, 1) == 0.0
    assert run.units[0] == 3.0


def test_where_a_venue_fills_it_is_paid_on_what_was_held_before_its_fills() -> None:
    run = funded()
    run.X[0, BEFORE, 1] = 0.01
    run.units_before[0] = 1.0
    assert match(run, 1, VENUE_FILLS=True) == pytest.approx(1.0 * 95.0 * 0.01)
    assert run.units_before[0] == 2.0
