"""The account at a decision time: equity, its peak, and the stored curve."""

from __future__ import annotations

from septet._rules.compile_marks import kernel, routine
from septet._rules.run_state import Run
from septet._rules.settings import CURVE, HALTS, ONE_SYMBOL, SYMBOLS, TABLES

__all__ = ["amount", "list_all", "list_held", "mark", "raise_peaks", "revalue", "reset_order_count"]


@kernel
def reset_order_count(now_ns, run: Run):
    """Reset the count of orders when a new minute of market time has begun."""
    minute = now_ns // 60_000_000_000
    if minute != run.minute:
        run.minute = minute
        run.orders_this_minute = 0


@kernel
def list_all(run: Run):
    """List every symbol; return how many."""
    if not ONE_SYMBOL:
        for k in range(SYMBOLS):
            run.active_symbol[k] = k
    return SYMBOLS


@kernel
def list_held(run: Run):
    """List the symbols with a position, dust included; return how many."""
    held = 0
    if not ONE_SYMBOL:
        for k in range(SYMBOLS):
            if run.units[k] != 0.0:
                run.held_symbol[held] = k
                held += 1
    return held


@kernel
def amount(k, run: Run):
    """Position of k in the base currency."""
    return run.units[k] / run.scale[k]


@kernel
def raise_peaks(equity, run: Run):
    """Raise the peak to equity, and the peak of each halt that uses one."""
    if equity > run.peak:
        run.peak = equity
    for halt in HALTS:
        if halt.reads_peak and equity > run.halt_peak[halt.number]:
            run.halt_peak[halt.number] = equity


@kernel
def mark(t, held, run: Run):
    """Step 6: compute the equity of T once for all symbols."""
    if ONE_SYMBOL:
        worth = amount(0, run) * run.mark[0]
        equity = run.cash + worth
        exposed = abs(worth)
    else:
        equity = run.cash
        exposed = 0.0
        for n in range(held):
            k = run.held_symbol[n]
            worth = amount(k, run) * run.mark[k]
            equity += worth
            exposed += abs(worth)
    run.equity = equity
    raise_peaks(equity, run)
    if CURVE:
        run.equity_curve[t] = equity
    else:
        run.summed_equity = run.summed_equity + equity
        if run.samples_taken < run.Q.shape[0] and run.Q[run.samples_taken] == t:
            run.equity_curve[run.samples_taken] = equity
            run.samples_taken = run.samples_taken + 1
    if TABLES:
        run.cash_curve[t] = run.cash
        run.exposure_curve[t] = exposed
    else:
        if equity > run.top_equity:
            run.top_equity = equity
        run.deepest_drawdown = max(run.deepest_drawdown, 1.0 - equity / run.top_equity)
        share = exposed / equity
        if share - share == 0.0:
            run.summed_exposure = run.summed_exposure + abs(share)
        else:
            run.unvalued_times = run.unvalued_times + 1
    if HALTS and run.day[t] != run.day_now:
        run.day_now = run.day[t]
        run.day_base = equity


@routine
def revalue(run: Run):
    """Compute equity between two decision times; the base of the day does not change."""
    equity = run.cash
    for k in range(SYMBOLS):
        if run.units[k] != 0.0:
            equity += amount(k, run) * run.mark[k]
    run.equity = equity
    raise_peaks(equity, run)
