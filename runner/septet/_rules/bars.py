"""Process the end of a bar: match orders and stops, pay funding, update marks."""

from __future__ import annotations

from septet._kernel.layout import INCREASES, MARKET
from septet._rules.compile_marks import kernel, routine
from septet._rules.fills import meet_open, meet_within, replace_expired_flip
from septet._rules.ledger import pay_funding
from septet._rules.levels import tighten
from septet._rules.missing_bars import bars_left_at, expire_without_open
from septet._rules.orders import expire
from septet._rules.queued import count_down_queued, release
from septet._rules.reentry import is_left
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    FUNDED,
    FUNDING_BEFORE_ROW,
    FUNDING_ROW,
    LIQUIDATES,
    ONE_SYMBOL,
    PARTICIPATION,
    PORTFOLIO,
    PORTFOLIO_SLOT,
    PROTECTS,
    QUEUES,
    R_NO_MARKET,
    R_UNFILLED,
    REENTRY,
    RESTS,
    RUNGS,
    SPOT,
    STEPS,
    SYMBOLS,
    TRACKS_BEST,
    TRACKS_POSITION,
    VENUE_FILLS,
)
from septet._rules.steps import meet_opens_in_steps, within_in_steps
from septet._rules.stops import is_bust, protect
from septet._rules.venue_steps import move_stop

__all__ = [
    "age_trade", "count_down", "count_down_blocks", "match_bar", "match_intrabar",
    "meet_open_alone", "meet_opens",
]  # fmt: skip


@kernel
def match_bar(t, now_ns, count, run: Run):
    """Steps 1 and 2: match the bars that just ended with orders and stops; pay funding."""
    if FUNDED:  # funding due without a bar: on the position of then, at its last mark
        for n in range(count):
            k = 0 if ONE_SYMBOL else run.active_symbol[n]
            # the fills of a venue were booked as they arrived
            units = run.units_before[k] if VENUE_FILLS else run.units[k]
            if units != 0.0:
                if ONE_SYMBOL:
                    rate = run.X[0, FUNDING_BEFORE_ROW, t]
                else:
                    i = run.bar[k, t]
                    rate = run.X[k, FUNDING_BEFORE_ROW, i] if i >= 0 else run.U[k, t]
                pay_funding(k, units, rate, run.mark[k], now_ns, run)
    if not VENUE_FILLS:
        if PARTICIPATION:
            for k in range(SYMBOLS):
                run.volume_used[k] = 0.0
        if STEPS:
            meet_opens_in_steps(t, now_ns, count, run)
        elif ONE_SYMBOL:
            meet_open_alone(t, now_ns, run)
        else:
            meet_opens(t, now_ns, count, run)
    for n in range(count):
        k = 0 if ONE_SYMBOL else run.active_symbol[n]
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0:
            if STEPS and not VENUE_FILLS:
                within_in_steps(k, i, t, now_ns, run)
            match_intrabar(k, i, now_ns, run)
        elif not ONE_SYMBOL:
            expire_without_open(k, t, now_ns, run)
        if VENUE_FILLS and FUNDED:
            run.units_before[k] = run.units[k]


@kernel
def meet_open_alone(t, now_ns, run: Run):
    """Match the order of the only symbol at the open; a stop that the open passed comes first."""
    if run.working[0] == 1:
        if PROTECTS and (
            run.open_side[0] != 0 and (run.reduces[0] == 0 or (LIQUIDATES and is_bust(0, t, run)))
        ):
            protect(0, t, now_ns, 1, run)
        if not PROTECTS or run.working[0] == 1:
            meet_open(0, t, run)
        if QUEUES and (run.working[0] == 0 and run.queued_id[0] != 0):
            release(0, run)
            if run.working[0] == 1:
                meet_open(0, t, run)


@kernel
def meet_opens(t, now_ns, count, run: Run):
    """Match orders at all opens: reductions first, then entries, each in universe order.

    A stop that an open has passed is a reduction, too; the exit of a symbol goes before its stop.
    So is the exit that replaces a flip without an open in time.
    """
    for n in range(count):
        k = run.active_symbol[n]
        i = run.bar[k, t]
        if i >= 0 and run.working[k] == 1 and run.reduces[k] == 1:
            if LIQUIDATES:
                if is_bust(k, i, run):
                    protect(k, i, now_ns, 1, run)
                if run.working[k] == 1:
                    meet_open(k, i, run)
            else:
                meet_open(k, i, run)
        if PROTECTS and i >= 0 and run.open_side[k] != 0:
            protect(k, i, now_ns, 1, run)
        if not SPOT and (i >= 0 and run.working[k] == 1 and run.missing_bars[k, i] > 0):
            replace_expired_flip(k, i, run)
    if PORTFOLIO:
        count = run.C[PORTFOLIO_SLOT + INCREASES]
    for n in range(count):
        k = run.increased[n] if PORTFOLIO else run.active_symbol[n]
        i = run.bar[k, t]
        if QUEUES and i >= 0:
            release(k, run)
        if i >= 0 and run.working[k] == 1 and run.reduces[k] == 0:
            meet_open(k, i, run)


@routine
def count_down(k, i, now_ns, run: Run):
    """Count bar i, and the missing ones before it, towards the time in force of k's entry."""
    if run.working[k] == 0 or run.reduces[k] == 1 or run.open_ns[k, i] < run.active_ns[k]:
        return
    reason = R_UNFILLED
    if run.is_synthetic[k, i] == 0:
        if run.missing_bars[k, i] > 0:
            run.bars_left[k] = bars_left_at(k, i, run)
            if run.bars_left[k] <= 0:
                reason = R_NO_MARKET
        run.bars_left[k] = run.bars_left[k] - 1
    elif run.order_type[k] == MARKET and run.open_ns[k, i - 1] < run.active_ns[k]:
        run.bars_left[k], reason = 0, R_NO_MARKET
    if run.bars_left[k] <= 0:
        expire(k, reason, now_ns, run)


@routine
def age_trade(k, i, now_ns, run: Run):
    """Count bar i as held by the trade of k; at its close the stop may only tighten."""
    run.trade_bars[k] = run.trade_bars[k] + 1
    if STEPS:
        if RUNGS and run.ladder[k] == 1 and run.began_in_bar[k] == 0:
            run.ladder[k] = 2
        for add in ADDS_WHEN:
            run.B[k, add.since] = run.B[k, add.since] + 1.0
        if VENUE_FILLS and run.moved_ns[k] != now_ns:
            move_stop(k, max(i - 1, 0), run)
        tighten(k, i, now_ns, 1, run)
        if VENUE_FILLS:
            run.moved_ns[k] = 0


@kernel
def match_intrabar(k, i, now_ns, run: Run):
    """Match orders and stops of k inside bar i, and apply its close."""
    if RESTS and not STEPS and (run.working[k] == 1 and run.order_type[k] != MARKET):
        meet_within(k, i, now_ns, run)
    if run.open_side[k] != 0:
        if PROTECTS and not STEPS:
            protect(k, i, now_ns, 0, run)
        if TRACKS_BEST:
            if run.open_side[k] > 0:
                run.high_water[k] = max(run.high_water[k], run.high[k, i])
            elif run.open_side[k] < 0:
                run.high_water[k] = min(run.high_water[k], run.low[k, i])
        if TRACKS_POSITION:
            age_trade(k, i, now_ns, run)
        run.began_in_bar[k] = 0
        run.held_bars[k] = run.held_bars[k] + 1
    if QUEUES:
        release(k, run)
        count_down_queued(k, i, now_ns, run)
    if FUNDED and run.open_side[k] != 0:
        pay_funding(k, run.units[k], run.X[k, FUNDING_ROW, i], run.close[k, i], now_ns, run)
    run.mark[k] = run.close[k, i]
    if VENUE_FILLS:
        count_down(k, i, now_ns, run)
    elif run.working[k] == 1 and run.reduces[k] == 0 and run.open_ns[k, i] >= run.active_ns[k]:
        if run.is_synthetic[k, i] == 0:
            run.bars_left[k] = run.bars_left[k] - 1
            if run.bars_left[k] <= 0:
                expire(k, R_UNFILLED, now_ns, run)
        elif run.order_type[k] == MARKET and run.open_ns[k, i - 1] < run.active_ns[k]:
            expire(k, R_NO_MARKET, now_ns, run)
    run.bars_since_entry[k] = run.bars_since_entry[k] + 1
    if REENTRY == "after":
        count_down_blocks(k, run)


@kernel
def count_down_blocks(k, run: Run):
    """Count a bar of k towards its re-entry blocks; they begin with the bar of the closing fill."""
    if run.blocked_long[k] > 0 and is_left(k, 1, run):
        run.blocked_long[k] = run.blocked_long[k] - 1
    if run.blocked_short[k] > 0 and is_left(k, -1, run):
        run.blocked_short[k] = run.blocked_short[k] - 1
