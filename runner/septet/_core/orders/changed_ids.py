"""Orders that the venue lists under a changed client id.

An order whose venue order id is known, from the answer to it, is ours under whatever client id it
is reported (`note_id`). Where only the client id can tell:

A broker's gateway may put something before or behind the id of an order. An id of ours is long and
unique, so an order whose client id contains it whole is ours, entries included (`ids.own_id` says
what whole means). It is queried and cancelled by the venue's order id from then on.

Two orders that contain the same id are not both ours. From then on nothing more of either is
booked, and entries of the symbol are blocked until a person resumes; what was sent counts then as
any other order that may be at the venue under another id (`unexplained`). An order that is listed
under exactly our id, or was filled whole, stays ours: another beside it is somebody else's.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from septet import messages as m
from septet._core.orders import unexplained
from septet._core.orders.ids import own_id
from septet._core.orders.lifecycle import Level, OrderLifecycle
from septet._core.orders.records import Child

__all__ = ["is_of_others", "note_id", "read"]

Seen = TypeVar("Seen", m.OrderSeen, m.Filled)


def read(lifecycle: OrderLifecycle, seen: Seen, now_ns: int) -> Seen:
    """Return a report under our own client id where the reported one contains that whole."""
    records, listed = lifecycle.records, seen.client_id
    own = own_id(lifecycle.tag, listed)
    child = records.children.get(own) if own else None
    if child is None or child.symbol != seen.symbol or not seen.venue_order_id:
        return seen
    key = f"{seen.symbol}:{seen.venue_order_id}"
    if key in records.left_to_others or child.ambiguous:
        return seen
    if records.venue_ids.get(key, own) != own:
        return seen  # the venue's id belongs to another order of the run
    known = child.venue_order_id
    if known and known != seen.venue_order_id and (child.by_venue_id or own != listed):
        if child.by_venue_id and not child.is_final:
            _doubt(lifecycle, child, seen, now_ns)
        return seen
    if own != listed and not child.by_venue_id:
        _claim(lifecycle, child, seen, key, now_ns)
    return seen if own == listed else msgspec.structs.replace(seen, client_id=own)


def is_of_others(lifecycle: OrderLifecycle, seen: m.OrderSeen | m.Filled) -> bool:
    """Whether a report names an order of the run but is not booked for it."""
    records = lifecycle.records
    if f"{seen.symbol}:{seen.venue_order_id}" in records.left_to_others:
        return True
    child = records.children.get(own_id(lifecycle.tag, seen.client_id))
    return child is not None and child.ambiguous


def note_id(lifecycle: OrderLifecycle, child: Child, seen: m.OrderSeen | m.Filled) -> None:
    """Query and cancel an order by the venue's id if it is reported under another client id.

    By its own client id the venue would not find it: a stop could not be cancelled for an exit, and
    would count as vanished while it rests.
    """
    listed = seen.client_id
    if not listed or listed == child.client_id or child.by_venue_id or child.ambiguous:
        return
    if child.venue_order_id == seen.venue_order_id != "":
        _report(lifecycle, child, listed, "")
        lifecycle.records.lengthens = child.by_venue_id = True
        child.vanished_ns = 0


def _report(lifecycle: OrderLifecycle, child: Child, listed: str, why: str) -> None:
    text = (
        f"{child.client_id}: the venue lists it as {listed} (order {child.venue_order_id})"
        f"{why}; it is queried and cancelled by the venue's id"
    )
    level: Level = "info" if lifecycle.records.lengthens else "warning"
    lifecycle.alert(level, "adopted_order", text, child.symbol)


def _claim(
    lifecycle: OrderLifecycle, child: Child, seen: m.OrderSeen | m.Filled, key: str, now_ns: int
) -> None:  # fmt: skip
    """Take an order for the one that was sent; the venue is asked for it by its own id."""
    records = lifecycle.records
    if not child.venue_order_id:
        child.venue_order_id, records.venue_ids[key] = seen.venue_order_id, child.client_id
    _report(lifecycle, child, seen.client_id, ", which contains its id")
    records.lengthens = child.by_venue_id = True
    records.third_party.pop(key, None)
    lifecycle.explained(child, "the venue shows the order")
    lifecycle.touched.add(child.symbol)
    if not child.is_final:
        lifecycle.query_until_known(child, now_ns)


def _doubt(
    lifecycle: OrderLifecycle, child: Child, seen: m.OrderSeen | m.Filled, now_ns: int
) -> None:  # fmt: skip
    """Stop booking for an order that two orders of the venue may be, and ask a person."""
    k, known = child.symbol, child.venue_order_id
    text = (
        f"{child.client_id}: the client ids of two orders of the venue contain it, those of order "
        f"{known} and of order {seen.venue_order_id} ({seen.client_id}): nothing more of either is "
        f"booked; compare the venue's lists of orders and trades, and resume: "
        f"{unexplained.what_follows(child)}"
    )
    lifecycle.records.venue_ids.pop(f"{k}:{known}", None)
    lifecycle.records.left_to_others += [f"{k}:{known}", f"{k}:{seen.venue_order_id}"]
    child.ambiguous, child.by_venue_id, child.exists = True, False, False
    child.venue_order_id, child.claim, child.unconfirmed = "", None, None
    child.seen, child.contradicted_ns = child.counted, 0
    lifecycle.update(child, now_ns)
    if child.state == "submitted":
        lifecycle.mark_unknown(child, now_ns, "two orders contain its id")
    unexplained.hold(lifecycle, child, text, now_ns)
    lifecycle.commands.append(m.Refresh(what="open_orders"))
    lifecycle.refresh_fills(child)
