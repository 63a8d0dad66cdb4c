"""The entry points of a plan: compute features, trade times, and put bars into a window."""

from __future__ import annotations

from septet._kernel.layout import AGE
from septet._rules.account import reset_order_count
from septet._rules.compile_marks import entry
from septet._rules.idle import find_idle_span, mark_idle_span, trade_active_symbols
from septet._rules.run_state import Run
from septet._rules.settings import (
    FUNDED,
    FUNDING_BEFORE_ROW,
    LOG_ROOM,
    MARKS_IDLE_SPANS,
    ONE_SYMBOL,
    SIGNAL_IGNORES_ACCOUNT,
    SYMBOLS,
    TILE,
    TRADES_ACTIVE_SYMBOLS,
    keep_signals,
    observe_features,
)
from septet._rules.step import step

__all__ = ["observe", "push", "trade"]


@entry("int64(int64, int64, int64[:, ::1])")
def observe(t0, t1, run: Run):
    """Compute the features over times t0 to t1 and nothing else."""
    observe_features(t0, t1, run)
    return t1


@entry("int64(int64, int64, int64[:, ::1])")
def trade(t0, t1, run: Run):
    """Trade the times t0 to t1; stop early at the time for which the log has no room."""
    room = run.LI.shape[0] - LOG_ROOM
    if SIGNAL_IGNORES_ACCOUNT:
        for first in range(t0, t1, TILE):
            last = min(first + TILE, t1)
            keep_signals(first, last, run)
            if MARKS_IDLE_SPANS:
                coming = first
            t = first
            # A single event always runs the step, so that parity tests also cover the idle spans.
            if TRADES_ACTIVE_SYMBOLS and (t1 - t0 > 1 and run.is_late == 0):
                t = trade_active_symbols(first, last, room, run)
                if t < last:
                    return t
            while t < last:
                if MARKS_IDLE_SPANS and t1 - t0 > 1:
                    until, coming = find_idle_span(t, coming, last, run)
                    if until > t:
                        mark_idle_span(t, until, run)
                        t = until
                        if t == last:
                            if t == t1:
                                reset_order_count(run.known_ns[t - 1], run)
                            break
                if run.log_rows > room:
                    return t
                step(t, run)
                t += 1
    else:
        for t in range(t0, t1):
            if run.log_rows > room:
                return t
            step(t, run)
    return t1


@entry("int64(int64, int64, int64, float64[:, ::1], int64[:, ::1], int64[:, ::1])")
def push(t, time_ns, day, columns, facts, run: Run):
    """Put the bars of one time at the cursors of a window; an age below zero is no bar.

    It is what `bar` holds then: see `NO_BAR`.
    """
    run.known_ns[t] = time_ns
    run.day[t] = day
    for k in range(SYMBOLS):
        if facts[k, AGE] < 0:
            run.bar[k, t] = facts[k, AGE]
            if FUNDED and not ONE_SYMBOL:
                run.U[k, t] = columns[k, FUNDING_BEFORE_ROW]
            continue
        i = run.N[k]
        run.N[k] = i + 1
        run.bar[k, t] = i
        for row in range(run.X.shape[1]):
            run.X[k, row, i] = columns[k, row]
        for row in range(run.M.shape[1]):
            run.M[k, row, i] = facts[k, row]
        for row in range(run.F.shape[1]):
            run.F[k, row, i] = 0.0
        for row in range(run.D.shape[1]):
            run.D[k, row, i] = 0
    return t + 1
