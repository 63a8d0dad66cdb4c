"""An order that the venue does not know under its client id, but may hold under another.

A venue or a broker may list an accepted order under another client id. A query by our id then says
that there is none, though the order rests or was executed. "No such order" is therefore not final
until the open orders and the account were read, each read sent later than `answers_final_after`
after the order became unknown: what an earlier process or a closed stream has seen of it may be
lost. Nor is it final while the symbol shows something on the order's side that is not explained
otherwise and is not older than the order: an open or ended order, an execution, or a difference of
the account.

- Exactly one open order that agrees in symbol, side, type, quantity and price, and nothing else:
  it is adopted, and is queried and cancelled by the venue's id from then on.
- Anything else: the order stays unknown and entries of the symbol are blocked (`unexplained_order`)
  until the venue shows it, what was seen has another explanation, or a person resumes. Reductions
  pass an order in this state. A reduction or a stop in this state is sent again once the account,
  read after that, still holds the units: an execution of the first would have taken them.

A resume answers for the orders that were named (`accepted_orders`).
"""

from __future__ import annotations

from collections.abc import Sequence

from septet import messages as m
from septet._core.orders.finality import complete_until_ns, final_after_ns
from septet._core.orders.ids import is_marked
from septet._core.orders.lifecycle import (
    CLOCKS_NS,
    FILLS_BEFORE_NS,
    UNEXPLAINED,
    OrderLifecycle,
    trade_key,
)
from septet._core.orders.records import Child, Stranger

__all__ = [
    "LEFT", "account_gap", "agrees", "executed_by_order", "hold", "is_absent", "is_account_read",
    "look", "note_fill", "note_order", "of_fill", "seen_since", "surplus", "take_stranger",
    "what_follows",
]  # fmt: skip

KEPT = 256  # orders and executions of others of one symbol
LEFT = 4_096
"""Orders that were left to others and are remembered, so that they are not taken for ours."""
UNNAMED = 4
"""Orders behind executions without a client id that are queried at once."""
LOOKS = 3
"""How often the account is read until "no such order" may be final."""
ROUNDED = 1e-9


# ---------------------------------------------------------------- reports of the venue


def note_order(lifecycle: OrderLifecycle, seen: m.OrderSeen, now_ns: int) -> None:
    """Record an order not known to be of this run, with the time at which it was first seen."""
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
    """Record an execution not known to be of this run."""
    known = lifecycle.records.strangers.setdefault(fill.symbol, {})
    key = trade_key(fill, fill.client_id or f"#{fill.venue_order_id}")
    since_ns = fill.venue_ns + CLOCKS_NS if fill.listed else now_ns
    known.setdefault(key, of_fill(fill, since_ns))
    _drop_old(known)


def of_fill(fill: m.Filled, since_ns: int) -> Stranger:
    return Stranger(
        sign=1 if fill.side == "buy" else -1, quantity=fill.quantity, since_ns=since_ns,
        client_id=fill.client_id, venue_order_id=fill.venue_order_id, price=fill.price,
        trade_id=fill.trade_id, fill=fill,
    )  # fmt: skip


def _drop_old(known: dict[str, Stranger]) -> None:
    """Drop entries beyond the limit, those that cannot act any more first."""
    if len(known) > KEPT:
        ended = (key for key, each in known.items() if not each.is_open)
        del known[next(ended, next(iter(known)))]


def look(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    """Read the account a few times before "no such order" may be final, in answer to an early one.

    By then an order under another id is known.
    """
    pause_ns = lifecycle.timing.answers_final_after_ns // LOOKS
    if child.looked_ns and now_ns < child.looked_ns + pause_ns:
        return
    _read(lifecycle, child, now_ns)


def _read(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    child.looked_ns = now_ns
    lifecycle.commands.append(m.Refresh(what="open_orders"))
    lifecycle.refresh_fills(child)
    lifecycle.commands.append(m.Refresh(what="holdings"))
    _name_executions(lifecycle, child)


def _decisive_ns(lifecycle: OrderLifecycle, child: Child) -> int:
    """Return after which wall time (UTC ns) a read shows the order if the venue has accepted it."""
    return final_after_ns(lifecycle, child.unknown_ns)


def _is_covered(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether open orders and account were read late enough to show the order, if it exists."""
    records = lifecycle.records
    held_ns = records.held.get(child.symbol, (0.0, 0))[1]
    return min(records.listed_ns, held_ns) > _decisive_ns(lifecycle, child)


def _read_again(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    """Read orders and account now that they are decisive, and query the order soon after."""
    timing = lifecycle.timing
    is_first = child.looked_ns <= _decisive_ns(lifecycle, child)
    if not is_first and now_ns < child.looked_ns + timing.query_longest_ns:
        return
    _read(lifecycle, child, now_ns)
    if is_first:
        child.query_pause_ns = timing.query_first_ns
        child.query_next_ns = now_ns + child.query_pause_ns


def _name_executions(lifecycle: OrderLifecycle, child: Child) -> None:
    """Query the orders of executions that have no client id: theirs may contain ours."""
    waiting = lifecycle.records.unclaimed
    fits = [each for each in waiting if each.symbol == child.symbol and each.venue_order_id]
    names = dict.fromkeys(each.venue_order_id for each in fits)
    for name in list(names)[-UNNAMED:]:
        lifecycle.commands.append(
            m.Query(
                client_id="", symbol=child.symbol, venue_order_id=name, by_venue_id=True,
                since_ns=max(0, child.sent_ns - FILLS_BEFORE_NS), trace=child.trace,
            )
        )  # fmt: skip


# ---------------------------------------------------------------- what it may be


def is_absent(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> bool:
    """Whether "no such order" is final; otherwise the order is adopted, or stays unknown."""
    if child.ambiguous:
        return False
    strangers, gap = _seen_since(lifecycle, child), account_gap(lifecycle, child)
    if not strangers and not gap:
        if _is_covered(lifecycle, child):
            lifecycle.explained(child, "nothing is unexplained any more")
            return True
        _read_again(lifecycle, child, now_ns)
        return False
    if not gap and len(strangers) == 1 and _may_adopt(lifecycle, child, strangers[0]):
        _adopt(lifecycle, child, strangers[0], now_ns)
        return False
    if child.unexplained and child.reduces and not gap and is_account_read(lifecycle, child):
        if _holds_units(lifecycle, child):
            return True  # the block stays
        look(lifecycle, child, now_ns)
    hold(lifecycle, child, _sentence(child, strangers, gap), now_ns)
    return False


def _seen_since(lifecycle: OrderLifecycle, child: Child) -> list[Stranger]:
    """Return the orders and executions of others that may be this order, each order once."""
    seen = seen_since(lifecycle, child)
    orders = {each.venue_order_id for each in seen if not each.trade_id}
    return [each for each in seen if not each.trade_id or each.venue_order_id not in orders]


def seen_since(lifecycle: OrderLifecycle, child: Child, sign: int = 0) -> list[Stranger]:
    """Return the orders, and all executions, of others since this order was sent, each once.

    `sign` is their side, that of the order by default. An execution may have been reported with a
    client id and without one.
    """
    records, k, sign = lifecycle.records, child.symbol, sign or child.sign
    known = records.strangers.get(k, {}).values()
    named = {(each.venue_order_id, each.trade_id) for each in known if each.trade_id}
    waiting = (
        of_fill(each, each.at_ns) for each in records.unclaimed
        if each.symbol == k and (each.venue_order_id, each.trade_id) not in named
    )  # fmt: skip
    return [
        each for each in (*known, *waiting)
        if each.sign == sign and each.since_ns >= child.sent_ns
        and f"{k}:{each.venue_order_id}" not in records.venue_ids
    ]  # fmt: skip


def executed_by_order(seen: Sequence[Stranger]) -> dict[str, float]:
    """Return what was executed of each order of others, by the venue's id of the order."""
    done: dict[str, float] = {}
    for each in seen:
        if each.trade_id:
            done[each.venue_order_id] = done.get(each.venue_order_id, 0.0) + each.quantity
    for each in seen:
        if not each.trade_id:
            done[each.venue_order_id] = max(each.filled, done.get(each.venue_order_id, 0.0))
    return done


def surplus(lifecycle: OrderLifecycle, k: int) -> float:
    """Return what the account holds beyond the booked position (base, signed), as last read.

    0 where it was not read, where the read may lack a fill that is booked, and where it may show
    one that is not: an order of the symbol is at the venue.
    """
    records = lifecycle.records
    if k not in records.held or any(records.children[name].symbol == k for name in records.live):
        return 0.0
    recent = records.recent_fills.get(k)
    since_ns = complete_until_ns(lifecycle, records.held[k][1])
    if recent is not None and len(recent.lags(since_ns)) > 1:
        return 0.0
    return records.held[k][0] - lifecycle.position(k)


def account_gap(lifecycle: OrderLifecycle, child: Child) -> float:
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
    recent = records.recent_fills.get(k)
    since_ns = complete_until_ns(lifecycle, asked_ns)
    lags = recent.lags(since_ns) if recent is not None else []
    if any(low - lot <= gap <= high + lot for low, high in lags):
        return 0.0
    disputed = any(not each.resolved for each in records.disputes.get(k, ()))
    live = (records.children[name] for name in records.live)
    missing = any(live_child.symbol == k and live_child.missing_ns for live_child in live)
    return 0.0 if disputed or missing else gap


def is_account_read(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether the account was read after the order became unexplained."""
    return lifecycle.records.held.get(child.symbol, (0.0, 0))[1] > child.unexplained_ns


def _holds_units(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether the account holds what a reduction would have taken, whatever explains a lack.

    Units that the account held beyond the position before, and those that others have brought since
    then, are not those of the position: they would hide what the reduction has taken.
    """
    k, sign = child.symbol, child.sign
    brought = sum(executed_by_order(seen_since(lifecycle, child, -sign)).values())
    hidden = max(0.0, -sign * child.surplus) + brought
    lacking = (lifecycle.records.held[k][0] - lifecycle.position(k)) * sign + hidden
    return lacking <= lifecycle.instrument(k).lot


def _may_adopt(lifecycle: OrderLifecycle, child: Child, stranger: Stranger) -> bool:
    """Whether an open order must be this one."""
    records, k = lifecycle.records, child.symbol
    live = (records.children[name] for name in records.live)
    doubtful = [each for each in live if each.symbol == k and not each.exists]
    is_untouched = stranger.state == "open" and stranger.filled == 0.0 and not stranger.trade_id
    is_named = bool(stranger.venue_order_id) and not is_marked(lifecycle.tag, stranger.client_id)
    return agrees(child, stranger) and is_untouched and is_named and len(doubtful) == 1


def agrees(child: Child, stranger: Stranger, *, typed: bool = True) -> bool:
    """Whether an order has the terms of one that was sent; its type may be unlisted if not `typed`.

    The side is that of the order already.
    """
    of_type = stranger.order_type == child.kind or not (typed or stranger.order_type)
    return (
        of_type and _same(stranger.price, child.limit_price)
        and _same(stranger.trigger_price, child.trigger_price)
        and abs(stranger.quantity - child.quantity) <= child.tolerance
    )  # fmt: skip


def _same(reported: float | None, ordered: float | None) -> bool:
    if not reported or not ordered:
        return not reported and not ordered
    return abs(reported - ordered) <= ROUNDED * ordered


# ---------------------------------------------------------------- what follows


def _adopt(lifecycle: OrderLifecycle, child: Child, stranger: Stranger, now_ns: int) -> None:
    """Take an order that is listed under another client id for this one."""
    text = (
        f"{child.client_id}: the venue lists it as {stranger.client_id or 'an order without id'} "
        f"(order {stranger.venue_order_id}): it is the only one of its side, and agrees in type, "
        "quantity and price; it is queried and cancelled by the venue's id"
    )
    lifecycle.alert("error", "adopted_order", text, child.symbol)
    take_stranger(lifecycle, child, stranger)
    lifecycle.move(child, "open")
    lifecycle.query_until_known(child, now_ns)


def take_stranger(lifecycle: OrderLifecycle, child: Child, stranger: Stranger) -> None:
    """Make an order of the venue that of a child; it is named by the venue's id from then on."""
    records, key = lifecycle.records, f"{child.symbol}:{stranger.venue_order_id}"
    records.third_party.pop(key, None)
    if key in records.left_to_others:
        records.left_to_others.remove(key)
    child.by_venue_id = child.exists = True
    child.venue_order_id = stranger.venue_order_id
    records.venue_ids[key] = child.client_id
    lifecycle.explained(child, "the venue shows the order")
    lifecycle.touched.add(child.symbol)


def _sentence(child: Child, strangers: list[Stranger], gap: float) -> str:
    """Return a text of what was seen, and of what ends the block."""
    seen = [each.text for each in strangers[:3]]
    if len(strangers) > 3:
        seen.append(f"{len(strangers) - 3} more")
    if gap:
        seen.append(f"an account that holds {abs(gap):.12g} {'more' if gap > 0.0 else 'less'}")
    way = "buy" if child.sign > 0 else "sell"
    return (
        f"{child.client_id}: the venue knows no such order, and shows since it was sent "
        f"{', '.join(seen)}, which may be this {child.kind} order to {way} {child.quantity:.12g} "
        f"under another id; compare the venue's lists of orders and trades, and resume: "
        f"{what_follows(child)}"
    )


def what_follows(child: Child) -> str:
    """Return a text of what an order counts as after a resume."""
    if not child.reduces:
        return "the order counts then as never placed, and what is seen as somebody else's"
    return (
        "it counts then as executed, as far as the account lacks just that, or as never placed; "
        "an open order that agrees with it is taken over"
    )


def hold(lifecycle: OrderLifecycle, child: Child, text: str, now_ns: int) -> None:
    """Keep an order unknown, and block entries of its symbol."""
    if not child.unexplained:
        child.unexplained_ns = now_ns
        lifecycle.touched.add(child.symbol)
        lifecycle.commands.append(m.Refresh(what="holdings"))
    child.unexplained = text
    lifecycle.commands += lifecycle.guards.trip(UNEXPLAINED, now_ns, symbol=child.symbol, text=text)
