"""Turns signals into orders: exits at once, entries in the order of their confidence."""

from __future__ import annotations

from septet._kernel.layout import CERTAIN, SIGNAL, STATUS_CANCELLED, TOLERANCE
from septet._kernel.match import too_small
from septet._rules.adds import enter_adds, find_adds
from septet._rules.checked import is_true
from septet._rules.compile_marks import at, kernel, routine
from septet._rules.enter import enter, rejection_before_size
from septet._rules.hours import cancel_outside, read_hours
from septet._rules.ledger import end_order
from septet._rules.orders import go_on, send_exit
from septet._rules.pro_rata import enter_share, share_of_entries
from septet._rules.queued import drop_unwanted
from septet._rules.reentry import is_left
from septet._rules.resting import end_rungs, end_take, leaving_units
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    BELOW,
    CONFIDENCE_FLOOR,
    EXIT_AFTER,
    EXIT_AFTER_BARS,
    EXITS,
    HELD_SIGNAL_IS_IDLE,
    HOURS,
    ONE_SYMBOL,
    OPPOSITE_EXITS,
    PORTFOLIO,
    PRO_RATA,
    QUEUES,
    R_AFTER,
    R_BELOW,
    R_EXIT,
    R_OPPOSITE,
    R_TOO_SMALL,
    REBALANCES,
    REENTRY,
    RENEWS,
    RUNGS,
    SENDS_TAKES,
    SIGNAL_IGNORES_ACCOUNT,
    SPOT,
    TABLES,
    TAKES_WHEN,
    probability_up,
    signal_at,
)
from septet._rules.takes import take_at_close

__all__ = [
    "act", "decide", "decide_steps", "decide_symbol", "enter_all", "enters_again", "is_idle",
    "leave", "note", "reason_to_leave", "reverse",
]  # fmt: skip


@kernel
def note(k, i, target, confidence, rejected, run: Run):
    """Store a signal as a code; nothing is written if there is none."""
    code = 0 if target != target else int(target) + 2
    if TABLES:
        if confidence == 1.0:
            code += CERTAIN
        elif confidence != 0.0:
            run.confidence[k, at(i)] = confidence
        if not PORTFOLIO:
            run.rejected_code[k, at(i)] = rejected + 1
    run.signal_code[k, at(i)] = code


@kernel
def enters_again(k, i, run: Run):
    """Whether a signal for the side of the position enters at bar i: the position blocks no entry.

    True if the position is below the minimum notional, and its exit waits or the signal was
    different one bar before.
    """
    if run.working[k] == 1 or not too_small(
        run.units[k], run.scale[k], run.close[k, i], run.min_notional[k], run.min_units[k]
    ):
        return False
    if run.exit_to_retry[k] > 0 or i == 0:
        return True
    return run.signal_code[k, i - 1] & SIGNAL != run.open_side[k] + 2


@kernel
def is_idle(k, i, run: Run):
    """Whether the stored signal of bar i changes nothing for k."""
    if run.working[k] == 1 or run.exit_to_retry[k] != 0:
        return False
    if REENTRY == "rearm" and run.blocked_long[k] + run.blocked_short[k] != 0:
        return False
    held = run.open_side[k]
    code = run.signal_code[k, i] & SIGNAL
    if held == 0:
        return code == 0 or code == 2
    if HELD_SIGNAL_IS_IDLE:
        return code == 0 or (code == held + 2 and not enters_again(k, i, run))
    return False


@kernel
def decide_symbol(k, i, now_ns, run: Run):
    """Steps 7 and 8 for one symbol: the target side, an exit at once, an entry as a candidate."""
    if run.exit_to_retry[k] > 0:
        go_on(k, now_ns, run)
    if SIGNAL_IGNORES_ACCOUNT and is_idle(k, i, run):
        return 0
    return act(k, i, now_ns, run)


@kernel
def act(k, i, now_ns, run: Run):
    """Apply a signal that may change something; return 1 for a candidate."""
    held = run.open_side[k]
    side = 1.0 * held
    if run.working[k] == 1 and run.reduces[k] == 0:
        side = 1.0 if run.order_units[k] > 0.0 else -1.0
    if QUEUES and run.queued_id[k] != 0:
        side = 1.0 if run.queued_units[k] > 0.0 else -1.0
    target, confidence, rejected = signal_at(k, i, side, run)
    if not SIGNAL_IGNORES_ACCOUNT:
        note(k, i, target, confidence, rejected, run)
    if REENTRY == "rearm":
        if run.blocked_long[k] != 0 and target != 1.0 and is_left(k, 1, run):
            run.blocked_long[k] = 0
        if run.blocked_short[k] != 0 and target != -1.0 and is_left(k, -1, run):
            run.blocked_short[k] = 0
    if QUEUES and run.queued_id[k] != 0:
        drop_unwanted(k, target, now_ns, run)
    elif side != 0.0 and not (target == 1.0 * held and enters_again(k, i, run)):
        if RENEWS and target == side:
            run.held_bars[k] = 0
        reason = reason_to_leave(k, i, side, target, now_ns, run)
        if reason >= 0:
            leave(k, i, target, confidence, reason, now_ns, run)
        elif REBALANCES and (
            held != 0 and target == side and run.working[k] + run.exit_to_retry[k] == 0
        ):
            run.target_side[k] = side
            run.target_confidence[k] = confidence
        elif TAKES_WHEN or ADDS_WHEN:
            decide_steps(k, i, now_ns, run)
    elif target == 1.0 or target == -1.0:
        run.target_side[k] = target
        run.target_confidence[k] = confidence
    if TABLES and (run.exit_to_retry[k] > 0 and run.target_side[k] == 0.0):
        run.rejected_code[k, i] = R_TOO_SMALL + 1
    return 1 if run.target_side[k] != 0.0 else 0


@routine
def decide_steps(k, i, now_ns, run: Run):
    """Send the takes of k whose condition is true at bar i; make its adds a candidate.

    An add waits while another order of k works; both wait while a flip is in flight.
    """
    if run.open_side[k] == 0 or run.exit_to_retry[k] != 0:
        return
    if not SPOT and (
        run.working[k] == 1 and run.reduces[k] == 0 and run.units[k] * run.order_units[k] < 0.0
    ):
        return
    if TAKES_WHEN:
        take_at_close(k, i, now_ns, run)
    if ADDS_WHEN and (run.working[k] == 0 and leaving_units(k, run) < abs(run.units[k])):
        due = find_adds(k, i, run)
        if due != 0:
            run.adds_due[k] = due
            run.target_side[k] = 1.0 * run.open_side[k]
            run.target_confidence[k] = 1.0


@kernel
def reason_to_leave(k, i, side, target, now_ns, run: Run):
    """Return the reason to exit, or to cancel the entry, of `side` at bar i, or -1."""
    held = run.open_side[k]
    reason = -1
    if target == 0.0:
        reason = R_EXIT
    elif OPPOSITE_EXITS and target == -side:
        reason = R_OPPOSITE
    elif EXIT_AFTER and (held != 0 and run.held_bars[k] >= EXIT_AFTER_BARS):
        reason = R_AFTER
    elif BELOW and (
        held != 0 and side * (probability_up(k, i, run) - 0.5) * 2.0 < CONFIDENCE_FLOOR - TOLERANCE
    ):
        reason = R_BELOW
    for stop in EXITS:
        if held != 0:
            average_price = run.average_price[k]
            high_water = run.high_water[k]
            entry_ns = run.entry_ns[k]
            if (
                is_true(
                    stop.is_met(k, i, side, average_price, high_water, entry_ns, now_ns, run),
                    stop.rule, k, now_ns, run,
                )
                if stop.checked
                else stop.is_met(k, i, side, average_price, high_water, entry_ns, now_ns, run)
            ):  # fmt: skip
                reason = stop.code
    return reason


@kernel
def leave(k, i, target, confidence, reason, now_ns, run: Run):
    """Cancel a working entry of k and close its position; an opposite signal may reverse it."""
    held = run.open_side[k]
    if run.working[k] == 1 and run.reduces[k] == 0:
        turns = not SPOT and 1.0 * held * run.order_units[k] < 0.0
        if not SPOT and (turns and reason == R_OPPOSITE and target == 1.0 * held):
            if RENEWS:
                run.held_bars[k] = 0
            reason = reason_to_leave(k, i, target, target, now_ns, run)
            if reason < 0:  # the flip was cancelled before it filled: the position is kept
                end_order(k, STATUS_CANCELLED, R_OPPOSITE, now_ns, run)
                if REBALANCES and run.exit_to_retry[k] == 0:
                    run.target_side[k] = target
                    run.target_confidence[k] = confidence
                if TAKES_WHEN or ADDS_WHEN:
                    decide_steps(k, i, now_ns, run)
                return
        if not SPOT and (turns and reason != R_OPPOSITE):
            send_exit(k, reason, now_ns, run)  # same units closed, at the flip's time
            return
        end_order(k, STATUS_CANCELLED, reason, now_ns, run)
    if SPOT:
        if held < 0 and reason == R_OPPOSITE and run.working[k] == 0:
            # the entry also closes a remainder left by a venue's fault: dust blocks nothing
            reverse(k, target, confidence, now_ns, run)
        elif held != 0:
            send_exit(k, reason, now_ns, run)
    elif reason == R_OPPOSITE and run.working[k] == 0:
        reverse(k, target, confidence, now_ns, run)
    elif held != 0:
        send_exit(k, reason, now_ns, run)


@routine
def reverse(k, target, confidence, now_ns, run: Run):
    """Make an entry of the other side a candidate; if it is rejected, exit the position.

    The position is closed in either case: its resting orders end, and no limit counts it.
    """
    if RUNGS:
        end_rungs(k, R_OPPOSITE, now_ns, run)
    if SENDS_TAKES:
        end_take(k, R_OPPOSITE, now_ns, run)
    run.target_side[k] = target
    run.target_confidence[k] = confidence


@kernel
def decide(t, now_ns, count, run: Run):
    """Steps 7 and 8 at T: exits of all symbols, then entries, the highest confidence first."""
    if HOURS:
        read_hours(t, now_ns, count, run)
    candidates = 0
    for n in range(count):
        k = 0 if ONE_SYMBOL else run.active_symbol[n]
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0:
            if TABLES and run.is_late == 1:
                run.is_late_decision[k, i] = 1
            candidates += decide_symbol(k, i, now_ns, run)
    if not PORTFOLIO and candidates > 0:
        if ONE_SYMBOL:
            if ADDS_WHEN and run.adds_due[0] != 0:
                enter_adds(0, t, t, now_ns, run)
            else:
                enter(0, t, t, now_ns, 1.0, run)
            run.target_side[0] = 0.0
        else:
            enter_all(t, now_ns, count, run)
    if HOURS:
        cancel_outside(t, now_ns, count, run)


@routine
def enter_all(t, now_ns, count, run: Run):
    """Enter the candidates by confidence, ties in universe order; each is sized after those before.

    A flip that is rejected whatever its size is an exit, which comes before all entries.
    """
    if not SPOT:
        for n in range(count):
            k = run.active_symbol[n]
            side = run.target_side[k]
            if side * run.open_side[k] < 0.0 and (
                rejection_before_size(k, run.bar[k, t], now_ns, side, run) >= 0
            ):
                enter(k, t, run.bar[k, t], now_ns, 1.0, run)
                run.target_side[k] = 0.0
    share = 1.0
    if PRO_RATA:
        share = share_of_entries(t, now_ns, count, run)
    while True:
        best = -1
        for n in range(count):
            k = run.active_symbol[n]
            if run.target_side[k] != 0.0 and (
                best < 0 or run.target_confidence[k] > run.target_confidence[best]
            ):
                best = k
        if best < 0:
            return
        if PRO_RATA:
            enter_share(best, t, run.bar[best, t], now_ns, share, run)
        elif ADDS_WHEN and run.adds_due[best] != 0:
            enter_adds(best, t, run.bar[best, t], now_ns, run)
        else:
            enter(best, t, run.bar[best, t], now_ns, 1.0, run)
        run.target_side[best] = 0.0
