"""What a resume decides about orders that the venue may hold under another client id.

An entry counts as never placed. Of a reduction counts as executed what the account, read since, no
longer holds, where that agrees with the order: otherwise the run would keep a position that is
gone, and try to sell it for ever. Orders and executions that were seen decide first, by their
quantity; the account alone decides what they do not explain, and only if no other reduction may
have sold it. An open order that agrees with the reduction in side, type, quantity and prices is
taken over, however much of it is executed: its rest would be sold a second time, and locks the
units of a stop.
"""

from __future__ import annotations

import msgspec

from septet import messages as m
from septet._core.orders import disputes, ghosts
from septet._core.orders.ids import own_id
from septet._core.orders.lifecycle import UNEXPLAINED, OrderLifecycle, trade_key
from septet._core.orders.records import Child, Stranger
from septet._core.orders.unexplained import (
    LEFT,
    account_gap,
    agrees,
    executed_by_order,
    is_account_read,
    of_fill,
    seen_since,
    take_stranger,
)

__all__ = ["accept_all"]


def accept_all(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """End the orders in an unknown state, after a person has resumed the run."""
    records = lifecycle.records
    unexplained = [each for each in records.children.values() if each.unexplained]
    for k in {child.symbol for child in unexplained}:
        of_symbol = [each for each in unexplained if each.symbol == k]
        _take_over(lifecycle, k, of_symbol, now_ns)
        _book_lacking(lifecycle, k, of_symbol, now_ns)
    for child in unexplained:
        child.unexplained = ""
    for k in {child.symbol for child in unexplained}:
        _leave(lifecycle, k, [each for each in unexplained if each.symbol == k])
    for child in unexplained:
        child.ambiguous = False
        if child.is_final or child.by_venue_id:
            continue
        if child.counted > 0.0:
            lifecycle.finish(child, "cancelled", "never_executed", now_ns)
        else:
            lifecycle.finish(child, "rejected", "never_accepted", now_ns)


def _take_over(lifecycle: OrderLifecycle, k: int, unexplained: list[Child], now_ns: int) -> None:
    """Take over the open orders that agree with reductions: each is one that was sent.

    It may have been executed in part. Its rest stays where it is, so that it is not sold twice; one
    of a reduction that was sent again is cancelled, since it locks the units of the other.
    """
    claimed_ids = set[str]()
    reductions = [each for each in unexplained if each.reduces]
    for child in sorted(reductions, key=lambda each: (each.is_final, each.sent_ns)):
        matching = [
            each for each in seen_since(lifecycle, child)
            if each.is_open and each.venue_order_id and each.venue_order_id not in claimed_ids
            and agrees(child, each, typed=False)
        ]  # fmt: skip
        if len(matching) != 1:
            continue
        (stranger,) = matching
        claimed_ids.add(stranger.venue_order_id)
        if not child.is_final:
            _continue(lifecycle, child, stranger, now_ns)
            continue
        text = f"{child.client_id} was sent again and rests as {stranger.text}: that is cancelled"
        lifecycle.alert("error", "ghost_order", text, k)
        ghosts.cancel_stranger(
            lifecycle, stranger.client_id, k, stranger.venue_order_id, by_venue_id=True
        )


def _continue(lifecycle: OrderLifecycle, child: Child, stranger: Stranger, now_ns: int) -> None:
    """Continue a reduction as the venue lists it; book its executions that were seen."""
    records, k = lifecycle.records, child.symbol
    known = records.strangers.get(k, {}).values()
    fills = [each.fill for each in known if each.venue_order_id == stranger.venue_order_id]
    held, gap = records.held.get(k), abs(account_gap(lifecycle, child))
    child.ambiguous = False
    if child.protects:  # its coverage is decided again
        child.cancels = False
    take_stranger(lifecycle, child, stranger)
    text = (
        f"{child.client_id}: the venue lists it as {stranger.text}, and a person has resumed; "
        "it is queried and cancelled by the venue's id"
    )
    lifecycle.alert("warning", "adopted_order", text, k)
    lifecycle.move(child, "open")
    before = child.counted
    for fill in (each for each in fills if each is not None):
        own = msgspec.structs.replace(fill, client_id=child.client_id)
        disputes.take(lifecycle, child, own, now_ns)
    if held is not None and child.counted - before <= gap + lifecycle.instrument(k).lot:
        records.held[k] = held  # the account was read after these executions
    if not child.is_final:
        child.seen = max(child.seen, min(stranger.filled, child.quantity))
        lifecycle.query_until_known(child, now_ns)
        lifecycle.refresh_fills(child)


def _book_lacking(lifecycle: OrderLifecycle, k: int, unexplained: list[Child], now_ns: int) -> None:
    """Book what the account no longer holds as executed by the reductions that were asked about.

    Executions that were reported under another id are booked as they were, the rest at the last
    known price. A fill moves the known holdings of the account: here they show it already. What was
    seen is assigned first, so that the account alone decides nothing that is known better.
    """
    records, moved, claimed_ids = lifecycle.records, 0.0, set[str]()
    reductions = [each for each in unexplained if each.reduces and not each.by_venue_id]
    reductions = [each for each in reductions if is_account_read(lifecycle, each)]
    is_alone = not _may_have_sold(lifecycle, k)
    for find in (_shown, _missing) if is_alone else (_shown,):
        for child in sorted(reductions, key=lambda each: each.sent_ns):
            lacking = abs(account_gap(lifecycle, child)) - moved
            if not child.unexplained or lacking <= lifecycle.instrument(k).lot:
                continue
            units, order_id = find(lifecycle, child, lacking, claimed_ids)
            if not units:
                continue
            moved, held = moved + units, records.held[k]
            claimed_ids.add(order_id)
            child.unexplained = ""
            for fill in _executions(lifecycle, child, units, order_id, now_ns):
                text = f"{child.client_id}: {fill.quantity:.12g} at {fill.price:.12g} counts as "
                text += "executed: the account no longer holds it, and a person has resumed"
                lifecycle.alert("warning", UNEXPLAINED, text, k)
                lifecycle.book(child, fill, now_ns)
            records.held[k] = held


def _may_have_sold(lifecycle: OrderLifecycle, k: int) -> bool:
    """Whether a live reduction that no alert named may have moved the account as it was read."""
    records, asked_ns = lifecycle.records, lifecycle.records.held.get(k, (0.0, 0))[1]
    live = (records.children[name] for name in records.live)
    return any(
        each.symbol == k and each.reduces and not each.unexplained and each.sent_ns < asked_ns
        for each in live
    )


def _shown(
    lifecycle: OrderLifecycle, child: Child, lacking: float, claimed_ids: set[str]
) -> tuple[float, str]:  # fmt: skip
    """Return how much of a reduction was executed, and the venue's id of the order that shows it.

    `lacking` is what the account lacks (base). The order or its executions must agree with the
    reduction in quantity: a third party may have sold.
    """
    done, sizes = _sold(lifecycle, child, claimed_ids)
    for of, executed in done.items():
        is_whole = abs(executed - child.rest) <= child.tolerance
        is_same = abs(sizes.get(of, 0.0) - child.quantity) <= child.tolerance
        most = lacking + lifecycle.instrument(child.symbol).lot
        if child.tolerance < executed <= most and (is_whole or is_same):
            return executed, of
    return 0.0, ""


def _missing(
    lifecycle: OrderLifecycle, child: Child, lacking: float, claimed_ids: set[str]
) -> tuple[float, str]:  # fmt: skip
    """Return the rest of a reduction if the account lacks just that beside what others have sold.

    Executions whose order was never listed may be a part of it.
    """
    done, sizes = _sold(lifecycle, child, claimed_ids)
    lacking -= sum(executed for of, executed in done.items() if of in sizes)
    is_same = abs(lacking - child.rest) <= lifecycle.instrument(child.symbol).lot
    return (child.rest if is_same else 0.0), ""


def _sold(
    lifecycle: OrderLifecycle, child: Child, claimed_ids: set[str]
) -> tuple[dict[str, float], dict[str, float]]:  # fmt: skip
    """Return what orders of others have executed since a reduction was sent, and their quantities.

    Both are by the venue's id of the order (base); a quantity is there once the order was listed.
    """
    seen = seen_since(lifecycle, child)
    done = executed_by_order(seen)
    sizes = {each.venue_order_id: each.quantity for each in seen if not each.trade_id}
    return {of: units for of, units in done.items() if of not in claimed_ids}, sizes


def _executions(
    lifecycle: OrderLifecycle, child: Child, units: float, order_id: str, now_ns: int
) -> list[m.Filled]:  # fmt: skip
    """Return executions of this many units: those that were seen, then one at the known price."""
    fills: list[m.Filled] = []
    for fill in (each.fill for each in seen_since(lifecycle, child) if each.fill is not None):
        known = trade_key(fill, child.client_id) in lifecycle.records.trades
        if fill.venue_order_id != order_id or known or fill.quantity > units + child.tolerance:
            continue
        if not disputes.price_fault(lifecycle, child, fill, now_ns):
            fills.append(msgspec.structs.replace(fill, client_id=child.client_id))
            units -= fill.quantity
    if units > child.tolerance:
        fills.append(
            m.Filled(
                at_ns=now_ns, venue="", symbol=child.symbol, client_id=child.client_id,
                trade_id=f"account-{child.client_id}-{now_ns}", venue_order_id=order_id,
                venue_ns=now_ns, market_ns=0, side="buy" if child.sign > 0 else "sell",
                quantity=units, price=disputes.accepted_price(lifecycle, child), fee=0.0,
                fee_currency="",
            )
        )  # fmt: skip
    return fills


def _leave(lifecycle: OrderLifecycle, k: int, unexplained: list[Child]) -> None:
    """Assign what was seen to third parties, except what may be an order without an alert."""
    records = lifecycle.records
    live = (records.children[name] for name in records.live)
    others = [
        each for each in live if each.symbol == k and not each.exists and each not in unexplained
    ]  # fmt: skip

    def stays(seen: Stranger) -> bool:
        return any(each.sign == seen.sign and seen.since_ns >= each.sent_ns for each in others)

    doubtful = {each.client_id for each in unexplained if each.ambiguous}
    known = records.strangers.pop(k, {})
    for each in known.values():
        if own_id(lifecycle.tag, each.client_id) in doubtful:
            records.left_to_others.append(f"{k}:{each.venue_order_id}")
    del records.left_to_others[:-LEFT]
    if doubted := {key: each for key, each in known.items() if stays(each)}:
        records.strangers[k] = doubted
    records.unclaimed = [
        each for each in records.unclaimed
        if each.symbol != k or stays(of_fill(each, each.at_ns))
    ]  # fmt: skip
