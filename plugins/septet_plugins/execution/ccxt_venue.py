"""An account at a ccxt exchange: sends orders, receives answers and executions."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

import septet.messages as m
from septet.errors import RunError, SeptetError
from septet.plugin import SecretRef
from septet.plugin.live import Clock, Notices, Tasks, VenueFacts
from septet_plugins.exchange.client_ids import id_notes
from septet_plugins.exchange.clients import (
    ReadSecret,
    Scrub,
    Terms,
    allowed_hosts,
    is_test,
    opened_client,
    stream_hosts,
)
from septet_plugins.exchange.requests import Gate, Wire
from septet_plugins.exchange.unusual_messages import UNUSUAL
from septet_plugins.execution.ccxt_account import Account
from septet_plugins.execution.ccxt_answers import classify_error, echo_fault
from septet_plugins.execution.ccxt_clock import VenueClock
from septet_plugins.execution.ccxt_direct import read_directly
from septet_plugins.execution.ccxt_filters import Filters
from septet_plugins.execution.ccxt_link import Link, Rest
from septet_plugins.execution.ccxt_lookup import Lookup, Missing
from septet_plugins.execution.ccxt_orders import Translator, order_types, place
from septet_plugins.execution.ccxt_rights import can_withdraw, is_unknown_key, refused_key
from septet_plugins.execution.ccxt_sends import Sends
from septet_plugins.execution.ccxt_states import contradicts_itself
from septet_plugins.execution.ccxt_user import UserPolls, UserStream, streams_orders

__all__ = ["CcxtVenue", "VenueTerms"]

_NS: Final = 1_000_000_000
_STALE_READS_NS: Final = 55 * _NS
_USUAL_WINDOW_MS: Final = 10_000
_AMENDS: Final = frozenset({"binance"})
"""Exchanges that replace an order by one request, whose single answer reports both orders."""


@dataclass(frozen=True, slots=True)
class VenueTerms:
    """Terms of an account: the exchange, the references to its secrets, and the time limits."""

    reach: Terms
    secrets: dict[str, SecretRef]
    params: dict[str, Any]
    answers_final_after_ns: int | None = None
    skew_ns: int = 500_000_000
    poll_ns: int = 5 * _NS
    stream_within_ns: int = 5 * _NS


class CcxtVenue:
    """A live venue (`septet.plugin.LiveVenue`) with two ccxt clients, which have hooks.

    One client is for orders, reads and streams, the other for cancels, so that the kill switch
    never waits for reads. The second has no rate limiter and uses a reserve while the venue demands
    a pause.
    """

    def __init__(
        self, terms: VenueTerms, name: str, clock: Clock, read: ReadSecret,
        tasks: Tasks | None = None,
    ) -> None:  # fmt: skip
        self._tasks = tasks or Tasks(f"ccxt ({name})")
        self._terms, self._name, self._clock, self._read = terms, name, clock, read
        self._gate = Gate(clock)
        self._scrub, self._notices = Scrub(), Notices(clock, lambda event: self._sink(event))
        self._tasks.show = lambda error: self._scrub(error)
        self._sends = Sends(self._tasks)
        self._sink: Callable[[Any], None] = _nowhere
        self._opened: list[Link | Rest | Account | Filters] = []
        self._user: UserStream | UserPolls | None = None

    def __repr__(self) -> str:
        return f"CcxtVenue({self._name!r}, {self._terms.reach.exchange!r})"

    # ------------------------------------------------------------ open and close

    async def open(self, symbols: Sequence[str], sink: Callable[[Any], None]) -> VenueFacts:
        """Connect; `VenueChanged` is emitted once the account data is up to date.

        Raises
        ------
        DataError
            If the exchange does not exist. A symbol that it does not list is named in the facts.
        RunError
            If the venue cannot be reached or rejects the key; nothing is assumed then.
        """
        self._sink = sink
        try:
            await self._connect(symbols)
            await self._times.check()  # first: a wrong clock would hide the key's rights
            facts = await self._facts()
            for rest in (self._main, self._quick):
                await rest.learn_account()
        except BaseException:
            await self.close()
            raise
        if streams_orders(self._main.client):
            self._user = UserStream(
                self._main.client, self._translator, self._link, self._scrub,
                deliver=self._account.deliver, catch_up=self._account.catch_up,
                stream_within_s=self._terms.stream_within_ns / _NS, hosts=self._stream_hosts,
                direct=self._direct, notices=self._notices, tasks=self._tasks,
                gate=self._gate, doubt_clock=self._times.doubt, poll_s=self._terms.poll_ns / _NS,
            )  # fmt: skip
        else:
            self._user = UserPolls(
                self._link, self._account.catch_up, self._terms.poll_ns / _NS, self._tasks
            )
        self._user.start()
        return facts

    async def _connect(self, symbols: Sequence[str]) -> None:
        reach = self._terms.reach
        secrets = {key: self._read(reference) for key, reference in self._terms.secrets.items()}
        self._scrub = Scrub(secrets.values())
        self._key = secrets.get("apiKey", "")
        slow, quick = [
            await opened_client(reach, secrets, rate_limit=each) for each in (None, False)
        ]
        hosts, self._stream_hosts = allowed_hosts(slow, reach), stream_hosts(slow, reach)
        self._main, self._quick = (
            Rest(each, self._gate, self._scrub, hosts, self._tasks) for each in (slow, quick)
        )
        self._times = VenueClock(
            self._name, self._clock, (self._main, self._quick), self._terms.skew_ns,
            lambda event: self._sink(event), self._notices, self._tasks,
        )  # fmt: skip
        self._link = Link(self._name, self._clock, self._gate, self._sink, self._tasks)
        self._main.link = self._quick.link = self._link
        self._gate.on_change = self._link.report
        self._main.notices = self._quick.notices = self._notices
        self._opened = [self._main, self._quick, self._link]
        try:
            await self._main.ask("load_markets")
        except SeptetError:
            raise
        except Exception as error:  # reported with its class and without secrets
            if is_unknown_key(error):
                raise refused_key(reach.exchange) from None
            raise RunError(
                f"{self._name}: {reach.exchange} cannot be reached: {self._scrub(error)}",
                hint="nothing was sent and nothing is assumed; start again when it answers",
            ) from None
        self._filters = Filters(
            self._main, self._quick, symbols, self._clock, self._notices,
            lambda event: self._sink(event), self._tasks,
        )  # fmt: skip
        self._main.doubt_symbols = self._quick.doubt_symbols = self._filters.listing.doubt
        self._translator = Translator(self._main.client, self._name, symbols, self._clock)
        self._direct = read_directly(self._main.client, self._filters.listing.listed)
        self._filters.came_back = self._take_up
        self._account = Account(
            self._main, self._translator, self._clock, lambda event: self._sink(event),
            self._answers_final_after_ns(), self._tasks, unlisted=self._filters.listing,
        )  # fmt: skip
        self._account.drop_unreadable_balances()
        self._lookup = Lookup(self._main, self._translator.ids, self._account.report_fills)
        self._opened += [self._account, self._filters]

    def _take_up(self, symbol: str) -> None:
        """Start to parse messages about a symbol that is listed again."""
        self._translator.take_up(symbol)
        if self._direct is not None:
            self._direct.take_up(self._main.client, symbol)

    def _answers_final_after_ns(self) -> int:
        if self._terms.answers_final_after_ns is not None:
            return self._terms.answers_final_after_ns
        window = self._main.client.options.get("recvWindow") or _USUAL_WINDOW_MS
        return int(window) * 1_000_000 + _STALE_READS_NS

    async def _facts(self) -> VenueFacts:
        client, reach = self._main.client, self._terms.reach
        streams, tests = streams_orders(client), is_test(client, reach)
        withdraws, why = await can_withdraw(self._main, is_test=tests)
        kinds = order_types(client, self._filters.listing.listed)
        notes = [] if not why else [why]
        if not streams:
            notes.append(f"{reach.exchange} streams no orders: the account is polled")
        if "stop" not in kinds:
            notes.append(f"{reach.exchange} holds no stops here: they die with the process")
        if not self._lookup.by_client_id():
            notes.append(f"{reach.exchange} is not asked by client id: its lists are read")
        notes += id_notes(reach.exchange)
        digest = hashlib.sha256(f"{reach.exchange}\0{self._key}".encode()).hexdigest()[:16]
        return VenueFacts(
            venue=self._name, exchange=reach.exchange, account=digest,
            markets=self._filters.read(),
            order_types=kinds, can_withdraw=withdraws, is_test=tests,
            answers_final_after_ns=self._answers_final_after_ns(), streams_orders=streams,
            amends=reach.exchange in _AMENDS, notes=tuple(notes),
            unlisted=dict(self._filters.listing.unlisted),
        )  # fmt: skip

    async def close(self) -> None:
        """Wait for in-flight sends, within time limits, then close every connection."""
        await self._sends.close()
        if self._user is not None:
            await self._user.stop()
            self._user = None
        while self._opened:
            ended = self._opened.pop().close()
            if ended is not None:
                await ended

    # ------------------------------------------------------------ orders

    async def submit(self, order: m.Submit) -> m.Event:
        """Send an order once and classify the answer.

        The send is shielded: if this call is cancelled, the send continues and its answer goes to
        the sink.
        """
        return await self._sends.shielded(
            "submit", self._send(order), lambda event: self._sink(event),
            lambda: self._unanswered(order.client_id),
        )  # fmt: skip

    def _unanswered(self, client_id: str) -> None:
        self._sink(self._uncertain(client_id, "the send ended without an answer"))

    async def _send(self, order: m.Submit) -> m.Event:
        symbol = self._translator.symbol(order.symbol)
        sent_id = self._translator.ids.there(order.client_id)
        placed = place(self._main.client, symbol, order, sent_id)
        if isinstance(placed, str):
            return self._rejected(order.client_id, "filter", placed, "local")
        trace: list[Wire] = []
        sent_s = time.monotonic()
        try:
            answer = await self._main.ask(
                "create_order", symbol, placed.type, order.side, placed.quantity, placed.price,
                {**self._terms.params, **placed.params},
                deadline_ns=order.deadline_ns, trigger=placed.trigger or "", client_id=sent_id,
                wire=trace,
            )  # fmt: skip
        except Exception as error:  # classified by a table; an error without an entry is uncertain
            return await self._failed(order.client_id, error, trace[0])
        fault = echo_fault(answer, self._market(symbol), sent_id)
        if fault:
            answer = await self._completed(answer, symbol, sent_id, order.client_id)
            if answer is None:
                return self._uncertain(order.client_id, fault)
        if self._user is not None:
            self._user.accepted(sent_s)
        try:
            if not contradicts_itself(answer):
                self._account.fills_of(answer, order.client_id)
            return self._translator.acked(answer, order.client_id)
        except UNUSUAL as error:  # it was accepted, but nothing else of the answer is readable
            self._notices.notify("order", error, symbol=order.symbol, client_id=order.client_id)
            return self._uncertain(order.client_id, str(error))

    def _market(self, symbol: str) -> Mapping[str, Any]:
        market: Mapping[str, Any] = self._main.client.markets[symbol]
        return market

    async def _completed(
        self, answer: Any, symbol: str, sent_id: str, client_id: str
    ) -> dict[str, Any] | None:
        """Query an order whose answer has an id and too few fields; None if it stays unclear."""
        has_id = isinstance(answer, dict) and answer.get("id")
        if not has_id or answer.get("clientOrderId") not in (None, "", sent_id):
            return None
        try:
            order_found = await self._lookup.find(client_id, str(answer["id"]), symbol)
        except Exception:  # the outcome was uncertain and stays so: the core queries again
            return None
        if order_found.get("clientOrderId") in (None, "") and order_found.get("id") == answer["id"]:
            order_found = {**order_found, "clientOrderId": sent_id}
        return None if echo_fault(order_found, self._market(symbol), sent_id) else order_found

    async def _failed(self, client_id: str, error: BaseException, wire: Wire) -> m.Event:
        verdict, text = classify_error(error, wire), self._scrub(error)
        if not verdict.is_rejected:
            return self._uncertain(client_id, text)
        if verdict.code == "clock" and verdict.by == "venue":
            await self._times.wait_until_set()
        return self._rejected(client_id, verdict.code, text, verdict.by)

    def _rejected(self, client_id: str, code: str, text: str, by: Any) -> m.Rejected:
        return m.Rejected(
            at_ns=self._clock.now_ns(), client_id=client_id, code=code, text=text, by=by
        )

    def _uncertain(self, client_id: str, text: str) -> m.Uncertain:
        return m.Uncertain(at_ns=self._clock.now_ns(), client_id=client_id, text=text)

    async def amend(self, order: m.Amend) -> Sequence[m.Event]:
        """Replace an order by another, in one request; return the events of both.

        Without a clear answer both orders stay open: the new one is uncertain, the old one is
        queried.
        """
        if self._terms.reach.exchange not in _AMENDS:
            text = f"{self._terms.reach.exchange} has no replacement that reports both ends"
            return [self._rejected(order.new_client_id, "unsupported", text, "local")]
        return await self._sends.shielded(
            "amend", self._replace(order), self._late,
            lambda: self._unanswered(order.new_client_id),
        )  # fmt: skip

    def _late(self, events: Sequence[m.Event]) -> None:
        for each in events:
            self._sink(each)

    async def _replace(self, order: m.Amend) -> Sequence[m.Event]:
        symbol, ids = self._translator.symbol(order.symbol), self._translator.ids
        new_id = ids.there(order.new_client_id)
        child = m.Submit(
            client_id=order.new_client_id, parent=order.parent, symbol=order.symbol,
            side=order.side, order_type="limit", quantity=order.quantity, reduces=False,
            deadline_ns=order.deadline_ns, limit_price=order.limit_price,
        )  # fmt: skip
        placed = place(self._main.client, symbol, child, new_id)
        if isinstance(placed, str):
            return [self._rejected(order.new_client_id, "filter", placed, "local")]
        trace: list[Wire] = []
        params = {"newClientOrderId": new_id, "cancelOrigClientOrderId": ids.there(order.client_id)}
        try:
            answer = await self._main.ask(
                "edit_order", order.venue_order_id, symbol, "limit", order.side, placed.quantity,
                placed.price, params, deadline_ns=order.deadline_ns, client_id=new_id, wire=trace,
            )  # fmt: skip
        except Exception as error:  # classified by the table of orders
            return self._not_replaced(order, error, trace[0])
        fault = echo_fault(answer, self._market(symbol), new_id)
        if fault:
            return [self._uncertain(order.new_client_id, fault), self._look(order.client_id, fault)]
        try:
            acked = self._translator.acked(answer, order.new_client_id)
        except UNUSUAL as error:
            text = str(error)
            return [self._uncertain(order.new_client_id, text), self._look(order.client_id, text)]
        return [self._look(order.client_id, "replaced"), acked]

    def _not_replaced(self, order: m.Amend, error: BaseException, wire: Wire) -> list[m.Event]:
        verdict, text = classify_error(error, wire), self._scrub(error)
        if verdict.by != "venue" or verdict.code in ("rate", "clock", "auth", "symbol"):
            return [self._rejected(order.new_client_id, verdict.code, text, verdict.by)]
        return [self._uncertain(order.new_client_id, text), self._look(order.client_id, text)]

    def _look(self, client_id: str, text: str) -> m.CancelFailed:
        return m.CancelFailed(at_ns=self._clock.now_ns(), client_id=client_id, text=text)

    async def cancel(self, order: m.Cancel) -> m.Event:
        """Cancel one order; "not found" causes a query and does not count as cancelled."""
        import ccxt

        symbol, asked_ns = self._translator.symbol(order.symbol), self._clock.now_ns()
        try:
            answer = await self._lookup.cancel(
                self._quick, order.client_id, order.venue_order_id, symbol,
                by_venue_id=order.by_venue_id,
            )  # fmt: skip
        except (Missing, ccxt.OrderNotFound):
            return m.NotFound(
                at_ns=self._clock.now_ns(),
                client_id=order.client_id,
                asked_ns=asked_ns,
                by="cancel",
            )
        except Exception as error:  # for any error, the order must be queried
            return self._look(order.client_id, self._scrub(error))
        fault = self._translator.cancel_fault(answer, order)
        full_answer = {**answer, "symbol": symbol}
        order_seen = (
            None if fault else self._seen(full_answer, "cancel", order.symbol, order.client_id)
        )
        if order_seen is None:
            return self._look(order.client_id, fault or "the answer cannot be read")
        return _with_owner(order_seen, order.client_id)

    async def cancel_all(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        """Cancel all orders of these symbols concurrently, on a separate connection.

        If the exchange has one request for all orders of a symbol, orders of others are cancelled
        as well: septet calls this only if nobody else has an open order, or the open orders cannot
        be listed.
        """
        answers = await asyncio.gather(
            *(self._sweep(self._translator.symbol(symbol)) for symbol in symbols)
        )
        return [event for events in answers for event in events]

    async def _sweep(self, symbol: str) -> list[m.Event]:
        import ccxt

        is_served = self._quick.client.has.get("cancelAllOrders") is True
        try:
            if is_served:
                answers = await self._quick.ask("cancel_all_orders", symbol, urgent=True)
            else:
                answers = await self._one_by_one(symbol)
        except ccxt.OrderNotFound:  # there was no open order
            return []
        except Exception as error:  # reported, and repeated by the core until no order is open
            return [self._look("", f"{symbol}: {self._scrub(error)}")]
        orders = [each for each in answers if isinstance(each, dict) and each.get("status")]
        number = self._translator.numbers[symbol]
        orders_seen = [self._seen({**each, "symbol": symbol}, "cancel", number) for each in orders]
        return [each for each in orders_seen if each is not None]

    async def _one_by_one(self, symbol: str) -> list[Any]:
        orders = await self._quick.ask("fetch_open_orders", symbol, urgent=True)
        return list(
            await asyncio.gather(
                *(
                    self._quick.ask("cancel_order", each["id"], symbol, urgent=True)
                    for each in orders
                ),
                return_exceptions=True,
            )
        )

    # ------------------------------------------------------------ reads

    def _seen(
        self, order: Mapping[str, Any], by: str, symbol: int, client_id: str = ""
    ) -> m.OrderSeen | None:
        """Parse a queried order; an impossible one is reported, and None is returned."""
        try:
            return self._translator.order(order, by)
        except UNUSUAL as error:
            self._notices.notify("order", error, symbol=symbol, client_id=client_id)
            return None

    async def query(self, order: m.Query) -> m.Event | None:
        """Query an order; None if the venue does not answer."""
        symbol, asked_ns = self._translator.symbol(order.symbol), self._clock.now_ns()
        try:
            order_found = await self._lookup.find(
                order.client_id, order.venue_order_id, symbol, order.since_ns,
                by_venue_id=order.by_venue_id,
            )  # fmt: skip
        except Missing:
            return m.NotFound(
                at_ns=self._clock.now_ns(), client_id=order.client_id, asked_ns=asked_ns
            )
        except Exception:  # a missing answer is not an event: the core queries again
            return None
        order_seen = self._seen(
            {**order_found, "symbol": symbol}, "query", order.symbol, order.client_id
        )
        return (
            None
            if order_seen is None
            else _with_owner(order_seen, order.client_id or order_seen.client_id)
        )

    async def open_orders(self) -> m.OpenOrders | None:
        """Return all open orders on the run's symbols; None if any could not be read."""
        return await self._account.open_orders()

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        """Return executions of a symbol since a time, in order; None if they could not be read."""
        return await self._account.fills(symbol, since_ns)

    async def holdings(self) -> m.Holdings | None:
        """Return the balances of the account; None if they could not be read."""
        return await self._account.holdings()

    async def skew(self) -> m.Skewed | None:
        """Return how far the local clock is ahead of the venue's; None if unknown."""
        return await self._times.skew()

    async def refresh_markets(self) -> Sequence[m.FiltersChanged] | None:
        """Read the markets again; return the changes, None if they could not be read."""
        return await self._filters.refresh()


def _with_owner(seen: m.OrderSeen, client_id: str) -> m.OrderSeen:
    """Set the order's client id to the queried one."""
    return msgspec.structs.replace(seen, client_id=client_id)


def _nowhere(event: Any) -> None:
    raise AssertionError(f"an event before open: {event}")
