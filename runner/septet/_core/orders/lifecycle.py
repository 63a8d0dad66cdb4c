"""Life cycle of a child order: state changes, queries and cancels.

`OrderLifecycle` holds the records and collects commands; the modules beside it decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from septet import messages as m
from septet._core.checks import Checks, Instrument
from septet._core.guards import Guards
from septet._core.orders.finality import complete_until_ns
from septet._core.orders.records import (
    FINAL,
    RANK,
    SECOND_NS,
    Booked,
    Child,
    Outcome,
    RecentFills,
    Records,
    Timing,
    Triggered,
)
from septet._core.unsellable import is_gone

__all__ = [
    "CLOCKS_NS", "FILLS_BEFORE_NS", "LOST", "UNEXPLAINED", "Level", "OrderLifecycle", "trade_key",
]  # fmt: skip

Level = Literal["info", "warning", "error", "critical"]

LOST = "lost_fill"
"""The block of a symbol while the venue reports executions that the journal lacks."""
UNEXPLAINED = "unexplained_order"
"""The block of a symbol while an unknown order may be at the venue under another id."""
FILLS_BEFORE_NS = 60 * SECOND_NS
"""How long before an order was sent its fills are asked for: clocks differ."""
CLOCKS_NS = 5 * SECOND_NS
"""By how much stamps of a venue may be off."""
LONGEST_READ_NS = 60 * SECOND_NS
"""How long ago a read of the account that answers now may have been asked for."""


class OrderLifecycle:
    """The records of the order manager, and the commands issued since the last call."""

    def __init__(
        self, tag: str, checks: Checks, guards: Guards, position: Callable[[int], float],
        timing: Timing,
    ) -> None:  # fmt: skip
        self.tag, self.checks, self.guards = tag, checks, guards
        self.position, self.timing = position, timing
        self.records = Records()
        self.commands: list[m.Command] = []
        self.outcomes: list[Outcome] = []
        self.dirty = True
        self.touched: set[int] = set(range(len(checks.symbols)))

    # ------------------------------------------------------------------ reports

    def instrument(self, k: int) -> Instrument:
        """Return the lot, minimum and precision of a symbol."""
        return self.checks.symbols[k].instrument

    def alert(
        self, level: Level, event: str, text: str,
        symbol: int = -1,
    ) -> None:  # fmt: skip
        """Send an alert."""
        self.commands.append(m.Alerted(level=level, event=event, text=text, symbol=symbol))

    def changed(self, child: Child) -> None:
        """Report the state of a child."""
        self.commands.append(
            m.Changed(
                order=child.parent,
                client_id=child.client_id,
                symbol=child.symbol,
                state=child.state,
                filled=child.counted,
                reason=child.reason,
                trace=child.trace,
            )
        )

    def live(self, k: int) -> list[Child]:
        """Return the children of a symbol that are not final, protective stops left out."""
        children, live = self.records.children, list[Child]()
        for name in self.records.live:
            child = children[name]
            if child.symbol == k and not child.protects:
                live.append(child)
        return live

    # ------------------------------------------------------------------ states

    def move(self, child: Child, state: m.OrderState, reason: str = "") -> bool:
        """Move a state forward; return False where it would go back or stay."""
        if RANK[state] <= RANK[child.state]:
            return False
        was = child.state
        child.state, child.reason = state, reason
        self.changed(child)
        if was == "unknown":
            self._clear_unknown(child.symbol)
            if state != "rejected":
                self.explained(child, "the venue shows the order")
        return True

    def explained(self, child: Child, by: str) -> None:
        """Record that the outcome of an order that may have had another id is known."""
        if not child.unexplained:
            return
        child.unexplained, k = "", child.symbol
        self.touched.add(k)
        if not any(
            each.unexplained and each.symbol == k for each in self.records.children.values()
        ):
            self.commands += self.guards.clear(UNEXPLAINED, by, symbol=k)

    def _clear_unknown(self, k: int) -> None:
        children = self.records.children
        names = self.records.live
        if any(children[n].symbol == k and children[n].state == "unknown" for n in names):
            return
        self.commands += self.guards.clear("unknown_order", "it is known", symbol=k)

    def finish(self, child: Child, state: m.OrderState, reason: str, now_ns: int) -> None:
        """Make a child final; what follows for its parent is decided by `proceed`."""
        self.move(child, state, reason)
        child.final_ns = max(1, now_ns)
        child.query_next_ns = child.fills_ns = child.delete_ns = child.contradicted_ns = 0
        self._end_missing(child, "the order has ended")
        self.records.live.remove(child.client_id)
        self.records.finals.append(child.client_id)
        self.records.finished.append(child.client_id)
        self.touched.add(child.symbol)

    def update(self, child: Child, now_ns: int) -> None:
        """Update a live child from a report; a final state is accepted with all its fills."""
        if child.is_final:
            return
        if child.full:
            self.finish(child, "filled", "", now_ns)
        elif child.claim is not None and child.claim != "filled" and not self._misses(child):
            self.finish(child, child.claim, child.claim_text, now_ns)
        elif child.claim is not None or child.contradicted_ns or self._misses(child):
            self._miss(child, now_ns)
        else:
            child.fills_ns = 0
            self._end_missing(child, "its executions are found")

    def _misses(self, child: Child) -> bool:
        return child.counted < child.seen - child.tolerance

    def _miss(self, child: Child, now_ns: int) -> None:
        """Begin to query for lost fills, after a pause: they often arrive just after the report."""
        if child.missing_ns == 0:
            child.missing_ns = now_ns
            child.fills_pause_ns = self.timing.query_first_ns
            child.fills_ns = now_ns + child.fills_pause_ns

    @staticmethod
    def lost_text(child: Child) -> str:
        """Return what the venue reports of a child, and how much of it is known."""
        if child.contradicted_ns:
            return f"{child.client_id}: reported {child.contradiction}; {child.counted:.12g} found"
        return f"{child.client_id}: {child.seen:.12g} filled, {child.counted:.12g} found"

    def _end_missing(self, child: Child, by: str) -> None:
        """Record that no execution of a child is missing any more."""
        child.missing_ns = child.account_ns = 0
        if child.lost:
            child.lost, k = False, child.symbol
            children = (self.records.children[name] for name in self.records.live)
            if not any(other.lost and other.symbol == k for other in children):
                self.commands += self.guards.clear(LOST, by, symbol=k)

    # ------------------------------------------------------------------ queries

    def query(self, child: Child) -> None:
        """Query the venue for the state of a child."""
        self.commands.append(
            m.Query(
                client_id=child.client_id,
                symbol=child.symbol,
                venue_order_id=child.venue_order_id,
                since_ns=max(0, child.sent_ns - FILLS_BEFORE_NS),
                by_venue_id=child.by_venue_id,
                trace=child.trace,
            )
        )

    def query_until_known(self, child: Child, now_ns: int) -> None:
        """Query now, then again after growing pauses, until a review is scheduled instead."""
        if child.is_final:
            return
        self.query(child)
        child.query_pause_ns = self.timing.query_first_ns
        child.query_next_ns = now_ns + child.query_pause_ns

    def schedule_review(self, child: Child, now_ns: int) -> None:
        """Schedule the next query of a child of which nothing is unclear."""
        timing = self.timing
        quick = child.kind == "market" or child.cancels or (child.protects and child.counted > 0.0)
        child.query_pause_ns = 0
        child.query_next_ns = now_ns + (timing.market_review_ns if quick else timing.review_ns)

    def mark_unknown(self, child: Child, now_ns: int, text: str) -> None:
        """Move a child to the state unknown: whether the venue has accepted it is not known."""
        if child.is_final:
            return
        child.unknown_ns = max(child.unknown_ns, now_ns)
        if self.move(child, "unknown", text):
            self.commands += self.guards.trip(
                "unknown_order", now_ns, symbol=child.symbol, text=f"{child.client_id}: {text}"
            )
            if child.protects:
                held = abs(self.position(child.symbol))
                text = f"it is unknown whether the stop {child.client_id} rests at the venue: "
                text += f"{held:.12g} may be without one until it is found"
                self.alert("error", "stop_unconfirmed", text, child.symbol)
        self.query_until_known(child, now_ns)

    # ------------------------------------------------------------------ cancels

    def request_cancel(self, child: Child, now_ns: int) -> None:
        """Cancel a child; the DELETE is repeated until the order is gone."""
        if not child.cancels and not child.is_final:
            child.cancels = True
            self.send_cancel(child, now_ns)

    def send_cancel(self, child: Child, now_ns: int) -> None:
        """Send a DELETE if one is requested, none is in flight and the order was seen since.

        That of a stop waits while the venue asks for a pause: nothing could take its place.
        """
        killing = self.records.kill == "cancelling" and child.sent_ns <= self.records.kill_ns
        killing = killing and not child.by_venue_id  # its list does not tell that it is ours
        if (
            self.keeps_stop(child, now_ns) or not child.cancels
            or child.is_final or child.delete_ns or child.claim is not None
            or RANK[child.state] < RANK["open"] or now_ns < child.delete_next_ns or killing
            or (child.delete_failed_ns and child.received_ns <= child.delete_failed_ns)
        ):  # fmt: skip
            return
        child.delete_ns = now_ns
        self.commands.append(
            m.Cancel(
                client_id=child.client_id,
                symbol=child.symbol,
                venue_order_id=child.venue_order_id,
                reduces=child.reduces,
                by_venue_id=child.by_venue_id,
                trace=child.trace,
            )
        )

    def keeps_stop(self, child: Child, now_ns: int) -> bool:
        """Whether an order is the stop of a position and stays, since the venue asks for a pause.

        Neither another stop nor an exit would be accepted until its end.
        """
        records = self.records
        return (
            now_ns < records.paused_ns and child.protects
            and child.sign * records.stops[child.symbol].quantity < 0.0
        )  # fmt: skip

    def cancel_failed(self, child: Child, now_ns: int) -> None:
        """Query a child whose DELETE was not confirmed, before the next DELETE is sent."""
        timing = self.timing
        child.delete_ns = 0
        child.delete_failed_ns = now_ns
        pause = 2 * child.delete_pause_ns or timing.query_first_ns
        child.delete_pause_ns = min(pause, timing.query_longest_ns)
        child.delete_next_ns = now_ns + child.delete_pause_ns
        self.query_until_known(child, now_ns)

    # ------------------------------------------------------------------ fills

    def is_booked(self, child: Child, fill: m.Filled) -> bool:
        """Whether a fill of a child was counted already."""
        return trade_key(fill, child.client_id) in self.records.trades

    def book(self, child: Child, fill: m.Filled, now_ns: int) -> None:
        """Count a fill of a child, once."""
        records = self.records
        key = trade_key(fill, child.client_id)
        if key in records.trades:
            return
        late = child.is_final
        records.trades[key] = child.client_id
        child.trades.append(key)
        child.paid[key] = fill.price
        child.traded_ns = max(child.traded_ns, min(fill.venue_ns, now_ns))
        child.exists = True
        child.received_ns = max(child.received_ns, now_ns)
        child.counted += fill.quantity
        child.seen = max(child.seen, child.counted)
        k, work = child.symbol, records.works.get(child.parent)
        if k in records.held and not child.protects:
            held, asked_ns = records.held[k]
            records.held[k] = held + self._unread_move(fill, held, asked_ns), asked_ns
        keep_ns = now_ns - complete_until_ns(self, now_ns) + LONGEST_READ_NS
        records.recent_fills.setdefault(k, RecentFills()).add(fill, now_ns, keep_ns)
        self.touched.add(k)
        if work is not None and not child.protects:
            work.filled += fill.quantity
            work.tries = 0
        if child.protects:
            self._trigger(child)
        quantity = fill.quantity if fill.side == "buy" else -fill.quantity
        self.outcomes.append(Booked(child.parent, k, child.client_id, quantity, fill, late))
        self.checks.booked(k, fill.quantity, fill.price, now_ns, child.traded_ns)
        self._suspect(child, fill, late)
        if not late:
            if not self.move(child, "partially_filled") and not child.full:
                self.changed(child)
            self.update(child, now_ns)

    def _unread_move(self, fill: m.Filled, held: float, asked_ns: int) -> float:
        """Return by how much a fill moves a position read before (base, signed); 0 if in the read.

        A read that may be stale, and clocks that differ, leave that open for some fills: those
        count such that no exit sells more than the account holds.
        """
        moved = fill.quantity if fill.side == "buy" else -fill.quantity
        enlarges = held * moved > 0.0 or held == 0.0
        until_ns = asked_ns + CLOCKS_NS
        if not enlarges:
            until_ns = complete_until_ns(self, asked_ns) - CLOCKS_NS
        return moved if fill.venue_ns > until_ns else 0.0

    def _trigger(self, child: Child) -> None:
        stop = self.records.stops[child.symbol]
        if stop.child == child.client_id and stop.triggered:
            return
        stop.triggered = True
        self.outcomes.append(
            Triggered(child.symbol, child.client_id, child.trigger_price or stop.trigger)
        )

    def _suspect(self, child: Child, fill: m.Filled, late: bool) -> None:
        """Send an alert where a fill contradicts its order."""
        if late:
            text = f"{child.client_id}: a fill came after the order was {child.state}"
            self.alert("critical", "late_fill", text, child.symbol)
        if (fill.side == "buy") != (child.sign > 0):
            text = f"{child.client_id}: a fill of the other side, {fill.side}"
            self.alert("critical", "wrong_side", text, child.symbol)
        if child.counted > child.quantity + child.tolerance:
            text = f"{child.client_id}: {child.counted:.12g} filled of {child.quantity:.12g}"
            self.alert("critical", "overfill", text, child.symbol)

    # ------------------------------------------------------------------ timers

    def tick(self, child: Child, now_ns: int) -> None:
        """Run the timers of a child that have expired."""
        timing = self.timing
        if child.delete_ns and now_ns - child.delete_ns >= timing.answer_within_ns:
            self.cancel_failed(child, now_ns)
        if child.query_next_ns and now_ns >= child.query_next_ns:
            if child.state == "submitted":
                unread = child.unconfirmed and f"reported {child.unconfirmed}; no query shows it"
                self.mark_unknown(child, now_ns, unread or "no answer")
            else:
                self.query(child)
                self._report_unfilled(child, now_ns)
                pause = 2 * child.query_pause_ns or timing.query_first_ns
                child.query_pause_ns = min(pause, timing.query_longest_ns)
                child.query_next_ns = now_ns + child.query_pause_ns
        if child.fills_ns and now_ns >= child.fills_ns:
            self.refresh_fills(child)
            child.fills_pause_ns = min(2 * child.fills_pause_ns, timing.query_longest_ns)
            child.fills_ns = now_ns + child.fills_pause_ns
            if not child.alarmed and now_ns - child.missing_ns >= timing.wait_alarm_ns:
                child.alarmed = True
                self.alert("critical", LOST, self.lost_text(child), child.symbol)
        if child.cancels:
            self.send_cancel(child, now_ns)

    def _report_unfilled(self, child: Child, now_ns: int) -> None:
        """Report an exit at market that stays open or unknown: nothing else closes the position."""
        is_open = child.exists and child.claim is None and not child.cancels
        is_unknown = child.state == "unknown"
        if not ((is_open or is_unknown) and child.reduces and child.kind == "market"):
            return
        if not child.alarmed_unfilled and now_ns - child.sent_ns >= self.timing.wait_alarm_ns:
            child.alarmed_unfilled = True
            problem = f"{child.client_id} is open at the venue, not filled whole"
            if is_unknown:
                problem = f"it is unknown whether the exit {child.client_id} was accepted"
            text = f"{problem}: no stop rests there meanwhile and no other exit is sent; "
            text += "look at the venue" if is_unknown else "if it trades, close the position there"
            name = "exit_unconfirmed" if is_unknown else "exit_unfilled"
            self.alert("critical", name, text, child.symbol)

    def reducible(self, k: int) -> float:
        """Position of a symbol that a new order may reduce (base, signed): what the account holds.

        It is below the booked position only if the account holds less and the venue rejected a
        reduction for insufficient funds, or reports one filled without executions (a single wrong
        read makes no exit smaller), and while a reduction may be at the venue under another id.
        """
        position = self.guards.sellable_position(k, self.position(k))
        account_units = self.records.account_units.get(k, 0.0)
        lost = (self.records.children[name] for name in self.records.live)
        if any(_may_be_less(each) for each in lost if each.symbol == k):
            held = self.records.held.get(k, (position, 0))[0]
            least = max(0.0, min(position, held))
            return least if position > 0.0 else min(0.0, max(position, held))
        unfunded = k in self.records.unfunded and self.instrument(k).lot <= account_units < position
        return account_units if unfunded else position

    def is_gone(self, k: int) -> bool:
        """Whether a person has accepted that nothing is left of a position that can be sold."""
        return is_gone(self.checks, self.guards, k, self.position(k))

    def is_still_held(self, k: int, sign: int, quantity: float, booked: float = 0.0) -> bool:
        """Whether the account holds the position that a stop protects, though it is not booked."""
        position = self.position(k)  # `booked` will be booked later in this turn
        extra = sign * (position + booked - self.records.held.get(k, (position, 0))[0])
        return extra > 0.0 and extra >= quantity - self.instrument(k).lot

    def refresh_fills(self, child: Child) -> None:
        """Ask for the fills of a child's symbol since it was sent."""
        since_ns = max(0, child.sent_ns - FILLS_BEFORE_NS)
        self.commands.append(
            m.Refresh(what="fills", symbols=(child.symbol,), since_ns=since_ns, trace=child.trace)
        )

    def next_time_ns(self, child: Child, now_ns: int, next_ns: int) -> int:
        """Return when a timer of a child expires after `now_ns`, at most `next_ns`."""
        if now_ns < child.query_next_ns < next_ns:
            next_ns = child.query_next_ns
        if now_ns < child.fills_ns < next_ns:
            next_ns = child.fills_ns
        if now_ns < child.account_ns < next_ns:
            next_ns = child.account_ns
        if child.delete_ns:
            lost_ns = child.delete_ns + self.timing.answer_within_ns
            return lost_ns if now_ns < lost_ns < next_ns else next_ns
        if child.cancels and child.received_ns > child.delete_failed_ns:
            return child.delete_next_ns if now_ns < child.delete_next_ns < next_ns else next_ns
        return next_ns

    # ------------------------------------------------------------------ exposure

    def open_quantity(self, k: int, *, third_party: bool = True) -> tuple[float, float]:
        """Return what open orders of a symbol, own and third-party, could still buy and sell."""
        buys = sells = 0.0
        records = self.records
        for name in records.live:
            child = records.children[name]
            if child.symbol != k:
                continue
            if child.sign > 0:
                buys += child.rest
            else:
                sells += child.rest
        for order in records.third_party.values() if third_party else ():
            if order.symbol == k:
                buys += order.rest if order.sign > 0 else 0.0
                sells += order.rest if order.sign < 0 else 0.0
        return buys, sells

    def report_exposure(self) -> None:
        """Pass the checks the position and open orders of each symbol where they have changed."""
        records = self.records
        for k in self.touched:
            is_open = records.live or records.third_party
            buys, sells = self.open_quantity(k) if is_open else (0.0, 0.0)
            self.checks.held(k, self.position(k), buys, sells)
        self.touched.clear()

    @staticmethod
    def is_final(state: m.OrderState) -> bool:
        """Return whether a state is final."""
        return RANK[state] == FINAL


def _may_be_less(child: Child) -> bool:
    """Whether a live reduction may have been executed though nothing of it is booked."""
    return (child.lost and child.protects) or (bool(child.unexplained) and child.reduces)


def trade_key(fill: m.Filled, of: str) -> str:
    """Return the key that identifies a trade; `of` names its order.

    A trade id alone is not unique: a test network that is reset counts from one again, and both
    sides of a trade with oneself have the same id. Our own client ids are never reused.
    """
    return f"{fill.venue}|{fill.symbol}|{fill.trade_id}|{of}"
