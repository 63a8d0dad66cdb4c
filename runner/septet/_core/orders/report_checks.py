"""Compares an order as the venue reports it with the request.

The answer to the request and the first report of an order are compared in full; type, trigger and
limit price are compared again with each later report, since a list may be the first to show them.
An order that differs is cancelled, and entries of its symbol are blocked until a person resumes. A
protective stop that differs is cancelled first, since it locks the units that another would sell;
the engine watches the level until another stands (`stops.finished`).

The answer to a cancel must be of the order in all of this, and report no more executed than is
booked; otherwise the order and its executions are queried, and the answer ends and books nothing.
"""

from __future__ import annotations

from septet import messages as m
from septet._core.orders import contradictions, disputes
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import Child

__all__ = ["cancel_fault", "compare", "elsewhere"]

RULE = "ack_mismatch"
ROUNDED = 1e-9


def compare(
    lifecycle: OrderLifecycle, child: Child, event: m.Acked | m.OrderSeen, now_ns: int, *,
    is_answer: bool = False,
) -> None:  # fmt: skip
    """Compare a report of an order with the request.

    The answer to the request is compared even if the stream or a fill was faster: what was known
    by then stays, and the symbol is halted all the same. So it is with a word that contradicts
    itself.
    """
    if (child.echoed or child.is_final) and not is_answer:
        if not (child.is_final or child.differs):
            _differ(lifecycle, child, _terms(lifecycle, child, event, known=True), now_ns)
        return
    known = child.echoed or child.is_final
    odd = contradictions.contradicts_itself(
        event.state, event.quantity, event.filled, child.tolerance
    )
    child.echoed, known = child.echoed or not odd, known or odd
    wrong = []
    if (event.side == "buy") != (child.sign > 0):
        # only its executions and the account decide it, not an answer
        wrong.append(f"side {event.side}")
    quantity, asked_for = event.quantity, child.quantity
    if quantity is not None and child.replaces and quantity < asked_for:
        asked_for = quantity  # units filled meanwhile are not replaced
    if quantity is not None and abs(quantity - asked_for) > child.tolerance:
        wrong.append(f"quantity {quantity:.12g} for {asked_for:.12g}")
        asked_for = quantity
    child.quantity = child.quantity if known else asked_for
    wrong += _terms(lifecycle, child, event, known=known)
    disputes.reconsider(lifecycle, child, now_ns)
    _differ(lifecycle, child, wrong, now_ns)


def _terms(
    lifecycle: OrderLifecycle, child: Child, event: m.Acked | m.OrderSeen, *, known: bool
) -> list[str]:
    """Return how type and prices differ; those of a first report are what the order has."""
    wrong = []
    if event.order_type and event.order_type != child.kind:
        wrong.append(f"type {event.order_type} for {child.kind}")
    ordered, price = child.limit_price, event.price
    if ordered is not None and price and abs(price - ordered) > ROUNDED * ordered:
        wrong.append(f"price {price:.12g} for {ordered:.12g}")
        child.limit_price = ordered if known else price
    ordered, trigger = child.trigger_price, event.trigger_price
    if ordered is not None and trigger:
        least = max(ROUNDED * ordered, 0.5 * lifecycle.instrument(child.symbol).tick)
        if abs(trigger - ordered) > least:
            wrong.append(f"trigger price {trigger:.12g} for {ordered:.12g}")
            child.trigger_price = ordered if known else trigger
    elif trigger:
        wrong.append(f"trigger price {trigger:.12g} for none")
    return wrong


def cancel_fault(lifecycle: OrderLifecycle, child: Child, event: m.OrderSeen) -> str:
    """Return what in the answer to a cancel is not of this order, or "".

    Such an answer ends nothing: it may be about somebody else's order.
    """
    known, wrong = child.venue_order_id, []
    if known and event.venue_order_id and event.venue_order_id != known:
        wrong.append(f"order {event.venue_order_id} for {known}")
    if child.differs:  # it was not taken as it was sent
        return ", ".join(wrong)
    if (event.side == "buy") != (child.sign > 0):
        wrong.append(f"side {event.side}")
    if event.quantity and abs(event.quantity - child.quantity) > child.tolerance:
        wrong.append(f"quantity {event.quantity:.12g} for {child.quantity:.12g}")
    return ", ".join(wrong + _terms(lifecycle, child, event, known=True))


def _differ(lifecycle: OrderLifecycle, child: Child, wrong: list[str], now_ns: int) -> None:
    """Block entries of the symbol, and mark an order that differs for a cancel."""
    if not wrong:
        return
    text = f"{child.client_id}: the venue took {', '.join(wrong)}"
    lifecycle.commands += lifecycle.guards.trip(RULE, now_ns, symbol=child.symbol, text=text)
    if child.is_final:
        return
    work = lifecycle.records.works.get(child.parent)
    if work is not None and not child.protects and not work.parent.reduces:
        work.cancelled = work.cancelled or RULE
    child.cancels = child.differs = True


def elsewhere(lifecycle: OrderLifecycle, child: Child, event: m.OrderSeen, now_ns: int) -> None:
    """Cancel an order that the venue reports on another symbol than was asked for.

    The rest of the report is ignored. The order is not on the symbol of the request, which the
    answers to its queries show.
    """
    symbols = lifecycle.guards.symbols
    if not child.differs:
        wrong = [f"symbol {symbols[event.symbol]} for {symbols[child.symbol]}"]
        _differ(lifecycle, child, wrong, now_ns)
        lifecycle.commands += lifecycle.guards.trip(
            RULE, now_ns, symbol=event.symbol, text=f"{child.client_id}: the venue took {wrong[0]}"
        )
        child.differs = True
    elif event.by == "stream":
        return
    if not lifecycle.is_final(event.state):
        lifecycle.commands.append(
            m.Cancel(
                client_id=child.client_id, symbol=event.symbol,
                venue_order_id=event.venue_order_id, reduces=child.reduces, trace=child.trace,
            )
        )  # fmt: skip
