"""A reduction that waits for another order to end, with an alarm that repeats while it waits."""

from __future__ import annotations

from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import Child, Work

__all__ = ["patience_ns", "wait"]

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
