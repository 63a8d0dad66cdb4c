"""The part of the orders per minute that stops may use, so that an exit can always be sent.

Every part of an entry that is filled, and every step of a trailing level, replaces the stop at the
venue: one order each, counted among the reductions of a minute. Without a bound they would use up
what the exits need, and the stop that rests would be cancelled for one that may not be sent.
"""

from __future__ import annotations

from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import SECOND_NS, Child, Protection, Work

__all__ = ["is_behind", "keeps", "make_exit_wait"]

MINUTE_NS = 60 * SECOND_NS
REASON = "rate"
COVERED = 2.0 / 3.0
"""A stop that covers less of a position is replaced without a pause."""


def keeps(
    lifecycle: OrderLifecycle, k: int, stop: Protection, child: Child, target: float, now_ns: int
) -> bool:
    """Whether a stop that should be replaced stays, since half of the reductions are for exits.

    It stays only if it would sell, or buy, no more than `target` (base), what is to be protected;
    where nothing at all may be sent, also beside an exit that waits. After a few replacements the
    next ones are spread over the minute, so that the newest stop is never a whole one old.
    """
    if not _stays(lifecycle, k, stop, child, target, now_ns):
        stop.retry_ns = min(stop.retry_ns, now_ns)  # set below: the next one leaves at once
        return False
    stop.retry_ns = now_ns + lifecycle.timing.retry_first_ns
    limit = lifecycle.checks.limits.reductions_per_minute
    if lifecycle.checks.reductions_left(k, now_ns) <= limit // 2 and stop.unplaced != REASON:
        stop.unplaced = REASON
        text = (
            f"{child.client_id} stays at {child.trigger_price:.12g} for {child.quantity:.12g}: "
            f"half of the symbol's {limit} reductions of a minute are kept for exits. Until it is "
            f"replaced, the engine watches {stop.trigger:.12g} for {abs(stop.quantity):.12g}"
        )
        lifecycle.alert("error", "stop_waits", text, k)
    return True


def _stays(
    lifecycle: OrderLifecycle, k: int, stop: Protection, child: Child, target: float, now_ns: int
) -> bool:
    """Whether the rate lets a stop that is still right in side and size stay a little longer."""
    limit = lifecycle.checks.limits.reductions_per_minute
    remaining = lifecycle.checks.reductions_left(k, now_ns)
    covers = child.quantity >= COVERED * target
    spread_ns = MINUTE_NS // max(1, limit // 2) if covers and limit - remaining >= limit // 8 else 0
    if lifecycle.records.kill or stop.triggered or child.sign * stop.quantity >= 0.0:
        return False
    if remaining > limit // 2 and now_ns >= child.sent_ns + spread_ns:
        return False
    most = (
        target if remaining > 0 else min(abs(stop.quantity), -child.sign * lifecycle.reducible(k))
    )
    return 0.0 < child.quantity <= most + child.tolerance


def is_behind(lifecycle: OrderLifecycle, stop: Protection, child: Child) -> bool:
    """Whether a stop rests at a level that is no longer the one requested."""
    least = lifecycle.instrument(child.symbol).tick or 1e-9 * stop.trigger
    return stop.quantity != 0.0 and abs((child.trigger_price or 0.0) - stop.trigger) >= least


def make_exit_wait(lifecycle: OrderLifecycle, work: Work, stop: Child | None, now_ns: int) -> None:
    """Make an exit that may not be sent wait beside a stop that rests, with an alarm once.

    The stop would be cancelled for an order that may not be sent.
    """
    k = work.parent.symbol
    if stop is None or stop.cancels or lifecycle.checks.reductions_left(k, now_ns) > 0:
        return
    work.retry_ns = now_ns + lifecycle.timing.retry_first_ns
    if not work.alarmed:
        work.alarmed = True
        limit = lifecycle.checks.limits.reductions_per_minute
        text = (
            f"a reduction may not leave: rate, {limit} within this minute; "
            f"{stop.client_id} stays until it may"
        )
        lifecycle.alert("critical", "reduction_waits", text, k)
