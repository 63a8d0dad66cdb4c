"""Orders that the venue reports filled, and whose executions cannot be found.

The report alone books nothing. Entries of the symbol are blocked, and the order, its executions and
the account are queried. A read of the account sent later than `answers_final_after` after the last
report decides. Units that it shows are booked at the last known price, and a person should look.
Units that it does not show may have been executed all the same, since a third party or another
order may have moved as much the other way: the order counts as gone only if a query of it, answered
later than `answers_final_after` after the report, does not show them either. Where the order says
that it was executed and the account does not, entries stay blocked until the executions are found
or a person resumes. Until then the engine watches the level of a stop, and an exit sells no more
than the account holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from septet import messages as m
from septet._core.checks import floor_to_lot
from septet._core.orders import contradictions, disputes
from septet._core.orders.finality import complete_until_ns, final_after_ns
from septet._core.orders.lifecycle import LOST, OrderLifecycle
from septet._core.orders.recent_fills import LARGEST_FEE
from septet._core.orders.records import RANK, SECOND_NS, Child, Disputed

__all__ = ["accept_all", "explain", "in_doubt", "let_exit_pass", "read", "resolve", "shown", "tick"]

FIRST_NS, MOST_NS = SECOND_NS, 60 * SECOND_NS
"""First and longest pause between reads of the account."""


def _lost(lifecycle: OrderLifecycle, k: int) -> list[Child]:
    """Return the orders of a symbol that lack executions and have been reported."""
    children = (lifecycle.records.children[name] for name in lifecycle.records.live)
    return [child for child in children if child.symbol == k and child.lost]


def tick(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    """Block entries after executions are missing for a moment; query the account repeatedly."""
    if not child.missing_ns or now_ns < child.missing_ns + lifecycle.timing.query_first_ns:
        return
    if not child.lost:
        child.lost, child.account_pause_ns = True, FIRST_NS
        k, text = child.symbol, lifecycle.lost_text(child)
        lifecycle.commands += lifecycle.guards.trip(LOST, now_ns, symbol=k, text=text)
        if child.protects:
            state = child.contradiction if child.contradicted_ns else "filled"
            text = f"{child.client_id}: the venue reports the stop {state}, and no execution is "
            text += "found; the engine watches the level until it is known"
            lifecycle.alert("error", "stop_lost", text, k)
    elif now_ns < child.account_ns:
        return
    if not child.contradicted_ns and not _is_answered(lifecycle, child):
        lifecycle.query(child)
    lifecycle.commands.append(m.Refresh(what="holdings"))
    pause_ns = child.account_pause_ns
    complete_ns = final_after_ns(lifecycle, child.reported_ns) + FIRST_NS
    next_ns = now_ns + pause_ns
    child.account_ns = complete_ns if now_ns < complete_ns < next_ns else next_ns
    child.account_pause_ns = min(2 * pause_ns, MOST_NS)


def read(lifecycle: OrderLifecycle, k: int, quantity: float, asked_ns: int) -> None:
    """Set the account's position of a symbol (base, signed)."""
    lifecycle.records.held[k] = quantity, asked_ns


def shown(lifecycle: OrderLifecycle, child: Child, filled: float, now_ns: int) -> None:
    """Set what the answer to a query of an order shows; the account is read once it can decide."""
    before = _is_answered(lifecycle, child)
    child.shown_filled, child.shown_ns = filled, now_ns
    if child.lost and not before and _is_answered(lifecycle, child):
        lifecycle.commands.append(m.Refresh(what="holdings"))


def let_exit_pass(lifecycle: OrderLifecycle, stop: Child, now_ns: int) -> bool:
    """Whether an exit may be sent although a stop is reported filled: the account holds units.

    The stop is cancelled once, since a stop that still rests locks the units to be sold. No exit
    waits for a stop that the venue does not know under its id.
    """
    k = stop.symbol
    if stop.unexplained:
        return True
    held, asked_ns = lifecycle.records.held.get(k, (0.0, 0))
    account_units = min(abs(lifecycle.position(k)), held if lifecycle.position(k) > 0.0 else -held)
    reported = stop.claim is not None or stop.contradicted_ns
    if not reported or not stop.lost or asked_ns <= stop.reported_ns:
        return False
    if floor_to_lot(max(0.0, account_units), lifecycle.instrument(k).lot) <= 0.0:
        return False
    if not stop.let_go:
        stop.let_go = True
        _cancel(lifecycle, stop)
    return True


def _cancel(lifecycle: OrderLifecycle, child: Child) -> None:
    lifecycle.commands.append(
        m.Cancel(
            client_id=child.client_id, symbol=child.symbol, venue_order_id=child.venue_order_id,
            reduces=child.reduces, by_venue_id=child.by_venue_id, trace=child.trace,
        )
    )  # fmt: skip


# ---------------------------------------------------------------- what the account reports


def resolve(
    lifecycle: OrderLifecycle, k: int, base: str, gap: float, asked_ns: int, now_ns: int
) -> bool:
    """Resolve executions that cannot be found, by a read of the account.

    Parameters
    ----------
    base
        The currency of the position.
    gap
        The account's position minus the booked one (base).
    asked_ns
        When the read was requested (ns, wall time).

    Returns
    -------
    bool
        Whether something was booked, after which `gap` is outdated.
    """
    lot = lifecycle.instrument(k).lot
    contradictions.resolve(lifecycle, k, gap, asked_ns, now_ns)
    lost, recent = _lost(lifecycle, k), lifecycle.records.recent_fills.get(k)
    open_ = [each for each in lifecycle.records.disputes.get(k, ()) if not each.resolved]
    names = {each.client_id for each in open_ if not each.booked_price}
    if not lost or any(child.client_id in names for child in lost):
        return False  # a disputed execution of it is resolved first
    if any(asked_ns <= final_after_ns(lifecycle, child.reported_ns) for child in lost):
        return False
    if recent is not None and len(recent.lags(complete_until_ns(lifecycle, asked_ns))) > 1:
        return False  # the read may be older than what is booked
    if set(in_doubt(lifecycle, k, gap)) - {child.client_id for child in lost}:
        return False  # an order of which nothing is known yet may have moved the account
    decided = _happened(lifecycle, lost, gap, lot)
    if decided is None:  # something else has moved the account as well, or it cannot be decided
        happened, dropped = [], [child for child in lost if child.accepted]
    else:
        happened = decided
        dropped = [each for each in lost if each in happened or _is_denied(lifecycle, each)]
    for child in lost:
        if child not in dropped:
            _ask_a_person(lifecycle, child, gap)
    fee, total_missing = _moved(happened) - gap, sum(map(_missing, happened))
    for child in dropped:
        if child in happened:  # each bears its share of the deductions in the base currency
            missing = _missing(child)
            moved = missing - child.sign * fee * (missing / total_missing)
            _book(lifecycle, child, base, moved, now_ns)
        if not child.is_final:
            _drop_missing(lifecycle, child, now_ns)
    return bool(happened)


def _happened(
    lifecycle: OrderLifecycle, lost: list[Child], gap: float, lot: float
) -> list[Child] | None:
    """Return the orders whose missing executions the account shows, or None if that is undecided.

    Of several orders of one size those count whose query does not deny what was reported.
    """
    nothing, moved = abs(gap) <= lot, _moved(lost)
    if nothing and abs(gap) <= min(abs(gap - _moved([each])) for each in lost):
        return []
    likely = [each for each in lost if not _is_denied(lifecycle, each)]
    for some in (likely, lost):
        if some and _explains(gap, some, lot):
            return some
        ones = [each for each in some if _explains(gap, [each], lot)]
        if ones:
            return ones if len(ones) == 1 else None
    if len(lost) == 1 and 0.0 < gap * lost[0].sign < moved * lost[0].sign:
        return lost if _is_part(lifecycle, lost[0], gap, lot) else None
    return None


def _is_answered(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether a query of the order was answered late enough after the last report."""
    return child.shown_ns > final_after_ns(lifecycle, child.reported_ns)


def _is_denied(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether a query of the order, or a person, states that nothing more was executed."""
    nothing = child.shown_filled <= child.counted + child.tolerance
    return child.accepted or (_is_answered(lifecycle, child) and nothing)


def _is_part(lifecycle: OrderLifecycle, child: Child, gap: float, lot: float) -> bool:
    """Whether the account shows the part that a query of the order shows.

    Once a person has resumed, what the account shows is the part, unless a query shows that nothing
    was executed: somebody else has moved the account then.
    """
    part = child.shown_filled - child.counted
    if not _is_answered(lifecycle, child):
        return child.accepted
    if part <= child.tolerance:
        return False
    is_less = part < _missing(child) - child.tolerance
    agrees = -lot - LARGEST_FEE * part <= gap - child.sign * part <= lot
    return child.accepted or (is_less and agrees)


def _ask_a_person(lifecycle: OrderLifecycle, child: Child, gap: float) -> None:
    """Send one alert where the account and a query of the order do not decide."""
    if child.alarmed or not _is_answered(lifecycle, child):
        return
    child.alarmed = True
    text = f"{lifecycle.lost_text(child)}; a query shows {child.shown_filled:.12g} executed, and "
    text += f"the account differs by {gap:.12g}; compare the venue's list of trades, then resume"
    lifecycle.alert("critical", LOST, text, child.symbol)


def _missing(child: Child) -> float:
    return max(0.0, (child.quantity if child.contradicted_ns else child.seen) - child.counted)


def explain(lifecycle: OrderLifecycle, k: int, gap: float) -> bool:
    """Whether missing executions explain the difference of the account."""
    children = (lifecycle.records.children[name] for name in lifecycle.records.live)
    missing = [child for child in children if child.symbol == k and child.missing_ns]
    lot = lifecycle.instrument(k).lot
    groups = [missing, *([each] for each in missing)] if missing else []
    return abs(gap) > lot and any(_explains(gap, each, lot) for each in groups)


def in_doubt(lifecycle: OrderLifecycle, k: int, gap: float) -> list[str]:
    """Return the live orders whose unreported fills may cause a difference of the account."""
    children = (lifecycle.records.children[name] for name in lifecycle.records.live)
    return [
        child.client_id for child in children
        if child.symbol == k
        and abs(gap) > lifecycle.instrument(k).lot
        and gap * child.sign > 0.0
        and (
            RANK[child.state] < RANK["open"] or child.kind == "market" or child.missing_ns > 0
            or child.unconfirmed is not None
        )
        and not _is_denied(lifecycle, child)
    ]  # fmt: skip


def _moved(lost: Sequence[Child]) -> float:
    """Return the position change by missing executions, before fees (base, signed)."""
    return sum(child.sign * _missing(child) for child in lost)


def _explains(gap: float, lost: Sequence[Child], lot: float) -> bool:
    """Whether executions explain a difference; fees may have been deducted in the base."""
    fee = LARGEST_FEE * sum(map(_missing, lost))
    return -lot - fee <= gap - _moved(lost) <= lot


def _drop_missing(lifecycle: OrderLifecycle, child: Child, now_ns: int) -> None:
    """Drop the missing executions: the order counts as gone."""
    text = f"{child.client_id}: {_missing(child):.12g} reported filled is not in the account"
    if child.contradicted_ns:
        text = f"{child.client_id}: reported {child.contradiction}; the account shows nothing of it"
    seen_open = child.agreed_ns > child.contradicted_ns
    claim = child.claim or (None if seen_open else child.contradicted_end)
    child.seen, child.contradicted_ns, child.contradicted_end = child.counted, 0, None
    if claim is None:
        lifecycle.alert("warning", LOST, f"{text}: left out", child.symbol)
        lifecycle.schedule_review(child, now_ns)
        lifecycle.update(child, now_ns)
        return
    lifecycle.alert("warning", LOST, f"{text}: the order counts as gone", child.symbol)
    _cancel(lifecycle, child)
    lifecycle.records.ghosts[child.client_id] = child.symbol
    child.cancels = False  # from here on it is handled like a lost stop
    state = "cancelled" if claim == "filled" else claim
    lifecycle.finish(child, state, "never_executed", now_ns)


def _book(lifecycle: OrderLifecycle, child: Child, base: str, moved: float, now_ns: int) -> None:
    """Book units that the account shows at the known price; block entries until a resume."""
    k, missing, lot = child.symbol, _missing(child), lifecycle.instrument(child.symbol).lot
    part = moved < (1.0 - (LARGEST_FEE if child.sign > 0 else 0.0)) * missing - lot
    quantity = moved if part else missing
    fee = max(0.0, child.sign * (missing - moved)) if not part else 0.0
    price = disputes.accepted_price(lifecycle, child)
    fill = m.Filled(
        at_ns=now_ns, venue="", symbol=k, trade_id=f"account-{child.client_id}-{now_ns}",
        client_id=child.client_id, venue_order_id=child.venue_order_id, venue_ns=child.reported_ns,
        market_ns=0, side="buy" if child.sign > 0 else "sell", quantity=quantity,
        price=price, fee=fee, fee_currency=base,
    )  # fmt: skip
    why = f"reported filled and never listed; the account shows it: booked at {price:.12g}"
    lifecycle.alert("critical", LOST, f"{child.client_id}: {quantity:.12g} {why}", k)
    each = Disputed(client_id=child.client_id, fill=fill, since_ns=now_ns, why=why)
    each.booked_price = price
    lifecycle.records.disputes.setdefault(k, []).append(each)
    lifecycle.commands += lifecycle.guards.trip(disputes.RULE, now_ns, symbol=k, text=each.why)
    child.presumed, child.presumed_units, child.presumed_price = True, quantity, price
    child.presumed_id, child.presumed_fee = fill.trade_id, fee
    disputes.follow_guesses(lifecycle, k, now_ns)
    lifecycle.book(child, fill, now_ns)


def accept_all(lifecycle: OrderLifecycle) -> None:
    """Drop missing executions at the next inconclusive read, after an operator's resume.

    Only those in the alert to the operator: a resume after a halt does not confirm others.
    """
    for name in lifecycle.records.live:
        child = lifecycle.records.children[name]
        child.accepted = child.accepted or (child.lost and child.alarmed)
