"""Reports that an order ended before all of it was filled: a query of the order has to agree.

The answer to a new order, or a message of the user stream, may report that an order was cancelled,
expired or rejected though it was filled or still rests. Such a report ends nothing by itself: the
order is queried at once and stays live until a query shows the end as well, so that the symbol
is not entered again and no second stop is sent. A reduction does not wait for an entry in this
state. A query that shows executions asks for them at once; one that shows the order open counts
once it came later than `answers_final_after` after the report, since a read may be stale. The
answer to a cancel of ours, and an error in place of the answer to an order, need no query.
"""

from __future__ import annotations

from septet import messages as m
from septet._core.orders.finality import final_after_ns
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import Child

__all__ = ["agrees", "is_one", "read", "take"]


def is_one(lifecycle: OrderLifecycle, child: Child, seen: m.Acked | m.OrderSeen) -> bool:
    """Whether a report ends an order that is not full, and a query has to agree."""
    ends = lifecycle.is_final(seen.state) and seen.state != "filled"
    if child.is_final or child.claim is not None or not ends:
        return False
    if seen.filled >= child.quantity - child.tolerance:
        return False
    if isinstance(seen, m.Acked):
        return True
    return seen.by not in ("query", "cancel")


def _is_requested(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether a cancel of an order, or its replacement by another, was sent."""
    killed = bool(lifecycle.records.kill) and child.cancels
    return bool(killed or child.delete_ns or child.replaced_by or child.let_go)


def take(lifecycle: OrderLifecycle, child: Child, seen: m.Acked | m.OrderSeen, now_ns: int) -> None:
    """Process a report that needs a query, and send the query, soon if a cancel was sent."""
    first = child.unconfirmed is None
    child.unconfirmed, child.unconfirmed_ns = seen.state, max(1, now_ns)
    child.exists, child.vanished_ns = True, 0
    child.received_ns = max(child.received_ns, now_ns)
    if isinstance(seen, m.OrderSeen) and seen.text:
        child.claim_text = seen.text
    if seen.filled > child.seen:
        child.seen, child.reported_ns = seen.filled, now_ns
    if first and not _is_requested(lifecycle, child):
        lifecycle.query_until_known(child, now_ns)
    elif first:  # the answer to the cancel is in flight and reports it too
        child.query_pause_ns = lifecycle.timing.query_first_ns
        child.query_next_ns = now_ns + child.query_pause_ns
    lifecycle.update(child, now_ns)


def read(
    lifecycle: OrderLifecycle, child: Child, state: m.OrderState, filled: float, now_ns: int
) -> None:
    """Process a read of the order, before the common processing."""
    reported = child.unconfirmed
    if reported is None:
        return
    more = filled > max(child.counted, child.seen) + child.tolerance
    ended = lifecycle.is_final(state)
    if more or not ended:
        _disprove(lifecycle, child, reported, state, filled)
    if filled > child.counted + child.tolerance:
        lifecycle.refresh_fills(child)
    if ended or now_ns > final_after_ns(lifecycle, child.unconfirmed_ns):
        child.unconfirmed = None


def _disprove(
    lifecycle: OrderLifecycle, child: Child, reported: str, state: str, filled: float
) -> None:
    if child.disproved:
        return
    child.disproved = True
    text = f"{child.client_id}: the venue reported it {reported}, and a query shows it {state} "
    text += f"with {filled:.12g} executed of {child.quantity:.12g}"
    lifecycle.alert("error", "unreadable", text, child.symbol)


def agrees(lifecycle: OrderLifecycle, child: Child, asked_ns: int, now_ns: int) -> bool:
    """End an order by the answer "no such order", if the query was sent late enough."""
    if child.unconfirmed is None:
        return False
    if asked_ns > final_after_ns(lifecycle, child.unconfirmed_ns):
        child.claim = child.unconfirmed
        lifecycle.update(child, now_ns)
    return True
