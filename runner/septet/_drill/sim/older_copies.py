"""A11: the run goes on from an older copy of its journal; what it has sent since is a copy's.

The venue has orders and executions with the run's own tag that this journal does not know. They
are found and entries are blocked; once a person has resumed they are booked where every one was
found, or left out altogether, order by order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from septet import messages as m
from septet._drill.sim.market import Market
from septet._drill.sim.simulated_time import MS, SECOND

__all__ = ["COPY", "enters_beside_a_copy", "unbooked_copies"]

COPY: Final = "A11 older copy"
_FOUND_NS: Final = 30 * SECOND
"""After this time the executions of a copy are found: one lost answer, and the queries."""
Rows = Sequence[tuple[m.Event, Sequence[m.Command]]]


def unbooked_copies(rows: Rows, market: Market) -> set[int]:
    """Return the venue's ids of a copy's orders of which nothing is booked."""
    booked = {
        each.trade_id for _, commands in rows for each in commands if isinstance(each, m.Traded)
    }
    taken = {each.order_id for each in market.fills if str(each.trade_id) in booked}
    return {
        each.order_id for each in market.engine.orders.values()
        if each.asked.own_id in market.copied_ids and each.order_id not in taken
    }  # fmt: skip


def enters_beside_a_copy(rows: Rows, market: Market) -> list[str]:
    """Return entries that were sent beside executions of a copy before a person resumed."""
    since_ns = market.copied_ns
    executed = any(
        market.engine.orders[each.order_id].asked.own_id in market.copied_ids
        and each.at_ms * MS < since_ns
        for each in market.fills
    )
    if not executed:
        return []
    wrong = []
    for event, commands in rows:
        if event.at_ns <= since_ns:
            continue
        if isinstance(event, m.Operated) and event.action == "resume":
            break
        if event.at_ns > since_ns + _FOUND_NS:
            sent = (each for each in commands if isinstance(each, m.Submit) and not each.reduces)
            wrong += [f"{each.client_id} was sent beside executions of a copy" for each in sent]
    return wrong
