"""Reads the account: open orders, executions, balances, and the value of fees."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

import septet.messages as m
from septet.plugin.live import Clock, Notices, Tasks, Unreadable, read_price, read_quantity
from septet_plugins.exchange.listing import Listing
from septet_plugins.exchange.unusual_messages import UNUSUAL
from septet_plugins.execution.ccxt_link import Rest
from septet_plugins.execution.ccxt_orders import Translator

__all__ = ["NEWEST_FIRST", "Account"]

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_PAGE: Final = 500
_PAGES: Final = 200
_DAY_MS: Final = 86_400_000
_LONGEST_DAYS: Final = 10_000
NEWEST_FIRST: Final[Mapping[str, int]] = {
    "bybit": 7, "bybiteu": 7, "bybitid": 7, "okx": _LONGEST_DAYS, "okxus": _LONGEST_DAYS,
    "myokx": _LONGEST_DAYS, "kraken": _LONGEST_DAYS,
}  # fmt: skip
"""Exchanges whose page of executions begins with the newest, and the days from `since` it covers.
Elsewhere a page begins at `since`, and the next one at the end of the previous one."""
_PRICE_AGE_NS: Final = 600 * _NS
_PRICE_WAIT_S: Final = 2.0
_REMEMBERED: Final = 100_000
_Key = tuple[str, str]
"""Trade id and the venue's order id: both sides of a self-trade have the same trade id."""


class Account:
    """The account as read by REST; executions of every source pass `deliver`."""

    def __init__(
        self,
        rest: Rest,
        translator: Translator,
        clock: Clock,
        sink: Callable[[Any], None],
        answers_final_after_ns: int,
        tasks: Tasks | None = None,
        unlisted: Listing | None = None,
    ) -> None:
        self._tasks, self._listing = tasks or Tasks("account"), unlisted
        self._rest, self._translator, self._clock, self._sink = rest, translator, clock, sink
        self._answers_final_after_ns, self._notices = answers_final_after_ns, Notices(clock, sink)
        self._last_fill_ns = clock.now_ns()
        self._prices: dict[str, tuple[float, int]] = {}
        self._pricing: set[asyncio.Task[None]] = set()
        self._handed: OrderedDict[tuple[int, str, str], bool] = OrderedDict()
        self._unread: dict[str, Unreadable] = {}
        self._knows_currencies = False

    # ------------------------------------------------------------ forwarding

    def deliver(self, event: m.Event) -> None:
        """Forward items of a stream; a fee in a third currency is valued first.

        An execution that both the answer to its order and the stream report is forwarded once; a
        second time only if its order was unknown at first.
        """
        if not isinstance(event, m.Filled):
            self._sink(event)
            return
        self._last_fill_ns = max(self._last_fill_ns, event.venue_ns)
        key = _handed_as(event)
        if self._handed.get(key):
            return
        self._handed[key] = bool(event.client_id)
        if len(self._handed) > _REMEMBERED:
            self._handed.popitem(last=False)
        pair = self._third(event)
        if pair is None:
            self._sink(event)
        elif self._fresh(pair):
            self._sink(self._valued(event, pair))
        else:
            value = self._value_and_deliver(event, pair)
            # Whatever fails with its fee, the execution itself is not lost.
            task = self._tasks.once("value a fee", value, failed=lambda text: self._sink(event))
            self._pricing.add(task)
            task.add_done_callback(self._pricing.discard)

    async def _value_and_deliver(self, event: m.Filled, pair: str) -> None:
        await self._price(pair)
        self._sink(self._valued(event, pair))

    def fills_of(self, order: Mapping[str, Any], client_id: str) -> None:
        """Forward executions in the answer to an order."""
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
            fill = self._fill(whole, client_id)
            if fill is not None:
                self.deliver(fill)

    def _fill(
        self, trade: Any, client_id: str = "", *, listed: bool = False
    ) -> m.Filled | None:  # fmt: skip
        """Read an execution; an impossible one is reported, and the core queries it."""
        try:
            return self._translator.fill(trade, client_id, listed=listed)
        except UNUSUAL as error:
            number = self._translator.number_of(trade)
            self._notices.notify("fill", error, symbol=number, client_id=client_id)
            return None

    def _third(self, event: m.Filled) -> str | None:
        """Return the pair that values a fee in neither base nor quote."""
        currency = event.fee_currency
        base, quote = self._translator.base_and_quote(event.symbol)
        return None if not currency or currency in (base, quote) else f"{currency}/{quote}"

    def _fresh(self, pair: str) -> bool:
        priced = self._prices.get(pair)
        return priced is not None and self._clock.now_ns() - priced[1] < _PRICE_AGE_NS

    def _valued(self, event: m.Filled, pair: str) -> m.Filled:
        priced = self._prices.get(pair)
        if priced is None:
            return event
        return msgspec.structs.replace(event, fee_quote=event.fee * priced[0])

    async def _price(self, pair: str) -> None:
        """Return the price of a fee's currency; without one the fee's value stays unknown."""
        if pair not in self._rest.client.markets:
            return
        try:
            ticker, fault = await asyncio.wait_for(
                self._rest.attempt("fetch_ticker", pair), _PRICE_WAIT_S
            )
        except TimeoutError:
            return
        try:
            price = None if fault else ticker.get("last") or ticker.get("bid")
            if price:
                self._prices[pair] = (read_price(price, pair), self._clock.now_ns())
        except UNUSUAL as error:
            self._notices.notify("quote", error)

    # ------------------------------------------------------------ reading

    async def catch_up(self) -> str:
        """Read open orders and executions since the last one, and forward them.

        Returns what failed, or an empty text.
        """
        since = self._last_fill_ns - self._answers_final_after_ns
        await self._know_currencies()
        orders = await self.open_orders()
        if orders is None:
            return "open orders cannot be read"
        self._sink(orders)
        for symbol in self._listed():
            fills = await self.fills(self._translator.numbers[symbol], since)
            if fills is None:
                return f"fills of {symbol} cannot be read"
            for each in fills:
                if _handed_as(each) not in self._handed:
                    self.deliver(each)
        return ""

    async def _know_currencies(self) -> None:
        """Read the balances once before any execution: fees are paid in held currencies."""
        if not self._knows_currencies:
            self._knows_currencies = await self.holdings() is not None

    def _listed(self) -> tuple[str, ...]:
        """Return the run's symbols that the exchange lists; the others are not requested."""
        return self._translator.symbols if self._listing is None else self._listing.listed

    async def open_orders(self) -> m.OpenOrders | None:
        """Return open orders on the run's symbols, as of when the query was sent."""
        asked_ns = self._clock.now_ns()
        answers = await asyncio.gather(*map(self._open_orders_of, self._listed()))
        answered = [each for each in answers if each is not None]
        if len(answered) < len(answers):
            return None
        try:
            orders_seen = [
                self._translator.order(each, "list") for orders in answered for each in orders
            ]
        except UNUSUAL as error:
            self._notices.notify("order", error)
            return None
        return m.OpenOrders(
            at_ns=self._clock.now_ns(),
            orders=tuple(each for each in orders_seen if each is not None),
            asked_ns=asked_ns,
        )

    async def _open_orders_of(self, symbol: str) -> list[Any] | None:
        """Return the open orders of a symbol; None also if the list may be incomplete."""
        most = self._feature(symbol, "fetchOpenOrders", "limit")
        page = (None, most) if most else ()
        orders, fault = await self._rest.attempt("fetch_open_orders", symbol, *page)
        if fault or orders is None:
            return None
        return None if most and len(orders) == most else list(orders)

    def _feature(self, symbol: str, method: str, name: str) -> int:
        """Return a limit of the exchange from the client; 0 if it has none."""
        return int(self._rest.client.feature_value(symbol, method, name) or 0)

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        """Return executions since a time, page by page, each once, oldest first."""
        await self._know_currencies()
        name, by_key = self._translator.symbol(symbol), dict[_Key, m.Filled]()
        days = NEWEST_FIRST.get(self._rest.client.id)
        if days is None:
            is_complete = await self._forwards(name, since_ns, by_key)
        else:
            is_complete = await self._backwards(name, since_ns, days * _DAY_MS, by_key)
        return await self._in_order(list(by_key.values())) if is_complete else None

    async def report_fills(self, symbol: str, since_ns: int) -> bool:
        """Read a symbol's executions since a time and forward them; True if all were read."""
        fills = await self.fills(self._translator.numbers[symbol], since_ns)
        for each in fills or ():
            self.deliver(each)
        return fills is not None

    async def _forwards(self, name: str, since_ns: int, by_key: dict[_Key, m.Filled]) -> bool:
        """Read pages forward from a time; return whether all could be read."""
        start_ms = since_ns // _MS
        for _ in range(_PAGES):
            times = await self._page(name, since_ns, start_ms, {}, by_key)
            if times is None:
                return False
            if not times:  # page limits of exchanges differ: only a page without news is the last
                return True
            start_ms = max(start_ms, *times)
        return False

    async def _backwards(
        self, name: str, since_ns: int, span_ms: int, by_key: dict[_Key, m.Filled]
    ) -> bool:
        """Read pages that begin with the newest, one time span after another."""
        now_ms, start_ms = self._clock.now_ns() // _MS, since_ns // _MS
        days_back = self._feature(name, "fetchMyTrades", "daysBack")
        if days_back:
            start_ms = max(start_ms, now_ms - days_back * _DAY_MS)
        until: dict[str, int] = {}
        for _ in range(_PAGES):
            times = await self._page(name, since_ns, start_ms, until, by_key)
            if times is None:
                return False
            if times:
                until = {"until": min(times)}
                continue
            start_ms, until = start_ms + span_ms, {}
            if start_ms > now_ms:
                return True
        return False

    async def _page(
        self, name: str, since_ns: int, start_ms: int, until: dict[str, int],
        by_key: dict[_Key, m.Filled],
    ) -> list[int] | None:  # fmt: skip
        """Read one page into `found`; return its times, or none if it had no new items."""
        most = self._feature(name, "fetchMyTrades", "limit")
        trades, fault = await self._rest.attempt(
            "fetch_my_trades", name, start_ms, min(most or _PAGE, _PAGE), dict(until)
        )
        if fault or trades is None:
            return None
        count_before, times = len(by_key), []
        for each in trades:
            fill = self._fill(each, listed=True)
            if fill is not None:
                times.append(fill.venue_ns // _MS)
                if fill.venue_ns >= since_ns:
                    by_key.setdefault((fill.trade_id, fill.venue_order_id), fill)
        return times if len(by_key) > count_before else []

    async def _in_order(self, fills: list[m.Filled]) -> list[m.Filled]:
        for pair in {self._third(each) for each in fills} - {None}:
            if pair is not None and not self._fresh(pair):
                await self._price(pair)
        valued = [
            each if (pair := self._third(each)) is None else self._valued(each, pair)
            for each in fills
        ]
        return sorted(valued, key=lambda each: each.venue_ns)

    def drop_unreadable_balances(self) -> None:
        """Remove unreadable balances before the client adds them up.

        Otherwise the client would reject the whole answer, for any currency.
        """
        client = self._rest.client
        add_up = client.safe_balance

        def adding_up(balance: dict[str, Any]) -> Any:
            self._unread = {}
            for code, entry in list(balance.items()):
                if not isinstance(entry, dict) or not entry.keys() & {"free", "used", "total"}:
                    continue
                try:
                    for part in ("free", "used", "total"):
                        if entry.get(part) is not None:
                            read_quantity(entry[part], str(code))
                except Unreadable as error:
                    del balance[code]
                    self._unread[str(code)] = error
            return add_up(balance)

        client.safe_balance = adding_up

    async def holdings(self) -> m.Holdings | None:
        """Return the free and the locked balance of every currency held.

        An unreadable balance is left out; if its currency is traded by the run, the result is None.
        """
        asked_ns = self._clock.now_ns()
        balance, fault = await self._rest.attempt("fetch_balance")
        if fault or not isinstance(balance, dict):
            return None
        if not balance.get("info"):
            empty = Unreadable("the balances", balance.get("info"), "an answer with content")
            self._notices.notify("balance", empty)
            return None
        pairs = map(self._translator.base_and_quote, range(len(self._translator.symbols)))
        currencies = {each for pair in pairs for each in pair}
        for error in self._unread.values():
            self._notices.notify("balance", error)
        if currencies & self._unread.keys():
            return None
        try:
            free, used = dict(balance.get("free") or {}), dict(balance.get("used") or {})
            balances = {
                str(code): (
                    read_quantity(free.get(code) or 0.0, str(code)),
                    read_quantity(used.get(code) or 0.0, str(code)),
                )
                for code in sorted({*free, *used}, key=str)
                if free.get(code) or used.get(code)
            }
        except UNUSUAL as error:
            self._notices.notify("balance", error)
            return None
        self._translator.know(balances)
        self._knows_currencies = True
        return m.Holdings(at_ns=self._clock.now_ns(), balances=balances, asked_ns=asked_ns)

    def close(self) -> None:
        """Stop valuing fees."""
        for each in self._pricing:
            self._tasks.cancel(each)


def _handed_as(event: m.Filled) -> tuple[int, str, str]:
    """Return the key that identifies an execution: a trade id alone is not unique.

    A test network that was reset reuses ids of trades and orders, but client ids are new.
    """
    return event.symbol, event.trade_id, event.client_id or event.venue_order_id
