"""Halts: tripped once, what they do, what clears them."""

from __future__ import annotations

import math

import pytest

from septet._kernel import layout
from septet._rules import account, halts
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from tests.rules.small_run import Below, Fall, fill_of, order_of, rows, run_of, set_to, status

NAN = math.nan


def trading(equity: float) -> Run:
    """Return a run that holds symbol 0 and enters symbol 1."""
    run = run_of(symbols=2)
    book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    place_order(1, order_of(layout.MARKET, 1.0), 0, 3, 0, 0, run)
    run.equity, run.peak, run.day_base = equity, 1_000.0, 990.0
    return run


@pytest.mark.parametrize(
    ("then", "sells", "cancels"), [(0, True, True), (1, False, False), (2, False, True)]
)
def test_a_halt_does_what_it_declares_and_once(then: int, sells: bool, cancels: bool):
    run = trading(800.0)
    with set_to(HALTS=(Below(900.0, then=then),), SYMBOLS=2, REENTRY="after", COOLDOWN_BARS=3):
        for _ in range(2):
            halts.check_halts(1, 120, run)
    assert rows(run, layout.HALT) == [(-1, 40, then)]
    assert (run.blocked, run.halted_ns[0]) == (1, 120)
    assert (layout.STATUS_CANCELLED, 40) in status(run) or not cancels
    assert bool(run.working[1] == 0) == cancels
    assert bool(run.order_units[0] == -2.0) == sells
    assert run.blocked_long[0] == run.blocked_short[0] == 0, "what has closed it is not known yet"


def test_equity_above_the_floor_halts_nothing():
    run = trading(900.0)
    with set_to(HALTS=(Below(900.0),), SYMBOLS=2):
        halts.check_halts(1, 120, run)
    assert rows(run, layout.HALT) == []


@pytest.mark.parametrize(
    ("resumes", "cleared_at"), [("manual", []), ("next_day", [3]), ("after", [2])]
)
def test_what_clears_a_halt(resumes: str, cleared_at: list[int]):
    run = trading(800.0)
    run.day[:] = [5, 5, 5, 6]
    halt = Below(900.0, then=1, resumes=resumes, resume_ns=100)
    cleared = []
    with set_to(HALTS=(halt,), SYMBOLS=2):
        halts.check_halts(0, 0, run)
        run.equity, run.trades = 950.0, 4
        for t in (1, 2, 3):
            before = run.blocked
            halts.check_halts(t, t * 60, run)
            if run.blocked < before:
                cleared.append(t)
    assert cleared == cleared_at
    if cleared:
        assert (run.halt_peak[0], run.trades_before[0], run.peak) == (950.0, 4, 1_000.0)
        assert rows(run, layout.CLEAR) == [(-1, 40, 0)]


def test_a_price_between_times_halts_and_clears_nothing():
    run = trading(800.0)
    run.day_now = 5
    with set_to(HALTS=(Below(900.0, then=1, resumes="after"),), SYMBOLS=2, VENUE_FILLS=True):
        halts.check_halts_between(30, run)
        assert (run.blocked, run.halted_on_day[0]) == (1, 5)
        halts.check_halts_between(10**15, run)
    assert run.blocked == 1


def test_a_halt_that_is_cleared_starts_no_other_again():
    """A loss of 2 % a day, cleared every day, does not hide a fall of 20 % from the peak."""
    daily, fall = Fall(0, 0.98, then=1, resumes="next_day"), Fall(1, 0.80)
    run = run_of(bars=40)
    run.halt_peak[:2] = run.peak = 1_000.0
    run.mark[0] = 0.0
    tripped: list[tuple[int, int]] = []
    with set_to(HALTS=(daily, fall)):
        for t in range(40):
            run.day[t] = t // 2
            run.cash = 1_000.0 * 0.985**t
            before = run.halt_is_active[:2].copy()
            account.mark(t, 1, run)
            halts.check_halts(t, t * 60, run)
            tripped += [(t, h) for h in range(2) if run.halt_is_active[h] > before[h]]
    assert [t for t, h in tripped if h == 1] == [15], "0.985 ** 15 is the first below 0.8"
    assert len(tripped) > 10


def test_losses_before_a_halt_was_cleared_are_not_counted_again():
    halt = Fall(0, losses=3, reads_peak=False, then=1, resumes="next_day")
    run = run_of(bars=9)
    run.day[:] = range(9)
    with set_to(HALTS=(halt,)):
        for t, lost in enumerate((1, 1, 1, 1, 1, 0, 1, 1, 1)):
            run.trades = run.trades + 1
            run.losses_in_a_row = run.losses_in_a_row + 1 if lost else 0
            halts.check_halts(t, t * 60, run)
    log = run.LI[: int(run.log_rows)]
    assert [int(row[1]) // 60 for row in log if row[0] == layout.HALT] == [2, 8]
