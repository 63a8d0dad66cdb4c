"""Cancels orders of the run that are open at the venue and have ended here.

Such an order may lock the units that a reduction needs. When the venue rejects a reduction for
insufficient funds, its open orders are queried, at most once a second per symbol. Orders of the
run that reduce the same symbol, are open in that list and have ended here are cancelled, however
recently they ended. Once one of them is gone, the reduction and the stop of its symbol are sent
without waiting for the end of their pauses. After a rejection that filters may explain they are
read, at most every five seconds; once they have changed, reductions and stops are sent at once.
"""

from __future__ import annotations

from septet import messages as m
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import SECOND_NS, Child

__all__ = [
    "HELD",
    "REJECTED",
    "cancel",
    "cancel_stranger",
    "ended",
    "freed",
    "locks",
    "read_filters",
    "refused",
    "retry",
]

HELD = "; it is left there, since the account holds what it protects"
OTHER_CAUSES = frozenset(
    {
        "auth", "cancelled", "clock", "crosses", "duplicate", "market_closed", "rate", "symbol",
        "unsupported", "vanished", "never_accepted",
    }
)  # fmt: skip
"""Codes of a rejection that missing or locked units do not explain; codes are a plugin's words."""
REJECTED = "rejected_entry"
"""The block of a symbol from a rejected entry to the next read of the account."""
FILTERS_EVERY_NS = 5 * SECOND_NS
"""Shortest pause between reads of the filters after rejections."""
EVERY_NS = SECOND_NS
"""Shortest pause between reads of the open orders for one symbol."""


def refused(lifecycle: OrderLifecycle, child: Child, event: m.Rejected, now_ns: int) -> None:
    """Query what may lock the units of a rejected reduction: the account and the open orders.

    An entry that is rejected although the ledger counts its cash contradicts the ledger: the next
    one of its symbol waits for a read of the account, which shows it if it was executed.
    """
    records, k = lifecycle.records, child.symbol
    may_lack = event.by == "venue" and event.code not in OTHER_CAUSES
    if may_lack and event.code != "funds":
        read_filters(lifecycle, now_ns)  # lot, tick or minimum may have changed
    if not child.reduces:
        if may_lack and not child.replaces:
            text = f"{child.client_id}: {event.code} {event.text}".strip()
            lifecycle.commands += lifecycle.guards.trip(REJECTED, now_ns, symbol=k, text=text)
            lifecycle.commands.append(m.Refresh(what="holdings"))
        return
    if event.code == "funds" or may_lack:
        # an unreported fee, or a manual trade: the account may hold less
        lifecycle.commands.append(m.Refresh(what="holdings"))
        if k not in records.unfunded:
            records.unfunded.append(k)
    if not may_lack:
        return
    if now_ns - records.refused_ns.get(k, -EVERY_NS) >= EVERY_NS:
        records.refused_ns[k] = now_ns
        lifecycle.commands.append(m.Refresh(what="open_orders"))


def read_filters(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Read the filters of the venue, unless they were just asked for."""
    records = lifecycle.records
    if now_ns - records.filters_ns >= FILTERS_EVERY_NS:
        records.filters_ns = now_ns
        lifecycle.commands.append(m.Refresh(what="filters"))


def locks(lifecycle: OrderLifecycle, child: Child, asked_ns: int) -> bool:
    """Whether an order in a list of the open ones explains why a reduction was rejected."""
    refused_ns = lifecycle.records.refused_ns.get(child.symbol, 0)
    return child.reduces and child.final_ns < refused_ns <= asked_ns


def cancel(lifecycle: OrderLifecycle, child: Child) -> None:
    """Cancel an order that is open at the venue and final here."""
    text = f"{child.client_id} is open at the venue and {child.state} here"
    if child.protects and lifecycle.is_still_held(
        child.symbol, child.sign, child.rest or child.quantity
    ):
        lifecycle.alert("critical", "ghost_order", text + HELD, child.symbol)
        lifecycle.commands.append(m.Refresh(what="holdings"))
        return
    lifecycle.alert("critical", "ghost_order", text, child.symbol)
    cancel_stranger(
        lifecycle, child.client_id, child.symbol, child.venue_order_id,
        by_venue_id=child.by_venue_id,
    )  # fmt: skip


def cancel_stranger(
    lifecycle: OrderLifecycle, client_id: str, k: int, venue_order_id: str, *,
    by_venue_id: bool = False,
) -> None:  # fmt: skip
    """Cancel an order that may lock units of the run, and remember that its end frees them."""
    lifecycle.records.ghosts[client_id] = k
    lifecycle.commands.append(
        m.Cancel(
            client_id=client_id, symbol=k, venue_order_id=venue_order_id, by_venue_id=by_venue_id
        )
    )


def ended(lifecycle: OrderLifecycle, client_id: str, now_ns: int) -> None:
    """Send reductions and the stop of a symbol at once, since an order that locked them is gone."""
    records = lifecycle.records
    k = records.ghosts.pop(client_id, -1)
    if k < 0:
        return
    records.freed_ns[k] = now_ns
    retry(lifecycle, k)


def retry(lifecycle: OrderLifecycle, k: int) -> None:
    """End the pauses of the reductions and of the stop of a symbol."""
    records = lifecycle.records
    for number in records.queues.get(k, ()):
        if records.works[number].parent.reduces:
            records.works[number].retry_ns = 0
    if k in records.stops:
        records.stops[k].retry_ns = 0


def freed(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether what a rejected reduction lacked was freed after it was sent."""
    freed_ns = lifecycle.records.freed_ns.get(child.symbol, 0)
    lacked = child.state == "rejected" and child.reason not in OTHER_CAUSES
    return lacked and freed_ns > child.sent_ns
