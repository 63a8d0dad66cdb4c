"""Executions that the venue lists without a client id: their orders are queried, by the venue's id.

Where lists of executions name no client id, an execution of an order that the journal does not know
looks like one of a third party. Only its order shows whether it carries the run's own tag
(`foreign_orders`).
"""

from __future__ import annotations

from septet import messages as m
from septet._core.orders.lifecycle import FILLS_BEFORE_NS, OrderLifecycle
from septet._core.orders.records import SECOND_NS, Unnamed

__all__ = ["answered", "next_time_ns", "note", "tick"]

KEPT = 1_024
AT_ONCE = 4
"""Orders that are queried in one turn: others can trade far more often than the venue answers."""
PAUSE_NS = 5 * SECOND_NS
"""After this time an order is queried again."""
TRIES = 10
"""Queries of one order without an answer, after which it is reported and left."""


def note(lifecycle: OrderLifecycle, fill: m.Filled) -> None:
    """Query the order of an execution, once for each order."""
    records = lifecycle.records
    key = f"{fill.symbol}:{fill.venue_order_id}"
    if fill.client_id or not fill.venue_order_id or key in records.named:
        return
    if key in records.unnamed:
        records.unnamed[key].fills.append(fill)
        return
    if len(records.unnamed) < KEPT:
        records.unnamed[key] = Unnamed(
            symbol=fill.symbol, venue_order_id=fill.venue_order_id, fills=[fill]
        )


def tick(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Query the orders that are due."""
    records = lifecycle.records
    waiting = sum(each.asked_ns + PAUSE_NS > now_ns for each in records.unnamed.values())
    due = [key for key, each in records.unnamed.items() if each.asked_ns + PAUSE_NS <= now_ns]
    for key in due[: max(0, AT_ONCE - waiting)]:
        each = records.unnamed[key]
        if each.tries >= TRIES:
            _known(lifecycle, key)
            text = f"the order {each.venue_order_id} of an execution is not shown by the venue: "
            text += "it counts as somebody else's; if this run may go on elsewhere, look it up"
            lifecycle.alert("warning", "third_party_order", text, each.symbol)
            continue
        each.tries, each.asked_ns = each.tries + 1, now_ns
        since_ns = max(0, min(fill.venue_ns for fill in each.fills) - FILLS_BEFORE_NS)
        lifecycle.commands.append(
            m.Query(
                client_id="", symbol=each.symbol, venue_order_id=each.venue_order_id,
                by_venue_id=True, since_ns=since_ns,
            )
        )  # fmt: skip


def next_time_ns(lifecycle: OrderLifecycle, now_ns: int, next_ns: int) -> int:
    """Return when an order is queried again, at most `next_ns`."""
    for each in lifecycle.records.unnamed.values():
        at_ns = max(now_ns + 1, each.asked_ns + PAUSE_NS)
        next_ns = min(next_ns, at_ns)
    return next_ns


def answered(lifecycle: OrderLifecycle, seen: m.OrderSeen) -> list[m.Filled]:
    """Return the executions that waited for an order, under the client id that it is shown with."""
    key = f"{seen.symbol}:{seen.venue_order_id}"
    each = lifecycle.records.unnamed.get(key)
    if each is None or not (seen.client_id or seen.by == "query"):
        return []
    return _known(lifecycle, key)


def _known(lifecycle: OrderLifecycle, key: str) -> list[m.Filled]:
    records = lifecycle.records
    records.named.append(key)
    del records.named[:-KEPT]
    return records.unnamed.pop(key).fills
