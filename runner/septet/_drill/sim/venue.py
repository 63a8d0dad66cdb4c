"""The edge as the core knows it: requests that may be lost and answers that may lie.

`SimVenue` stands where an adapter would: one call for one command, its answer an event, nothing
tried twice. Between it and the market lies a network with the faults of the fault_rates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._drill.sim.fault_rates import FaultRates
from septet._drill.sim.market import COARSEST_LOT, KINDS, LOT, STATES, Listing, Market
from septet._drill.sim.simulated_time import BEGIN_NS, MS, SECOND, Simulation
from septet._drill.sim.user_stream import UserStream
from septet._drill.venue.amounts import SCALE
from septet._drill.venue.orders import FINAL, Order, Rejection

__all__ = ["RECEIVES_NS", "ANSWERS_FINAL_AFTER_NS", "STALE_NS", "TIMEOUT_NS", "SimVenue"]

TIMEOUT_NS: Final = 2 * SECOND
RECEIVES_NS: Final = 3 * SECOND
"""What arrives later than this after it was signed is rejected."""
STALE_NS: Final = SECOND
"""How old an answer to a question may be."""
ANSWERS_FINAL_AFTER_NS: Final = RECEIVES_NS + STALE_NS

Put = Callable[[m.Event], None]
Act = Callable[[], Any]
_REJECTED: Final = "no"
_UNKNOWN_OUTCOME: Final = "unknown"
_CODES: Final = {
    "Market is closed.": "market_closed", "Filter failure": "filter",
    "Account has insufficient balance for requested action.": "funds",
    "Stop price would trigger immediately.": "crosses", "Duplicate order sent.": "",
}  # fmt: skip
"""The engine's reason when it does not accept an order, and the code that an adapter makes of it.

With none it is uncertain: an order of that id is there.
"""


class Failed(msgspec.Struct, frozen=True):
    """A request that brought no answer of its own: `how` states whether it may have been done."""

    how: str
    code: str = ""


class SimVenue:
    """An adapter, the network behind it and the account at its end."""

    def __init__(self, simulation: Simulation, fault_rates: FaultRates) -> None:
        self._simulation, self._fault_rates = simulation, fault_rates
        self.stream = UserStream(simulation, fault_rates)
        self.market = Market(simulation, fault_rates, self.stream.happened)
        self.posts: Counter[str] = Counter()
        self.wrongs: list[str] = []
        self.dark_until_ns = 0
        self.closed_until_ns = 0
        self._banned_until_ns = 0
        self._known_ban_ns = 0

    # ------------------------------------------------------------ orders

    def submit(self, order: m.Submit, put: Put) -> None:
        """Post an order once."""
        self._post("post", order.client_id, order.deadline_ns, lambda: self._accept(order), put)

    def amend(self, order: m.Amend, put: Put) -> None:
        """Replace an order: cancel the old, then accept the new, both or the first alone."""
        name = order.new_client_id
        self._post("amend to", name, order.deadline_ns, lambda: self._replace(order), put)

    def _post(self, what: str, name: str, deadline_ns: int, act: Act, put: Put) -> None:
        self.posts[name] += 1
        if self.posts[name] > 1:
            self.wrongs.append(f"{name} was posted twice")
        if self._simulation.now_ns > deadline_ns:
            self.wrongs.append(f"{name} left after its deadline")

        def done(result: Any) -> None:
            if not isinstance(result, Failed):
                _put_all(result, put)
            elif result.how == _UNKNOWN_OUTCOME:
                put(m.Uncertain(at_ns=0, client_id=name, text=result.code))
            else:
                put(m.Rejected(at_ns=0, client_id=name, code=result.code, text=""))

        self._request(f"{what} {name}", act, done, put)

    def cancel(self, order: m.Cancel, put: Put) -> None:
        """Cancel one order; the network may ask twice."""

        def done(result: Any) -> None:
            if isinstance(result, Failed):
                put(m.CancelFailed(at_ns=0, client_id=order.client_id, text=result.code))
            else:
                put(result)

        sent_ns = self._simulation.now_ns
        self._request(
            f"cancel {order.client_id}", lambda: self._take_out(order, sent_ns), done, put
        )

    def cancel_all(self, symbols: Sequence[int], put: Put) -> None:
        """Cancel everything on the symbols."""
        self._ask("cancel all", lambda: self._take_all_out(symbols), put)

    # ------------------------------------------------------------ questions

    def query(self, order: m.Query, put: Put) -> None:
        """Ask for an order by its client id, or by the venue's."""
        sent_ns, client_id = self._simulation.now_ns, order.client_id

        def look() -> m.Event:
            as_of_ms = self._as_of_ms()
            found = self._named(order)
            if found is None or found.as_of(as_of_ms) is None:
                return m.NotFound(at_ns=0, client_id=client_id, asked_ns=sent_ns)
            seen = self.market.seen(found, as_of_ms=as_of_ms, by="query")
            return msgspec.structs.replace(seen, client_id=client_id or seen.client_id)

        self._ask(f"query {client_id}", look, put)

    def open_orders(self, put: Put) -> None:
        """Ask for all open orders."""
        sent_ns = self._simulation.now_ns

        def look() -> m.Event:
            as_of_ms = self._as_of_ms()
            shown = []
            for each in self.market.engine.orders.values():
                then = each.as_of(as_of_ms)
                if then is not None and then[0] not in FINAL:
                    shown.append(self.market.seen(each, as_of_ms=as_of_ms, by="list"))
            return m.OpenOrders(at_ns=0, orders=tuple(shown), asked_ns=sent_ns)

        self._ask("read open orders", look, put)

    def fills(self, since_ns: int, put: Put) -> None:
        """Ask for executions since a wall time."""

        def look() -> Sequence[m.Event]:
            as_of_ms = self._as_of_ms()
            unnamed = self._fault_rates.occurs("E14 fill unnamed")
            return [
                msgspec.structs.replace(self.market.filled(each, unnamed=unnamed), listed=True)
                for each in self.market.fills
                if since_ns <= each.at_ms * MS <= as_of_ms * MS
            ]

        self._ask("read fills", look, put)

    def holdings(self, put: Put, *, first: bool = False) -> None:
        """Ask for the balances."""
        sent_ns = self._simulation.now_ns

        def look() -> m.Event:
            held = self.market.engine.ledger.as_of(self._as_of_ms())
            balances = {name: (free / SCALE, off / SCALE) for name, (free, off) in held.items()}
            return m.Holdings(at_ns=0, balances=balances, asked_ns=sent_ns, first=first)

        self._ask("read holdings", look, put)

    def filters(self, put: Put) -> None:
        """Ask what may be traded."""
        self._ask("read filters", self.filters_now, put)

    def filters_now(self) -> Sequence[m.FiltersChanged]:
        """Return what may be traded."""
        return [
            m.FiltersChanged(
                at_ns=0, symbol=self.market.by_id[name].k, lot=each.lot / SCALE,
                tick=each.tick / SCALE, min_notional=each.min_notional / SCALE,
                trading=each.trading,
            )
            for name, each in self.market.engine.rules.items()
        ]  # fmt: skip

    def _ask(self, name: str, look: Act, put: Put) -> None:
        def done(result: Any) -> None:
            if not isinstance(result, Failed):
                _put_all(result, put)

        self._request(name, look, done, put)

    def _as_of_ms(self) -> int:
        """Return as of when the venue answers."""
        now_ms = self._simulation.now_ns // MS
        if self._fault_rates.occurs("E16 stale read"):
            span_ns = self._simulation.chance.randint(0, STALE_NS // MS) * MS
            return max(BEGIN_NS // MS, self._simulation.before(span_ns) // MS)
        return now_ms

    def _find(self, client_id: str) -> Order | None:
        """Return the newest order of a client id."""
        return self.market.engine.by_client.get(client_id)

    def _named(self, order: m.Query | m.Cancel) -> Order | None:
        """Return the order of a question or a cancel, by the venue's id where it has one."""
        if order.by_venue_id:
            return self.market.engine.orders.get(int(order.venue_order_id.removeprefix("v")))
        return self._find(order.client_id)

    # ------------------------------------------------------------ what the venue does

    def _accept(self, order: m.Submit) -> m.Event | Failed:
        if self._fault_rates.occurs("E5 rejection"):
            return Failed(_REJECTED, "rejected")
        try:
            made = self.market.place(order)
        except Rejection as rejection:
            code = _CODES[rejection.text.partition(":")[0]]
            return Failed(_REJECTED if code else _UNKNOWN_OUTCOME, code or "duplicate order sent")
        if made.asked.sent_as and not self._fault_rates.occurs("E23 answered"):
            # the answer is about an order that was not asked for
            return Failed(_UNKNOWN_OUTCOME, "answer about another order")
        if self._fault_rates.occurs("E6 duplicate id"):
            return Failed(_UNKNOWN_OUTCOME, "duplicate order sent")
        state = STATES[made.status]
        state, filled = self.market.falsified(made, state, made.executed, may_end=True)
        return m.Acked(
            at_ns=0, client_id=order.client_id, venue_order_id=f"v{made.order_id}", state=state,
            side=order.side, quantity=made.quantity / SCALE, price=order.limit_price,
            filled=filled / SCALE, order_type=KINDS[made.asked.type],
            trigger_price=made.asked.stop / SCALE if made.asked.stop else None,
        )  # fmt: skip

    def _replace(self, order: m.Amend) -> Sequence[m.Event] | Failed:
        old = self._find(order.client_id)
        if old is None or old.status in FINAL:
            return Failed(_REJECTED, "not_open")
        if round(order.quantity * SCALE) > old.left:  # it promises never to make an order larger
            return Failed(_REJECTED, "quantity")
        submit = m.Submit(
            client_id=order.new_client_id, parent=order.parent, symbol=order.symbol,
            side=order.side, order_type="limit", quantity=order.quantity, reduces=False,
            deadline_ns=order.deadline_ns, limit_price=order.limit_price,
        )  # fmt: skip
        self.market.cancel(old)
        gone = self.market.seen(old, by="cancel")
        answer = self._accept(submit)
        if isinstance(answer, Failed) and answer.how == _REJECTED:
            answer = m.Rejected(
                at_ns=0, client_id=order.new_client_id, code=answer.code, text="after the cancel"
            )
        elif isinstance(answer, Failed):
            answer = m.Uncertain(at_ns=0, client_id=order.new_client_id, text=answer.code)
        return (gone, answer)

    def _take_out(self, order: m.Cancel, sent_ns: int) -> m.Event:
        found, client_id = self._named(order), order.client_id
        if found is None or found.as_of(self._as_of_ms()) is None:
            return m.NotFound(at_ns=0, client_id=client_id, asked_ns=sent_ns, by="cancel")
        if found.status not in FINAL and self._fault_rates.occurs("E11 fill beats cancel"):
            self.market.execute(found)
        if found.status in FINAL:
            return m.NotFound(at_ns=0, client_id=client_id, asked_ns=sent_ns, by="cancel")
        self.market.cancel(found)
        seen = self.market.seen(found, by="cancel")
        return msgspec.structs.replace(seen, client_id=client_id)

    def _take_all_out(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        market = self.market
        gone = [
            each for each in market.working() if market.by_id[each.asked.symbol].k in symbols
        ]  # fmt: skip
        for each in gone:
            market.cancel(each)
        return [market.seen(each, by="cancel") for each in gone]

    # ------------------------------------------------------------ the network

    def _request(self, name: str, act: Act, done: Callable[[Any], None], put: Put) -> None:
        simulation, occurs, chance = (
            self._simulation,
            self._fault_rates.occurs,
            self._simulation.chance,
        )
        now_ns, sent_ns = simulation.now_ns, simulation.elapsed_ns
        if now_ns < self._known_ban_ns:  # the adapter sends nothing while it knows of a ban
            simulation.after(0, lambda: done(Failed(_REJECTED, "banned")))
            return
        if now_ns < self.dark_until_ns or occurs("N2 request lost"):
            simulation.after(TIMEOUT_NS, lambda: done(Failed(_UNKNOWN_OUTCOME, "no answer")))
            return
        up_ns = chance.randint(5, 40) * MS
        down_ns = chance.randint(5, 40) * MS
        if occurs("N4 request late"):
            up_ns = TIMEOUT_NS + chance.randint(0, RECEIVES_NS)
        lost = occurs("N1 answer lost") or (
            name.startswith("cancel") and occurs("N6 cancel unanswered")
        )
        if occurs("N3 answer late"):
            down_ns += TIMEOUT_NS
        if occurs("N5 reset"):
            lost = True
            simulation.after(up_ns, lambda: done(Failed(_UNKNOWN_OUTCOME, "connection reset")))
        elif lost or up_ns + down_ns > TIMEOUT_NS:
            lost = True
            simulation.after(TIMEOUT_NS, lambda: done(Failed(_UNKNOWN_OUTCOME, "no answer")))

        def arrive() -> None:
            result = self._answer(name, sent_ns, act, put)
            if not name.startswith(("post", "amend")) and occurs("N6 sent twice"):
                result = self._answer(name, sent_ns, act, put)
            if not lost:
                simulation.after(down_ns, lambda: done(result))

        simulation.after(up_ns, arrive)

    def _answer(self, name: str, sent_ns: int, act: Act, put: Put) -> Any:
        """Return the venue's answer to a request that reached it."""
        simulation, occurs = self._simulation, self._fault_rates.occurs
        now_ns = simulation.now_ns
        if simulation.elapsed_ns - sent_ns > RECEIVES_NS or occurs("E4 clock skew"):
            return Failed(_REJECTED, "clock")
        if now_ns < self.closed_until_ns:
            return Failed(_UNKNOWN_OUTCOME, "maintenance")
        if occurs("E3 ban"):
            self._banned_until_ns = now_ns + simulation.chance.randint(1, 15) * SECOND
        if now_ns < self._banned_until_ns:
            self._known_ban_ns = self._banned_until_ns
            put(self._changed("banned", self._banned_until_ns))
            return Failed(_REJECTED, "banned")
        if occurs("E2 rate limit"):
            put(self._changed("limited", now_ns + simulation.chance.randint(1, 5) * SECOND))
            return Failed(_REJECTED, "rate_limited")
        if occurs("E1 server error"):
            if simulation.chance.random() < 0.5:
                act()
            return Failed(_UNKNOWN_OUTCOME, "server error")
        if not name.startswith("read"):
            simulation.note(f"  venue does {name}")
        result = act()
        return Failed(_UNKNOWN_OUTCOME, "wrong body") if occurs("N13 wrong body") else result

    def _changed(self, state: Any, until_ns: int) -> m.VenueChanged:
        return m.VenueChanged(at_ns=0, venue="sim", state=state, until_ns=until_ns)

    # ------------------------------------------------------------ what happens by itself

    def dark(self, for_ns: int) -> None:
        """Let nothing through for a while."""
        self.dark_until_ns = max(self.dark_until_ns, self._simulation.now_ns + for_ns)
        self.stream.cut(silent=True, until_ns=self.dark_until_ns)

    def second(self) -> None:
        """Let a second of faults of the simulation happen."""
        simulation, occurs, market = self._simulation, self._fault_rates.occurs, self.market
        chance, now_ns, some = simulation.chance, simulation.now_ns, self._some
        if occurs("N12 dark"):
            self.dark(chance.randint(3, 40) * SECOND)
        if occurs("N7 stream closed"):
            self.stream.cut(silent=False, until_ns=now_ns + chance.randint(0, 3) * SECOND)
        if occurs("N8 stream silent"):
            self.stream.cut(silent=True, until_ns=now_ns)
        if occurs("E20 maintenance"):
            self.closed_until_ns = now_ns + chance.randint(2, 20) * SECOND
            market.halt(self.closed_until_ns, market.listings)
        if occurs("E8 halt"):
            market.halt(now_ns + chance.randint(1, 10) * SECOND, [some()])
        if occurs("E7 filters change"):
            market.engine.change_rules(some().id, lot=chance.choice((LOT, 2 * LOT, COARSEST_LOT)))
        if occurs("E18 external order"):
            self._external()
        if occurs("M1 position moved"):
            market.give(some(), chance.choice((-1, 1)) * chance.randint(1, 50) * LOT)
        if market.working() and occurs("E19 venue cancels"):
            market.cancel(chance.choice(market.working()), by="venue")

    def _external(self) -> None:
        what, of = self._simulation.chance.randint(0, 2), self._some()
        if what == 0:
            self.market.give(of, self._simulation.chance.randint(1, 20) * LOT)
            return
        made = self.market.place_external(of)
        if what == 1 and made is not None:
            self.market.execute(made)

    def _some(self) -> Listing:
        return self._simulation.chance.choice(self.market.listings)

    def stay_calm(self) -> None:
        """End whatever lasts: the time to recover begins."""
        self.dark_until_ns = min(self.dark_until_ns, self._simulation.now_ns)
        self.closed_until_ns = min(self.closed_until_ns, self._simulation.now_ns)
        for each in self.market.listings:
            each.halted_until_ns = min(each.halted_until_ns, self._simulation.now_ns)
        self.market.reopen()


def _put_all(result: m.Event | Sequence[m.Event], put: Put) -> None:
    for each in (result,) if isinstance(result, m.Event) else result:
        put(each)
