"""The protective stop at the venue: at most one per symbol, as large as the position."""

from __future__ import annotations

import math
from typing import Final

from septet import messages as m
from septet._core.checks import floor_to_lot, outward
from septet._core.guards import instant
from septet._core.orders import foreign_orders, ghosts, stop_rate, unexplained
from septet._core.orders.lifecycle import Level, OrderLifecycle
from septet._core.orders.records import SECOND_NS, Child, Protection, StopEnded, Work, tolerated

__all__ = ["advance", "finished", "is_left_to", "pauses", "request", "standing"]

PATIENT_TRIES = 2
"""Rejections of an exit after which its pauses are long enough to place the stop meanwhile."""
STOOD_NS = 60 * SECOND_NS
"""After resting this long, a stop begins again with the shortest pause."""

FAR: Final = 0.01
"""Share of a level by which rounding to ticks may move the trigger wherever the price is."""
OVERDUE_NS: Final = 10 * SECOND_NS
"""A venue executes a stop within a second or two of its level: prices that stay beyond it this long
show that it does not. With less, a single quote without a trade could close the position."""


def request(lifecycle: OrderLifecycle, k: int, quantity: float, trigger: float, trace: str) -> None:
    """Request a stop (trigger in quote) for a signed position (base); 0 requests none."""
    records = lifecycle.records
    stop = records.stops.setdefault(k, Protection())
    if quantity == 0.0:
        stop.unplaced = ""
    elif not 0.0 < trigger < math.inf:
        _report_unplaced(lifecycle, k, stop, trigger, "that is no price")
        quantity = trigger = 0.0
    is_new = quantity != 0.0 and stop.quantity * quantity <= 0.0
    if is_new and k not in records.ghosts.values():  # but for the cancel of what locks its units
        stop.retry_ns = 0
    stop.quantity, stop.trigger, stop.trace = quantity, trigger, trace
    if standing(lifecycle, k) is None:
        stop.triggered = False


def _report_unplaced(
    lifecycle: OrderLifecycle, k: int, stop: Protection, level: float, why: str
) -> None:
    """Report, once for each reason, that no stop can rest at the venue."""
    if stop.unplaced == why:
        return
    stop.unplaced = why
    text = f"no stop can rest at the venue at {level:.12g}: {why}; the engine watches the level"
    lifecycle.alert("critical", "stop_unplaced", text, k)


def standing(lifecycle: OrderLifecycle, k: int) -> Child | None:
    """Return the stop of a symbol that is not final, if there is one."""
    stop = lifecycle.records.stops.get(k)
    child = lifecycle.records.children.get(stop.child) if stop is not None else None
    return None if child is None or child.is_final else child


def is_left_to(
    lifecycle: OrderLifecycle, k: int, price: float, held: float, now_ns: int
) -> bool:  # fmt: skip
    """Whether the stop that rests at the venue is to act on a price, and not the engine.

    Not if prices have passed it for long; and not before its trigger is reached, which is whole
    ticks: with a coarse tick the level of the strategy may be passed, and the trigger not yet.
    """
    child = standing(lifecycle, k)
    trigger = math.nan if child is None or child.trigger_price is None else child.trigger_price
    beyond = (price - trigger) * held <= 0.0
    overdue = _is_overdue(lifecycle, k, beyond, now_ns)
    lifecycle.dirty |= overdue
    return beyond and not overdue


def _is_overdue(lifecycle: OrderLifecycle, k: int, beyond: bool, now_ns: int) -> bool:
    """Whether the venue leaves a stop open that it should have executed; then the engine acts.

    `beyond` is whether the newest price lies beyond its trigger. A stop that is filled in part is
    executing, wherever the price is: `advance` cancels it, and its rest becomes an exit of its own.
    """
    stop, child = lifecycle.records.stops[k], standing(lifecycle, k)
    if child is None or not (beyond or child.counted > 0.0):
        stop.passed_ns, stop.overdue = 0, False
        return False
    stop.passed_ns = stop.passed_ns or now_ns
    if now_ns - stop.passed_ns < OVERDUE_NS:
        return False
    if not stop.overdue:
        stop.overdue = True
        when = "after the venue's pause, " if lifecycle.keeps_stop(child, now_ns) else ""
        text = (
            f"{child.client_id}: the venue has filled {child.counted:.12g} of the stop of "
            f"{child.quantity:.12g} at {child.trigger_price:.12g}, which has been due for "
            f"{OVERDUE_NS // SECOND_NS} s: {when}it is cancelled, and the position closed at market"
        )
        lifecycle.alert("critical", "stop_overdue", text, k)
    return True


def pauses(lifecycle: OrderLifecycle, k: int, work: Work, now_ns: int) -> bool:
    """Whether an order waits: after a rejection, or as an exit until it may be sent.

    While the venue asks for a pause no exit is sent: it would be rejected, each one may prolong
    the pause, and a stop that rests is not given up for it.
    """
    if work.parent.reduces and lifecycle.records.paused_ns > now_ns:
        work.retry_ns = max(work.retry_ns, lifecycle.records.paused_ns)
    if work.parent.reduces and work.retry_ns <= now_ns:
        stop_rate.make_exit_wait(lifecycle, work, standing(lifecycle, k), now_ns)
    return work.retry_ns > now_ns


def _waits_long(work: Work, now_ns: int) -> bool:
    """Whether an exit was rejected again and waits long enough for a stop to stand meanwhile."""
    return work.tries >= PATIENT_TRIES and work.retry_ns > now_ns


def _is_held_up(lifecycle: OrderLifecycle, k: int) -> bool:
    """Whether an exit of a symbol waits for an entry to end: its stop stays until it can leave.

    One that was sent while the entry was reported ended does not wait, whatever a query shows then.
    """
    live = lifecycle.live(k)
    waits = any(not each.reduces and each.delays_reductions for each in live)
    return waits and not any(each.reduces for each in live)


def _quantity_to_protect(
    lifecycle: OrderLifecycle, k: int, stop: Protection, position: float, now_ns: int
) -> float:
    """Return how much of a position to protect now, before the venue's filters; 0 for none."""
    records = lifecycle.records
    exits = [records.works[n] for n in records.queues.get(k, ()) if records.works[n].parent.reduces]
    if records.kill or stop.triggered or lifecycle.is_gone(k):
        return 0.0
    if not (_is_held_up(lifecycle, k) or all(_waits_long(work, now_ns) for work in exits)):
        return 0.0
    sign, price = 1 if stop.quantity > 0.0 else -1, lifecycle.checks.symbols[k].price
    if exits and sign * (price - stop.trigger) <= 0.0 and standing(lifecycle, k) is None:
        return 0.0  # its level is reached: the venue would reject it
    return max(0.0, min(abs(stop.quantity), sign * position))


def _accepted(lifecycle: OrderLifecycle, k: int, stop: Protection, requested: float) -> float:
    """Return how much of this a stop may cover by the venue's filters; 0 if none is possible."""
    instrument = lifecycle.instrument(k)
    quantity = floor_to_lot(requested, instrument.lot)
    if instrument.max_quantity > 0.0:
        quantity = min(quantity, floor_to_lot(instrument.max_quantity, instrument.lot))
    return 0.0 if instrument.is_too_small(quantity, stop.trigger) else quantity


def _report_too_small(lifecycle: OrderLifecycle, k: int, stop: Protection, position: float) -> None:
    """Report that a position that can be sold now is worth too little at its stop level."""
    instrument, price = lifecycle.instrument(k), lifecycle.checks.symbols[k].price
    quantity = floor_to_lot(min(abs(stop.quantity), abs(position)), instrument.lot)
    if (
        stop.quantity * position > 0.0 < price and quantity > 0.0
        and not instrument.is_too_small(quantity, price)
        and instrument.is_too_small(quantity, stop.trigger)
    ):  # fmt: skip
        why = f"the position is worth less than {instrument.min_notional:.12g} there"
        _report_unplaced(lifecycle, k, stop, stop.trigger, why)


def _report_partial(lifecycle: OrderLifecycle, k: int, stop: Protection, target: float) -> None:
    """Report that a stop covers less than the position: the venue limits the order size."""
    held = floor_to_lot(
        min(abs(stop.quantity), abs(lifecycle.reducible(k))), lifecycle.instrument(k).lot
    )
    if target < held:
        text = f"the stop at the venue covers {target:.12g} of {held:.12g}, the most that it takes "
        text += "in one order; the rest is closed once that has been filled"
        lifecycle.alert("error", "stop_partial", text, k)


def advance(lifecycle: OrderLifecycle, k: int, now_ns: int) -> None:
    """Place, replace or cancel the stop of a symbol as requested."""
    stop = lifecycle.records.stops[k]
    child = standing(lifecycle, k)
    if lifecycle.guards.is_unlisted(k) or (
        child is not None and lifecycle.keeps_stop(child, now_ns)
    ):
        return
    if child is not None and child.counted > 0.0 and stop.overdue:
        lifecycle.request_cancel(child, now_ns)
    if child is not None and (
        child.cancels or child.lost or (child.counted > 0.0 and stop.quantity)
    ):
        return
    requested = _quantity_to_protect(lifecycle, k, stop, lifecycle.reducible(k), now_ns)
    target = _accepted(lifecycle, k, stop, requested)
    sign = -1 if stop.quantity > 0.0 else 1
    instrument = lifecycle.instrument(k)
    if child is not None:
        moved = abs((child.trigger_price or 0.0) - stop.trigger)
        least = instrument.tick or 1e-9 * stop.trigger
        covers = abs(child.quantity - target) <= child.tolerance
        if k in lifecycle.records.unfunded:  # the stop covers the old position: kept
            requested = _quantity_to_protect(lifecycle, k, stop, lifecycle.position(k), now_ns)
            target = _accepted(lifecycle, k, stop, requested)
            covers = child.quantity <= target + child.tolerance
        if target > 0.0 and child.sign == sign and covers and moved < least:
            return
        covered = child.quantity - child.tolerance
        if (
            child.sign == sign
            and target < covered <= requested
            and (moved < least or target == 0.0)
        ):
            return  # by filters that changed since, another would cover less of the position
        if stop_rate.keeps(lifecycle, k, stop, child, target, now_ns):
            return
        lifecycle.request_cancel(child, now_ns)
        return
    if target <= 0.0:
        _report_too_small(lifecycle, k, stop, lifecycle.reducible(k))
        return
    if now_ns < max(stop.retry_ns, lifecycle.records.paused_ns):
        return
    trigger = outward(stop.trigger, instrument.tick, sign)
    if trigger <= 0.0:
        why = f"it is less than one tick of {instrument.tick:.12g}"
        _report_unplaced(lifecycle, k, stop, stop.trigger, why)
        return
    _report_partial(lifecycle, k, stop, target)
    rejected = lifecycle.checks.check(k, sign, target, target, None, trigger, True, 0.0, now_ns)
    if rejected:
        stop.retry_ns = now_ns + lifecycle.timing.retry_first_ns
        _report_unplaced(lifecycle, k, stop, trigger, f"the last check rejects it ({rejected})")
        return
    stop.is_far = _is_far(lifecycle, k, stop, trigger)
    if stop.is_far:
        why = f"with ticks of {instrument.tick:.12g} its trigger is {trigger:.12g}, further from "
        _report_unplaced(lifecycle, k, stop, stop.trigger, f"{why}the level than the price is")
    else:
        stop.unplaced = ""
    lifecycle.checks.sent(k, sign, target, True, now_ns)
    _submit(lifecycle, k, stop, target, trigger, now_ns)


def _is_far(lifecycle: OrderLifecycle, k: int, stop: Protection, trigger: float) -> bool:
    """Whether a stop is sent with a trigger that ticks move further than the price is away.

    It protects from a fall of another size, also where the tick is an error of the venue.
    """
    price = lifecycle.checks.symbols[k].price
    away = abs(price - stop.trigger) if price > 0.0 else 0.0
    return abs(trigger - stop.trigger) > max(away, FAR * stop.trigger)


def _submit(
    lifecycle: OrderLifecycle,
    k: int,
    stop: Protection,
    quantity: float,
    trigger: float,
    now_ns: int,
) -> None:
    timing, records = lifecycle.timing, lifecycle.records
    stop.child = foreign_orders.next_stop_id(lifecycle, k, stop)
    sign = -1 if stop.quantity > 0.0 else 1
    child = Child(
        client_id=stop.child, parent=-1, symbol=k, sign=sign, quantity=quantity,
        tolerance=tolerated(quantity, lifecycle.instrument(k).lot), kind="stop",
        limit_price=None, trigger_price=trigger, reduces=True, protects=True, sent_ns=now_ns,
        trace=stop.trace, query_next_ns=now_ns + timing.send_within_ns + timing.answer_within_ns,
        surplus=unexplained.surplus(lifecycle, k),
    )  # fmt: skip
    records.children[child.client_id] = child
    records.live.append(child.client_id)
    lifecycle.touched.add(k)
    lifecycle.move(child, "submitted")
    lifecycle.commands.append(
        m.Submit(
            client_id=child.client_id,
            parent=-1,
            symbol=k,
            side="buy" if sign > 0 else "sell",
            order_type="stop",
            quantity=quantity,
            reduces=True,
            deadline_ns=now_ns + timing.send_within_ns,
            trigger_price=trigger,
            reason="protective_stop",
            trace=stop.trace,
        )
    )


def _next_try(stop: Protection, now_ns: int) -> str:
    """Return when a stop is placed again, in words."""
    left_ns = stop.retry_ns - now_ns
    if left_ns <= 0:
        return "it is placed again at once"
    return f"it is placed again in {left_ns / SECOND_NS:.3g} s, at {instant(stop.retry_ns)}"


def finished(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    """Process the end of a stop; until another rests, the engine tests the level."""
    stop = lifecycle.records.stops[child.symbol]
    if stop.child != child.client_id:
        return
    if child.counted > 0.0:
        ended = StopEnded(child.symbol, child.client_id, child.state, child.counted, child.rest)
        lifecycle.outcomes.append(ended)
        return
    if child.cancels and child.state == "cancelled" and not child.differs:
        return
    if now_ns - child.sent_ns >= STOOD_NS:
        stop.tries = 0
    stop.tries += 1
    pause_ns = lifecycle.timing.retry_first_ns * 2 ** min(stop.tries - 1, 30)
    # One that stood has waited. One of an earlier process may be followed by others that an old
    # copy of the journal does not know: their ids are read first.
    stood = child.state != "rejected" and child.sent_ns > lifecycle.records.started_ns
    since_ns = child.sent_ns if stood else now_ns
    stop.retry_ns = since_ns + min(pause_ns, lifecycle.timing.retry_most_ns)
    stop.retry_ns = max(stop.retry_ns, lifecycle.records.paused_ns)
    if child.reason in {"never_executed", "never_accepted"} or ghosts.freed(lifecycle, child):
        stop.retry_ns = 0  # enough time has passed to know that it does not rest
    if stop.quantity == 0.0:  # the position that it protected is closed
        return
    rejected = child.state == "rejected" and child.reason != "never_accepted"
    level: Level = "critical" if rejected or stop.tries >= 3 else "error"
    text = f"{child.client_id}: the stop at the venue is {child.state} {child.reason}".strip()
    text += f"; the engine watches the level {stop.trigger:.12g} until another stands"
    text += f"; {_next_try(stop, now_ns)}"
    lifecycle.alert(level, "stop_lost", text, child.symbol)
