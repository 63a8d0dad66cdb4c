"""Live order books: septet's own where the exchange numbers differences, else ccxt's, checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from septet.plugin.live import Backoff, Clock, Kept, QuoteSeen, StreamDown, Tasks
from septet_plugins.data.book import Book
from septet_plugins.data.ccxt_messages import quote_of_book, quote_of_levels
from septet_plugins.exchange.unusual_messages import UNUSUAL

__all__ = ["LEVELS", "Books", "numbered"]

LEVELS: Final = 20
_MS: Final = 1_000_000
_SNAPSHOT_LEVELS: Final = 1_000


def numbered(exchange: str) -> bool:
    """Whether differences carry their numbers as Binance sends them."""
    return exchange in ("binance", "binanceus", "binanceusdm")


class Books:
    """The books of a feed's symbols.

    Differences are read from the raw messages before ccxt parses them; snapshots from the result of
    every `fetch_order_book` of the client. A book that became invalid is reported once, and new
    snapshots are requested until one matches.
    """

    def __init__(
        self, client: Any, symbols: Sequence[str], clock: Clock, sink: Callable[[Any], None],
        tasks: Tasks | None = None,
    ) -> None:  # fmt: skip
        self._client, self._clock, self._sink = client, clock, sink
        self._books, self._by_id = dict[str, Book](), dict[str, str]()
        for symbol in symbols:
            self.take_up(symbol)
        self._owned, self._asking = tasks or Tasks("books"), dict[str, Kept]()
        self._down: set[str] = set()
        fetch = client.fetch_order_book

        async def fetching(symbol: str, limit: Any = None, params: Any = None) -> Any:
            answer = await fetch(symbol, limit, params or {})
            self._snapshot(symbol, answer)
            return answer

        if numbered(client.id):
            client.fetch_order_book = fetching

    def take_up(self, symbol: str) -> None:
        """Start to follow the book of a listed symbol."""
        self._books[symbol] = Book()
        self._by_id[str(self._client.markets[symbol]["id"])] = symbol

    def leave(self, symbol: str) -> None:
        """Stop following the book of a symbol that is no longer listed."""
        self._by_id = {name: each for name, each in self._by_id.items() if each != symbol}
        self._books.pop(symbol, None)
        if (task := self._asking.pop(symbol, None)) is not None:
            task.close()

    def raw(self, inner: Mapping[str, Any]) -> bool:
        """Process a raw message; return whether it is a difference of a followed book."""
        symbol = self._by_id.get(str(inner.get("s")))
        if symbol is None or not numbered(self._client.id):
            return False
        book = self._books[symbol]
        was_valid, was_complete = book.valid, all(book.depth())
        try:
            book.update(int(inner["U"]), int(inner["u"]), inner["b"], inner["a"], inner.get("pu"))
        except UNUSUAL as error:
            book.reset(f"a difference cannot be read ({type(error).__name__}: {error})")
        if was_valid and was_complete and book.valid and not all(book.depth()):
            # A snapshot has a limited depth; it does not contain the levels beyond.
            book.reset("a side of the book is empty")
        if was_valid and not book.valid:
            self._report_down(symbol, book.reason)
            self._resync(symbol)
        elif book.valid:
            self._emit_quote(symbol, int(inner.get("E") or 0) * _MS)
        return True

    def parsed(self, ws: Any, symbol: str, book: Mapping[str, Any], message_hash: str) -> None:
        """Process a book of ccxt; an impossible book is discarded and subscribed again."""
        stamp = book.get("timestamp")
        at_ns = self._clock.now_ns() if stamp is None else int(stamp) * _MS
        quote = quote_of_book(symbol, book["bids"][:LEVELS], book["asks"][:LEVELS], at_ns)
        if isinstance(quote, QuoteSeen):
            self._down.discard(symbol)
            self._sink(quote)
            return
        from ccxt import ChecksumError

        self._report_down(symbol, quote)
        self._client.orderbooks.pop(symbol, None)
        ws.subscriptions.pop(message_hash, None)
        ws.reject(ChecksumError(quote), message_hash)

    def _snapshot(self, symbol: str, answer: Mapping[str, Any]) -> None:
        book = self._books.get(symbol)
        if book is None or answer.get("nonce") is None:
            return
        if book.snapshot(int(answer["nonce"]), answer["bids"], answer["asks"]):
            self._emit_quote(symbol, 0)
        else:
            self._report_down(symbol, book.reason)
            self._resync(symbol)

    def _emit_quote(self, symbol: str, venue_ns: int) -> None:
        bids, asks = self._books[symbol].top(LEVELS)
        quote = quote_of_levels(symbol, bids, asks, venue_ns or self._clock.now_ns())
        if isinstance(quote, QuoteSeen):
            self._down.discard(symbol)
            self._sink(quote)
        else:
            self._report_down(symbol, quote)

    def _report_down(self, symbol: str, reason: str) -> None:
        if symbol not in self._down:
            self._down.add(symbol)
            self._sink(StreamDown(stream="book", symbol=symbol, reason=reason))

    def _resync(self, symbol: str) -> None:
        if symbol not in self._asking or self._asking[symbol].done:
            ask = partial(self._ask_snapshot, symbol)
            self._asking[symbol] = self._owned.keep(f"book of {symbol}", ask, may_end=True)

    async def _ask_snapshot(self, symbol: str) -> None:
        backoff = Backoff(first_s=0.1)
        while not self._books[symbol].valid:
            try:
                await self._client.fetch_order_book(symbol, _SNAPSHOT_LEVELS)
            except Exception as error:  # the book stays invalid, which has been reported
                self._books[symbol].reason = f"no snapshot: {type(error).__name__}"
            if not self._books[symbol].valid:
                await asyncio.sleep(backoff.wait_s())

    async def closed(self) -> None:
        """Cancel the requests for snapshots, then clear every book."""
        await asyncio.gather(*(task.closed() for task in self._asking.values()))
        self.reset("closed")

    def reset(self, reason: str) -> None:
        """Clear every book after the connection was closed."""
        for task in self._asking.values():
            task.close()
        self._asking.clear()
        for book in self._books.values():
            book.reset(reason)
