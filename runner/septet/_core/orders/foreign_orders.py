"""Orders with the run's own tag that its journal does not know: another copy of the run sent them.

The folder is an older copy or a restored backup, or the run goes on elsewhere. Whatever the state
of such an order, entries are blocked (safe mode) until a person resumes: the ledger lacks its
executions, which the resume books where that is exact (`foreign_fills`). Open ones may lock what an
exit has to sell, so they are cancelled once an exit was rejected, and all of them at a resume; a
stop stays that protects units beyond the booked ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from septet import messages as m
from septet._core.orders import foreign_fills, ghosts, unexplained
from septet._core.orders.ids import child_id, own_id, parse, stop_id
from septet._core.orders.lifecycle import Level, OrderLifecycle
from septet._core.orders.records import (
    FINAL,
    RANK,
    ForeignOrder,
    NeverSentOrder,
    Protection,
    Work,
)

__all__ = [
    "begin_start", "is_foreign", "next_child_id", "next_stop_id", "resume", "take_fill",
    "take_order",
]  # fmt: skip

KNOWN = 256
"""Foreign orders that are remembered."""
KNOWN_STARTS = 4_096
"""Starts of the process whose ids are told from those of a copy."""
WHAT_TO_DO = (
    "; this folder is an older copy of the run's folder, or the run goes on elsewhere. The ledger "
    "lacks the executions of such orders: equity, drawdown and loss halts leave them out. Stop the "
    "other process, and continue with the newest folder, or begin another run (--fresh); septet "
    "resume books them where every execution was found, continues with this ledger, and cancels "
    "open orders of the run that it does not know"
)


def begin_start(lifecycle: OrderLifecycle, id_part: str) -> None:
    """Number the ids of a start of the process anew, and remember those of the one before."""
    records = lifecycle.records
    if not id_part or id_part == records.start:
        return
    records.starts[records.start] = records.highest
    while len(records.starts) > KNOWN_STARTS:
        del records.starts[next(iter(records.starts))]
    for stop in records.stops.values():
        stop.numbers[records.start] = stop.number
        stop.number = 0
        while len(stop.numbers) > KNOWN_STARTS:
            del stop.numbers[next(iter(stop.numbers))]
    records.start = id_part


def next_child_id(lifecycle: OrderLifecycle, work: Work) -> str:
    """Return the id of the next child of a parent; ids that a copy has used are left out."""
    tag, records = lifecycle.tag, lifecycle.records
    while True:
        work.children += 1
        name = child_id(tag, work.parent.number, work.children, records.start)
        if name not in records.foreign:
            return name


def next_stop_id(lifecycle: OrderLifecycle, k: int, stop: Protection) -> str:
    """Return the id of the next stop of a symbol; ids that a copy has used are left out."""
    records = lifecycle.records
    while True:
        stop.number += 1
        name = stop_id(lifecycle.tag, k, stop.number, records.start)
        if name not in records.foreign:
            return name


def is_foreign(lifecycle: OrderLifecycle, client_id: str) -> bool:
    """Whether an id with the run's tag was never created by these records, or is of two orders."""
    records = lifecycle.records
    if client_id in records.foreign:
        return True
    name = parse(lifecycle.tag, client_id)
    if name is None:
        return True
    if client_id in records.children:  # known, but listed by the venue as another order
        return True
    is_current = name.start == records.start
    if not is_current and name.start not in records.starts:
        return True
    if name.parent < 0:
        stop = records.stops.get(name.symbol)
        if stop is None:
            return True
        return name.number > (stop.number if is_current else stop.numbers.get(name.start, 0))
    work = records.works.get(name.parent)
    highest = records.highest if is_current else records.starts[name.start]
    return name.parent > highest or (work is not None and name.number > work.children)


def take_order(lifecycle: OrderLifecycle, seen: m.OrderSeen, now_ns: int) -> None:
    """Report a foreign order; cancel it if it may lock the units of an exit that was rejected."""
    k, own = seen.symbol, own_id(lifecycle.tag, seen.client_id) or seen.client_id
    unexplained.note_order(lifecycle, seen, now_ns)
    order = _remembered(lifecycle, seen)
    order.quantity, order.filled = seen.quantity, max(order.filled, seen.filled)
    order.is_open = RANK[seen.state] < FINAL
    order.price = seen.average_price or order.price or seen.price or 0.0
    executed = f", {order.filled:.12g} executed" if order.filled > 0.0 else ""
    _report(lifecycle, k, own, f"the venue shows it {seen.state}{executed}{_as_listed(own, seen)}")
    if order.is_open and seen.by != "stream" and (order.cancels or _locks(lifecycle, order)):
        _cancel(lifecycle, order, now_ns)


def take_fill(lifecycle: OrderLifecycle, fill: m.Filled) -> None:
    """Report an execution of a foreign order; it is booked once a person has resumed."""
    if foreign_fills.is_booked(lifecycle, fill):
        return
    own = own_id(lifecycle.tag, fill.client_id) or fill.client_id
    unexplained.note_fill(lifecycle, fill, fill.at_ns)
    order = _remembered(lifecycle, fill)
    if fill.trade_id not in order.trades:
        order.trades.append(fill.trade_id)
        done = order.executed + fill.quantity
        order.price = (order.price * order.executed + fill.price * fill.quantity) / done
        order.executed = done
        order.filled = max(order.filled, done)
        order.fills.append(fill)
    if order.books:
        foreign_fills.book(lifecycle, [order], fill.at_ns)
    text = f"it was filled, {fill.side} {fill.quantity:.12g} at {fill.price:.12g}"
    _report(lifecycle, fill.symbol, own, text + _as_listed(own, fill))


def resume(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Book executions of foreign orders after a person has resumed, and cancel the open ones."""
    records = lifecycle.records
    records.foreign_reported = False
    orders = list(records.foreign_orders.values())
    executed = [each for each in orders if each.filled > 0.0 and not each.books]
    moved, why = foreign_fills.book(lifecycle, executed, now_ns)
    for order in executed:
        order.books = order.symbol in moved
    for order in orders:
        if order.is_open:
            _cancel(lifecycle, order, now_ns, moved.get(order.symbol, 0.0))
    _report_resume(lifecycle, [each for each in executed if each.books or not each.resumed], why)
    for order in orders:
        order.resumed = True


def _report_resume(
    lifecycle: OrderLifecycle, orders: Sequence[ForeignOrder], why: Sequence[str]
) -> None:
    """Report what was booked of orders, and what the ledger still lacks."""
    for books in (True, False):
        cash = [-each.sign * each.filled * each.price for each in orders if each.books is books]
        if not cash:
            continue
        what = f"{len(cash)} orders of this run that its journal did not know"
        moved = f"changed the cash by {sum(cash):.12g} before fees"
        if books:
            text = f"the executions of {what} are booked; they {moved}"
            lifecycle.alert("warning", "foreign_order", text)
            continue
        text = f"resumed with a ledger that lacks the executions of {what}; they {moved}, which "
        text += f"equity, drawdown and loss halts leave out: {'; '.join(why)}"
        lifecycle.alert("error", "foreign_order", text)


def _remembered(lifecycle: OrderLifecycle, seen: m.OrderSeen | m.Filled) -> ForeignOrder:
    known = lifecycle.records.foreign_orders
    key = f"{seen.symbol}:{seen.venue_order_id or seen.client_id}"
    if key not in known:
        known[key] = ForeignOrder(
            symbol=seen.symbol, sign=1 if seen.side == "buy" else -1, client_id=seen.client_id,
            venue_order_id=seen.venue_order_id, quantity=seen.quantity,
        )  # fmt: skip
        if len(known) > KNOWN:
            ended: Iterable[str] = (each for each, order in known.items() if not order.is_open)
            del known[next(iter(ended), next(iter(known)))]
    return known[key]


def _locks(lifecycle: OrderLifecycle, order: ForeignOrder) -> bool:
    """Whether an order may lock the units of an exit that the venue has rejected."""
    records = lifecycle.records
    works = (records.works[number] for number in records.queues.get(order.symbol, ()))
    rejected = any(work.parent.reduces and work.tries > 0 for work in works)
    return rejected and order.sign * lifecycle.position(order.symbol) < 0.0


def _cancel(
    lifecycle: OrderLifecycle, order: ForeignOrder, now_ns: int, booked: float = 0.0
) -> None:  # fmt: skip
    """Cancel an order; what its units are locked for waits a moment for the answer.

    `booked` is what will be booked of its symbol later in this turn (base, signed).
    """
    k, unfilled = order.symbol, order.quantity - order.filled
    text = f"{order.client_id} is open at the venue, and this journal does not know it"
    level: Level = "warning"
    if lifecycle.is_still_held(k, order.sign, unfilled, booked):
        order.cancels = False
        lifecycle.alert(level, "foreign_order", text + ghosts.HELD, k)
        return
    if not order.cancels:
        order.cancels = True
        text += ": it is cancelled, since it may lock what an exit sells or the stop covers"
        lifecycle.alert(level, "foreign_order", text, k)
    ghosts.cancel_stranger(lifecycle, order.client_id, k, order.venue_order_id)
    records, until_ns = lifecycle.records, now_ns + lifecycle.timing.retry_first_ns
    if order.sign * (lifecycle.position(k) + booked) >= 0.0:
        return
    if k in records.stops or booked:
        stop = records.stops.setdefault(k, Protection())
        stop.retry_ns = max(stop.retry_ns, until_ns)
    for number in records.queues.get(k, ()):
        if records.works[number].parent.reduces:
            records.works[number].retry_ns = max(records.works[number].retry_ns, until_ns)


def _as_listed(own: str, seen: m.OrderSeen | m.Filled) -> str:
    return "" if own == seen.client_id else f", listed as {seen.client_id}"


def _report(lifecycle: OrderLifecycle, k: int, client_id: str, text: str) -> None:
    """Report a foreign order once: the first one with what to do."""
    records = lifecycle.records
    known = records.foreign
    if client_id in known:
        return
    known.append(client_id)
    del known[:-KNOWN]
    was = "is known as another order" if client_id in records.children else "is not known here"
    text = f"{client_id} carries our mark and {was}: {text}"
    first, records.foreign_reported = not records.foreign_reported, True
    text += WHAT_TO_DO if first else ""
    lifecycle.outcomes.append(NeverSentOrder(k, client_id, text))
    lifecycle.alert("critical" if first else "error", "foreign_order", text, k)
