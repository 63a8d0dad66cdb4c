"""A venue behind the gate: an adapter's reports are checked once more before the core."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from septet import messages as m
from septet._host.adapter_values import AHEAD_NS, Notices, fault_of, market_fault, with_readable_fee
from septet._host.venues import Clock, LiveVenue, Sink, VenueFacts
from septet.errors import RunError

__all__ = ["GatedVenue"]

_REPORTED = (
    m.Acked | m.Rejected | m.Uncertain | m.OrderSeen | m.NotFound | m.CancelFailed | m.Filled
    | m.OpenOrders | m.Holdings | m.VenueChanged | m.FiltersChanged | m.Skewed | m.Unreadable
)  # fmt: skip
"""Events that a venue may report; all others are made by the shell."""


_UNLISTED = "the exchange does not list the symbol: nothing was sent"


def _about(event: Any) -> m.About:
    """Return the subject of an event."""
    match event:
        case m.Filled():
            return "fill"
        case m.Holdings():
            return "balance"
        case m.FiltersChanged():
            return "filters"
        case m.Skewed():
            return "clock"
        case _:
            return "order"


class GatedVenue:
    """`septet.plugin.LiveVenue` that wraps and checks another one.

    An event with impossible values is withheld: an answer to an order becomes uncertain, a cancel
    is checked again, a read counts as failed, a stream message is dropped. Each is reported as
    `septet.messages.Unreadable`, upon which the core queries again. An execution is passed on
    without a fee that cannot be read.

    Of a symbol that the exchange does not list nothing is sent and nothing is asked, so that no
    failure of it delays what is read of the others.
    """

    def __init__(self, venue: LiveVenue, clock: Clock) -> None:
        self._venue, self._clock = venue, clock
        self._sink: Sink = lambda event: None
        self._notices = Notices(clock, lambda event: self._sink(event))
        self._symbols = sys.maxsize  # until it is opened
        self._unlisted: set[int] = set()

    def __repr__(self) -> str:
        return repr(self._venue)

    def _fault(self, event: Any, kind: Any = _REPORTED) -> str:
        """Return the fault of an event, which must be of the given kind, and report it."""
        fault = fault_of(event, self._clock.now_ns())
        if not fault and isinstance(event, m.Filled):
            ahead_ns = (event.market_ns - self._clock.market_ns()) / self._clock.speed
            fault = f"market_ns: {ahead_ns / 1e9:.0f} s ahead" if ahead_ns > AHEAD_NS else ""
        if not fault and not isinstance(event, kind):
            fault = f"{type(event).__name__}: no answer to what was asked"
        fault = fault or next(
            (
                f"symbol: there is no symbol {each.symbol}"
                for each in (event, *getattr(event, "orders", ()))
                if not -1 <= getattr(each, "symbol", -1) < self._symbols
            ),
            "",
        )
        if fault:
            client_id = str(getattr(event, "client_id", ""))
            symbol = getattr(event, "symbol", -1)
            if not isinstance(symbol, int) or not -1 <= symbol < self._symbols:
                symbol = -1
            self._notices.notify(_about(event), fault, symbol=symbol, client_id=client_id)
        return fault

    def _known(self, events: Sequence[Any] | None, kind: Any) -> list[Any] | None:
        """Return a read if all of its values are possible; None otherwise."""
        if events is None:
            return None
        return None if [each for each in events if self._fault(each, kind)] else list(events)

    def _receive(self, event: Any) -> None:
        event = with_readable_fee(event)
        if not self._fault(event):
            self._note(event)
            self._sink(event)

    def _note(self, event: Any) -> None:
        """Remember which symbols are listed."""
        if isinstance(event, m.FiltersChanged):
            (self._unlisted.discard if event.listed else self._unlisted.add)(event.symbol)

    # ------------------------------------------------------------ LiveVenue

    async def open(self, symbols: Sequence[str], sink: Callable[[Any], None]) -> VenueFacts:
        self._sink, self._symbols = sink, len(symbols)
        facts = await self._venue.open(symbols, self._receive)
        for market in facts.markets.values():
            fault = market_fault(market)
            if fault:
                raise RunError(
                    f"{facts.venue}: what it reports of {market.symbol} cannot be read: {fault}",
                    hint="nothing was sent and nothing is assumed; start again",
                )
        self._unlisted = {k for k, symbol in enumerate(symbols) if symbol in facts.unlisted}
        return facts

    async def submit(self, order: m.Submit) -> m.Event:
        if order.symbol in self._unlisted:
            return self._refused(order.client_id)
        answer = await self._venue.submit(order)
        fault = self._fault(answer)
        return self._uncertain(order.client_id, fault) if fault else answer

    async def amend(self, order: m.Amend) -> Sequence[m.Event]:
        if order.symbol in self._unlisted:
            return [self._refused(order.new_client_id), self._unknown(order.client_id)]
        answers = [with_readable_fee(each) for each in await self._venue.amend(order)]
        faults = [fault for each in answers if (fault := self._fault(each))]
        if not faults:
            return answers
        look = self._look(order.client_id, faults[0])
        return [self._uncertain(order.new_client_id, faults[0]), look]

    async def cancel(self, order: m.Cancel) -> m.Event:
        if order.symbol in self._unlisted:
            return self._unknown(order.client_id)
        answer = await self._venue.cancel(order)
        fault = self._fault(answer)
        return self._look(order.client_id, fault) if fault else answer

    async def cancel_all(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        listed = [each for each in symbols if each not in self._unlisted]
        answers = await self._venue.cancel_all(listed) if listed else ()
        return [each for each in answers if not self._fault(each)]

    async def query(self, order: m.Query) -> m.Event | None:
        if order.symbol in self._unlisted:
            return None
        answer = await self._venue.query(order)
        return None if answer is None or self._fault(answer) else answer

    async def open_orders(self) -> m.OpenOrders | None:
        answer = await self._venue.open_orders()
        return None if answer is None or self._fault(answer, m.OpenOrders) else answer

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        if symbol in self._unlisted:
            return []
        fills = await self._venue.fills(symbol, since_ns)
        if fills is None:
            return None
        return [
            each if each.listed else msgspec.structs.replace(each, listed=True)
            for each in map(with_readable_fee, fills)
            if not self._fault(each, m.Filled)
        ]

    async def holdings(self) -> m.Holdings | None:
        answer = await self._venue.holdings()
        return None if answer is None or self._fault(answer, m.Holdings) else answer

    async def skew(self) -> m.Skewed | None:
        answer = await self._venue.skew()
        return None if answer is None or self._fault(answer, m.Skewed) else answer

    async def refresh_markets(self) -> Sequence[m.FiltersChanged] | None:
        found = self._known(await self._venue.refresh_markets(), m.FiltersChanged)
        for each in found or ():
            self._note(each)
        return found

    async def close(self) -> None:
        await self._venue.close()

    # ------------------------------------------------------------ substituted reports

    def _uncertain(self, client_id: str, text: str) -> m.Uncertain:
        text = f"the answer cannot be read: {text}"
        return m.Uncertain(at_ns=self._clock.now_ns(), client_id=client_id, text=text)

    def _refused(self, client_id: str) -> m.Rejected:
        return m.Rejected(
            at_ns=self._clock.now_ns(), client_id=client_id, code="symbol", text=_UNLISTED,
            by="local",
        )  # fmt: skip

    def _unknown(self, client_id: str) -> m.CancelFailed:
        return m.CancelFailed(at_ns=self._clock.now_ns(), client_id=client_id, text=_UNLISTED)

    def _look(self, client_id: str, text: str) -> m.CancelFailed:
        text = f"the answer cannot be read: {text}"
        return m.CancelFailed(at_ns=self._clock.now_ns(), client_id=client_id, text=text)
