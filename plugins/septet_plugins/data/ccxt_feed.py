"""Live market data of any exchange of ccxt: streamed if the exchange streams it, else polled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

from septet.errors import DataError, RunError, SeptetError
from septet.plugin.live import (
    Backoff,
    BarSeen,
    Clock,
    FeedFacts,
    FeedRequest,
    Kept,
    Notices,
    PrintSeen,
    QuoteSeen,
    StreamDown,
    Tasks,
    is_programming_error,
    require_listed_symbols,
)
from septet_plugins.data.ccxt_books import LEVELS, Books, numbered
from septet_plugins.data.ccxt_kinds import OWN_EVENTS, served
from septet_plugins.data.ccxt_messages import (
    FLAGGED,
    bar_of,
    closed_flags,
    inner_of,
    print_of,
    print_of_raw,
    quote_of_book,
    quote_of_raw,
    quote_of_ticker,
)
from septet_plugins.data.ccxt_requests import FeedTerms, Requests
from septet_plugins.exchange.bar_pages import Pages, timeframe_of
from septet_plugins.exchange.clients import Scrub, allowed_hosts, opened_client, stream_hosts
from septet_plugins.exchange.listing import Listing, check_contracts
from septet_plugins.exchange.markets import ids_of, markets_of
from septet_plugins.exchange.message_tap import Tap, tapped
from septet_plugins.exchange.requests import Gate, hook_client
from septet_plugins.exchange.unusual_messages import UNUSUAL

__all__ = ["CcxtFeed", "FeedTerms"]

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_KEPT: Final = 1_000
_SURE_NS: Final = 500_000_000
"""Wall time after its close after which a polled bar is final; less for short bars."""
_CLOSE_POLLS: Final = 6
_RECENT_NS, _PAGE = 600 * _NS, 500


class CcxtFeed:
    """Live feed of a ccxt exchange (`septet.plugin.LiveFeed`), with hooks on ccxt's own client."""

    def __init__(self, terms: FeedTerms, clock: Clock, tasks: Tasks | None = None) -> None:
        self._owned = tasks or Tasks("ccxt")
        self._terms, self._clock = terms, clock
        self._gate, self._scrub = Gate(clock), Scrub()
        self._notices = Notices(clock, lambda event: self._sink(event))
        self._client: Any = None
        self._known: Any = None  # the client before, whose markets the next one takes
        self._tap: Tap | None = None
        self._books: Books | None = None
        self._sink: Callable[[Any], None] = lambda message: None
        self._kept: list[tuple[str, Kept]] = []
        self._listing: Listing | None = None
        self._flags: dict[int, bool] = {}
        self._ids: dict[str, str] = {}
        self._down: set[tuple[str, str]] = set()
        self._caches: dict[tuple[str, str], Any] = {}
        self._request, self._timeframe = FeedRequest((), 0), ""
        self._how: dict[str, Literal["stream", "poll"]] = {}
        self._methods: dict[str, str] = {}
        self._backoff = Backoff()
        self._pausing: asyncio.Task[None] | None = None
        self._hosts: frozenset[str] | None = None
        self._dialled_s = 0.0
        self.dials = 0

    def __repr__(self) -> str:
        return f"CcxtFeed({self._terms.reach.exchange!r})"

    def successor(self) -> CcxtFeed:
        """Return a closed feed of the same kind, which can be opened while this one goes on."""
        other = CcxtFeed(self._terms, self._clock, self._owned)
        other._gate, other._scrub, other._backoff = self._gate, self._scrub, self._backoff
        other._known = self._known
        return other

    # ------------------------------------------------------------ open and close

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        """Connect and start to receive.

        Raises
        ------
        DataError
            If the exchange, the bar or a required symbol does not exist.
        RunError
            If the exchange cannot be reached.
        """
        try:
            facts = await self._connect(request)
        except BaseException:
            await self.close()
            raise
        self._sink, self._dialled_s = sink, time.monotonic()
        self._tap_messages()
        assert self._listing is not None
        for symbol in self._listing.unlisted:
            self._leave_out(symbol)
            self._listing.watch()
        if self._known is not None:
            self._listing.doubt()
        self._known = self._client
        return facts

    async def _connect(self, request: FeedRequest) -> FeedFacts:
        self._request = request
        self._client = client = await opened_client(self._terms.reach)
        self._requests = Requests(client, self._terms, self._gate, self._clock, self._scrub)
        self._hosts = stream_hosts(client, self._terms.reach)
        hosts = allowed_hosts(client, self._terms.reach)
        hook_client(client, self._gate, lambda status, state: None, hosts)
        await self._requests.load_markets(self._known)
        self._listing = listing = Listing(client, request.symbols, self._relist, self._owned)
        if not request.goes_on:
            require_listed_symbols(client.id, listing.unlisted)
        self._requests.doubt_symbols, listed = listing.doubt, listing.listed
        check_contracts(client, listed)
        if "bars" in request.kinds:
            if not client.has.get("fetchOHLCV"):
                raise DataError(f"{client.id} offers no bars")
            self._timeframe = timeframe_of(client, request.bar_ns)
        self._how, self._methods, notes = served(client, request.kinds)
        return FeedFacts(
            exchange=self._terms.reach.exchange, how=dict(self._how),
            markets=markets_of(client, listed), notes=notes,
        )  # fmt: skip

    def _tap_messages(self) -> None:
        from ccxt.async_support.base.ws.cache import ArrayCache, ArrayCacheByTimestamp

        client, request = self._client, self._request
        if "stream" in self._how.values():
            self._tap = Tap(
                client, raw=self._raw, resolved=self._resolved, lost=self._lost,
                hosts=self._hosts, skip=self._skip, tasks=self._owned, gate=self._gate,
            )  # fmt: skip
        assert self._listing is not None
        self._books = Books(client, self._listing.listed, self._clock, self._booked, self._owned)
        for symbol in request.symbols:
            bars = tapped(ArrayCacheByTimestamp, _KEPT, partial(self._bar, symbol))
            trades = tapped(ArrayCache, _KEPT, partial(self._trade, symbol))
            self._caches["bars", symbol], self._caches["trades", symbol] = bars, trades
        self._ids = {}
        self._listen_to(self._listing.listed)
        if "bars" in request.kinds and (self._how["bars"] == "poll" or client.id not in FLAGGED):
            self._keep("closes of bars", "bars", "", self._poll_closes)

    def _listen_to(self, symbols: Sequence[str]) -> None:
        if numbered(self._client.id):
            self._ids |= ids_of(self._client, symbols)
        for symbol in symbols:
            for kind in sorted(self._request.kinds):
                self._start(kind, symbol)

    async def _relist(self) -> None:
        """Reload the markets; drop symbols no longer listed, restore symbols listed again."""
        assert self._listing is not None
        client, books = self._client, self._books
        markets_before = client.markets, client.markets_by_id
        try:
            await self._ask("load_markets", True)
        except RunError as error:
            self._notices.notify("filters", error)
            return
        if not client.markets:
            client.markets, client.markets_by_id = markets_before
            return
        delisted, listed_again = self._listing.take()
        assert books is not None
        for symbol in sorted(delisted):
            ended = [kept for name, kept in self._kept if name == symbol]
            self._kept = [(name, kept) for name, kept in self._kept if name != symbol]
            await asyncio.gather(*(each.closed() for each in ended))
            books.leave(symbol)
            self._leave_out(symbol)
        for symbol in sorted(listed_again):
            books.take_up(symbol)
        self._listen_to(sorted(listed_again))

    def _leave_out(self, symbol: str) -> None:
        """Report the streams of a symbol that is not listed as down."""
        for kind in sorted(self._request.kinds):
            self._sink(
                StreamDown(stream=kind, symbol=symbol, reason=self._unlisted(symbol), unlisted=True)
            )

    def _unlisted(self, symbol: str) -> str:
        return f"{self._terms.reach.exchange} no longer lists {symbol}"

    def _start(self, kind: str, symbol: str) -> None:
        if self._how[kind] == "stream":
            self._keep(f"stream of {kind}", kind, symbol, partial(self._watch, kind, symbol))
        elif kind != "bars":
            self._keep(f"polls of {kind}", kind, symbol, partial(self._poll, kind, symbol))

    def _keep(self, name: str, kind: str, symbol: str, work: Callable[[], Any]) -> None:
        """Run a task; after it failed, its stream is down until data of it is received."""

        def down(text: str) -> None:
            self._sink(StreamDown(stream=kind, symbol=symbol, reason=text))

        kept = self._owned.keep(f"{name} {symbol}".strip(), work, down=down)
        self._kept.append((symbol, kept))

    async def close(self) -> None:
        """End every stream and the connections; safe to call twice."""
        kept, self._kept = self._kept, []
        self._owned.cancel(self._pausing)
        await asyncio.gather(*(each.closed() for _, each in kept))
        if self._listing is not None:
            await self._listing.close()
        if self._books is not None:
            await self._books.closed()
        if self._tap is not None:
            self._tap.drop_all("closed here")
            await self._tap.closed()
        if self._client is not None:
            await self._requests.close()
            await self._client.close()
            self._client = None

    # ------------------------------------------------------------ streams

    async def _watch(self, kind: str, symbol: str) -> None:
        while True:
            try:
                self._prepare(kind, symbol)
                items = await self._subscribe(kind, symbol)
            except Exception as error:  # reported; the stream reconnects
                if (kind, symbol) not in self._down:
                    self._down.add((kind, symbol))
                    self._sink(StreamDown(stream=kind, symbol=symbol, reason=self._scrub(error)))
                await self._pause()
                continue
            self._down.discard((kind, symbol))
            self._bypassed(kind, symbol, items)

    def _prepare(self, kind: str, symbol: str) -> None:
        """Replace the caches that the client's parsers fill with caches that forward each item."""
        if kind == "bars":
            frames = self._client.ohlcvs.setdefault(symbol, {})
            frames.setdefault(self._timeframe, self._caches["bars", symbol])
        elif kind == "trades":
            self._client.trades.setdefault(symbol, self._caches["trades", symbol])

    async def _subscribe(self, kind: str, symbol: str) -> Any:
        method = getattr(self._client, self._methods[kind])
        if kind == "bars":
            return await method(symbol, self._timeframe)
        if self._methods[kind] == "watch_bids_asks":
            return await method([symbol])
        return await method(symbol)

    def _bypassed(self, kind: str, symbol: str, items: Any) -> None:
        """Process the result of a `watch` method whose parser uses its own caches."""
        client, cache = self._client, self._caches.get((kind, symbol))
        if kind == "bars" and client.ohlcvs.get(symbol, {}).get(self._timeframe) is not cache:
            for row in items:
                self._bar(symbol, row)
        elif kind == "trades" and client.trades.get(symbol) is not cache:
            for item in items:
                self._trade(symbol, item)

    async def _pause(self) -> None:
        """Wait before the next connection; all streams wait together, to make few attempts."""
        if self._pausing is None or self._pausing.done():
            lived_s = time.monotonic() - self._dialled_s
            waiting = self._rest(self._backoff.wait_s(lived_s))
            self._pausing = self._owned.once("pause before a dial", waiting)
        await asyncio.shield(self._pausing)

    async def _rest(self, pause_s: float) -> None:
        blocked_s = max(0.0, (self._gate.banned_ns - self._clock.now_ns()) / _NS)
        await asyncio.sleep(max(pause_s, blocked_s))
        self._dialled_s = time.monotonic()
        self.dials += 1

    def _lost(self, ws: Any, reason: str) -> None:
        if self._books is not None:
            self._books.reset("the connection was lost")

    def _raw(self, ws: Any, message: Any) -> bool:
        if self._own(inner_of(message)):
            return True
        self._flags = closed_flags(self._terms.reach.exchange, message)
        return False

    def _own(self, message: Mapping[str, Any]) -> bool:
        """Process a message without ccxt's parsers; its `watch` returns only at a disconnect."""
        kind = OWN_EVENTS.get(message.get("e"))
        if kind is None or kind not in self._how:
            return False
        if kind == "book":
            assert self._books is not None
            return self._books.raw(message)
        symbol = self._ids.get(str(message.get("s")))
        if symbol is None:
            return False
        event: PrintSeen | QuoteSeen | None
        if kind == "trades":
            event = print_of_raw(message, symbol)
        else:
            event = quote_of_raw(message, symbol, self._clock.now_ns())
        if event is None:
            return False
        self._down.discard((kind, symbol))
        self._sink(event)
        return True

    def _booked(self, message: QuoteSeen | StreamDown) -> None:
        if isinstance(message, QuoteSeen):
            self._down.discard(("book", message.symbol))
        self._sink(message)

    def _skip(self, error: Exception) -> bool:
        """Report an unreadable message; True skips it, and the stream continues."""
        if is_programming_error(error):
            return False
        self._notices.notify("quote", error)
        return True

    def _bar(self, symbol: str, row: Sequence[Any]) -> None:
        try:
            bar = bar_of(symbol, row, self._flags.get(int(row[0])), "stream")
        except UNUSUAL as error:
            self._notices.notify("bar", error)
        else:
            self._sink(bar)

    def _trade(self, symbol: str, item: Mapping[str, Any]) -> None:
        try:
            trade = print_of(symbol, item, self._clock.now_ns())
        except UNUSUAL as error:
            self._notices.notify("trade", error)
        else:
            if trade is not None:
                self._sink(trade)

    def _resolved(self, ws: Any, result: Any, message_hash: str) -> None:
        if not isinstance(result, dict):
            return
        symbol = result.get("symbol")
        if symbol is None and "quotes" in self._how:  # some give best prices by symbol
            for each in self._request.symbols:
                self._resolved(ws, result.get(each), message_hash)
        if symbol not in self._request.symbols:
            return
        if "book" in self._how and "bids" in result and not numbered(self._client.id):
            assert self._books is not None
            self._books.parsed(ws, str(symbol), result, message_hash)
        elif "quotes" in self._how and "bid" in result:
            quote = quote_of_ticker(result, self._clock.now_ns())
            if quote is not None:
                self._sink(quote)

    # ------------------------------------------------------------ polls

    async def _poll(self, kind: str, symbol: str) -> None:
        """Poll repeatedly an exchange that does not stream."""
        down, last_ids = False, set[str]()
        while True:
            try:
                last_ids = await self._poll_once(kind, symbol, last_ids)
                down = False
            except (SeptetError, *UNUSUAL) as error:
                if is_programming_error(error):
                    raise  # the owner of the task logs it, and restarts the task
                if not down:
                    self._sink(StreamDown(stream=kind, symbol=symbol, reason=self._scrub(error)))
                down = True
            await asyncio.sleep(self._terms.poll_ns / _NS)

    async def _poll_once(self, kind: str, symbol: str, ids_before: set[str]) -> set[str]:
        now = self._clock.now_ns()
        if kind == "trades":
            trades = await self._ask("fetch_trades", symbol)
            for each in trades:
                if str(each.get("id")) not in ids_before:
                    self._trade(symbol, each)
            return {str(each.get("id")) for each in trades}
        book = await self._ask("fetch_order_book", symbol, LEVELS)
        quote = quote_of_book(symbol, book["bids"][:LEVELS], book["asks"][:LEVELS], now)
        if isinstance(quote, str):
            raise RunError(f"{symbol}: {quote}")
        self._sink(quote)
        return ids_before

    async def _poll_closes(self) -> None:
        """After each close request the bar that has just ended until it is available."""
        bar_ns, clock = self._request.bar_ns, self._clock
        while True:
            close_ns = (clock.market_ns() // bar_ns + 1) * bar_ns
            wait_ns = (close_ns - clock.market_ns()) / clock.speed + self._wait_for_final_ns()
            await asyncio.sleep(wait_ns / _NS)
            late = set(() if self._listing is None else self._listing.listed)
            for attempt in range(_CLOSE_POLLS):
                if attempt:
                    await asyncio.sleep(min(2.0**attempt / 4, bar_ns / clock.speed / _NS / 8))
                for symbol in sorted(late):
                    if await self._poll_close(symbol, close_ns):
                        late.discard(symbol)
                if not late:
                    break

    async def _poll_close(self, symbol: str, close_ns: int) -> bool:
        try:
            bars = await self.bars(symbol, close_ns - self._request.bar_ns, close_ns)
        except RunError as error:
            self._sink(StreamDown(stream="bars", symbol=symbol, reason=error.message))
            return False
        for each in bars:
            self._sink(each)
        return bool(bars)

    # ------------------------------------------------------------ history

    def _wait_for_final_ns(self) -> int:
        """Wall time after a close after which a polled bar is final."""
        return min(_SURE_NS, int(self._request.bar_ns / self._clock.speed) // 32)

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        """Return ended bars with ``since_ns <= open_ns < until_ns``, in order.

        Only a later bar shows that the newest is complete: without one, its `closed` is None.
        """
        self._require_open()
        if self._listing is not None and symbol in self._listing.unlisted:
            raise RunError(self._unlisted(symbol))
        try:
            return await self._bars(symbol, since_ns, until_ns)
        except UNUSUAL as error:
            if is_programming_error(error):
                raise
            self._notices.notify("bar", error)
            raise RunError(f"bars of {symbol} cannot be read: {self._scrub(error)}") from None

    def _require_open(self) -> None:
        if self._client is None:
            name = self._terms.reach.exchange
            raise RunError(f"the feed of {name} is closed: nothing is asked any more")

    async def _bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        bar_ns, client = self._request.bar_ns, self._client
        self._timeframe = self._timeframe or timeframe_of(client, bar_ns)
        final = self._clock.market_ns() - int(self._wait_for_final_ns() * self._clock.speed)
        first, stop = -(-since_ns // bar_ns) * bar_ns, min(until_ns, final // bar_ns * bar_ns)
        pages = Pages(client.id, symbol, first, stop, bar_ns, self._terms.page_bars)
        by_open_ms, newest = dict[int, Sequence[Any]](), -1
        recent = self._clock.market_ns() - int(_RECENT_NS * self._clock.speed)
        while pages.going:
            page = await self._ask(
                "fetch_ohlcv", symbol, self._timeframe, pages.since_ns // _MS,
                self._terms.page_bars, dict(self._terms.params),
            )  # fmt: skip
            newest = max([newest, *(int(row[0]) for row in page)])
            for row in pages.take(page):
                by_open_ms[int(row[0])] = row
            if len(page) < (self._terms.page_bars or _PAGE) and newest * _MS + bar_ns > recent:
                break  # the newest may be incomplete: no later page shows that it has ended
        return [
            bar_of(symbol, by_open_ms[each], True if each < newest else None, "poll")
            for each in sorted(by_open_ms)
        ]

    async def oldest(self, symbol: str) -> int | None:
        """Return the open time of the oldest available bar; None if there is none."""
        self._timeframe = self._timeframe or timeframe_of(self._client, self._request.bar_ns)
        try:
            page = await self._ask(
                "fetch_ohlcv", symbol, self._timeframe, 0, self._terms.page_bars,
                dict(self._terms.params),
            )  # fmt: skip
            return min(int(row[0]) for row in page) * _MS if page else None
        except UNUSUAL as error:
            raise RunError(f"bars of {symbol} cannot be read: {self._scrub(error)}") from None

    async def _ask(self, method: str, *args: Any) -> Any:
        self._require_open()
        return await self._requests.ask(method, *args)
