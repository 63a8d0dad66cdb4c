"""Orders that the venue lists under another client id: adopted, or left to a person's word.

What is at the venue is counted by its own ids; the client id of the request names the intent for
which an order was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from septet import messages as m
from septet._core.orders import Orders
from septet._drill.sim.market import was_open
from septet._drill.sim.simulated_time import MS
from septet._drill.sim.venue import SimVenue
from septet._drill.venue.orders import FINAL, Order

__all__ = ["ended_unlisted", "left_to_others", "unprotected", "renamed_checks"]

_NEVER_TRADED: Final = "rejected"
Rows = Sequence[tuple[m.Event, Sequence[m.Command]]]


class _Intent(NamedTuple):
    """For what an order was sent; `parent` is -1 for the stop of its symbol."""

    symbol: int
    parent: int
    reduces: bool


def _renamed(venue: SimVenue) -> dict[str, Order]:
    """Return the orders that are listed under another client id, by that of their request."""
    orders = venue.market.engine.orders.values()
    return {each.asked.own_id: each for each in orders if each.asked.sent_as}


def ended_unlisted(order: Order) -> bool:
    """Whether an order ended without an execution under another id than that of its request.

    No list of open orders or of executions has it then, and no query by our id finds it.
    """
    return bool(order.asked.sent_as) and order.status in FINAL and order.executed == 0


def left_to_others(rows: Rows, venue: SimVenue) -> set[int]:
    """Return the venue's ids of orders of ours that the run counts as never placed.

    One whose id there contains ours is ours, unless that id was never shown to the run, and a
    person who resumes has said otherwise.
    """
    renamed, found = _renamed(venue), set[int]()
    for event, commands in rows if renamed else ():
        for each in commands:
            if (
                isinstance(each, m.Changed)
                and each.state == _NEVER_TRADED
                and each.client_id in renamed
            ):
                order = renamed[each.client_id]
                id_there, resumes = order.asked.client_id, isinstance(event, m.Operated)
                if each.client_id not in id_there or (resumes and not _is_shown(id_there, rows)):
                    found.add(order.order_id)
    return found


def _is_shown(client_id: str, rows: Rows) -> bool:
    """Whether any event has named an id."""
    return any(client_id in repr(event) for event, _ in rows)


def renamed_checks(rows: Rows, venue: SimVenue) -> list[str]:
    """Return what was done although an order may be at the venue under another id."""
    renamed, wrong = _renamed(venue), list[str]()
    states, sent, ends = dict[str, str](), dict[str, _Intent](), dict[str, int]()
    for event, commands in rows:
        resumes = isinstance(event, m.Operated) and event.action == "resume"
        for each in commands:
            if isinstance(each, m.Submit):
                sent[each.client_id] = _Intent(each.symbol, each.parent, each.reduces)
                if not each.reduces:
                    wrong += _entered(each.client_id, states, sent)
            elif isinstance(each, m.Amend):
                sent[each.new_client_id] = _Intent(each.symbol, each.parent, False)
            elif isinstance(each, m.Changed) and each.client_id in renamed:
                states[each.client_id] = each.state
                if each.state == _NEVER_TRADED:
                    ends[each.client_id] = event.at_ns
                    order, reduces = renamed[each.client_id], sent[each.client_id].reduces
                    if not resumes and _acts(order, event.at_ns, reduces=reduces):
                        wrong.append(
                            f"{each.client_id} counts as never placed, unconfirmed, and it "
                            f"is {order.status} as {order.asked.client_id}"
                        )
    wrong += _by_own_id(rows, renamed)
    return wrong + _beside(sent, ends, venue, rows[-1][0].at_ns if rows else 0)


def _by_own_id(rows: Rows, renamed: Mapping[str, Order]) -> list[str]:
    """Return the cancels by client id of orders that were answered and shown under another id."""
    wrong, answered, shown = list[str](), set[str](), set[str]()
    by_venue_id = {f"v{each.order_id}": name for name, each in renamed.items()}
    for event, commands in rows if renamed else ():
        if isinstance(event, m.Acked):
            answered.add(event.client_id)
        for seen in event.orders if isinstance(event, m.OpenOrders) else (event,):
            if isinstance(seen, m.OrderSeen | m.Filled) and seen.client_id:
                name = by_venue_id.get(seen.venue_order_id, "")
                if name in answered and seen.client_id != name:
                    shown.add(name)
        wrong += [
            f"{each.client_id} is cancelled by that id, and the venue knows it by another"
            for each in commands
            if isinstance(each, m.Cancel) and each.client_id in shown and not each.by_venue_id
        ]
    return wrong


def unprotected(orders: Orders, venue: SimVenue) -> list[str]:
    """Return the symbols whose stop is counted on here and is not at the venue.

    Where none is counted on the engine watches the level itself.
    """
    open_ = {each.asked.own_id for each in venue.market.working()}
    stops = orders.records.stops
    return [
        f"the stop {stops[of.k].child} of {of.name} is counted on and is not at the venue"
        for of in venue.market.listings
        if orders.protected(of.k) and stops[of.k].child not in open_
    ]


def _entered(
    client_id: str, states: Mapping[str, str], sent: Mapping[str, _Intent]
) -> list[str]:  # fmt: skip
    """Return the renamed orders of the symbol that were unknown when an entry was sent."""
    return [
        f"{client_id} was sent while {name} may have been at the venue under another id"
        for name, state in states.items()
        if state == "unknown" and sent[name].symbol == sent[client_id].symbol
    ]


def _acts(order: Order, at_ns: int, *, reduces: bool) -> bool:
    """Whether an order was executed by a time, or may still be; of a reduction the first alone.

    A reduction is sent again while the account holds its units: the venue rejects what has none.
    """
    was = order.as_of(at_ns // MS)
    return was is not None and (was[1] > 0 or (was[0] not in FINAL and not reduces))


def _beside(
    sent: Mapping[str, _Intent], ends: Mapping[str, int], venue: SimVenue, last_ns: int
) -> list[str]:  # fmt: skip
    """Return the orders that were open at the venue while a renamed one of their intent was.

    One that a person has left to others is another's from then on.
    """
    wrong = list[str]()
    orders = venue.market.engine.orders.values()
    for name, order in _renamed(venue).items():
        if name not in sent:
            continue
        first_ns, until_ns = order.past[0][0] * MS, ends.get(name, last_ns)
        wrong += [
            f"{other.asked.own_id} was open beside {name}, which is {order.asked.client_id}"
            for other in orders
            if other is not order
            and _is_same(sent.get(other.asked.own_id), sent[name])
            and any(
                was_open(order, max(first_ns, at_ms * MS) - 1, until_ns)
                for at_ms, *_ in other.past[:1]
                if was_open(other, first_ns, until_ns)
            )
        ]
    return wrong


def _is_same(one: _Intent | None, other: _Intent) -> bool:
    """Whether two orders were sent for the same order of the strategy or the same stop."""
    return one is not None and (one.symbol, one.parent) == (other.symbol, other.parent)
