"""Orders that wait for others: reductions, with an alarm that repeats, and entries for these."""

from __future__ import annotations

from septet._core.orders import missing_stops
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import Child, Work

__all__ = ["delay", "patience_ns", "wait"]

_TEXT = (
    "a reduction waits for {order}, which is {state}: if the venue does not show that order, or "
    "will not cancel it, close the position there by hand"
)


def patience_ns(lifecycle: OrderLifecycle, work: Work) -> int:
    """Return after how long a wait is reported again: each time twice as long as before."""
    return lifecycle.timing.wait_alarm_ns << min(work.alarms, 20)


def wait(lifecycle: OrderLifecycle, work: Work, child: Child, now_ns: int) -> None:
    """Make a reduction wait for an order, with an alarm if that takes too long."""
    work.waiting_ns = work.waiting_ns or now_ns
    if now_ns - work.waiting_ns >= patience_ns(lifecycle, work):
        work.alarms += 1
        text = _TEXT.format(order=child.client_id, state=child.state)
        lifecycle.alert("critical", "reduction_waits", text, work.parent.symbol)


def delay(lifecycle: OrderLifecycle, work: Work, stop: Child | None) -> bool:
    """Whether an entry waits for earlier orders in flight, for the `stop`, or its executions.

    One of a symbol that the exchange no longer lists may never end: nothing waits for it.
    """
    records, guards = lifecycle.records, lifecycle.guards
    if missing_stops.delays(lifecycle, work):
        return True
    if stop is not None and ((stop.missing_ns and not stop.lost) or stop.unconfirmed):
        return True
    works = (records.works[number] for number in work.waits_for if number in records.works)
    if any(not guards.is_unlisted(each.parent.symbol) for each in works):
        return True
    children = (records.children[name] for name in work.waits_for_stops if name in records.live)
    return any(not guards.is_unlisted(each.symbol) for each in children)
