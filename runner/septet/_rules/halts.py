"""Halts: their conditions, their effects on orders and positions, and how they are cleared."""

from __future__ import annotations

from septet._kernel.layout import BLOCK_ENTRIES, CLEAR, FLATTEN, HALT, STATUS_CANCELLED
from septet._rules.checked import is_true
from septet._rules.compile_marks import kernel, routine
from septet._rules.grid_orders import end_grid_entries
from septet._rules.ledger import end_order, log_row
from septet._rules.orders import send_exit
from septet._rules.queued import cancel_queued
from septet._rules.resting import end_rungs
from septet._rules.run_state import Run
from septet._rules.settings import GRID, HALTS, QUEUES, RUNGS, SYMBOLS, VENUE_FILLS

__all__ = ["check_halts", "check_halts_between", "clear_halt", "end_and_close", "trip_halt"]


@routine
def trip_halt(h, code, peak, then, t, now_ns, run: Run):
    """Trip a halt: log it, block entries, cancel and close as it defines; once until cleared.

    `then` is FLATTEN, BLOCK_ENTRIES or CANCEL_ALL;
    `peak` is the equity from which the halt counts a fall.
    """
    run.halt_is_active[h] = 1
    run.halted_ns[h] = now_ns
    run.halted_on_day[h] = run.day_now if VENUE_FILLS else run.day[t]
    run.blocked = run.blocked + 1
    row = log_row(HALT, now_ns, -1, h, code, then, run)
    run.LF[row, 0] = run.equity
    run.LF[row, 1] = peak
    run.LF[row, 2] = run.day_base
    run.LF[row, 3] = 1.0 * min(run.losses_in_a_row, run.trades - run.trades_before[h])
    if then != BLOCK_ENTRIES:
        end_and_close(then, code, now_ns, run)
    elif RUNGS:  # resting adds are entries, and none is made any more
        for k in range(SYMBOLS):
            end_rungs(k, code, now_ns, run)
    elif GRID:
        for k in range(SYMBOLS):
            end_grid_entries(k, 0.0, code, now_ns, run)


@routine
def end_and_close(then, code, now_ns, run: Run):
    """End the entries of all symbols; with FLATTEN close every position, too."""
    for k in range(SYMBOLS):
        side = run.open_side[k]
        turns = run.working[k] == 1 and 1.0 * side * run.order_units[k] < 0.0
        if run.working[k] == 1 and run.reduces[k] == 0 and (then != FLATTEN or not turns):
            end_order(k, STATUS_CANCELLED, code, now_ns, run)
        if QUEUES:
            cancel_queued(k, code, now_ns, run)
        if RUNGS:
            end_rungs(k, code, now_ns, run)
        if GRID:
            end_grid_entries(k, 0.0, code, now_ns, run)
        if then == FLATTEN and side != 0:
            send_exit(k, code, now_ns, run)


@routine
def clear_halt(h, code, now_ns, run: Run):
    """Clear a halt: only its own peak and count of losses start again."""
    run.halt_is_active[h] = 0
    run.blocked = run.blocked - 1
    run.halt_peak[h] = run.equity
    run.trades_before[h] = run.trades
    log_row(CLEAR, now_ns, -1, h, code, 0, run)


@kernel
def check_halts(t, now_ns, run: Run):
    """Step 6, after the mark: clear or test every halt."""
    equity = run.equity
    for halt in HALTS:
        if halt.resumes == "next_day":
            if (
                run.halt_is_active[halt.number] == 1
                and run.day[t] != run.halted_on_day[halt.number]
            ):
                clear_halt(halt.number, halt.code, now_ns, run)
        elif halt.resumes == "after" and (
            run.halt_is_active[halt.number] == 1
            and now_ns - run.halted_ns[halt.number] >= halt.resume_ns
        ):
            clear_halt(halt.number, halt.code, now_ns, run)
        if run.halt_is_active[halt.number] == 0 and (
            is_true(halt.is_met(equity, now_ns, run), halt.rule, 0, now_ns, run)
            if halt.checked
            else halt.is_met(equity, now_ns, run)
        ):
            peak = run.halt_peak[halt.number] if halt.reads_peak else run.peak
            trip_halt(halt.number, halt.code, peak, halt.then, t, now_ns, run)


@kernel
def check_halts_between(now_ns, run: Run):
    """Test every halt at a price between two decision times; clear none."""
    equity = run.equity
    for halt in HALTS:
        if run.halt_is_active[halt.number] == 0 and (
            is_true(halt.is_met(equity, now_ns, run), halt.rule, 0, now_ns, run)
            if halt.checked
            else halt.is_met(equity, now_ns, run)
        ):
            peak = run.halt_peak[halt.number] if halt.reads_peak else run.peak
            trip_halt(halt.number, halt.code, peak, halt.then, -1, now_ns, run)
