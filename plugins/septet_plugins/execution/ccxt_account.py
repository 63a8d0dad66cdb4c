"""Reading the account: open orders, executions, balances, and what a fee was worth."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

import septet.messages as m
from septet.plugin import Clock
from septet_plugins.execution.ccxt_link import Rest
from septet_plugins.execution.ccxt_orders import Translator

__all__ = ["Account"]

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_PAGE: Final = 500
_PAGES: Final = 200
_PRICE_AGE_NS: Final = 600 * _NS
_PRICE_WAIT_S: Final = 2.0
_REMEMBERED: Final = 100_000


class Account:
    """The account as REST shows it; executions of every source pass `deliver`."""

    def __init__(
        self,
        rest: Rest,
        translator: Translator,
        clock: Clock,
        sink: Callable[[Any], None],
        settles_ns: int,
    ) -> None:
        self._rest, self._translator, self._clock, self._sink = rest, translator, clock, sink
        self._settles_ns = settles_ns
        self._last_fill_ns = clock.now_ns()
        self._prices: dict[str, tuple[float, int]] = {}
        self._pricing: set[asyncio.Future[None]] = set()
        self._handed: OrderedDict[tuple[int, str], bool] = OrderedDict()

    # ------------------------------------------------------------ handing on

    def deliver(self, event: m.Event) -> None:
        """Hand on what a stream brought; a fee in a third currency is valued first.

        An execution that the answer to its order and the stream both tell goes on once; a second
        time only if it was not said at first whose it is.
        """
        if not isinstance(event, m.Filled):
            self._sink(event)
            return
        self._last_fill_ns = max(self._last_fill_ns, event.venue_ns)
        if self._handed.get((event.symbol, event.trade_id)):
            return
        self._handed[event.symbol, event.trade_id] = bool(event.client_id)
        if len(self._handed) > _REMEMBERED:
            self._handed.popitem(last=False)
        pair = self._third(event)
        if pair is None:
            self._sink(event)
        elif self._fresh(pair):
            self._sink(self._valued(event, pair))
        else:
            task = asyncio.ensure_future(self._value_and_deliver(event, pair))
            self._pricing.add(task)
            task.add_done_callback(self._pricing.discard)

    async def _value_and_deliver(self, event: m.Filled, pair: str) -> None:
        await self._price(pair)
        self._sink(self._valued(event, pair))

    def fills_of(self, order: Mapping[str, Any], client_id: str) -> None:
        """Hand on executions that came inside the answer to an order."""
        for trade in order.get("trades") or ():
            if trade.get("id") in (None, "") or trade.get("price") is None:
                continue
            whole = {
                **trade,
                "symbol": order["symbol"],
                "side": order["side"],
                "order": trade.get("order") or order["id"],
                "timestamp": trade.get("timestamp") or order.get("timestamp"),
            }
            fill = self._translator.fill(whole, client_id)
            if fill is not None:
                self.deliver(fill)

    def _third(self, event: m.Filled) -> str | None:
        """Return the pair that values a fee which is neither base nor quote."""
        currency = event.fee_currency
        base, quote = self._translator.base_and_quote(event.symbol)
        return None if not currency or currency in (base, quote) else f"{currency}/{quote}"

    def _fresh(self, pair: str) -> bool:
        known = self._prices.get(pair)
        return known is not None and self._clock.now_ns() - known[1] < _PRICE_AGE_NS

    def _valued(self, event: m.Filled, pair: str) -> m.Filled:
        known = self._prices.get(pair)
        if known is None:
            return event
        return msgspec.structs.replace(event, fee_quote=event.fee * known[0])

    async def _price(self, pair: str) -> None:
        """Read the price of a fee's currency; without one the fee's value stays unknown."""
        if pair not in self._rest.client.markets:
            return
        try:
            ticker, wrong = await asyncio.wait_for(
                self._rest.attempt("fetch_ticker", pair), _PRICE_WAIT_S
            )
        except TimeoutError:
            return
        price = None if wrong else ticker.get("last") or ticker.get("bid")
        if price:
            self._prices[pair] = (float(price), self._clock.now_ns())

    # ------------------------------------------------------------ reading

    async def catch_up(self) -> str:
        """Read open orders and executions since the last one, and hand them on.

        Returns what was wrong, or nothing.
        """
        since = self._last_fill_ns - self._settles_ns
        orders = await self.open_orders()
        if orders is None:
            return "open orders cannot be read"
        self._sink(orders)
        for number in range(len(self._translator.symbols)):
            fills = await self.fills(number, since)
            if fills is None:
                return f"fills of {self._translator.symbol(number)} cannot be read"
            for each in fills:
                if (number, each.trade_id) not in self._handed:
                    self.deliver(each)
        return ""

    async def open_orders(self) -> m.OpenOrders | None:
        """Return open orders on our symbols, as of when the question left."""
        asked = self._clock.now_ns()
        answers = await asyncio.gather(
            *(self._rest.attempt("fetch_open_orders", each) for each in self._translator.symbols)
        )
        if any(wrong or orders is None for orders, wrong in answers):
            return None
        seen = [self._translator.order(each, "list") for orders, _ in answers for each in orders]
        return m.OpenOrders(
            at_ns=self._clock.now_ns(),
            orders=tuple(each for each in seen if each is not None),
            asked_ns=asked,
        )

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        """Return executions since a time, page by page, each once, oldest first."""
        name, since_ms = self._translator.symbol(symbol), since_ns // _MS
        found: dict[str, m.Filled] = {}
        for _ in range(_PAGES):
            trades, wrong = await self._rest.attempt("fetch_my_trades", name, since_ms, _PAGE)
            if wrong or trades is None:
                return None
            before, latest = len(found), since_ms
            for each in trades:
                fill = self._translator.fill(each)
                if fill is not None and fill.venue_ns >= since_ns:
                    found.setdefault(fill.trade_id, fill)
                latest = max(latest, int(each.get("timestamp") or 0))
            if len(found) == before:  # exchanges cap a page as they like; only an empty one ends it
                return await self._in_order(list(found.values()))
            since_ms = latest
        return None

    async def _in_order(self, fills: list[m.Filled]) -> list[m.Filled]:
        for pair in {self._third(each) for each in fills} - {None}:
            if pair is not None and not self._fresh(pair):
                await self._price(pair)
        valued = [
            each if (pair := self._third(each)) is None else self._valued(each, pair)
            for each in fills
        ]
        return sorted(valued, key=lambda each: each.venue_ns)

    async def holdings(self) -> m.Holdings | None:
        """Return what is free and what is locked, of every currency that is there."""
        asked = self._clock.now_ns()
        balance, wrong = await self._rest.attempt("fetch_balance")
        if wrong or not isinstance(balance, dict):
            return None
        free, used = balance.get("free") or {}, balance.get("used") or {}
        balances = {
            str(code): (float(free.get(code) or 0.0), float(used.get(code) or 0.0))
            for code in sorted({*free, *used})
            if free.get(code) or used.get(code)
        }
        return m.Holdings(at_ns=self._clock.now_ns(), balances=balances, asked_ns=asked)

    def close(self) -> None:
        """Value nothing more."""
        for each in self._pricing:
            each.cancel()
