"""An entry of the other side that rests: the exit goes first, and the entry waits for it."""

from __future__ import annotations

import math

import pytest

from septet._kernel import layout
from septet._rules import bars, decide, halts, queued, venue_fills
from septet._rules.ledger import book_fill
from septet._rules.run_state import Run
from septet._rules.settings import R_ENTRY, R_EXIT, R_OPPOSITE, R_UNFILLED
from tests.rules.small_run import Below, bar, fill_of, kept, run_of, set_to, signal, status

NAN = math.nan
CANCELLED, EXPIRED = layout.STATUS_CANCELLED, layout.STATUS_EXPIRED


def turning(held: float = 2.0, notional: float = 0.0, limit: float = 104.0) -> Run:
    """Return a run that closes a long position and enters short with a limit order."""
    run = run_of()
    book_fill(0, fill_of(held, 100.0), 0.0, 0, run)
    run.candidate_price, run.candidate_limit, run.candidate_trigger = 100.0, limit, NAN
    run.min_notional[0] = notional
    queued.place_behind_exit(0, layout.LIMIT, -3.0, 60, run)
    return run


def orders(run: Run) -> list[tuple[int, float, int]]:
    """Return type, units and reason of the orders that were made."""
    log = range(int(run.log_rows))
    return [
        (int(run.LI[n, 4]), float(run.LF[n, 0]), int(run.LI[n, 5]))
        for n in log
        if run.LI[n, 0] == layout.ORDER
    ]


def test_the_exit_works_at_once_and_the_entry_is_an_order_of_its_own():
    run = turning()
    exit_, entry = (layout.MARKET, -2.0, R_OPPOSITE), (layout.LIMIT, -3.0, R_ENTRY)
    assert orders(run) == [exit_, entry]
    assert (run.order_units[0], run.reduces[0], run.queued_units[0]) == (-2.0, 1, -3.0)
    assert (run.orders_this_minute, run.queued_id[0]) == (2, 2)


@pytest.mark.parametrize("steps", [False, True], ids=["whole", "in steps"])
@pytest.mark.parametrize("high", [105.0, 103.0], ids=["reached", "not reached"])
def test_the_entry_meets_the_bar_whose_open_fills_the_exit(high: float, steps: bool):
    run = turning()
    run.queued_bars[0] = 3
    bar(run, 1, 101.0, high, 99.0, 100.0)
    with set_to(SPOT=False, RESTS=True, QUEUES=True, STEPS=steps):
        bars.match_bar(1, 120, 1, run)
    assert run.order_units[0] == (0.0 if high > 104.0 else -3.0)
    assert run.units[0] == (-3.0 if high > 104.0 else 0.0)
    assert run.queued_id[0] == 0


def test_what_cannot_be_closed_alone_the_entry_closes_with_it():
    run = turning(notional=300.0)
    assert orders(run) == [(layout.LIMIT, -5.0, R_ENTRY)]
    assert run.queued_id[0] == 0


@pytest.mark.parametrize(
    ("side", "opposite", "reason"),
    [(1.0, True, R_OPPOSITE), (1.0, False, None), (0.0, True, R_EXIT), (-1.0, True, None),
     (NAN, True, None)],
)  # fmt: skip
def test_the_entry_is_cancelled_when_the_signal_is_no_longer_of_its_side(side, opposite, reason):
    run = turning()
    signal(run, 0, NAN, side)
    with set_to(signal_at=kept, SPOT=False, QUEUES=True, OPPOSITE_EXITS=opposite):
        decide.decide_symbol(0, 1, 120, run)
    assert status(run) == ([] if reason is None else [(CANCELLED, reason)])
    assert (run.queued_id[0] == 0) == (reason is not None)
    assert (run.order_units[0], run.order_reason[0]) == (-2.0, R_OPPOSITE), "the exit goes on"


def test_the_entry_expires_while_it_waits():
    run = turning()
    run.queued_bars[0] = 2
    for i, left in ((0, True), (1, True), (2, False)):
        queued.count_down_queued(0, i, 60 * i + 60, run)
        assert (run.queued_id[0] != 0) == left
    assert status(run) == [(EXPIRED, R_UNFILLED)]


def test_a_halt_cancels_the_entry():
    run = turning()
    run.equity = 10.0
    with set_to(HALTS=(Below(900.0, then=2),), QUEUES=True):
        halts.check_halts(1, 120, run)
    assert (run.queued_id[0], status(run)) == (0, [(CANCELLED, 40)])


def test_a_fill_of_the_entry_before_its_exit_leaves_the_exit_less_to_do():
    run = turning()
    with set_to(SPOT=False, QUEUES=True):
        venue_fills.book_venue_fill(
            0,
            fill_of(-1.0, 104.0, maker=1, time_ns=90, order_id=1, decision_price=0.0),
            -1.0,
            0.0,
            0,
            run,
        )
        assert (run.units[0], run.order_units[0], run.queued_units[0]) == (1.0, -1.0, -2.0)
        venue_fills.book_venue_fill(
            0, fill_of(-1.0, 104.0, time_ns=91, decision_price=0.0), -1.0, 0.0, 0, run
        )
    assert (run.units[0], run.order_units[0], run.order_id[0]) == (0.0, -2.0, 1)
    assert run.queued_id[0] == 0
