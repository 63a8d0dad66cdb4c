"""An order that the venue does not know under its client id, and what it may be there instead.

A venue or a broker may list an accepted order under another client id. A query by our id then says
that there is none, though the order rests or was executed. "No such order" is therefore not final
while the symbol shows something on the order's side that is not explained otherwise and is not
older than the order: an open or ended order, an execution, or a difference of the account.

- Exactly one open order that agrees in symbol, side, type, quantity and price, and nothing else:
  it is adopted, and is queried and cancelled by the venue's id from then on.
- Anything else: the order stays unknown and entries of the symbol are blocked (`unexplained_order`)
  until the venue shows it, what was seen has another explanation, or a person resumes. Reductions
  pass an order in this state. A reduction or a stop in this state is sent again once the account,
  read after that, still holds the units: an execution of the first would have taken them.

A resume answers for the orders that were named. An entry counts as never placed then. Of a
reduction counts as executed what the account, read since, no longer holds, where that agrees with
the order: otherwise the run would keep a position that is gone, and try to sell it for ever.
"""

from __future__ import annotations

import msgspec

from septet import messages as m
from septet._core.orders import disputes
from septet._core.orders.lifecycle import UNEXPLAINED, OrderLifecycle, trade_key
from septet._core.orders.records import SECOND_NS, Child, Stranger

__all__ = ["accept_all", "is_absent", "look", "note_fill", "note_order"]

KEPT = 256
"""Orders and executions of others of one symbol that are kept."""
CLOCKS_NS = 5 * SECOND_NS
"""By how much stamps of a venue may be off."""
LOOKS = 3
"""How often the account is read until "no such order" may be final."""
ROUNDED = 1e-9


# ---------------------------------------------------------------- what is seen


def note_order(lifecycle: OrderLifecycle, seen: m.OrderSeen, now_ns: int) -> None:
    """Keep an order that is not known to be ours, with the time at which it was first seen."""
    k = seen.symbol
    key = f"{seen.venue_order_id or seen.client_id}"
    known = lifecycle.records.strangers.setdefault(k, {})
    since_ns = known[key].since_ns if key in known else now_ns
    known[key] = Stranger(
        sign=1 if seen.side == "buy" else -1, quantity=seen.quantity, since_ns=since_ns,
        client_id=seen.client_id, venue_order_id=seen.venue_order_id, order_type=seen.order_type,
        price=seen.price, trigger_price=seen.trigger_price, filled=seen.filled, state=seen.state,
    )  # fmt: skip
    _drop_old(known)


def note_fill(lifecycle: OrderLifecycle, fill: m.Filled, now_ns: int) -> None:
    """Keep an execution that is not known to be ours."""
    known = lifecycle.records.strangers.setdefault(fill.symbol, {})
    key = trade_key(fill, fill.client_id or f"#{fill.venue_order_id}")
    since_ns = fill.venue_ns + CLOCKS_NS if fill.listed else now_ns
    known.setdefault(key, _of_fill(fill, since_ns))
    _drop_old(known)


def _of_fill(fill: m.Filled, since_ns: int) -> Stranger:
    return Stranger(
        sign=1 if fill.side == "buy" else -1, quantity=fill.quantity, since_ns=since_ns,
        client_id=fill.client_id, venue_order_id=fill.venue_order_id, price=fill.price,
        trade_id=fill.trade_id, fill=fill,
    )  # fmt: skip


def _drop_old(known: dict[str, Stranger]) -> None:
    """Drop what is too much to keep: what cannot act any more first."""
    if len(known) > KEPT:
        ended = (key for key, each in known.items() if not each.is_open)
        del known[next(ended, next(iter(known)))]


def look(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    """Read the account a few times before "no such order" may be final, in answer to an early one.

    So an order under another id is known by then.
    """
    pause_ns = lifecycle.timing.answers_final_after_ns // LOOKS
    if child.looked_ns and now_ns < child.looked_ns + pause_ns:
        return
    child.looked_ns = now_ns
    lifecycle.commands.append(m.Refresh(what="open_orders"))
    lifecycle.refresh_fills(child)
    lifecycle.commands.append(m.Refresh(what="holdings"))


# ---------------------------------------------------------------- what it may be


def is_absent(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> bool:
    """Whether "no such order" is final; otherwise the order is adopted, or stays unknown."""
    strangers, gap = _seen_since(lifecycle, child), _gap(lifecycle, child)
    if not strangers and not gap:
        lifecycle.explained(child, "nothing is unexplained any more")
        return True
    if not gap and len(strangers) == 1 and _may_adopt(lifecycle, child, strangers[0]):
        _adopt(lifecycle, child, strangers[0], now_ns)
        return False
    if child.unexplained and child.reduces and not gap and _is_read(lifecycle, child):
        return True  # the units are there; the block stays
    _hold(lifecycle, child, _sentence(child, strangers, gap), now_ns)
    return False


def _seen_since(lifecycle: OrderLifecycle, child: Child) -> list[Stranger]:
    """Return the orders and executions of others that may be this order, each order once."""
    found = _seen(lifecycle, child)
    orders = {each.venue_order_id for each in found if not each.trade_id}
    return [each for each in found if not each.trade_id or each.venue_order_id not in orders]


def _seen(lifecycle: OrderLifecycle, child: Child) -> list[Stranger]:
    """Return the orders, and all executions, of others since this order was sent."""
    records, k = lifecycle.records, child.symbol
    waiting = (_of_fill(each, each.at_ns) for each in records.unclaimed if each.symbol == k)
    return [
        each for each in (*records.strangers.get(k, {}).values(), *waiting)
        if each.sign == child.sign and each.since_ns >= child.sent_ns
        and f"{k}:{each.venue_order_id}" not in records.venue_ids
    ]  # fmt: skip


def _gap(lifecycle: OrderLifecycle, child: Child) -> float:
    """Return the account's difference that the order may have made (base, signed); 0 for none.

    Disputed and missing executions of the symbol explain a difference, and so does a read that is
    older than what is booked.
    """
    records, k = lifecycle.records, child.symbol
    held, asked_ns = records.held.get(k, (0.0, 0))
    if asked_ns <= child.sent_ns:
        return 0.0
    lot = lifecycle.instrument(k).lot
    gap = held - lifecycle.position(k)
    if abs(gap) <= lot or gap * child.sign < 0.0:
        return 0.0
    lately = records.lately.get(k)
    since_ns = asked_ns - lifecycle.timing.answers_final_after_ns
    lags = lately.lags(since_ns) if lately is not None else []
    if any(low - lot <= gap <= high + lot for low, high in lags):
        return 0.0
    disputed = any(not each.resolved for each in records.disputes.get(k, ()))
    live = (records.children[name] for name in records.live)
    missing = any(other.symbol == k and other.missing_ns for other in live)
    return 0.0 if disputed or missing else gap


def _is_read(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether the account was read after it was found that the order is not explained."""
    return lifecycle.records.held.get(child.symbol, (0.0, 0))[1] > child.unexplained_ns


def _may_adopt(lifecycle: OrderLifecycle, child: Child, other: Stranger) -> bool:
    """Whether an open order can be no other than this one."""
    records, k = lifecycle.records, child.symbol
    live = (records.children[name] for name in records.live)
    doubtful = [each for each in live if each.symbol == k and not each.exists]
    agrees = (
        other.order_type == child.kind and _same(other.price, child.limit_price)
        and _same(other.trigger_price, child.trigger_price)
        and abs(other.quantity - child.quantity) <= child.tolerance
    )  # fmt: skip
    is_untouched = other.state == "open" and other.filled == 0.0 and not other.trade_id
    is_named = bool(other.venue_order_id) and not other.client_id.startswith(lifecycle.tag)
    return agrees and is_untouched and is_named and len(doubtful) == 1


def _same(one: float | None, other: float | None) -> bool:
    if not one or not other:
        return not one and not other
    return abs(one - other) <= ROUNDED * other


# ---------------------------------------------------------------- what follows


def _adopt(lifecycle: OrderLifecycle, child: Child, other: Stranger, now_ns: int) -> None:
    """Take an order that is listed under another client id for this one."""
    records, k = lifecycle.records, child.symbol
    text = (
        f"{child.client_id}: the venue lists it as {other.client_id or 'an order without id'} "
        f"(order {other.venue_order_id}): it is the only one of its side, and agrees in type, "
        "quantity and price; it is queried and cancelled by the venue's id"
    )
    lifecycle.alert("error", "adopted_order", text, k)
    records.third_party.pop(f"{k}:{other.venue_order_id}", None)
    child.by_venue_id = child.exists = True
    child.venue_order_id = other.venue_order_id
    records.venue_ids[f"{k}:{other.venue_order_id}"] = child.client_id
    lifecycle.explained(child, "the venue shows the order")
    lifecycle.move(child, "open")
    lifecycle.touched.add(k)
    lifecycle.query_until_known(child, now_ns)


def _sentence(child: Child, strangers: list[Stranger], gap: float) -> str:
    """Return what is seen, and what ends the block."""
    seen = [each.text for each in strangers[:3]]
    if len(strangers) > 3:
        seen.append(f"{len(strangers) - 3} more")
    if gap:
        seen.append(f"an account that holds {abs(gap):.12g} {'more' if gap > 0.0 else 'less'}")
    way = "buy" if child.sign > 0 else "sell"
    follows = "the order counts then as never placed, and what is seen as somebody else's"
    if child.reduces:
        follows = (
            "it counts then as executed, as far as the account lacks just that, or as never placed"
        )
    return (
        f"{child.client_id}: the venue knows no such order, and shows since it was sent "
        f"{', '.join(seen)}, which may be this {child.kind} order to {way} {child.quantity:.12g} "
        f"under another id; compare the venue's lists of orders and trades, and resume: {follows}"
    )


def _hold(lifecycle: OrderLifecycle, child: Child, text: str, now_ns: int) -> None:
    """Keep an order unknown, and block entries of its symbol."""
    if not child.unexplained:
        child.unexplained_ns = now_ns
        lifecycle.touched.add(child.symbol)
        lifecycle.commands.append(m.Refresh(what="holdings"))
    child.unexplained = text
    lifecycle.commands += lifecycle.guards.trip(UNEXPLAINED, now_ns, symbol=child.symbol, text=text)


def accept_all(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """End the orders about which a person was asked, who has resumed."""
    records = lifecycle.records
    asked = [each for each in records.children.values() if each.unexplained]
    for k in {child.symbol for child in asked}:
        _book_what_is_gone(lifecycle, k, [each for each in asked if each.symbol == k], now_ns)
    for child in asked:
        child.unexplained = ""
    for k in {child.symbol for child in asked}:
        _leave(lifecycle, k, [each for each in asked if each.symbol == k])
    for child in asked:
        if child.is_final:
            continue
        if child.counted > 0.0:
            lifecycle.finish(child, "cancelled", "never_executed", now_ns)
        else:
            lifecycle.finish(child, "rejected", "never_accepted", now_ns)


def _book_what_is_gone(lifecycle: OrderLifecycle, k: int, asked: list[Child], now_ns: int) -> None:
    """Book what the account no longer holds as executed by the reductions that were asked about.

    Executions that were reported under another id are booked as they were, the rest at the last
    known price. A fill moves the known holdings of the account: here they show it already.
    """
    records, moved = lifecycle.records, 0.0
    for child in sorted((each for each in asked if each.reduces), key=lambda each: each.sent_ns):
        gap = _gap(lifecycle, child) if _is_read(lifecycle, child) else 0.0
        units, order_id = _executed(lifecycle, child, abs(gap) - moved)
        if not units:
            continue
        moved, held = moved + units, records.held[k]
        child.unexplained = ""
        for fill in _executions(lifecycle, child, units, order_id, now_ns):
            text = f"{child.client_id}: {fill.quantity:.12g} at {fill.price:.12g} counts as "
            text += "executed: the account no longer holds it, and a person has resumed"
            lifecycle.alert("warning", UNEXPLAINED, text, k)
            lifecycle.book(child, fill, now_ns)
        records.held[k] = held


def _executed(lifecycle: OrderLifecycle, child: Child, gone: float) -> tuple[float, str]:
    """Return how much of a reduction was executed, and the venue's id of the order that shows it.

    `gone` is what the account lacks. An order or its executions must agree with the reduction in
    quantity: a third party may have sold something else. Without one, all of it must be gone.
    """
    lot = lifecycle.instrument(child.symbol).lot
    if gone <= lot:
        return 0.0, ""
    done: dict[str, float] = {}
    sizes: dict[str, float] = {}
    for each in _seen(lifecycle, child):
        of = each.venue_order_id
        if each.trade_id:
            done[of] = done.get(of, 0.0) + each.quantity
        else:
            sizes[of] = each.quantity
    for each in _seen(lifecycle, child):
        of = each.venue_order_id
        executed = max(each.filled, done.get(of, 0.0))
        is_whole = abs(executed - child.rest) <= child.tolerance
        is_same = abs(sizes.get(of, 0.0) - child.quantity) <= child.tolerance
        if child.tolerance < executed <= gone + lot and (is_whole or is_same):
            return executed, of
    return (child.rest, "") if abs(gone - child.rest) <= lot else (0.0, "")


def _executions(
    lifecycle: OrderLifecycle, child: Child, units: float, order_id: str, now_ns: int
) -> list[m.Filled]:  # fmt: skip
    """Return executions of so many units: those that were seen, then one at the known price."""
    found: list[m.Filled] = []
    for fill in (each.fill for each in _seen(lifecycle, child) if each.fill is not None):
        known = trade_key(fill, child.client_id) in lifecycle.records.trades
        if fill.venue_order_id != order_id or known or fill.quantity > units + child.tolerance:
            continue
        if not disputes.price_fault(lifecycle, child, fill, now_ns):
            found.append(msgspec.structs.replace(fill, client_id=child.client_id))
            units -= fill.quantity
    if units > child.tolerance:
        found.append(
            m.Filled(
                at_ns=now_ns, venue="", symbol=child.symbol, client_id=child.client_id,
                trade_id=f"account-{child.client_id}-{now_ns}", venue_order_id=order_id,
                venue_ns=now_ns, market_ns=0, side="buy" if child.sign > 0 else "sell",
                quantity=units, price=disputes.accepted_price(lifecycle, child), fee=0.0,
                fee_currency="",
            )
        )  # fmt: skip
    return found


def _leave(lifecycle: OrderLifecycle, k: int, asked: list[Child]) -> None:
    """Leave to others what was seen, but for what may be an order that nobody was asked about."""
    records = lifecycle.records
    live = (records.children[name] for name in records.live)
    others = [
        each for each in live if each.symbol == k and not each.exists and each not in asked
    ]  # fmt: skip

    def stays(one: Stranger) -> bool:
        return any(each.sign == one.sign and one.since_ns >= each.sent_ns for each in others)

    known = records.strangers.pop(k, {})
    if kept := {key: each for key, each in known.items() if stays(each)}:
        records.strangers[k] = kept
    records.unclaimed = [
        each for each in records.unclaimed
        if each.symbol != k or stays(_of_fill(each, each.at_ns))
    ]  # fmt: skip
