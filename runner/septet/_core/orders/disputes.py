"""Executions that cannot be of their order: not booked until the venue's account agrees.

A report may be wrong: more than its order, of an order that has ended, of the other side, with a
trade id that is none. What such a report says is asked for again, and entries of the symbol are
blocked meanwhile. The list of executions settles one that merely came late. One that its order has
no room for is settled by the account alone: it is booked if the account holds it, and left out if
the account agrees with what is booked.
"""

from __future__ import annotations

from septet import messages as m
from septet._core.orders.desk import Desk
from septet._core.orders.records import SECOND_NS, Child, Disputed

__all__ = ["NEVER_NS", "accept_all", "due_ns", "reconsider", "settle", "take", "tick"]

RULE = "disputed_fill"
NEVER_NS = 1 << 63
FIRST_NS, MOST_NS = SECOND_NS, 60 * SECOND_NS
"""First and longest pause between reads of the account."""
KEPT = 64
"""Disputed executions of a symbol that are kept."""
NO_ID = frozenset({"", "none", "null", "nan"})


def take(desk: Desk, child: Child, fill: m.Filled, now_ns: int) -> None:
    """Book an execution of a child, or dispute it."""
    if desk.is_booked(child, fill):
        return
    why = _fault(child, fill)
    if why:
        _dispute(desk, child, fill, why, now_ns)
        return
    _forget(desk, child.symbol, fill, "the venue lists it")
    desk.book(child, fill, now_ns)


def _has_id(fill: m.Filled) -> bool:
    text = fill.trade_id.strip().lower()
    return text not in NO_ID and not (text[:1] == "-" and text[1:].isdigit())


def _fault(child: Child, fill: m.Filled) -> str:
    """Return why an execution cannot be of its order, or ""."""
    if not _has_id(fill):
        return f"{fill.trade_id!r} is no trade id"
    if fill.symbol != child.symbol:
        return "it is of another symbol than its order"
    if (fill.side == "buy") != (child.sign > 0):
        return f"it is a {fill.side}, which its order is not"
    if child.counted + fill.quantity > child.quantity + child.tolerance:
        return (
            f"{fill.quantity:.12g} more than {child.counted:.12g} filled of {child.quantity:.12g}"
        )
    if child.is_final and not fill.listed:
        return f"its order had ended, {child.state}"
    return ""


def _dispute(desk: Desk, child: Child, fill: m.Filled, why: str, now_ns: int) -> None:
    """Keep an execution apart, block entries and ask: the order, its executions, the account."""
    k, disputes = child.symbol, desk.records.disputes.setdefault(child.symbol, [])
    known = next((each for each in disputes if _is_same(each.fill, fill)), None)
    if known is not None and (known.fill.listed or not fill.listed):
        return
    if known is not None:
        disputes.remove(known)
    disputes.append(Disputed(client_id=child.client_id, fill=fill, since_ns=now_ns, why=why))
    if len(disputes) > KEPT:
        settled = next((each for each in disputes if each.settled), disputes[0])
        disputes.remove(settled)
    text = f"{child.client_id}: trade {fill.trade_id} is not booked: {why}"
    desk.commands += desk.guards.fire(RULE, now_ns, symbol=k, text=text)
    if known is None:
        desk.alert("critical", RULE, text, k)
    if not child.is_final:
        desk.look(child, now_ns)
    desk.records.dispute_pause_ns[k] = FIRST_NS
    _ask(desk, k, now_ns)


def _is_same(one: m.Filled, other: m.Filled) -> bool:
    same = (one.trade_id, one.venue_order_id, one.side) == (
        other.trade_id, other.venue_order_id, other.side
    )  # fmt: skip
    return same and (one.quantity, one.price) == (other.quantity, other.price)


def _open(desk: Desk, k: int) -> list[Disputed]:
    return [each for each in desk.records.disputes.get(k, ()) if not each.settled]


def _ask(desk: Desk, k: int, now_ns: int) -> None:
    """Ask for the executions and for the account, and again after a growing pause."""
    records = desk.records
    for each in _open(desk, k)[:1]:
        child = records.children.get(each.client_id)
        if child is not None:
            desk.refresh_fills(child)
    desk.commands.append(m.Refresh(what="holdings"))
    pause_ns = records.dispute_pause_ns.get(k, FIRST_NS)
    newest_ns = max((each.since_ns for each in _open(desk, k)), default=now_ns)
    sure_ns = newest_ns + desk.timing.settles_ns + FIRST_NS  # from then on a read shows all of it
    next_ns = now_ns + pause_ns
    records.dispute_next_ns[k] = sure_ns if now_ns < sure_ns < next_ns else next_ns
    records.dispute_pause_ns[k] = min(2 * pause_ns, MOST_NS)


def tick(desk: Desk, now_ns: int) -> None:
    """Ask again for what is disputed."""
    for k, next_ns in list(desk.records.dispute_next_ns.items()):
        if next_ns <= now_ns:
            _ask(desk, k, now_ns)


def due_ns(desk: Desk, now_ns: int, due: int) -> int:
    """Return when something disputed is asked for next, or `due` if that is not later."""
    times = [each for each in desk.records.dispute_next_ns.values() if now_ns < each < due]
    return min(times, default=due)


def reconsider(desk: Desk, child: Child, now_ns: int) -> None:
    """Judge again what is disputed of a child that turned out to be another order."""
    for each in _open(desk, child.symbol):
        if each.client_id == child.client_id and not _fault(child, each.fill):
            take(desk, child, each.fill, now_ns)


def _forget(desk: Desk, k: int, fill: m.Filled, by: str) -> None:
    """Take an execution out of dispute."""
    disputes = desk.records.disputes.get(k)
    if not disputes:
        return
    disputes[:] = [each for each in disputes if not _is_same(each.fill, fill)]
    _unblock(desk, k, by)


def _unblock(desk: Desk, k: int, by: str) -> None:
    if not _open(desk, k):
        desk.records.dispute_next_ns.pop(k, None)
        desk.commands += desk.guards.lift(RULE, by, symbol=k)


# ---------------------------------------------------------------- what the account says


def settle(
    desk: Desk, k: int, base: str, gap: float, tolerance: float, asked_ns: int, now_ns: int
) -> bool:
    """Settle what is disputed by a read of the account; return whether executions were booked.

    Parameters
    ----------
    base
        The currency of the position.
    gap
        By how much the account holds more than is booked.
    tolerance
        What does not count of that: a lot.
    asked_ns
        When the read left (wall time).
    """
    there = desk.records.disputes.get(k)
    if not there:
        return False
    open_ = _open(desk, k)
    for some in (open_, there):
        held = [one for one in some if _has_id(one.fill) and one.fill.symbol == k]
        newest_ns = max((one.since_ns for one in held), default=asked_ns)
        moved = sum(_net(one.fill, base) for one in held)
        if held and abs(gap) > tolerance >= abs(gap - moved) and newest_ns < asked_ns:
            _book(desk, k, held, now_ns)
            return True
    newest_ns = max((each.since_ns for each in open_), default=now_ns)
    if abs(gap) <= tolerance and asked_ns - desk.timing.settles_ns > newest_ns:
        for each in open_:
            each.settled = True
            text = f"{each.client_id}: trade {each.fill.trade_id} is not in the account: left out"
            desk.alert("warning", RULE, text, k)
        _unblock(desk, k, "the account agrees with what is booked")
    return False


def _net(fill: m.Filled, base: str) -> float:
    """Return what an execution moved in the base currency."""
    moved = fill.quantity if fill.side == "buy" else -fill.quantity
    return moved - (fill.fee if fill.fee_currency == base else 0.0)


def _book(desk: Desk, k: int, held: list[Disputed], now_ns: int) -> None:
    """Book what the account shows to have happened."""
    for each in held:
        desk.records.disputes[k].remove(each)
        child = desk.records.children.get(each.client_id)
        if child is not None:
            desk.alert(
                "critical", RULE, f"{each.client_id}: trade {each.fill.trade_id} is booked: the "
                "account holds it", k,
            )  # fmt: skip
            desk.book(child, each.fill, now_ns)
    _unblock(desk, k, "the account holds it")


def accept_all(desk: Desk) -> None:
    """Leave out everything that is disputed: a person has resumed."""
    for disputes in desk.records.disputes.values():
        for each in disputes:
            each.settled = True
    desk.records.dispute_next_ns.clear()
