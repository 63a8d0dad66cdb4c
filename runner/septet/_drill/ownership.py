"""Which orders and executions at the venue are the run's, by the venue's order id.

A venue may list an order under another client id than the one that was sent (E23). Its journal
holds both. Such an order is the run's like any other, but for two cases:

- It is *doubted* while the run does not know it, blocks entries of its symbol for that, and waits
  for a person: nothing is concluded then.
- It was *left to others*: the person has resumed, so that the run counts it as never placed; or it
  closes a position and nothing of it was executed until the run sent another in its place.
"""

from __future__ import annotations

from septet._core.orders.lifecycle import UNEXPLAINED
from septet._drill.trading_records import FINAL_STATUSES, RunRecord, VenueRecord
from septet._drill.venue.venue_journal import FillMade, OrderChanged

__all__ = ["claim_known", "count_open", "is_asked", "is_ours", "is_waiting", "ours_of"]

_NOT_KNOWN = frozenset({"intent", "submitted", "unknown", "rejected"})
"""States of an order that the run has not found at the venue."""


def is_ours(row: OrderChanged | FillMade, venue: VenueRecord, ours: RunRecord) -> bool:
    """Whether an order or an execution is one that the run must know."""
    if row.owner == "other" or not row.own_id.startswith(ours.tag):
        return False
    return not row.sent_as or not _is_left(row, venue, ours)


def ours_of(venue: VenueRecord, ours: RunRecord) -> tuple[list[OrderChanged], list[FillMade]]:
    """Return the run's orders and executions at the venue."""
    return (
        [each for each in venue.orders.values() if is_ours(each, venue, ours)],
        [each for each in venue.fills.values() if is_ours(each, venue, ours)],
    )


def count_open(venue: VenueRecord, ours: RunRecord) -> int:
    """Count the orders of the run that are open at the venue."""
    return sum(each.status not in FINAL_STATUSES for each in ours_of(venue, ours)[0])


def is_waiting(name: str, ours: RunRecord) -> bool:
    """Whether an order is unknown, and the run waits for a person's word on it."""
    sent = ours.sent.get(name)
    if sent is None or ours.states.get(name, ("", 0.0))[0] != "unknown":
        return False
    return f"{UNEXPLAINED}:{ours.names[sent.symbol]}" in ours.blocks


def is_asked(name: str, venue: VenueRecord, ours: RunRecord) -> bool:
    """Whether the run waits for a person's word on an order, and has a reason to.

    The venue does not know the order; an order of others or a deposit may hide it from the run.
    """
    if not is_waiting(name, ours):
        return False
    k = ours.sent[name].symbol
    listed = any(
        each.symbol == ours.id_of(k) and (each.owner == "other" or each.sent_as)
        for each in venue.orders.values()
    )
    return listed or bool(venue.moved.get(ours.pair(k)[0]))


def claim_known(venue: VenueRecord, ours: RunRecord) -> None:
    """Count the purchases of the orders that the run has found under another client id."""
    for order_id, name in list(venue.cover.unclaimed.items()):
        if ours.states.get(name, ("unknown", 0.0))[0] not in _NOT_KNOWN:
            venue.cover.claim(order_id, ours.at_ns)


def _is_left(row: OrderChanged | FillMade, venue: VenueRecord, ours: RunRecord) -> bool:
    """Whether an order under another client id is somebody else's, by what the run has reported.

    One whose client id contains ours whole never is.
    """
    if row.sent_as in row.client_id:
        return False
    if is_waiting(row.sent_as, ours):
        return True
    ended = ours.never_accepted.get(row.sent_as)
    if ended is None:
        return False
    at_ns, by_person = ended
    executed = any(
        each.order_id == row.order_id and each.at_ns <= at_ns for each in venue.fills.values()
    )
    return by_person or (ours.sent[row.sent_as].reduces and not executed)
