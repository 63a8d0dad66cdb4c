"""Handles what the venue reports: acknowledgements, states, fills, lists of open orders."""

from __future__ import annotations

import math

import msgspec

from septet import messages as m
from septet._core.orders import (
    changed_ids,
    contradictions,
    disputes,
    foreign_orders,
    ghosts,
    lost_fills,
    report_checks,
    third_parties,
    unconfirmed_ends,
    unexplained,
    unnamed_fills,
)
from septet._core.orders.finality import complete_until_ns, final_after_ns
from septet._core.orders.ids import is_marked, own_id, parse
from septet._core.orders.lifecycle import FILLS_BEFORE_NS, OrderLifecycle, trade_key
from septet._core.orders.records import (
    RANK,
    Child,
    ThirdPartyOrder,
)

__all__ = ["claim_fills", "started", "take"]

UNCLAIMED = 1_024


def take(lifecycle: OrderLifecycle, event: m.Event) -> bool:
    """Process an event of the venue; return False for any other event."""
    match event:
        case m.Acked():
            _acked(lifecycle, event)
        case m.Filled():
            _filled(lifecycle, event)
        case m.Rejected():
            _rejected(lifecycle, event)
        case m.Uncertain():
            _uncertain(lifecycle, event)
        case m.OrderSeen():
            _order_seen(lifecycle, event, event.at_ns)
        case m.NotFound():
            _not_found(lifecycle, event)
        case m.CancelFailed():
            child = lifecycle.records.children.get(event.client_id)
            if child is not None and not child.is_final:
                lifecycle.cancel_failed(child, event.at_ns)
        case m.OpenOrders():
            _open_orders(lifecycle, event)
        case m.Unreadable():
            _unreadable(lifecycle, event)
        case m.FeedChanged(unlisted=True):  # the account may not ask anything for minutes
            if not lifecycle.guards.is_unlisted(event.symbol):
                ghosts.read_filters(lifecycle, event.at_ns)
        case _:
            return False
    return True


# ---------------------------------------------------------------- one order


def _identify(lifecycle: OrderLifecycle, child: Child, venue_order_id: str, now_ns: int) -> None:
    """Store the venue's id of a child, and assign the fills that waited for it."""
    if venue_order_id and child.venue_order_id != venue_order_id:
        child.venue_order_id = venue_order_id
        lifecycle.records.venue_ids[f"{child.symbol}:{venue_order_id}"] = child.client_id
        claim_fills(lifecycle, now_ns)


def _acked(lifecycle: OrderLifecycle, event: m.Acked) -> None:
    child = lifecycle.records.children.get(event.client_id)
    if child is None:
        text = f"an answer to {event.client_id}, which is not known"
        lifecycle.alert("error", "unknown_answer", text)
        return
    if event.venue_order_id not in ("", child.venue_order_id):
        child.ambiguous = child.by_venue_id = False  # the answer identifies the order
    _identify(lifecycle, child, event.venue_order_id, event.at_ns)
    report_checks.compare(lifecycle, child, event, event.at_ns, is_answer=True)
    _seen(lifecycle, child, event, event.at_ns)
    old = lifecycle.records.children.get(child.replaces)
    if old is not None and not old.is_final:
        lifecycle.query_until_known(old, event.at_ns)


def _seen(
    lifecycle: OrderLifecycle, child: Child, event: m.Acked | m.OrderSeen, now_ns: int
) -> None:
    """Process a state of an order from any source."""
    state, filled = event.state, event.filled
    by, text = (event.by, event.text) if isinstance(event, m.OrderSeen) else ("", "")
    odd = contradictions.fault_of(child, state, event.quantity, filled)
    if by == "query":
        lost_fills.shown(lifecycle, child, filled, now_ns)
    if odd:
        contradictions.take(lifecycle, child, state, odd, now_ns)
        if by == "cancel" and not child.is_final:
            lifecycle.cancel_failed(child, now_ns)
        return
    if child.is_final:
        _seen_after(lifecycle, child, state, filled)
        if lifecycle.is_final(state):
            ghosts.ended(lifecycle, child.client_id, now_ns)
        return
    if unconfirmed_ends.is_one(lifecycle, child, event):
        unconfirmed_ends.take(lifecycle, child, event, now_ns)
        return
    if by in ("query", "list"):
        child.agreed_ns = now_ns
        unconfirmed_ends.read(lifecycle, child, state, filled, now_ns)
    if by == "query" and not lifecycle.is_final(state):
        child.read_filled, child.read_ns = filled, now_ns
    child.exists = True
    child.vanished_ns = 0
    child.received_ns = max(child.received_ns, now_ns)
    seen, claim = child.seen, child.claim
    child.seen = max(child.seen, min(filled, child.quantity))
    if lifecycle.is_final(state):
        if child.claim is None or state == "filled":
            child.claim, child.claim_text = state, text or child.claim_text
        child.delete_ns = child.contradicted_ns = 0
        if child.claim == "filled":
            child.seen = max(child.seen, child.quantity)
    else:
        lifecycle.move(child, "partially_filled" if child.counted > child.tolerance else "open")
    if child.seen > seen or child.claim != claim:
        child.reported_ns = now_ns
    if child.claim is not None:
        child.query_next_ns = 0
    elif not child.contradicted_ns and child.unconfirmed is None:
        lifecycle.schedule_review(child, now_ns)
    lifecycle.update(child, now_ns)
    lifecycle.send_cancel(child, now_ns)


def _seen_after(life: OrderLifecycle, child: Child, state: m.OrderState, filled: float) -> None:
    """Process a report of a child that is final here: an old one, or a request accepted late."""
    if filled > child.seen + child.tolerance:
        child.seen = filled
        life.refresh_fills(child)
    if not (child.exists or life.is_final(state) or state in ("intent", "submitted", "unknown")):
        ghosts.cancel(life, child)


def _pending(lifecycle: OrderLifecycle, client_id: str) -> Child | None:
    """Return the child of a rejection or an unknown state: for an amend, the new one."""
    child = lifecycle.records.children.get(client_id)
    if child is not None and child.replaced_by:
        newer = lifecycle.records.children.get(child.replaced_by)
        if newer is not None and not newer.is_final and not newer.exists:
            return newer
    return child


def _rejected(lifecycle: OrderLifecycle, event: m.Rejected) -> None:
    child = _pending(lifecycle, event.client_id)
    if child is None or child.is_final:
        return
    if event.code == "duplicate":
        child.exists = True
        lifecycle.mark_unknown(child, event.at_ns, "the venue has it already")
        return
    if child.exists:
        lifecycle.query_until_known(child, event.at_ns)
        return
    if event.by in ("local", "gate"):
        lifecycle.checks.not_sent(child.symbol, child.sign, child.quantity)
    ghosts.refused(lifecycle, child, event, event.at_ns)
    child.claim_text = event.text
    lifecycle.finish(child, "rejected", event.code, event.at_ns)
    old = lifecycle.records.children.get(child.replaces)
    if old is not None:
        old.replaced_by = ""
        work = lifecycle.records.works.get(old.parent)
        if work is not None:
            work.may_amend = False
        lifecycle.query_until_known(old, event.at_ns)


def _uncertain(lifecycle: OrderLifecycle, event: m.Uncertain) -> None:
    child = _pending(lifecycle, event.client_id)
    if child is None or child.is_final:
        return
    if child.exists:
        lifecycle.query_until_known(child, event.at_ns)
    else:
        lifecycle.mark_unknown(child, event.at_ns, event.text)
    old = lifecycle.records.children.get(child.replaces)
    if old is not None:
        lifecycle.query_until_known(old, event.at_ns)


def _not_found(lifecycle: OrderLifecycle, event: m.NotFound) -> None:
    child = lifecycle.records.children.get(event.client_id)
    now_ns, asked_ns = event.at_ns, event.asked_ns
    if child is None or child.is_final:
        if event.by == "cancel":
            ghosts.ended(lifecycle, event.client_id, now_ns)
        return
    if event.by == "cancel":
        lifecycle.cancel_failed(child, now_ns)
        return
    if unconfirmed_ends.agrees(lifecycle, child, event.asked_ns, now_ns):
        return
    if not child.exists:
        if child.state == "unknown" and asked_ns > final_after_ns(lifecycle, child.unknown_ns):
            if unexplained.is_absent(lifecycle, child, now_ns):
                lifecycle.finish(child, "rejected", "never_accepted", now_ns)
        elif child.state == "unknown":
            unexplained.look(lifecycle, child, now_ns)
        return
    if child.missing_ns and asked_ns > final_after_ns(lifecycle, child.reported_ns):
        lost_fills.shown(lifecycle, child, 0.0, now_ns)
    if child.claim is not None or asked_ns <= final_after_ns(lifecycle, child.received_ns):
        return
    if child.vanished_ns == 0:
        child.vanished_ns = event.asked_ns
        lifecycle.refresh_fills(child)
    elif asked_ns > final_after_ns(lifecycle, child.vanished_ns):
        text = f"{child.client_id}: the venue knows it no more"
        lifecycle.alert("critical", "order_vanished", text, child.symbol)
        lifecycle.finish(child, "cancelled", "vanished", now_ns)


def _resolve(
    lifecycle: OrderLifecycle, client_id: str, venue_order_id: str, symbol: int
) -> Child | None:
    """Find a child by either id."""
    records = lifecycle.records
    child = records.children.get(client_id)
    if child is None and venue_order_id:
        child = records.children.get(records.venue_ids.get(f"{symbol}:{venue_order_id}", ""))
    return child


def _order_seen(lifecycle: OrderLifecycle, event: m.OrderSeen, now_ns: int) -> None:
    event = changed_ids.read(lifecycle, event, now_ns)
    for fill in unnamed_fills.answered(lifecycle, event):
        own = own_id(lifecycle.tag, event.client_id)
        if own and own not in lifecycle.records.children:
            _ours_unknown(lifecycle, msgspec.structs.replace(fill, client_id=event.client_id))
    if changed_ids.is_of_others(lifecycle, event):
        third_parties.take_order(lifecycle, event, now_ns)
        return
    child = _resolve(lifecycle, event.client_id, event.venue_order_id, event.symbol)
    if child is None:
        _take_unlisted(lifecycle, event, now_ns)
        return
    if event.symbol != child.symbol:
        report_checks.elsewhere(lifecycle, child, event, now_ns)
        return
    if event.by == "cancel" and _is_doubtful(lifecycle, child, event, now_ns):
        return
    _identify(lifecycle, child, event.venue_order_id, now_ns)
    changed_ids.note_id(lifecycle, child, event)
    if event.by != "cancel":
        report_checks.compare(lifecycle, child, event, now_ns)
    elif child.delete_ns and not lifecycle.is_final(event.state):
        lifecycle.cancel_failed(child, now_ns)
    _seen(lifecycle, child, event, now_ns)


def _is_doubtful(
    lifecycle: OrderLifecycle, child: Child, event: m.OrderSeen, now_ns: int
) -> bool:  # fmt: skip
    """Whether the answer to a cancel ends nothing: it is not of the order, or shows executions.

    The order is queried then, and its executions.
    """
    wrong = report_checks.cancel_fault(lifecycle, child, event)
    if wrong:
        text = (
            f"{child.client_id}: the answer to its cancel names {wrong}; nothing of that is taken"
        )
        lifecycle.alert("error", "unreadable", text, child.symbol)
    elif event.filled <= child.counted + child.tolerance or contradictions.fault_of(
        child, event.state, event.quantity, event.filled
    ):  # a report that contradicts itself ends nothing either
        return False
    lifecycle.refresh_fills(child)
    if not child.is_final:
        lifecycle.cancel_failed(child, now_ns)
    return True


def _unreadable(lifecycle: OrderLifecycle, event: m.Unreadable) -> None:
    """Query again what a venue reported in an unreadable form."""
    if event.about == "balance":
        lifecycle.commands.append(m.Refresh(what="holdings"))
    if event.about not in ("order", "fill"):
        return
    child = lifecycle.records.children.get(event.client_id)
    if child is not None:
        lifecycle.query_until_known(child, event.at_ns)
    symbols = (event.symbol,) if event.symbol >= 0 else tuple(range(len(lifecycle.checks.symbols)))
    since_ns = max(0, complete_until_ns(lifecycle, event.at_ns) - FILLS_BEFORE_NS)
    lifecycle.commands.append(m.Refresh(what="open_orders"))
    lifecycle.commands.append(m.Refresh(what="fills", symbols=symbols, since_ns=since_ns))


# ---------------------------------------------------------------- all orders


def _open_orders(lifecycle: OrderLifecycle, event: m.OpenOrders) -> None:
    records, now_ns = lifecycle.records, event.at_ns
    records.listed_ns = max(records.listed_ns, event.asked_ns)
    stale_ns = complete_until_ns(lifecycle, event.asked_ns)
    listed: set[str] = set()
    third_party: dict[str, ThirdPartyOrder] = {}
    own_count = 0
    for each in event.orders:
        seen = changed_ids.read(lifecycle, each, now_ns)
        is_of_others = changed_ids.is_of_others(lifecycle, seen)
        child = _resolve(lifecycle, seen.client_id, seen.venue_order_id, seen.symbol)
        if child is None or is_of_others:
            own_count += not is_of_others and is_marked(lifecycle.tag, seen.client_id)
            key, order = third_parties.of_order(seen)
            third_party[key] = order
            (third_parties.take_order if is_of_others else _take_unlisted)(lifecycle, seen, now_ns)
            continue
        own_count += 1
        if seen.symbol != child.symbol:
            report_checks.elsewhere(lifecycle, child, seen, now_ns)
            continue
        listed.add(child.client_id)
        odd = contradictions.fault_of(child, seen.state, seen.quantity, seen.filled)
        if event.asked_ns > child.read_ns and not odd:
            child.read_filled, child.read_ns = seen.filled, event.asked_ns
        if not child.is_final:
            _order_seen(lifecycle, seen, now_ns)
        elif child.final_ns < stale_ns or ghosts.locks(lifecycle, child, event.asked_ns):
            _identify(lifecycle, child, seen.venue_order_id, now_ns)
            changed_ids.note_id(lifecycle, child, seen)
            ghosts.cancel(lifecycle, child)
    lifecycle.touched.update(
        each.symbol for each in (*records.third_party.values(), *third_party.values())
    )
    records.third_party = third_party
    for name in list(records.live):
        child = records.children[name]
        absent = name not in listed and RANK[child.state] >= RANK["open"]
        if absent and child.claim is None and child.received_ns < stale_ns:
            lifecycle.query_until_known(child, now_ns)
    if records.kill == "cancelling" and event.asked_ns > records.kill_ns and not own_count:
        live = (records.children[name] for name in records.live)
        reached = (each for each in live if not lifecycle.guards.is_unlisted(each.symbol))
        if not any(each.sent_ns <= records.kill_ns for each in reached):
            records.kill = "done"
            lifecycle.alert("info", "kill_done", "the venue shows no open order of ours")


def _take_unlisted(lifecycle: OrderLifecycle, seen: m.OrderSeen, now_ns: int) -> None:
    """Handle a reported order that is not one of the known children.

    It is seen `now_ns`: an order inside a list need not be stamped itself.
    """
    k, listed = seen.symbol, seen.client_id
    if not is_marked(lifecycle.tag, listed):
        third_parties.take_order(lifecycle, seen, now_ns)
        return
    own, is_open = own_id(lifecycle.tag, listed) or listed, seen.state in third_parties.OPEN
    if not is_open:
        ghosts.ended(lifecycle, listed, now_ns)
    if foreign_orders.is_foreign(lifecycle, own):
        foreign_orders.take_order(lifecycle, seen, now_ns)
    elif is_open and seen.by != "stream":
        text = f"{listed} was final long ago and is open at the venue"
        name, sign = parse(lifecycle.tag, own), 1 if seen.side == "buy" else -1
        unfilled = seen.quantity - seen.filled
        if name is not None and name.parent < 0 and lifecycle.is_still_held(k, sign, unfilled):
            lifecycle.alert("critical", "ghost_order", text + ghosts.HELD, k)
            return
        lifecycle.alert("critical", "ghost_order", text, k)
        ghosts.cancel_stranger(lifecycle, listed, k, seen.venue_order_id)


# ---------------------------------------------------------------- fills


def _filled(lifecycle: OrderLifecycle, fill: m.Filled) -> None:
    numbers = 0.0 < fill.quantity < math.inf and 0.0 < fill.price < math.inf
    if not (numbers and math.isfinite(fill.fee) and math.isfinite(fill.fee_quote or 0.0)):
        text = f"trade {fill.trade_id}: {fill.quantity} at {fill.price} is no fill"
        lifecycle.alert("critical", "bad_fill", text, fill.symbol)
        return
    fill = changed_ids.read(lifecycle, fill, fill.at_ns)
    if changed_ids.is_of_others(lifecycle, fill):
        third_parties.take_fill(lifecycle, fill)
        return
    child = _resolve(lifecycle, fill.client_id, fill.venue_order_id, fill.symbol)
    if child is not None:
        # The fill itself first: naming the child may claim later ones.
        disputes.take(lifecycle, child, fill, fill.at_ns)
        _identify(lifecycle, child, fill.venue_order_id, fill.at_ns)
        changed_ids.note_id(lifecycle, child, fill)
    elif is_marked(lifecycle.tag, fill.client_id):
        _ours_unknown(lifecycle, fill)
    elif not fill.client_id and _may_be_ours(lifecycle, fill):
        waiting = lifecycle.records.unclaimed
        key = trade_key(fill, fill.venue_order_id)
        known = any(trade_key(each, each.venue_order_id) == key for each in waiting)
        if not known and len(waiting) < UNCLAIMED:
            waiting.append(fill)
    else:
        third_parties.take_fill(lifecycle, fill)


def _ours_unknown(lifecycle: OrderLifecycle, fill: m.Filled) -> None:
    """Process a fill with the run's tag whose order is not remembered."""
    own = own_id(lifecycle.tag, fill.client_id) or fill.client_id
    # A forgotten order had all its fills: a fill that is not newer is a repeat. A newer one is of a
    # further child of a known parent, which a copy of the run has sent.
    is_newer = fill.venue_ns > lifecycle.records.forgotten_ns.get(fill.symbol, 0)
    if is_newer or foreign_orders.is_foreign(lifecycle, own):
        foreign_orders.take_fill(lifecycle, fill)


def _may_be_ours(lifecycle: OrderLifecycle, fill: m.Filled) -> bool:
    """Whether a fill without a client id may belong to a child whose venue id is not known yet."""
    if fill.venue_ns <= lifecycle.records.forgotten_ns.get(fill.symbol, 0):
        return False
    children = (lifecycle.records.children[name] for name in lifecycle.records.live)
    return any(child.symbol == fill.symbol and not child.venue_order_id for child in children)


def claim_fills(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Assign fills without a client id to their child, or to a third party."""
    waiting, lifecycle.records.unclaimed = lifecycle.records.unclaimed, []
    for fill in waiting:
        child = _resolve(lifecycle, "", fill.venue_order_id, fill.symbol)
        if child is not None:
            disputes.take(lifecycle, child, fill, now_ns)
        elif _may_be_ours(lifecycle, fill):
            lifecycle.records.unclaimed.append(fill)
        else:
            third_parties.take_fill(lifecycle, fill)


# ---------------------------------------------------------------- after a restart


def started(lifecycle: OrderLifecycle, event: m.Started) -> None:
    """Mark orders unknown that were in flight when the process ended, and query the others."""
    records, now_ns = lifecycle.records, event.at_ns
    foreign_orders.begin_start(lifecycle, event.id_part)
    records.started_ns = now_ns
    if records.jumped_ns:  # a clock that was ahead may have been set right since
        records.jumped_ns = now_ns
    for name in list(records.live):
        child = records.children[name]
        child.delete_ns = child.delete_next_ns = 0
        if child.exists:
            lifecycle.query_until_known(child, now_ns)
        else:
            lifecycle.mark_unknown(child, now_ns, "the process ended before the answer")
    if records.kill:
        records.kill = "cancelling"
        records.kill_next_ns = now_ns
        records.kill_pause_ns = lifecycle.timing.kill_first_ns
    records.woken_ns = 0
