"""Idle times, at which only marks change: found in advance and processed in one stretch.

With one symbol, idle spans are marked at once (`find_idle_span`, `mark_idle_span`); with several,
only active symbols are stepped (`trade_active_symbols`). The results equal those of single steps.
"""

from __future__ import annotations

from septet._kernel.layout import REBALANCE_DUE, SIGNAL
from septet._kernel.time_frames import bars_of, put_right
from septet._rules.account import amount, list_all, list_held, mark, reset_order_count
from septet._rules.bars import match_bar
from septet._rules.buying import buy_regularly
from septet._rules.compile_marks import at, kernel, prefetch, routine
from septet._rules.decide import decide, enters_again
from septet._rules.halts import check_halts
from septet._rules.hours import closes_held, keep_hours
from septet._rules.level_rows import keep_levels
from septet._rules.rebalance import note_due, rebalance
from septet._rules.run_state import Run
from septet._rules.settings import (
    BUYS,
    CURVE,
    FLAT_AT_CLOSE,
    HALTS,
    HAS_SIGNAL,
    HOURS,
    IDLE_WHILE_HELD,
    IDLE_WHILE_HELD_ALONE,
    LEVEL_ROWS,
    PARTICIPATION,
    PORTFOLIO,
    PORTFOLIO_SLOT,
    SYMBOLS,
    TABLES,
)

__all__ = [
    "act_on_all", "begins", "count_bars", "find_active_time", "find_idle_span", "halt_all",
    "list_active", "mark_flat_span", "mark_held_span", "mark_idle_span", "match_active",
    "pass_bars", "prefetch_order", "survey", "trade_active_symbols",
]  # fmt: skip


# ---------------------------------------------------------------- one symbol


@kernel
def begins(t, t1, run: Run):
    """Return the first time from t on, or t1, with a new signal or another day."""
    before = run.signal_code[0, at(t - 1)] & SIGNAL
    while t < t1:
        code = run.signal_code[0, at(t)] & SIGNAL
        if code != before and code != 0:
            break
        if HALTS and run.day[at(t)] != run.day[at(t - 1)]:
            break
        if FLAT_AT_CLOSE and (closes_held(0, t, run) and not closes_held(0, t - 1, run)):
            break  # the position is closed, as by a signal
        before = code
        t += 1
    return t


@kernel
def find_idle_span(t, coming, t1, run: Run):
    """Return the first time from t on, or t1, at which more than a mark can happen, and the next.

    `coming` is the next time at which a signal begins, as of the time before, if that is after t.
    """
    if run.working[0] == 1 or run.blocked_long[0] + run.blocked_short[0] != 0:
        return t, coming
    if run.exit_to_retry[0] != 0 or run.is_late == 1:
        return t, coming
    if HALTS:
        if run.blocked > 0 or run.units[0] != 0.0:
            return t, coming
        if run.day[t] != run.day_now:  # the first time of a day is stepped
            return t, coming
    held = run.open_side[0]
    same = held + 2
    if FLAT_AT_CLOSE and (held != 0 and closes_held(0, t, run)):
        return t, coming
    if not IDLE_WHILE_HELD_ALONE:
        if held != 0:
            return t, coming
        same = 2
    code = run.signal_code[0, at(t)] & SIGNAL
    if code != 0 and code != same:
        return t, coming
    if IDLE_WHILE_HELD_ALONE and (held != 0 and code == same and enters_again(0, t, run)):
        return t, coming
    until = coming if coming > t else begins(t + 1, t1, run)
    while until < t1 and run.signal_code[0, at(until)] & SIGNAL == same:
        if HALTS and run.day[until] != run.day_now:
            break
        if FLAT_AT_CLOSE and (held != 0 and closes_held(0, until, run)):
            break
        if IDLE_WHILE_HELD_ALONE and (held != 0 and enters_again(0, until, run)):
            break
        until = begins(until + 1, t1, run)
    if until == t1:
        return t1, t1
    coming = begins(until + 1, t1, run)
    prefetch(run.known_ns, coming)  # values that are rarely read are not in the cache
    prefetch(run.close[0], coming)
    prefetch(run.open[0], coming + 1)
    prefetch(run.open_ns[0], coming + 1)
    prefetch(run.missing_bars[0], coming + 1)
    prefetch(run.is_synthetic[0], coming + 1)
    return until, coming


@kernel
def mark_idle_span(t, until, run: Run):
    """Mark the idle times from t to `until`: the same as that many steps, in one stretch."""
    held = amount(0, run)
    if TABLES:
        cash = run.cash
        equity = run.equity
        peak = run.peak
        for u in range(t, until):
            worth = held * run.close[0, at(u)]
            equity = cash + worth
            if equity > peak:
                peak = equity
            run.equity_curve[at(u)] = equity
            run.cash_curve[at(u)] = cash
            run.exposure_curve[at(u)] = abs(worth)
        run.equity, run.peak = equity, peak
    elif held == 0.0:
        mark_flat_span(t, until, run)
    else:
        mark_held_span(t, until, held, run)
    if not TABLES and not CURVE:
        while run.samples_taken < run.Q.shape[0] and run.Q[run.samples_taken] < until:
            worth = held * run.close[0, run.Q[run.samples_taken]]
            run.equity_curve[run.samples_taken] = run.cash + worth
            run.samples_taken = run.samples_taken + 1
    run.mark[0] = run.close[0, until - 1]
    if HOURS:
        keep_hours(until - 1, run)
    if PARTICIPATION:
        run.volume_used[0] = 0.0
    if run.open_side[0] != 0:
        run.began_in_bar[0] = 0
        run.held_bars[0] = run.held_bars[0] + until - t
    run.bars_since_entry[0] = run.bars_since_entry[0] + until - t


@kernel
def mark_flat_span(t, until, run: Run):
    """Mark idle times without a position, where no table is kept."""
    equity = run.cash
    if CURVE:
        for u in range(t, until):
            run.equity_curve[at(u)] = equity
    else:
        summed = run.summed_equity
        for _ in range(t, until):  # one by one: the sum does not depend on where stretches are cut
            summed += equity
        run.summed_equity = summed
    top = max(run.top_equity, equity)
    low = min(run.equity, equity)
    run.peak = max(run.peak, equity)
    if equity == 0.0:
        run.unvalued_times = run.unvalued_times + until - t
    run.deepest_drawdown = max(run.deepest_drawdown, 1.0 - low / top)
    run.top_equity = top
    run.equity = equity


@kernel
def mark_held_span(t, until, held, run: Run):
    """Mark idle times with a position, where no table is kept."""
    cash = run.cash
    for u in range(t, until):  # values that do not depend on other times are computed together
        worth = held * run.close[0, at(u)]
        if CURVE:
            run.equity_curve[at(u)] = cash + worth
        run.W[at(u - t), 0] = abs(abs(worth) / (cash + worth))
    top, low, exposed = run.top_equity, run.equity, run.summed_exposure
    total, highest, lowest = exposed, min(run.peak, top), low
    equity, summed = low, run.summed_equity
    for u in range(t, until):
        equity = run.equity_curve[at(u)] if CURVE else cash + held * run.close[0, at(u)]
        highest = equity if equity > highest else highest
        lowest = equity if equity < lowest else lowest
        if not CURVE:
            summed += equity
        total += run.W[at(u - t), 0]
    if not CURVE:
        run.summed_equity = summed
    run.equity = equity
    run.peak = max(run.peak, highest)
    if highest > top:  # rare: the largest drawdown from a peak is at the lowest equity
        for u in range(t, until):
            worth = cash + held * run.close[0, at(u)]
            if worth > top:
                run.deepest_drawdown = max(run.deepest_drawdown, 1.0 - low / top)
                top, low = worth, worth
            elif worth < low:
                low = worth
    else:
        low = lowest
    if total - total == 0.0:
        run.summed_exposure = total
    else:  # equity was zero at some time: such times are counted, not summed
        for u in range(t, until):
            worth = held * run.close[0, at(u)]
            share = abs(abs(worth) / (cash + worth))
            if share - share == 0.0:
                exposed += share
            else:
                run.unvalued_times = run.unvalued_times + 1
        run.summed_exposure = exposed
    run.deepest_drawdown = max(run.deepest_drawdown, 1.0 - low / top)
    run.top_equity = top


# ---------------------------------------------------------------- several symbols


@kernel
def find_active_time(k, t, t1, run: Run):
    """Return the first time from t on, or t1, at which more than a mark can happen to k."""
    if run.working[k] == 1 or run.exit_to_retry[k] != 0:
        return t
    if run.blocked_long[k] + run.blocked_short[k] != 0:
        return t
    held = run.open_side[k]
    same = held + 2
    if not IDLE_WHILE_HELD:
        if held != 0:
            return t
        same = 2
    if not HAS_SIGNAL and not FLAT_AT_CLOSE:
        return t1
    bars, codes = run.bar[k], run.signal_code[k]
    while t < t1:
        if FLAT_AT_CLOSE and (held != 0 and closes_held(k, t, run)):
            break
        i = bars[at(t)]
        if i >= 0:
            code = codes[at(i)] & SIGNAL
            if code != 0 and code != same:
                break
            if IDLE_WHILE_HELD and (
                held != 0
                and (run.min_notional[k] > 0.0 or run.min_units[k] > 0.0)
                and code == same
                and enters_again(k, i, run)
            ):
                break
        t += 1
    return t


@kernel
def list_active(t, run: Run):
    """List the symbols that are active at t, in universe order; return how many."""
    count = 0
    for k in range(SYMBOLS):
        if run.next_active_time[k] <= t:
            run.active_symbol[count] = k
            count += 1
    return count


@kernel
def pass_bars(k, i, run: Run):
    """Count the idle bars of k before i; return how many there were."""
    bars = i - run.first_uncounted_bar[k]
    if bars > 0:
        if run.open_side[k] != 0:
            run.began_in_bar[k] = 0
            run.held_bars[k] = run.held_bars[k] + bars
        run.bars_since_entry[k] = run.bars_since_entry[k] + bars
        run.first_uncounted_bar[k] = i
    return bars


@kernel
def count_bars(k, i, run: Run):
    """Count the idle bars of k before i, and mark it at the last of them."""
    if pass_bars(k, i, run) > 0:
        run.mark[k] = run.close[k, i - 1]


@kernel
def survey(k, t0, t1, run: Run):
    """Write the closes of k by time, and find the first time at which k is active."""
    run.first_uncounted_bar[k], _ = bars_of(run.bar[k], t0, t1)
    run.next_active_time[k] = find_active_time(k, t0, t1, run)
    bars, closes = run.bar[k], run.close[k]
    price = run.mark[k]
    for t in range(t0, t1):
        i = bars[at(t)]
        if i >= 0:
            price = closes[at(i)]
        run.W[at(t - t0), at(k)] = price


@kernel
def match_active(t, now_ns, count, held, run: Run):
    """Match the bars of the symbols active at t; return how many symbols are held then."""
    for n in range(count):
        k = run.active_symbol[n]
        i = run.bar[k, t]
        if i >= 0:
            count_bars(k, i, run)
            run.first_uncounted_bar[k] = i + 1
    logged = run.log_rows
    match_bar(t, now_ns, count, run)
    if run.log_rows > logged:
        for n in range(count):
            k = run.active_symbol[n]
            held = put_right(run.held_symbol, held, k, run.units[k] != 0.0)
    return held


@kernel
def halt_all(t, now_ns, count, run: Run):
    """Test the halts; one that trips acts on all symbols. Return how many are then stepped."""
    logged = run.log_rows
    check_halts(t, now_ns, run)
    if run.log_rows == logged:
        return count
    for k in range(SYMBOLS):
        count_bars(k, run.bar[k, t] + 1, run)
    return list_all(run)


@kernel
def prefetch_order(k, run: Run):
    """Prefetch the values that the order of k is matched with; they are not in the cache."""
    i = run.first_uncounted_bar[k]
    prefetch(run.open[k], i)
    prefetch(run.open_ns[k], i)
    prefetch(run.missing_bars[k], i)
    prefetch(run.is_synthetic[k], i)


@routine
def act_on_all(t, t0, now_ns, run: Run):
    """Make the rebalance, or the buys, due at T, which look at every symbol.

    The idle bars of the symbols are counted first. Symbols with a working order afterwards are
    active at the next time.
    """
    for k in range(SYMBOLS):
        pass_bars(k, run.bar[k, t] + 1, run)
        run.mark[k] = run.W[at(t - t0), at(k)]
    acted = 1
    if BUYS:
        buy_regularly(t, now_ns, run)
    if PORTFOLIO:
        acted = rebalance(t, now_ns, run)
    if acted == 1:
        for k in range(SYMBOLS):
            if run.working[k] == 1 or run.exit_to_retry[k] != 0:
                run.next_active_time[k] = t + 1
                prefetch_order(k, run)


@routine
def trade_active_symbols(t0, t1, room, run: Run):
    """Trade times t0 to t1: the same as that many steps, but only of active symbols.

    Every position is marked at every time. Stops early where the log has no room.
    """
    for k in range(SYMBOLS):
        survey(k, t0, t1, run)
    held = list_held(run)
    t = t0
    while t < t1 and run.log_rows <= room:
        now_ns = run.known_ns[t]
        if PORTFOLIO:
            note_due(t, run)
        reset_order_count(now_ns, run)
        count = list_active(t, run)
        held = match_active(t, now_ns, count, held, run)
        for n in range(held):
            k = run.held_symbol[n]
            run.mark[k] = run.W[at(t - t0), at(k)]
        mark(t, held, run)
        if HALTS:
            count = halt_all(t, now_ns, count, run)
        decide(t, now_ns, count, run)
        if PORTFOLIO and run.C[PORTFOLIO_SLOT + REBALANCE_DUE] == 1:
            act_on_all(t, t0, now_ns, run)
        if BUYS and run.DUE[t] == 1:
            act_on_all(t, t0, now_ns, run)
        if LEVEL_ROWS:
            keep_levels(t, now_ns, count, run)
        t += 1
        for n in range(count):
            k = run.active_symbol[n]
            run.next_active_time[k] = find_active_time(k, t, t1, run)
            if run.working[k] == 1:
                prefetch_order(k, run)
    for k in range(SYMBOLS):
        _, i = bars_of(run.bar[k], t0, t)
        count_bars(k, i, run)
    return t
