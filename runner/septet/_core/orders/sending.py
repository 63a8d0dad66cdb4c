"""Chooses the next order to send and its size, and processes the end of a child.

Each symbol has at most one order in flight. Reductions go before entries and cancel resting ones;
the protective stop at the venue is cancelled first, so that nothing is sold twice.
"""

from __future__ import annotations

import msgspec

from septet import messages as m
from septet._core.checks import floor_to_lot, inward, outward
from septet._core.orders import (
    foreign_orders,
    ghosts,
    lost_fills,
    stops,
    unexplained,
    waiting_levels,
    waiting_reductions,
)
from septet._core.orders.lifecycle import Level, OrderLifecycle
from septet._core.orders.records import DUST, Child, Ended, Parent, Work, tolerated

__all__ = [
    "advance", "end", "finished", "is_unblocked", "next_time_ns", "reprice", "request_cancel",
    "tick", "trim",
]  # fmt: skip


def end(lifecycle: OrderLifecycle, work: Work, state: m.OrderState, reason: str) -> None:
    """End a parent: nothing more is sent for it."""
    parent, records = work.parent, lifecycle.records
    work.ended = True
    queue = records.queues[parent.symbol]
    queue.remove(parent.number)
    if not queue:
        del records.queues[parent.symbol]
    del records.works[parent.number]
    if not work.children:
        lifecycle.commands.append(
            m.Changed(
                order=parent.number, client_id="", symbol=parent.symbol, state=state, filled=0.0,
                reason=reason, trace=parent.trace,
            )
        )  # fmt: skip
    lifecycle.outcomes.append(Ended(parent.number, parent.symbol, state, reason, work.filled))


def request_cancel(lifecycle: OrderLifecycle, work: Work, reason: str, now_ns: int) -> None:
    """Cancel the working children of a parent; without one it ends at once."""
    work.cancelled = work.cancelled or reason
    children = _children(lifecycle, work)
    for child in children:
        lifecycle.request_cancel(child, now_ns)
    finished = (lifecycle.records.children[name].parent for name in lifecycle.records.finished)
    if not children and work.parent.number not in finished:
        end(lifecycle, work, "cancelled", work.cancelled)


def _children(lifecycle: OrderLifecycle, work: Work) -> list[Child]:
    number = work.parent.number
    return [child for child in lifecycle.live(work.parent.symbol) if child.parent == number]


# ---------------------------------------------------------------- a child is final


def finished(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Update the parents of children that became final."""
    names, lifecycle.records.finished = lifecycle.records.finished, []
    for name in names:
        child = lifecycle.records.children[name]
        if child.protects:
            stops.finished(lifecycle, child, now_ns)
            continue
        work = lifecycle.records.works.get(child.parent)
        if work is not None and not _children(lifecycle, work):
            _follow(lifecycle, work, child, now_ns)


def _follow(lifecycle: OrderLifecycle, work: Work, child: Child, now_ns: int) -> None:
    """End a parent, or leave it in its queue for another child."""
    parent, reduces = work.parent, work.parent.reduces
    lot = lifecycle.instrument(parent.symbol).lot
    rest = abs(parent.quantity) - work.filled
    done = rest < lot * (1.0 - DUST) or rest <= DUST * abs(parent.quantity)
    if child.state == "filled" and work.cancelled and reduces:
        done = True
    if done and not (reduces and parent.closes_all and not work.cancelled):
        end(lifecycle, work, "filled", "")
    elif work.cancelled:
        end(lifecycle, work, "cancelled", work.cancelled)
    elif child.kind == "limit" and child.cancels and (work.takes or work.reprices):
        work.reprices = False
    elif reduces:
        _retry(lifecycle, work, child, now_ns)
    else:
        if child.state == "rejected":
            text = f"{child.client_id}: rejected, {child.reason} {child.claim_text}".strip()
            lifecycle.alert("error", "rejected_order", text, child.symbol)
        end(lifecycle, work, child.state, child.reason)


def _retry(lifecycle: OrderLifecycle, work: Work, child: Child, now_ns: int) -> None:
    """Send a reduction again: at once if it made progress, else after a growing pause."""
    timing = lifecycle.timing
    if child.state == "filled":
        work.tries = 0
        return
    if child.counted > 0.0:
        work.tries = 0
    work.tries += 1
    text = f"{child.client_id}: the reduction is {child.state}, {child.reason} {child.claim_text}"
    level: Level = "critical" if work.tries >= 3 else "error"
    lifecycle.alert(level, "rejected_order", text.strip(), child.symbol)
    got_on = child.counted > 0.0 and child.state != "rejected"
    if child.reason == "never_accepted" or got_on or ghosts.freed(lifecycle, child):
        return
    pause_ns = timing.retry_first_ns * 2 ** min(work.tries - 1, 30)
    work.retry_ns = now_ns + min(pause_ns, timing.retry_most_ns)


# ---------------------------------------------------------------- what goes next


def advance(lifecycle: OrderLifecycle, now_ns: int) -> bool:
    """Send the orders that may be sent; return whether a parent ended, which may release others."""
    moved = False
    for k in list(lifecycle.records.queues):
        moved |= _advance(lifecycle, k, now_ns)
    for k, stop in list(lifecycle.records.stops.items()):
        if stop.quantity or stop.child:  # otherwise no stop rests and none is requested
            stops.advance(lifecycle, k, now_ns)
    return moved


def _advance(lifecycle: OrderLifecycle, k: int, now_ns: int) -> bool:
    records = lifecycle.records
    live = lifecycle.live(k) if records.live else []
    busy = {child.parent for child in live}
    moved, idle = False, []
    for number in list(records.queues[k]):
        work = records.works[number]
        deadline_ns = work.parent.deadline_ns
        if 0 < deadline_ns < now_ns and not work.children and not work.parent.reduces:
            end(lifecycle, work, "expired", "deadline")
            moved = True
        elif number not in busy:
            idle.append(work)
    if not idle:
        return moved
    work = min(idle, key=_turn) if len(idle) > 1 else idle[0]
    if waiting_levels.has_left(lifecycle, work, now_ns):
        end(lifecycle, work, "expired", "level_left")
        return True
    if work.parent.reduces:  # an entry that was reported ended does not delay it
        if lifecycle.guards.is_unlisted(k):
            return moved
        live = [each for each in live if each.delays_reductions]
    if live and work.parent.reduces:
        _cancel_resting(lifecycle, work, live, now_ns)
    if live or stops.pauses(lifecycle, k, work, now_ns):  # a stop that rests meanwhile stays
        return moved
    if work.parent.reduces:
        stop = stops.standing(lifecycle, k) if records.stops else None
        if stop is not None and not lost_fills.let_exit_pass(lifecycle, stop, now_ns):
            _cancel_resting(lifecycle, work, [stop], now_ns)
            return moved
    elif waiting_reductions.delay(lifecycle, work, stops.standing(lifecycle, k)):
        return moved
    return _send(lifecycle, work, now_ns) or moved


def _turn(work: Work) -> tuple[bool, int]:
    """Sort key of the parents of a symbol: reductions first, then the older one."""
    return not work.parent.reduces, work.parent.number


def _cancel_resting(lifecycle: OrderLifecycle, work: Work, live: list[Child], now_ns: int) -> None:
    """Cancel resting orders that block a reduction, with an alarm if that takes too long."""
    for child in live:
        resting_work = lifecycle.records.works.get(child.parent)
        if child.kind != "market":
            if resting_work is not None and not child.protects:
                resting_work.cancelled = resting_work.cancelled or "superseded"
            lifecycle.request_cancel(child, now_ns)
    waiting_reductions.wait(lifecycle, work, live[0], now_ns)


def _send(lifecycle: OrderLifecycle, work: Work, now_ns: int) -> bool:
    """Size, check and send the next child of a parent, or end it; return True if it ended."""
    parent, k, sign = work.parent, work.parent.symbol, work.parent.sign
    quantity, rest = _size(lifecycle, work, sign)
    state: m.OrderState
    if quantity <= 0.0:
        is_gone = parent.reduces and lifecycle.is_gone(k)
        if is_gone or (parent.reduces and rest >= lifecycle.instrument(k).lot * (1.0 - DUST)):
            state, reason = "cancelled", "gone" if is_gone else "too_small"
        elif parent.reduces:
            state, reason = ("filled", "") if work.filled > 0.0 else ("cancelled", "flat")
        else:
            state, reason = ("filled", "") if work.filled > 0.0 else ("rejected", "lot")
        end(lifecycle, work, state, reason)
        return True
    changes = work.price is not None  # `reprice` has counted it
    kind, limit, trigger = _prices(lifecycle, work, sign, now_ns)
    if kind is None:
        end(lifecycle, work, "expired", "max_slippage")
        return True
    reason = _rejection(lifecycle, parent, quantity, rest, limit, trigger, now_ns, changes=changes)
    if reason:
        return _stopped(lifecycle, work, reason, now_ns)
    lifecycle.checks.sent(k, sign, quantity, parent.reduces, now_ns, changes=changes)
    _submit(lifecycle, work, kind, quantity, limit, trigger, now_ns)
    return False


def _rejection(
    lifecycle: OrderLifecycle, parent: Parent, quantity: float, rest: float, limit: float | None,
    trigger: float | None, now_ns: int, *, changes: bool, replaces: float = 0.0,
) -> str:  # fmt: skip
    """Return what prevents a child, new or changed, from being sent, or ""."""
    lifecycle.report_exposure()
    reason, k = "", parent.symbol
    if not parent.reduces:
        reason = "operator_halt" if lifecycle.records.kill else lifecycle.guards.blocked(k)
    return reason or lifecycle.checks.check(
        k, parent.sign, quantity, rest, limit, trigger, parent.reduces, parent.decided_price,
        now_ns, changes=changes, replaces=replaces,
    )  # fmt: skip


def _size(lifecycle: OrderLifecycle, work: Work, sign: int) -> tuple[float, float]:
    """Return the quantity to send, and its maximum; 0 if nothing is left."""
    parent, k = work.parent, work.parent.symbol
    instrument, price = lifecycle.instrument(k), lifecycle.checks.symbols[k].price
    rest = abs(parent.quantity) - work.filled
    if not parent.reduces:
        return floor_to_lot(max(0.0, rest), instrument.lot), rest
    held = -sign * lifecycle.reducible(k)
    most = held if parent.closes_all else min(rest, held)
    quantity = floor_to_lot(max(0.0, most), instrument.lot)
    if instrument.is_too_small(quantity, price) or lifecycle.is_gone(k):
        return 0.0, most
    if instrument.max_quantity > 0.0:
        quantity = min(quantity, floor_to_lot(instrument.max_quantity, instrument.lot))
    return quantity, most


def _prices(
    lifecycle: OrderLifecycle, work: Work, sign: int, now_ns: int
) -> tuple[m.OrderKind | None, float | None, float | None]:
    """Return kind, limit and trigger of the next child; no kind if the price moved too far."""
    parent = work.parent
    tick = lifecycle.checks.symbols[parent.symbol].instrument.tick
    if parent.patience_ns > 0 and parent.kind == "market":
        quote = _quote(lifecycle, parent.symbol, now_ns)
        if not work.takes and quote is not None:
            best = work.price if work.price is not None else quote[0 if sign > 0 else 1]
            work.price = None
            if not work.patience_until_ns:
                work.patience_until_ns = now_ns + parent.patience_ns
            work.repriced_ns = now_ns
            if _dear(work, best):
                return None, None, None
            return "limit", inward(best, tick, sign), None
        work.takes = True
        last = lifecycle.checks.symbols[parent.symbol].price
        price = quote[1 if sign > 0 else 0] if quote else last
        if _dear(work, price):
            return None, None, None
        return "market", None, None
    if parent.kind == "market":  # its limit is the level that it was decided at
        return "market", None, None
    limit = work.price if work.price is not None else parent.limit_price
    trigger = parent.trigger_price
    limit = None if limit is None else inward(limit, tick, sign)
    return parent.kind, limit, None if trigger is None else outward(trigger, tick, sign)


def _dear(work: Work, price: float) -> bool:
    """Whether a price is further from the decision price than `max_slippage` allows."""
    parent = work.parent
    if parent.reduces or parent.max_slippage <= 0.0 or parent.decided_price <= 0.0:
        return False
    worse = parent.sign * (price - parent.decided_price)
    return not worse <= parent.max_slippage * parent.decided_price


def _quote(lifecycle: OrderLifecycle, k: int, now_ns: int) -> tuple[float, float, int] | None:
    quote = lifecycle.records.quotes.get(k)
    if quote is None or now_ns - quote[2] > lifecycle.timing.quote_age_ns:
        return None
    return quote


def _stopped(lifecycle: OrderLifecycle, work: Work, reason: str, now_ns: int) -> bool:
    """Reject an entry, once; a reduction, or the part of a flip that is one, is retried."""
    parent, k = work.parent, work.parent.symbol
    if parent.reduces or (reason == "rate" and parent.is_increase):  # no endless retries
        work.retry_ns = now_ns + lifecycle.timing.retry_first_ns
        if parent.reduces and not work.alarmed:
            work.alarmed = True
            text = f"a reduction may not leave: {reason}"
            lifecycle.alert("critical", "reduction_waits", text, k)
        return False
    _notify(lifecycle, parent, f"order {parent.number} was rejected here", reason, now_ns)
    held = floor_to_lot(max(0.0, -parent.sign * lifecycle.position(k)), lifecycle.instrument(k).lot)
    if held > 0.0:
        quantity = parent.sign * min(abs(parent.quantity), held + work.filled)
        work.parent = msgspec.structs.replace(
            parent, reduces=True, closes_all=False, quantity=quantity, patience_ns=0, reason=reason
        )
        return True
    end(lifecycle, work, "filled" if work.filled > 0.0 else "rejected", reason)
    return True


def is_unblocked(lifecycle: OrderLifecycle, child: Child) -> bool:
    """Whether nothing cancels or blocks a child; guards never block a reduction or a flip."""
    if child.reduces or child.protects:
        return True
    if child.cancels or lifecycle.records.kill:
        return False
    k = child.symbol
    held = max(0.0, -child.sign * lifecycle.position(k))
    closes = floor_to_lot(held, lifecycle.instrument(k).lot) > 0.0
    return closes or bool(child.replaces) or not lifecycle.guards.blocked(k)


def _notify(
    lifecycle: OrderLifecycle, parent: Parent, rejected: str, reason: str, now_ns: int
) -> None:
    """Report what was rejected; a block has reported itself."""
    if reason in ("throttled", "turnover"):
        text = f"order {parent.number} exceeded it"
        lifecycle.commands += lifecycle.guards.trip(reason, now_ns, text=text)
    elif not lifecycle.guards.blocked(parent.symbol) and not lifecycle.records.kill:
        lifecycle.alert("warning", "rejected_order", f"{rejected}: {reason}", parent.symbol)


def _submit(
    lifecycle: OrderLifecycle, work: Work, kind: m.OrderKind, quantity: float, limit: float | None,
    trigger: float | None, now_ns: int,
) -> None:  # fmt: skip
    parent, timing = work.parent, lifecycle.timing
    deadline_ns = now_ns + timing.send_within_ns
    if not work.children and not parent.reduces and parent.deadline_ns:
        deadline_ns = min(deadline_ns, parent.deadline_ns)
    child = _new(lifecycle, work, kind, quantity, limit, trigger, now_ns)
    lifecycle.changed(child)
    work.waiting_ns, work.alarmed, work.alarms = 0, False, 0
    lifecycle.commands.append(
        m.Submit(
            client_id=child.client_id, parent=parent.number, symbol=parent.symbol,
            side="buy" if child.sign > 0 else "sell", order_type=kind, quantity=quantity,
            reduces=parent.reduces, deadline_ns=deadline_ns, limit_price=limit,
            trigger_price=trigger, reason=parent.reason, trace=parent.trace,
        )
    )  # fmt: skip


def _new(
    lifecycle: OrderLifecycle, work: Work, kind: m.OrderKind, quantity: float, limit: float | None,
    trigger: float | None, now_ns: int,
) -> Child:  # fmt: skip
    """Create a child with a new id; it is in flight from here on."""
    parent, timing, records = work.parent, lifecycle.timing, lifecycle.records
    name = foreign_orders.next_child_id(lifecycle, work)
    lot = lifecycle.checks.symbols[parent.symbol].instrument.lot
    child = Child(
        client_id=name, parent=parent.number, symbol=parent.symbol, sign=parent.sign,
        quantity=quantity, tolerance=tolerated(quantity, lot),
        kind=kind, limit_price=limit, trigger_price=trigger, reduces=parent.reduces,
        protects=False, sent_ns=now_ns, trace=parent.trace, state="submitted",
        query_next_ns=now_ns + timing.send_within_ns + timing.answer_within_ns,
        surplus=unexplained.surplus(lifecycle, parent.symbol),
    )  # fmt: skip
    records.children[name] = child
    records.live.append(name)
    lifecycle.touched.add(parent.symbol)
    return child


# ---------------------------------------------------------------- patience and prices


def tick(lifecycle: OrderLifecycle, work: Work, now_ns: int) -> None:
    """Take at the market when patience ends; follow the best price until then."""
    parent = work.parent
    if not work.patience_until_ns or work.takes or work.cancelled:
        return
    children = _children(lifecycle, work)
    if now_ns >= work.patience_until_ns:
        work.takes = True
        for child in children:
            lifecycle.request_cancel(child, now_ns)
        return
    quote = _quote(lifecycle, parent.symbol, now_ns)
    next_ns = work.repriced_ns + lifecycle.timing.reprice_ns
    if quote is None or len(children) != 1 or now_ns < next_ns:
        return
    child, sign = children[0], parent.sign
    best = quote[0 if sign > 0 else 1]
    tick_size = lifecycle.instrument(parent.symbol).tick or 1e-6 * best
    limit = child.limit_price
    if limit is None or sign * (best - limit) < tick_size * (1.0 - DUST) or _dear(work, best):
        return
    reprice(lifecycle, work, best, now_ns)


def reprice(lifecycle: OrderLifecycle, work: Work, price: float, now_ns: int) -> bool:
    """Move a resting limit order; return False where that cannot be done now.

    Where the changed order may not be sent, the resting one stays: it was allowed at its price,
    a block does not cancel resting orders, and a pause of a second does not end an entry.
    """
    children = _children(lifecycle, work)
    parent = work.parent
    if len(children) != 1 or work.cancelled:
        return False
    old = children[0]
    rests = old.state in ("open", "partially_filled")
    if old.kind != "limit" or old.cancels or old.claim or old.unconfirmed or not rests:
        return False
    if not lifecycle.checks.may_amend(now_ns):
        return False
    instrument = lifecycle.instrument(parent.symbol)
    limit = inward(price, instrument.tick, parent.sign)
    rest = abs(parent.quantity) - work.filled
    quantity = floor_to_lot(min(old.rest, rest), instrument.lot)
    if quantity <= 0.0:
        return False
    work.repriced_ns = now_ns
    reason = _rejection(
        lifecycle, parent, quantity, rest, limit, None, now_ns, changes=True, replaces=old.rest
    )
    if reason:
        if reason != work.rejected:
            rejected = f"a change of order {parent.number} was rejected here"
            _notify(lifecycle, parent, rejected, reason, now_ns)
        work.rejected = reason
        return False
    lifecycle.checks.amended(now_ns)
    if not lifecycle.timing.amends or not work.may_amend or old.by_venue_id:
        work.reprices, work.price = True, price
        lifecycle.request_cancel(old, now_ns)
        return True
    new = _new(lifecycle, work, "limit", quantity, limit, None, now_ns)
    new.replaces, old.replaced_by = old.client_id, new.client_id
    lifecycle.changed(new)
    lifecycle.commands.append(
        m.Amend(
            client_id=old.client_id, venue_order_id=old.venue_order_id,
            new_client_id=new.client_id, parent=parent.number, symbol=parent.symbol,
            side="buy" if parent.sign > 0 else "sell", quantity=quantity, limit_price=limit,
            deadline_ns=now_ns + lifecycle.timing.send_within_ns, trace=parent.trace,
        )
    )  # fmt: skip
    return True


def trim(lifecycle: OrderLifecycle, work: Work, now_ns: int) -> None:
    """Cancel a replacement that could fill more than the unfilled rest; the rest is sent again."""
    if work.parent.reduces or work.children < 2:
        return
    rest = abs(work.parent.quantity) - work.filled
    for child in _children(lifecycle, work):
        old = lifecycle.records.children.get(child.replaces)
        replaced = old is not None and old.is_final and not child.cancels
        if replaced and child.rest > rest + child.tolerance:
            work.reprices, work.price = True, child.limit_price
            lifecycle.request_cancel(child, now_ns)


def next_time_ns(lifecycle: OrderLifecycle, work: Work, now_ns: int, next_ns: int) -> int:
    """Return when a timer of a parent expires after `now_ns`, at most `next_ns`."""
    parent = work.parent
    if not work.children and not parent.reduces and parent.deadline_ns > 0:
        next_ns = _sooner(parent.deadline_ns + 1, now_ns, next_ns)
    if work.retry_ns:
        next_ns = _sooner(work.retry_ns, now_ns, next_ns)
    if work.waiting_ns:
        until_ns = work.waiting_ns + waiting_reductions.patience_ns(lifecycle, work)
        next_ns = _sooner(until_ns, now_ns, next_ns)
    if work.patience_until_ns and not work.takes:
        next_ns = _sooner(work.patience_until_ns, now_ns, next_ns)
        next_ns = _sooner(work.repriced_ns + lifecycle.timing.reprice_ns, now_ns, next_ns)
    return next_ns


def _sooner(at_ns: int, now_ns: int, next_ns: int) -> int:
    return at_ns if now_ns < at_ns < next_ns else next_ns
