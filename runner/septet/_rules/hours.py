"""Trading hours: close positions before a session ends, and reject increases outside of them.

The flags of a decision time are computed ahead from time alone, for each symbol on its own
calendar: `septet._data.trading_hours`. Here the rules read them. Exits and stops always act.
"""

from __future__ import annotations

from septet._kernel.layout import (
    HOURS_CLOSED,
    HOURS_FLAT,
    HOURS_HELD_OVER,
    HOURS_LAST,
    MARKET,
    STATUS_CANCELLED,
)
from septet._rules.compile_marks import at, kernel, routine
from septet._rules.grid_orders import end_grid_entries
from septet._rules.ledger import end_order
from septet._rules.orders import go_on, send_exit
from septet._rules.queued import cancel_queued
from septet._rules.resting import end_rungs
from septet._rules.run_state import Run
from septet._rules.settings import (
    FLAT_AT_CLOSE,
    GRID,
    HOURS_ROW,
    HOURS_SLOT,
    ONE_SYMBOL,
    QUEUES,
    R_CLOSED_HOURS,
    R_FLAT_AT_CLOSE,
    R_OPPOSITE,
    RUNGS,
    SPOT,
    SYMBOLS,
    TIME_IN_FORCE,
    VENUE_FILLS,
)

__all__ = [
    "cancel_outside", "close_held", "closes_held", "decides_here", "end_resting", "keep_hours",
    "read_hours", "rejection_of_hours",
]  # fmt: skip


@kernel
def keep_hours(t, run: Run):
    """Store the flags of a decision time for the decisions made at it."""
    if ONE_SYMBOL:
        run.C[HOURS_SLOT] = run.T[HOURS_ROW, at(t)]
    else:
        for k in range(SYMBOLS):
            run.C[HOURS_SLOT + k] = run.T[HOURS_ROW + k, at(t)]


@kernel
def closes_held(k, t, run: Run):
    """Whether an open position of k is closed at t."""
    return run.T[HOURS_ROW + k, at(t)] & (HOURS_FLAT | HOURS_HELD_OVER) != 0


@kernel
def decides_here(k, t, run: Run):
    """Whether a scheduled bar of k ends at t, or has ended since the time before and is missing.

    Simulated orders of k end at no other time: at one of symbols with other calendars its bar may
    be open, and its fills are not known yet. With a venue's fills they are.
    """
    if ONE_SYMBOL or VENUE_FILLS or run.bar[k, t] >= 0:
        return True
    return run.bar[k, t] != -1 and run.bar[k, t] != run.bar[k, t - 1]


@kernel
def rejection_of_hours(k, run: Run):
    """Return the reason to reject every increase of k at this time, or -1."""
    if run.C[HOURS_SLOT + k] & HOURS_CLOSED != 0:
        return R_CLOSED_HOURS
    if FLAT_AT_CLOSE and run.C[HOURS_SLOT + k] & HOURS_LAST != 0:
        return R_FLAT_AT_CLOSE
    return -1


@kernel
def read_hours(t, now_ns, count, run: Run):
    """Begin a decision time: store its flags, and close positions that may not stay open."""
    keep_hours(t, run)
    if FLAT_AT_CLOSE:
        for n in range(count):
            k = 0 if ONE_SYMBOL else run.active_symbol[n]
            if closes_held(k, t, run):
                close_held(k, t, now_ns, run)


@routine
def close_held(k, t, now_ns, run: Run):
    """Close the position of k; from the last fill inside the hours on, cancel its entries as well.

    An exit that already waits to be sent takes precedence, and keeps its reason.
    """
    if run.bar[k, t] >= 0 and run.exit_to_retry[k] > 0:
        go_on(k, now_ns, run)
    if run.C[HOURS_SLOT + k] & HOURS_FLAT != 0 and decides_here(k, t, run):
        turns = 1.0 * run.open_side[k] * run.order_units[k] < 0.0
        if run.working[k] == 1 and run.reduces[k] == 0 and not turns:
            end_order(k, STATUS_CANCELLED, R_FLAT_AT_CLOSE, now_ns, run)
        if QUEUES:
            cancel_queued(k, R_FLAT_AT_CLOSE, now_ns, run)
    if run.open_side[k] != 0:
        send_exit(k, R_FLAT_AT_CLOSE, now_ns, run)


@kernel
def cancel_outside(t, now_ns, count, run: Run):
    """End a decision time: cancel resting increases where increases are rejected."""
    for n in range(count):
        k = 0 if ONE_SYMBOL else run.active_symbol[n]
        reason = rejection_of_hours(k, run)
        if reason >= 0 and decides_here(k, t, run):
            end_resting(k, reason, now_ns, run)


@routine
def end_resting(k, reason, now_ns, run: Run):
    """Cancel a resting entry of k, or its unfilled rest after the open; a flip becomes an exit.

    A market order that has not met its open yet was decided inside the hours, and fills there.
    With a venue's fills one that works is there already.
    """
    if QUEUES:
        cancel_queued(k, reason, now_ns, run)
    if RUNGS:
        end_rungs(k, reason, now_ns, run)
    if GRID:
        end_grid_entries(k, 0.0, reason, now_ns, run)
    if run.working[k] == 0 or run.reduces[k] == 1:
        return
    if run.order_type[k] == MARKET:
        unmet = not VENUE_FILLS and run.bars_left[k] == TIME_IN_FORCE
        if run.active_ns[k] >= now_ns or unmet:
            return
    turns = run.units[k] * run.order_units[k] < 0.0
    end_order(k, STATUS_CANCELLED, reason, now_ns, run)
    if not SPOT and turns:
        send_exit(k, R_OPPOSITE, now_ns, run)
