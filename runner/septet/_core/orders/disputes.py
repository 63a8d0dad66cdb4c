"""Executions that contradict their order: booked only once the account confirms them.

A report may be wrong: larger than its order, of an order that has ended, of the other side, older
than its order or than a read of it that shows less, with a malformed trade id, at an implausible
price. Such a report is queried again, and entries of the symbol are blocked meanwhile. The list
of executions confirms one that merely came late, and market prices confirm one at a price they
have reached. One that exceeds its order is decided by the account alone: it is booked if the
account holds it, and left out if the account agrees with the booked position. One at an
implausible price is then booked at the last known price, or the limit of its order if that is
better, and blocks entries until a person resumes, or the list gives a plausible price by which
the ledger is corrected: then both sides agree. One that a list shows at another price than it was
reported at blocks entries until a person resumes.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from septet import messages as m
from septet._core.orders import contradictions
from septet._core.orders.finality import complete_until_ns, final_after_ns
from septet._core.orders.lifecycle import CLOCKS_NS, OrderLifecycle, trade_key
from septet._core.orders.records import SECOND_NS, Child, Corrected, Disputed, FeeReported

__all__ = [
    "NEVER_NS",
    "RULE",
    "accept_all",
    "accepted_price",
    "follow_guesses",
    "next_time_ns",
    "price_fault",
    "reconsider",
    "resolve",
    "take",
    "tick",
]

RULE = "disputed_fill"
NEVER_NS = 1 << 63
FIRST_NS, MOST_NS = SECOND_NS, 60 * SECOND_NS
"""First and longest pause between reads of the account."""
KEPT = 64
"""Disputed executions of a symbol that are kept."""
PRICE_WAIT_NS = 2 * SECOND_NS
"""How long the market's prices have to reach that of an execution, before another is taken."""
ROUNDED = 1e-9
SAME_PRICE = 1e-6
"""How far the prices of one execution may lie apart in two messages, a fraction."""
NO_ID = frozenset({"", "none", "null", "nan"})


def take(lifecycle: OrderLifecycle, child: Child, fill: m.Filled, now_ns: int) -> None:
    """Book an execution of a child, or dispute it."""
    if lifecycle.is_booked(child, fill):
        if fill.listed:
            _compare(lifecycle, child, fill, now_ns)
        key = trade_key(fill, child.client_id)
        if lifecycle.guards.expected_fees.reports(key, fill):
            lifecycle.outcomes.append(FeeReported(key, fill))
        return
    odd = contradictions.fault_of_fill(child, fill)
    if odd and not fill.listed:
        contradictions.take(lifecycle, child, None, odd, now_ns)
        return
    if _is_presumed(child, fill):
        _name_presumed(lifecycle, child, fill, now_ns)
        return
    why = _fault(lifecycle, child, fill, now_ns)
    if why:
        _dispute(lifecycle, child, fill, why, now_ns)
        return
    _forget(lifecycle, child.symbol, fill, "it agrees with what is known", now_ns)
    lifecycle.book(child, fill, now_ns)


def _compare(lifecycle: OrderLifecycle, child: Child, fill: m.Filled, now_ns: int) -> None:
    """Block entries where a list shows another price than the one an execution was booked at.

    The ledger keeps the booked price, since only the account can show which one is true. A presumed
    price is corrected.
    """
    key = trade_key(fill, child.client_id)
    booked = child.paid.get(key, 0.0)
    if key in child.guessed and not price_fault(lifecycle, child, fill, now_ns):
        child.guessed.remove(key)
        child.paid[key] = fill.price
        text = (
            f"{child.client_id}: trade {fill.trade_id} is booked at {booked:.12g}, a guess, and "
            f"listed at {fill.price:.12g}: the ledger is corrected by "
            f"{child.sign * (booked - fill.price) * fill.quantity:.12g}"
        )
        lifecycle.alert("warning", RULE, text, child.symbol)
        awaited = lifecycle.guards.expected_fees.reprice(key, fill.price)
        fill = awaited if awaited is not None else fill  # its fee is corrected after its price
        _correct(lifecycle, child, fill, fill.trade_id, booked, fill.market_ns, False)
        _agree(lifecycle, child, fill.trade_id, now_ns)
        return
    disputes = lifecycle.records.disputes.setdefault(child.symbol, [])
    known = any(each.booked_price and each.fill.trade_id == fill.trade_id for each in disputes)
    if known or booked <= 0.0 or abs(fill.price - booked) <= SAME_PRICE * booked:
        return
    off = abs(fill.price - booked) * fill.quantity
    text = (
        f"{child.client_id}: trade {fill.trade_id} is booked at {booked:.12g} and listed at "
        f"{fill.price:.12g}: the ledger may be off by {off:.12g}"
    )
    disputes.append(
        Disputed(
            client_id=child.client_id, fill=fill, since_ns=now_ns, why=text, resolved=True,
            booked_price=booked,
        )
    )  # fmt: skip
    lifecycle.commands += lifecycle.guards.trip(RULE, now_ns, symbol=child.symbol, text=text)
    lifecycle.alert("critical", RULE, text, child.symbol)


def _is_presumed(child: Child, fill: m.Filled) -> bool:
    """Whether a listed execution is one that is booked because the account showed it."""
    fits = fill.quantity <= child.presumed_units + child.tolerance
    is_own = fill.symbol == child.symbol and (fill.side == "buy") == (child.sign > 0)
    return fill.listed and fits and is_own and _has_id(fill)


def _name_presumed(lifecycle: OrderLifecycle, child: Child, fill: m.Filled, now_ns: int) -> None:
    """Count a listed execution as the one that is booked, and correct the price and the fee.

    At an implausible price nothing is corrected; the alert then states the error of the ledger.
    """
    k, booked, key = child.symbol, child.presumed_price, trade_key(fill, child.client_id)
    odd = price_fault(lifecycle, child, fill, now_ns)
    lifecycle.records.trades[key] = child.client_id
    child.trades.append(key)
    child.paid[key] = fill.price
    share = min(1.0, fill.quantity / child.presumed_units) if child.presumed_units > 0.0 else 1.0
    child.presumed_units = max(0.0, child.presumed_units - fill.quantity)
    base_fee = share * child.presumed_fee
    child.presumed_fee -= base_fee
    off = child.sign * (booked - fill.price) * fill.quantity
    text = (
        f"{child.client_id}: trade {fill.trade_id} is what the account showed: "
        f"{fill.quantity:.12g} is booked at {booked:.12g} and listed at {fill.price:.12g}, with a "
        f"fee of {fill.fee:.12g} {fill.fee_currency}: "
    )
    if odd:
        text += f"{odd}, so nothing is corrected: but for that fee cash is off by {off:.12g}"
    else:
        text += f"the ledger is corrected by that fee, and by {off:.12g} for the price"
        _correct(
            lifecycle, child, fill, child.presumed_id, booked, child.presumed_ns, True, base_fee
        )
    if odd:
        each = Disputed(client_id=child.client_id, fill=fill, since_ns=now_ns, why=text)
        each.resolved, each.booked_price = True, booked
        lifecycle.records.disputes.setdefault(k, []).append(each)
        lifecycle.commands += lifecycle.guards.trip(RULE, now_ns, symbol=k, text=text)
        lifecycle.alert("critical", RULE, text, k)
        return
    lifecycle.alert("warning", RULE, text, k)
    if child.presumed_units <= child.tolerance:
        _agree(lifecycle, child, child.presumed_id, now_ns)


def _agree(lifecycle: OrderLifecycle, child: Child, trade_id: str, now_ns: int) -> None:
    """End the dispute of a presumed fill that the venue lists and that is corrected."""
    disputes = lifecycle.records.disputes.get(child.symbol)
    if disputes is None:
        return
    disputes[:] = [
        each for each in disputes
        if not each.booked_price or (each.client_id, each.fill.trade_id) != (
            child.client_id, trade_id,
        )
    ]  # fmt: skip
    _unblock(lifecycle, child.symbol, "the venue lists it, and the ledger is corrected", now_ns)


def _correct(
    lifecycle: OrderLifecycle, child: Child, fill: m.Filled, of: str, booked: float,
    booked_ns: int, has_fee: bool, base_fee: float = 0.0,
) -> None:  # fmt: skip
    """Let the ledger book the difference between a presumed fill and the listed one."""
    lifecycle.outcomes.append(
        Corrected(
            child.parent, child.symbol, child.client_id, child.sign * fill.quantity, of, booked,
            booked_ns, fill, has_fee, base_fee,
        )
    )  # fmt: skip


def _has_id(fill: m.Filled) -> bool:
    text = fill.trade_id.strip().lower()
    return text not in NO_ID and not (text[:1] == "-" and text[1:].isdigit())


def _fault(lifecycle: OrderLifecycle, child: Child, fill: m.Filled, now_ns: int) -> str:
    """Return why an execution cannot belong to its order, or ""."""
    return (
        _order_fault(child, fill)
        or _time_fault(lifecycle, child, fill)
        or price_fault(lifecycle, child, fill, now_ns)
    )


def _time_fault(lifecycle: OrderLifecycle, child: Child, fill: m.Filled) -> str:
    """Return why an execution of a list cannot belong to its order by its time, or ""."""
    if not fill.listed:
        return ""
    skewed = any(guard.rule == "clock_skew" for guard in lifecycle.guards.active())
    if not skewed and fill.venue_ns < child.sent_ns - CLOCKS_NS:
        return "it is stamped before its order was sent"
    reported = child.counted + fill.quantity
    old = fill.venue_ns < complete_until_ns(lifecycle, child.read_ns)
    if old and reported > child.read_filled + child.tolerance:
        return f"its order, read later, shows {child.read_filled:.12g} filled"
    return ""


def price_fault(lifecycle: OrderLifecycle, child: Child, fill: m.Filled, now_ns: int) -> str:
    """Return why the price of an execution is impossible, or ""."""
    limit, price = child.limit_price, fill.price
    if limit is not None and (price - limit) * child.sign > ROUNDED * limit:
        return f"{price:.12g} is worse than its limit of {limit:.12g}"
    low, high = lifecycle.checks.price_bounds(child.symbol, now_ns)
    if not low <= price <= high:
        known = lifecycle.checks.symbols[child.symbol].price
        return f"{price:.12g} is too far from the last known price, {known:.12g}"
    return ""


def _order_fault(child: Child, fill: m.Filled) -> str:
    if not _has_id(fill):
        return f"{fill.trade_id!r} is no trade id"
    if fill.symbol != child.symbol:
        return "it is of another symbol than its order"
    if (fill.side == "buy") != (child.sign > 0):
        return f"it is a {fill.side}, which its order is not"
    if child.presumed:
        return "what the account showed of its order is booked"
    if child.counted + fill.quantity > child.quantity + child.tolerance:
        return (
            f"{fill.quantity:.12g} more than {child.counted:.12g} filled of {child.quantity:.12g}"
        )
    if child.is_final and not fill.listed:
        return f"its order had ended, {child.state}"
    return ""


def _dispute(
    lifecycle: OrderLifecycle, child: Child, fill: m.Filled, why: str, now_ns: int
) -> None:
    """Hold an execution back, block entries, and query the order, its executions, the account."""
    k, disputes = child.symbol, lifecycle.records.disputes.setdefault(child.symbol, [])
    known = next((each for each in disputes if _is_same(each.fill, fill)), None)
    if known is not None and (known.fill.listed or not fill.listed):
        return
    if known is not None:
        disputes.remove(known)
    disputes.append(Disputed(client_id=child.client_id, fill=fill, since_ns=now_ns, why=why))
    if len(disputes) > KEPT:
        resolved = next((each for each in disputes if each.resolved), disputes[0])
        disputes.remove(resolved)
    text = f"{child.client_id}: trade {fill.trade_id} is not booked: {why}"
    lifecycle.commands += lifecycle.guards.trip(RULE, now_ns, symbol=k, text=text)
    if known is None:
        lifecycle.alert("critical", RULE, text, k)
    if not child.is_final:
        lifecycle.query_until_known(child, now_ns)
    lifecycle.records.dispute_pause_ns[k] = FIRST_NS
    _ask(lifecycle, k, now_ns)


def _is_same(first: m.Filled, second: m.Filled) -> bool:
    same = (first.trade_id, first.venue_order_id, first.side) == (
        second.trade_id, second.venue_order_id, second.side
    )  # fmt: skip
    return same and (first.quantity, first.price) == (second.quantity, second.price)


def _open(lifecycle: OrderLifecycle, k: int) -> list[Disputed]:
    """Return the disputed executions of a symbol that are neither booked nor dropped."""
    disputes = lifecycle.records.disputes.get(k, ())
    return [each for each in disputes if not each.resolved and not each.booked_price]


def _ask(lifecycle: OrderLifecycle, k: int, now_ns: int) -> None:
    """Query the executions and the account, and again after a growing pause."""
    records = lifecycle.records
    for each in _open(lifecycle, k)[:1]:
        child = records.children.get(each.client_id)
        if child is not None:
            lifecycle.refresh_fills(child)
    lifecycle.commands.append(m.Refresh(what="holdings"))
    pause_ns = records.dispute_pause_ns.get(k, FIRST_NS)
    newest_ns = max((each.since_ns for each in _open(lifecycle, k)), default=now_ns)
    # a read requested later than this is complete
    complete_ns = final_after_ns(lifecycle, newest_ns) + FIRST_NS
    next_ns = now_ns + pause_ns
    records.dispute_next_ns[k] = complete_ns if now_ns < complete_ns < next_ns else next_ns
    records.dispute_pause_ns[k] = min(2 * pause_ns, MOST_NS)


def tick(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Check disputed executions against the prices known now, and query the rest again."""
    for k, next_ns in list(lifecycle.records.dispute_next_ns.items()):
        if next_ns <= now_ns:
            _recheck(lifecycle, k, now_ns)
            if _open(lifecycle, k):
                _ask(lifecycle, k, now_ns)
            else:
                follow_guesses(lifecycle, k, now_ns)


def follow_guesses(lifecycle: OrderLifecycle, k: int, now_ns: int) -> None:
    """Query once a minute the executions of orders that have presumed fills."""
    records = lifecycle.records
    names = {each.client_id for each in records.disputes.get(k, ()) if each.booked_price}
    children = (records.children.get(name) for name in sorted(names))
    guessed = [
        child for child in children
        if child is not None and (child.presumed_units > child.tolerance or child.guessed)
    ]  # fmt: skip
    records.dispute_next_ns.pop(k, None)
    if guessed:
        lifecycle.refresh_fills(min(guessed, key=lambda child: child.sent_ns))
        records.dispute_next_ns[k] = now_ns + MOST_NS


def next_time_ns(lifecycle: OrderLifecycle, now_ns: int, next_ns: int) -> int:
    """Return the next time at which a disputed fill is queried, at most `next_ns`."""
    times = [each for each in lifecycle.records.dispute_next_ns.values() if now_ns < each < next_ns]
    return min(times, default=next_ns)


def reconsider(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    """Check again the disputed executions of a child that turned out to be another order."""
    _recheck(lifecycle, child.symbol, now_ns, child.client_id)


def _recheck(lifecycle: OrderLifecycle, k: int, now_ns: int, client_id: str = "") -> bool:
    """Book the disputed executions of a symbol, or of one child, that are plausible now."""
    booked = False
    for each in _open(lifecycle, k):
        child = lifecycle.records.children.get(each.client_id)
        if child is None or (client_id and child.client_id != client_id):
            continue
        if not _fault(lifecycle, child, each.fill, now_ns):
            lifecycle.alert(
                "warning", RULE, f"{each.client_id}: trade {each.fill.trade_id} is booked: it "
                "agrees with what is known now", k,
            )  # fmt: skip
            take(lifecycle, child, each.fill, now_ns)
            booked = True
    return booked


def _forget(lifecycle: OrderLifecycle, k: int, fill: m.Filled, by: str, now_ns: int) -> None:
    """Take an execution out of dispute."""
    disputes = lifecycle.records.disputes.get(k)
    if not disputes:
        return
    disputes[:] = [each for each in disputes if not _is_same(each.fill, fill)]
    _unblock(lifecycle, k, by, now_ns)


def _unblock(lifecycle: OrderLifecycle, k: int, by: str, now_ns: int) -> None:
    if not _open(lifecycle, k):
        lifecycle.records.dispute_next_ns.pop(k, None)
        if any(each.booked_price for each in lifecycle.records.disputes.get(k, ())):
            follow_guesses(lifecycle, k, now_ns)
            return  # booked at another price than reported by the venue: a person must check
        lifecycle.commands += lifecycle.guards.clear(RULE, by, symbol=k)


# ---------------------------------------------------------------- what the account reports


def resolve(
    lifecycle: OrderLifecycle,
    k: int,
    base: str,
    gap: float,
    tolerance: float,
    asked_ns: int,
    now_ns: int,
    *,
    left_out: bool = True,
    in_doubt: Collection[str] = (),
) -> bool:
    """Resolve disputed executions by a read of the account; return whether any was booked.

    Parameters
    ----------
    base
        The currency of the position.
    gap
        The account's position minus the booked one (base).
    tolerance
        Difference that is ignored (base): a lot.
    asked_ns
        When the read was requested (ns, wall time).
    left_out
        Whether executions that the account did not show before are considered again.
    in_doubt
        Orders that may have unreported executions, which would explain the difference as well.
        While there are any besides those of the executions, the account confirms none.
    """
    if _recheck(lifecycle, k, now_ns):
        return True
    unbooked = [each for each in lifecycle.records.disputes.get(k, ()) if not each.booked_price]
    if not unbooked:
        return False
    open_ = _open(lifecycle, k)
    stale = _may_be_stale(lifecycle, k, gap, tolerance, asked_ns)
    for candidates in (open_, unbooked) if left_out else (open_,):
        held = [each for each in candidates if _has_id(each.fill) and each.fill.symbol == k]
        newest_ns = max((each.since_ns for each in held), default=asked_ns)
        moved = sum(_net(each.fill, base) for each in held)
        # the expected fee may not have been deducted from it
        spare = sum(
            each.fill.fee
            for each in held
            if each.fill.fee_unread and each.fill.side == "buy" and each.fill.fee_currency == base
        )
        agrees = -tolerance <= gap - moved <= tolerance + spare
        others = stale or set(in_doubt) - {each.client_id for each in held}
        if held and abs(gap) > tolerance and agrees and newest_ns < asked_ns and not others:
            return _book(lifecycle, k, held, now_ns)
    newest_ns = max((each.since_ns for each in open_), default=now_ns)
    if abs(gap) <= tolerance and asked_ns > final_after_ns(lifecycle, newest_ns):
        for each in open_:
            each.resolved = True
            text = f"{each.client_id}: trade {each.fill.trade_id} is not in the account: left out"
            lifecycle.alert("warning", RULE, text, k)
        _unblock(lifecycle, k, "the account agrees with what is booked", now_ns)
    return False


def _may_be_stale(
    lifecycle: OrderLifecycle, k: int, gap: float, tolerance: float, asked_ns: int
) -> bool:
    """Whether the difference may be that of a read older than some booked fills."""
    recent = lifecycle.records.recent_fills.get(k)
    since_ns = complete_until_ns(lifecycle, asked_ns)
    lags = recent.lags(since_ns) if recent is not None else []
    return any(low - tolerance <= gap <= high + tolerance for low, high in lags)


def _net(fill: m.Filled, base: str) -> float:
    """Return the signed change of an execution in the base currency."""
    moved = fill.quantity if fill.side == "buy" else -fill.quantity
    return moved - (fill.fee if fill.fee_currency == base else 0.0)


def _book(lifecycle: OrderLifecycle, k: int, held: list[Disputed], now_ns: int) -> bool:
    """Book the executions that the account confirms; False while prices may still explain one."""
    children = lifecycle.records.children
    wrong = [
        each for each in held
        if each.client_id in children
        and price_fault(lifecycle, children[each.client_id], each.fill, now_ns)
    ]  # fmt: skip
    if any(now_ns - each.since_ns < PRICE_WAIT_NS for each in wrong):
        return False
    for each in held:
        child = children.get(each.client_id)
        if each not in wrong:
            lifecycle.records.disputes[k].remove(each)
        if child is None:
            continue
        fill, reported = each.fill, f"{each.client_id}: trade {each.fill.trade_id} is booked"
        if each in wrong:
            each.booked_price = price = accepted_price(lifecycle, child)
            fill = msgspec.structs.replace(fill, price=price)
            child.guessed.append(trade_key(fill, child.client_id))
            reported += f" at {price:.12g}, which was known, and not at {each.fill.price:.12g}"
        lifecycle.alert("critical", RULE, f"{reported}: the account holds it", k)
        lifecycle.book(child, fill, now_ns)
    _unblock(lifecycle, k, "the account holds it", now_ns)
    return True


def accepted_price(lifecycle: OrderLifecycle, child: Child) -> float:
    """Return the last known price, or the limit of an order if that is better for it."""
    price, limit = lifecycle.checks.symbols[child.symbol].price, child.limit_price
    if limit is not None and (price <= 0.0 or (price - limit) * child.sign > 0.0):
        return limit
    return price


def accept_all(lifecycle: OrderLifecycle) -> None:
    """Drop all disputed executions after an operator's resume."""
    for disputes in lifecycle.records.disputes.values():
        for each in disputes:
            each.resolved = True
        disputes[:] = [each for each in disputes if not each.booked_price]
    lifecycle.records.dispute_next_ns.clear()
