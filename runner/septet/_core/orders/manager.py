"""The order manager: turns the strategy's orders into requests, and answers into order states.

Use, for each event of the live core::

    guards.handle(event)                      # both take every event and pick theirs
    orders.handle(event)
    orders.place(parent, now_ns)              # orders, in any number and at any moment
    orders.request_cancel(number, "expired", now_ns)
    orders.protect(k, quantity, trigger)
    commands = orders.proceed(now_ns, apply)  # `apply` gets each outcome, then things are sent

`apply` runs before anything is sized, so that the position an order is sized by holds every fill
that was counted; it may place, cancel and protect. Nothing is sent but by `proceed`, which is cheap
when nothing is due: call it after every event. Its `Wake` also serves the guards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from septet import messages as m
from septet._core.checks import Checks
from septet._core.guards import Guards
from septet._core.orders import (
    accepted_orders,
    disputes,
    exposed,
    finality,
    foreign_orders,
    ghosts,
    lost_fills,
    missing_stops,
    sending,
    stop_rate,
    stops,
    unnamed_fills,
    unread_orders,
    venue_reports,
)
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import (
    Fill,
    Outcome,
    Parent,
    RecentFills,
    Records,
    Timing,
    Work,
)

__all__ = ["Orders"]

NEVER_NS = 1 << 63
ENDLESS = 1e300
"""Stands for infinity, which the journal cannot encode: more than any position."""
ROUNDS = 1_000
"""More rounds than any event can need; reaching it is a bug."""


class Orders:
    """Every order of a run, deterministic and without I/O.

    Parameters
    ----------
    tag
        The prefix of every client id: a letter and seven characters, from the run's id.
    checks, guards
        The last check before the wire, and what blocks entries. They keep snapshots of their own.
    position
        The signed quantity of a symbol that may be closed now (base currency, net of fees).
    timing
        Time limits, and capabilities of the venue.
    """

    def __init__(
        self, tag: str, checks: Checks, guards: Guards, position: Callable[[int], float],
        timing: Timing | None = None,
    ) -> None:  # fmt: skip
        self._lifecycle = OrderLifecycle(tag, checks, guards, position, timing or Timing())

    # ------------------------------------------------------------------ requests

    def place(self, parent: Parent, now_ns: int) -> None:
        """Queue an order of the strategy; `proceed` sends it, lets it wait or ends it."""
        records, self._lifecycle.dirty = self._lifecycle.records, True
        assert parent.number > records.highest, f"order {parent.number} was placed before"
        assert parent.quantity != 0.0, f"order {parent.number} has no quantity"
        records.highest = parent.number
        work = Work(parent=parent, placed_ns=now_ns)
        if parent.spends:
            works = records.works.values()
            # Reductions provide its cash; a given-up entry may still fill, and no limit
            # of the decision counts it any more.
            before = (each for each in works if each.parent.reduces or each.cancelled)
            work.waits_for = [each.parent.number for each in before]
            # The units of a stop count as sold from its first fill on.
            filling = (each.child for each in records.stops.values() if each.triggered)
            work.waits_for_stops = [name for name in filling if name in records.live]
        records.works[parent.number] = work
        records.queues.setdefault(parent.symbol, []).append(parent.number)

    def request_cancel(self, number: int, reason: str, now_ns: int) -> None:
        """Cancel the working children of a parent, and send nothing more for it."""
        work = self._lifecycle.records.works.get(number)
        if work is not None:
            self._lifecycle.dirty = True
            sending.request_cancel(self._lifecycle, work, reason, now_ns)

    def amend(self, number: int, price: float, now_ns: int) -> bool:
        """Move the limit of a resting order to a price (quote).

        Returns False if the order does not rest, or cannot be changed now.
        """
        work, self._lifecycle.dirty = self._lifecycle.records.works.get(number), True
        return work is not None and sending.reprice(self._lifecycle, work, price, now_ns)

    def protect(self, k: int, quantity: float, trigger: float, trace: str = "") -> None:
        """Request a stop at the venue for a position; a quantity of 0 requests none.

        `quantity` is the signed position (base), `trigger` its stop price (quote); a trigger that
        is not positive and finite is reported, and no stop is placed. Once a stop begins to fill,
        the request has ended: request another for the rest.
        """
        self._lifecycle.dirty = True
        stops.request(self._lifecycle, k, quantity, trigger, trace)

    def halt(self, now_ns: int, *, flattens: bool = False) -> None:
        """Drop unsent orders; cancel until the venue shows no order of the run.

        `flattens` closes positions as well; a plain halt after it does not weaken it.
        """
        lifecycle, records = self._lifecycle, self._lifecycle.records
        lifecycle.dirty = True
        records.kill, records.kill_ns = "cancelling", now_ns
        records.kill_flattens |= flattens
        records.kill_next_ns, records.kill_pause_ns = now_ns, lifecycle.timing.kill_first_ns
        self._kill(now_ns)
        for work in list(records.works.values()):
            sending.request_cancel(lifecycle, work, "operator_halt", now_ns)

    def resume(self) -> None:
        """Allow orders again after an operator's resume."""
        self._lifecycle.records.kill = ""
        self._lifecycle.records.kill_flattens = False
        self._lifecycle.dirty = True

    def touch(self, k: int) -> None:
        """Record that the position of a symbol has changed other than by an order."""
        self._lifecycle.touched.add(k)
        self._lifecycle.dirty = True

    # ------------------------------------------------------------------ facts

    def handle(self, event: m.Event) -> None:
        """Process an event; events that concern no order have no effect."""
        if isinstance(event, m.Quoted):
            self.quoted(event)
            return
        lifecycle = self._lifecycle
        lifecycle.dirty = True
        if venue_reports.take(lifecycle, event):
            return
        match event:
            case m.FiltersChanged(listed=True):
                instrument = lifecycle.instrument(event.symbol)
                instrument.lot, instrument.tick = event.lot, event.tick
                instrument.min_notional = event.min_notional
                instrument.trading = event.trading
                if event.min_quantity is not None:
                    instrument.min_quantity = event.min_quantity
                if event.max_quantity is not None:
                    instrument.max_quantity = event.max_quantity
                ghosts.retry(lifecycle, event.symbol)
            case m.VenueChanged(state="limited" | "banned" | "maintenance"):
                longest_ns = event.at_ns + lifecycle.timing.pause_most_ns
                lifecycle.records.paused_ns = min(event.until_ns, longest_ns)
            case m.VenueChanged(state="up"):
                lifecycle.records.paused_ns = 0
                # An order rejected while the venue was unreachable need not wait for its pause.
                for work in lifecycle.records.works.values():
                    work.retry_ns = 0
                for stop in lifecycle.records.stops.values():
                    stop.retry_ns = 0
            case m.Ticked() if event.jumped_ns > 0:
                finality.jumped(lifecycle, event)
            case m.Started():
                venue_reports.started(lifecycle, event)
                missing_stops.started(lifecycle)
            case m.Operated():
                self._operated(event)

    def quoted(self, event: m.Quoted) -> None:
        """Process a quote; orders that rest at the best price may follow it."""
        lifecycle, records = self._lifecycle, self._lifecycle.records
        records.quotes[event.symbol] = (event.bid, event.ask, event.at_ns)
        if records.works:
            lifecycle.dirty |= any(work.patience_until_ns for work in records.works.values())

    def _operated(self, event: m.Operated) -> None:
        if event.action in ("halt", "flatten"):
            self.halt(event.at_ns, flattens=event.action == "flatten")
        elif event.action == "resume":
            self._lifecycle.checks.resume()
            disputes.accept_all(self._lifecycle)
            lost_fills.accept_all(self._lifecycle)
            accepted_orders.accept_all(self._lifecycle, event.at_ns)
            foreign_orders.resume(self._lifecycle, event.at_ns)
            self.resume()
        elif event.action == "rearm":
            self._lifecycle.checks.rearm()
        elif event.action == "stop":
            # A stop that waits to be placed again is placed now: its level is soon not watched.
            for stop in self._lifecycle.records.stops.values():
                stop.retry_ns = 0

    # ------------------------------------------------------------------ what follows

    def proceed(self, now_ns: int, apply: Callable[[Outcome], None]) -> list[m.Command]:
        """Pass every outcome to `apply`; return the commands of the orders that may be sent.

        Parameters
        ----------
        now_ns
            Wall time.
        apply
            Called with each outcome in order; when it returns, `position` includes the fill.
        """
        lifecycle = self._lifecycle
        records = lifecycle.records
        # nothing has changed and nothing is due
        if not lifecycle.dirty and not lifecycle.outcomes and not 0 < records.woken_ns <= now_ns:
            return []
        self._tick(now_ns)
        for _ in range(ROUNDS):
            if records.finished:
                sending.finished(lifecycle, now_ns)
            if lifecycle.outcomes:
                outcomes, lifecycle.outcomes = lifecycle.outcomes, []
                for outcome in outcomes:
                    apply(outcome)
            moved = sending.advance(lifecycle, now_ns)
            if not moved and not lifecycle.outcomes and not records.finished:
                break
        else:
            raise AssertionError("the orders do not come to rest")
        missing_stops.update(lifecycle, now_ns)
        self._forget(now_ns)
        self._wake(now_ns)
        exposed.report(lifecycle, now_ns)
        commands, lifecycle.commands = lifecycle.commands, []
        lifecycle.dirty = False
        return commands

    def _tick(self, now_ns: int) -> None:
        """Run the timers that have expired."""
        lifecycle, records = self._lifecycle, self._lifecycle.records
        if records.woken_ns <= now_ns:
            records.woken_ns = 0
        if records.kill == "cancelling" and now_ns >= records.kill_next_ns:
            self._kill(now_ns)
        for name in list(records.live):
            child = records.children[name]
            if not child.is_final:
                lifecycle.tick(child, now_ns)
                lost_fills.tick(lifecycle, child, now_ns)
        for work in list(records.works.values()):
            if work.children > 1:
                sending.trim(lifecycle, work, now_ns)
            if work.patience_until_ns:
                sending.tick(lifecycle, work, now_ns)
        if records.unclaimed:
            venue_reports.claim_fills(lifecycle, now_ns)
        if records.unnamed:
            unnamed_fills.tick(lifecycle, now_ns)
        if records.dispute_next_ns:
            disputes.tick(lifecycle, now_ns)
        exposed.tick(lifecycle, now_ns)

    def _kill(self, now_ns: int) -> None:
        """Cancel all orders, query them, and repeat.

        A flatten keeps the stops of positions while the venue asks for a pause: no exit would be
        accepted in their place.
        """
        lifecycle, records = self._lifecycle, self._lifecycle.records
        before = [records.children[name] for name in records.live]
        before = [each for each in before if each.sent_ns <= records.kill_ns]
        kept_stops = [each for each in before if lifecycle.keeps_stop(each, now_ns)]
        kept_stops = kept_stops if records.kill_flattens else []
        symbols = tuple(range(len(lifecycle.checks.symbols)))
        entries: tuple[m.Cancel, ...] = ()
        if records.kill_flattens:
            live = (records.children[name] for name in records.live)
            entries = tuple(
                m.Cancel(
                    client_id=child.client_id, symbol=child.symbol,
                    venue_order_id=child.venue_order_id, by_venue_id=child.by_venue_id,
                )
                for child in live
                if not (child.reduces or child.is_final)
            )  # fmt: skip
        if kept_stops:
            lifecycle.commands += entries
        else:
            lifecycle.commands.append(
                m.CancelAll(symbols=symbols, flattens=records.kill_flattens, entries=entries)
            )
        lifecycle.commands.append(m.Refresh(what="open_orders"))
        records.kill_next_ns = now_ns + records.kill_pause_ns
        records.kill_pause_ns = min(2 * records.kill_pause_ns, lifecycle.timing.kill_most_ns)
        for child in before:
            child.cancels |= child not in kept_stops

    def _wake(self, now_ns: int) -> None:
        """Request the next tick, if it is earlier than the one already requested."""
        lifecycle, records = self._lifecycle, self._lifecycle.records
        next_ns = records.woken_ns or NEVER_NS
        asked_ns = next_ns
        for name in records.live:
            next_ns = lifecycle.next_time_ns(records.children[name], now_ns, next_ns)
        for work in records.works.values():
            if not work.children or work.retry_ns or work.waiting_ns or work.patience_until_ns:
                next_ns = sending.next_time_ns(lifecycle, work, now_ns, next_ns)
        for stop in records.stops.values():
            if stop.quantity and now_ns < stop.retry_ns < next_ns:
                next_ns = stop.retry_ns
        if records.stops and now_ns < records.paused_ns < next_ns:  # what a stop waits for
            next_ns = records.paused_ns
        if records.kill == "cancelling" and now_ns < records.kill_next_ns < next_ns:
            next_ns = records.kill_next_ns
        next_ns = disputes.next_time_ns(lifecycle, now_ns, next_ns)
        next_ns = missing_stops.next_time_ns(lifecycle, now_ns, next_ns)
        next_ns = unnamed_fills.next_time_ns(lifecycle, now_ns, next_ns)
        wake_ns = lifecycle.guards.wake_ns()
        if now_ns < wake_ns < next_ns:
            next_ns = wake_ns
        if next_ns < asked_ns:
            records.woken_ns = next_ns
            lifecycle.commands.append(m.Wake(at_ns=next_ns))

    def _forget(self, now_ns: int) -> None:
        """Forget orders that have been final for long; their fills stay known by their times."""
        records, timing = self._lifecycle.records, self._lifecycle.timing
        while records.finals:
            child = records.children[records.finals[0]]
            if (
                len(records.finals) <= timing.remember
                and child.final_ns + timing.remember_ns > now_ns
            ):
                return
            records.finals.pop(0)
            del records.children[child.client_id]
            name = f"{child.symbol}:{child.venue_order_id}"
            if records.venue_ids.get(name) == child.client_id:  # else it was given out again
                del records.venue_ids[name]
            for key in child.trades:
                del records.trades[key]
            newest = max(records.forgotten_ns.get(child.symbol, 0), child.traded_ns)
            records.forgotten_ns[child.symbol] = newest

    # ------------------------------------------------------------------ queries

    def resolve_disputes(
        self, k: int, base: str, gap: float, tolerance: float, asked_ns: int, now_ns: int
    ) -> bool:
        """Resolve disputed and missing executions of a symbol by the account's difference.

        `gap` is the account's position minus the booked one, `tolerance` the difference that is
        ignored (both base); `asked_ns` is when the read was requested (wall time). Returns whether
        fills were booked, after which `gap` is outdated. See `disputes.resolve`.
        """
        lifecycle, self._lifecycle.dirty = self._lifecycle, True
        lifecycle.commands += lifecycle.guards.read_after(ghosts.REJECTED, k, asked_ns)
        lost_fills.read(lifecycle, k, lifecycle.position(k) + gap, asked_ns)
        left_out = not lost_fills.explain(lifecycle, k, gap)
        if disputes.resolve(
            lifecycle, k, base, gap, tolerance, asked_ns, now_ns, left_out=left_out,
            in_doubt=lost_fills.in_doubt(lifecycle, k, gap),
        ):  # fmt: skip
            return True
        return lost_fills.resolve(lifecycle, k, base, gap, asked_ns, now_ns)

    def account_holds(self, k: int, quantity: float | None) -> None:
        """Record a position of the account (base, signed) below the booked one; None if not."""
        records = self._lifecycle.records
        if quantity is not None:
            records.account_units[k] = quantity
            return
        records.account_units.pop(k, None)
        if (
            k in records.unfunded
        ):  # the rejection was of a moment: a stop follows the position again
            records.unfunded.remove(k)

    def explains_nothing(self, k: int) -> bool:
        """Whether no order of a symbol may have been executed without a report of it.

        A stop that rests has not; of any other order that has not ended it is not known.
        """
        records = self._lifecycle.records
        live = (records.children[name] for name in records.live)
        rests = all(
            each.protects and missing_stops.acts(each) and not (each.counted or each.missing_ns)
            for each in live
            if each.symbol == k
        )
        return rests and all(each.resolved for each in records.disputes.get(k, ()))

    def band(self, k: int, since_ns: int | None = None) -> tuple[float, float]:
        """Return low and high change of a position by unreported fills of open orders (base).

        With `since_ns` (wall time) orders that were read later are left out: `unread_orders`.
        """
        return unread_orders.band(self._lifecycle, k, since_ns)

    def lags(self, k: int, asked_ns: int, others: Sequence[Fill] = ()) -> list[tuple[float, float]]:
        """Return the low and high difference (base) of a stale but correct read, for each instant.

        The read was requested at `asked_ns` (wall time). It shows the account at one instant since
        then, or up to `Timing.answers_final_after_ns` earlier; `others` are fills of other
        strategies since then.
        """
        recent = self._lifecycle.records.recent_fills.get(k) or RecentFills()
        return recent.lags(self.complete_until_ns(asked_ns), others)

    def complete_until_ns(self, asked_ns: int) -> int:
        """Return the wall time (UTC ns) up to which a read requested at `asked_ns` is complete."""
        return finality.complete_until_ns(self._lifecycle, asked_ns)

    def unread(self, k: int, asked_ns: int) -> tuple[tuple[float, float], tuple[Fill, ...]]:
        """Return the unreported amounts that other strategies must allow for in their comparison.

        The first is the low and high change by unreported fills of open orders (base; practically
        unbounded if there were too many fills to keep), the second the fills that `lags` uses.
        """
        since_ns = self.complete_until_ns(asked_ns)
        buys, sells = self._lifecycle.open_quantity(k, third_party=False)
        recent = self._lifecycle.records.recent_fills.get(k) or RecentFills()
        if recent.dropped_ns >= since_ns:
            return (-ENDLESS, ENDLESS), ()
        return (-sells, buys), tuple(each for each in recent.fills if each[0] >= since_ns)

    def protected(self, k: int) -> bool:
        """Whether a stop rests at the venue; if none does, the engine tests the level."""
        child = stops.standing(self._lifecycle, k)
        if child is None or child.unconfirmed is not None:
            return False
        if stop_rate.is_behind(self._lifecycle, self.records.stops[k], child):
            return False
        return child.exists and not child.cancels and not child.lost

    def lacks_stop(self, k: int) -> bool:
        """Whether the stop of a position does not act, or covers too little: nothing is added."""
        return missing_stops.lacks(self._lifecycle, k)

    def is_left_to_stop(self, k: int, price: float, held: float, now_ns: int) -> bool:
        """Whether the stop that rests at the venue is to act on a price, and not the engine."""
        return self.protected(k) and stops.is_left_to(self._lifecycle, k, price, held, now_ns)

    def booked_at(self, client_id: str, trade_id: str, market_ns: int) -> None:
        """Record the market time at which a presumed fill was booked; it may be corrected."""
        child = self._lifecycle.records.children.get(client_id)
        if child is not None and child.presumed_id == trade_id:
            child.presumed_ns = market_ns

    def may_send(self, client_id: str) -> bool:
        """Whether a child that was not sent yet may still be sent."""
        child = self._lifecycle.records.children.get(client_id)
        return child is None or sending.is_unblocked(self._lifecycle, child)

    def open_order_ids(self) -> list[str]:
        """Return the client ids of all orders that are not final."""
        return list(self._lifecycle.records.live)

    def working(self, number: int) -> bool:
        """Whether a parent has not ended."""
        return number in self._lifecycle.records.works

    @property
    def records(self) -> Records:
        """Return the records, for reading only."""
        return self._lifecycle.records

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> bytes:
        """Return all state. To be called after `proceed`, when nothing waits."""
        assert not self._lifecycle.commands, "commands were not taken"
        assert not self._lifecycle.outcomes, "outcomes were not taken"
        self._lifecycle.records.dirty = self._lifecycle.dirty
        return msgspec.msgpack.encode(self._lifecycle.records)

    def restore(self, data: bytes) -> None:
        """Restore a snapshot of the orders; they proceed when those that gave it would have."""
        self._lifecycle.records = msgspec.msgpack.decode(data, type=Records)
        self._lifecycle.dirty = self._lifecycle.records.dirty
        self._lifecycle.touched = set(range(len(self._lifecycle.checks.symbols)))
