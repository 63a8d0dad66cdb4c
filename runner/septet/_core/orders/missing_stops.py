"""Positions whose protective stop does not act at the venue, whatever the cause.

The stop was rejected, cancelled by the venue or expired, its request or its answer was lost, it is
being replaced, or it waits for a pause. No entry that would add to the position is sent meanwhile.
A stop that does not act for longer than `MISSING_NS` is a critical alert, after which the block
`unprotected` begins and resting entries are cancelled (`exposed`).

A position with an exit at the venue is not one of these: nothing is entered before its end, and an
exit that takes long has alerts of its own. One whose exit waits to be sent is.
"""

from __future__ import annotations

from typing import Final

from septet._core.checks import floor_to_lot
from septet._core.orders import stop_rate
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import SECOND_NS, Child, Protection, Work

__all__ = [
    "MISSING_NS", "acts", "delays", "describe", "is_due", "is_missing", "lacks", "next_time_ns",
    "started", "update",
]  # fmt: skip

MISSING_NS: Final = 5 * SECOND_NS
"""How long a stop may not act before that is reported: a replacement takes two round trips."""


def acts(child: Child) -> bool:
    """Whether the venue has a stop that it executes at its level, as far as is known."""
    if not child.exists or child.lost or child.unconfirmed or child.claim is not None:
        return False
    asked = child.delete_ns or child.received_ns <= child.delete_failed_ns
    return child.counted > 0.0 or not (child.cancels and asked)


def is_missing(lifecycle: OrderLifecycle, k: int) -> bool:
    """Whether a position has no stop that acts although one was requested and is possible.

    A halt by a person cancels the stop; a position that no stop can protect is reported as such
    (`stop_unplaced`), or is too small to be sold at all.
    """
    stop = lifecycle.records.stops.get(k)
    if stop is None or stop.quantity == 0.0 or lifecycle.records.kill or lifecycle.is_gone(k):
        return False
    if _acting(lifecycle, stop) is not None or any(each.reduces for each in lifecycle.live(k)):
        return False
    return _coverable(lifecycle, k, stop) > 0.0


def _acting(lifecycle: OrderLifecycle, stop: Protection) -> Child | None:
    """Return the stop at the venue if it acts, and near its level."""
    if stop.is_far:
        return None
    child = lifecycle.records.children.get(stop.child)
    return child if child is not None and not child.is_final and acts(child) else None


def _coverable(lifecycle: OrderLifecycle, k: int, stop: Protection) -> float:
    """Return how much of a position one stop can cover by the venue's filters (base); 0 if none."""
    held = lifecycle.reducible(k) if stop.quantity > 0.0 else -lifecycle.reducible(k)
    instrument = lifecycle.instrument(k)
    quantity = floor_to_lot(max(0.0, min(abs(stop.quantity), held)), instrument.lot)
    if instrument.max_quantity > 0.0:
        quantity = min(quantity, floor_to_lot(instrument.max_quantity, instrument.lot))
    return 0.0 if instrument.is_too_small(quantity, stop.trigger) else quantity


def lacks(lifecycle: OrderLifecycle, k: int) -> bool:
    """Whether nothing is to be added to a position: its stop does not act, or covers too little.

    One that covers less than two thirds of what it can is being replaced.
    """
    stop = lifecycle.records.stops.get(k)
    if stop is None or stop.quantity == 0.0 or lifecycle.records.kill:
        return False
    child = _acting(lifecycle, stop)
    if child is None or child.counted > 0.0:
        return is_missing(lifecycle, k)
    return child.quantity < stop_rate.COVERED * _coverable(lifecycle, k, stop) - child.tolerance


def delays(lifecycle: OrderLifecycle, work: Work) -> bool:
    """Whether an entry waits because it would add to a position that lacks its stop.

    It is sent when the stop acts, or ends at its deadline; a block rejects it.
    """
    k = work.parent.symbol
    stop = lifecycle.records.stops.get(k)
    adds = stop is not None and stop.quantity * work.parent.sign > 0.0
    return adds and not lifecycle.guards.blocked(k) and lacks(lifecycle, k)


def update(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Record since when stops do not act."""
    for k, stop in lifecycle.records.stops.items():
        stop.missing_ns = (stop.missing_ns or now_ns) if is_missing(lifecycle, k) else 0


def is_due(lifecycle: OrderLifecycle, k: int, now_ns: int) -> bool:
    """Whether a stop has not acted for so long that it is reported."""
    since_ns = lifecycle.records.stops[k].missing_ns
    return 0 < since_ns <= now_ns - MISSING_NS and is_missing(lifecycle, k)


def describe(lifecycle: OrderLifecycle, k: int) -> str:
    """Return what is known of a stop that does not act, and what follows."""
    records, stop = lifecycle.records, lifecycle.records.stops[k]
    child = records.children.get(stop.child)
    what = "none was sent" if child is None else f"{child.client_id} is {child.state}"
    if child is not None and not child.is_final:
        if stop.is_far:
            what = f"{child.client_id} rests at {child.trigger_price:.12g}, far from its level"
        elif child.exists and child.cancels:
            what = f"the cancel of {child.client_id} is not confirmed"
        elif child.unconfirmed or child.claim is not None:
            ended = child.unconfirmed or child.claim
            what = f"{child.client_id} is reported {ended}, which nothing has confirmed"
    return (
        f"no stop has acted at the venue for {MISSING_NS // SECOND_NS} s ({what}): the engine "
        f"watches the level {stop.trigger:.12g} for {abs(lifecycle.position(k)):.12g}, resting "
        "entries are cancelled"
    )


def next_time_ns(lifecycle: OrderLifecycle, now_ns: int, next_ns: int) -> int:
    """Return when the next missing stop is reported, at most `next_ns`."""
    for stop in lifecycle.records.stops.values():
        if stop.missing_ns and now_ns < stop.missing_ns + MISSING_NS < next_ns:
            next_ns = stop.missing_ns + MISSING_NS
    return next_ns


def started(lifecycle: OrderLifecycle) -> None:
    """Measure from the start of a process: the venue is asked first what rests there."""
    for stop in lifecycle.records.stops.values():
        stop.missing_ns = 0
