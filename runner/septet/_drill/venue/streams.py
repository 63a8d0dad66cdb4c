"""The market streams: subscriptions, and the messages sent to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from septet._drill.venue.amounts import text
from septet._drill.venue.binance_messages import kline_event
from septet._drill.venue.market import Market, Trade
from septet._drill.venue.market_requests import levels
from septet._drill.venue.sockets import Socket
from septet._drill.venue.symbol_prices import Kline

__all__ = ["MarketStreams", "encode"]

_KINDS = {"trade", "aggTrade", "bookTicker", "ticker", "miniTicker", "depth"}
ChangeMessages = Callable[[str, str, dict[str, Any]], list[dict[str, Any]]]


def encode(body: Any) -> str:
    """Return JSON text."""
    return msgspec.json.encode(body).decode()


class MarketStreams:
    """Sends the market's events to subscribers; `bend` may change a message, repeat or drop it."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.bend: ChangeMessages = lambda stream, symbol, body: [body]
        self._listeners: dict[str, set[Socket]] = {}
        self._combined: set[Socket] = set()
        self._shown: dict[str, tuple[int, dict[int, int], dict[int, int]]] = {}

    # ------------------------------------------------------------ subscriptions

    def join(self, socket: Socket, *, combined: bool, streams: list[str]) -> None:
        """Add a new socket with the streams that its address names."""
        if combined:
            self._combined.add(socket)
        for stream in streams:
            self._subscribe(socket, stream)

    def leave(self, socket: Socket) -> None:
        """Forget a socket."""
        self._combined.discard(socket)
        for listeners in self._listeners.values():
            listeners.discard(socket)

    def received(self, socket: Socket, message: str) -> None:
        """Handle SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        try:
            asked = msgspec.json.decode(message, type=dict[str, Any])
        except msgspec.MsgspecError:
            socket.send(encode({"error": {"code": 3, "msg": "Invalid JSON"}, "id": None}))
            return
        number, streams = asked.get("id"), [str(name) for name in asked.get("params") or []]
        match asked.get("method"):
            case "SUBSCRIBE":
                wrong = [name for name in streams if not self._subscribe(socket, name)]
                if wrong:
                    error = {"code": 2, "msg": f"Invalid request: invalid stream {wrong[0]}"}
                    socket.send(encode({"error": error, "id": number}))
                    return
                result: Any = None
            case "UNSUBSCRIBE":
                for name in streams:
                    self._listeners.get(name, set()).discard(socket)
                result = None
            case "LIST_SUBSCRIPTIONS":
                result = [name for name, who in self._listeners.items() if socket in who]
            case _:
                error = {"code": 2, "msg": "Invalid request: unknown method"}
                socket.send(encode({"error": error, "id": number}))
                return
        socket.send(encode({"result": result, "id": number}))

    def _subscribe(self, socket: Socket, stream: str) -> bool:
        symbol, _, kind = stream.partition("@")
        word = kind.partition("@")[0]
        known = word in _KINDS or word in {"depth5", "depth10", "depth20"}
        if symbol.upper() not in self.market.prices or not (
            known or word == f"kline_{self.market.word}"
        ):
            return False
        self._listeners.setdefault(stream, set()).add(socket)
        if word == "depth":
            book = self.market.engine.books[symbol.upper()]
            self._shown.setdefault(
                symbol.upper(), (book.update_id, dict(book.bids), dict(book.asks))
            )
        return True

    def _names(self, symbol: str, *words: str) -> list[str]:
        """Return the streams of these kinds that have subscribers."""
        return [
            name for word in words if self._listeners.get(name := f"{symbol.lower()}@{word}")
        ]  # fmt: skip

    def publish(self, symbol: str, stream: str, body: dict[str, Any]) -> None:
        """Send a message to the subscribers of a stream, changed by the active faults."""
        for each in self.bend(stream.partition("@")[2], symbol, body):
            self.raw(stream, encode(each))

    def raw(self, stream: str, message: str) -> None:
        """Send a text to the subscribers of a stream."""
        wrapped = ""
        for socket in list(self._listeners.get(stream, ())):
            if socket in self._combined:
                wrapped = wrapped or f'{{"stream":"{stream}","data":{message}}}'
                socket.send(wrapped)
            else:
                socket.send(message)

    def all_streams(self) -> list[str]:
        """Return every stream with subscribers."""
        return [name for name, listeners in self._listeners.items() if listeners]

    # ------------------------------------------------------------ messages

    def _now_ms(self) -> int:
        return self.market.clock.wall_ns() // 10**6

    def traded(self, trade: Trade) -> None:
        """Send a trade."""
        now = self._now_ms()
        for stream in self._names(trade.symbol, "trade"):
            self.publish(trade.symbol, stream, {
                "e": "trade", "E": now, "s": trade.symbol, "t": trade.trade_id, "p": trade.price,
                "q": trade.quantity, "T": trade.at_ms, "m": trade.buyer_is_maker, "M": True,
            })  # fmt: skip
        for stream in self._names(trade.symbol, "aggTrade"):
            self.publish(trade.symbol, stream, {
                "e": "aggTrade", "E": now, "s": trade.symbol, "a": trade.trade_id,
                "p": trade.price, "q": trade.quantity, "f": trade.trade_id, "l": trade.trade_id,
                "T": trade.at_ms, "m": trade.buyer_is_maker, "M": True,
            })  # fmt: skip

    def kline(self, symbol: str, kline: Kline, *, closed: bool) -> None:
        """Send a bar, forming or closed."""
        word = self.market.word
        for stream in self._names(symbol, f"kline_{word}"):
            self.publish(symbol, stream, kline_event(
                symbol, kline, self.market.bar_ns, word, self._now_ms(), closed=closed
            ))  # fmt: skip

    def moved(self, symbol: str) -> None:
        """Send the book and the day's statistics after a change."""
        book, now = self.market.engine.books[symbol], self._now_ms()
        for stream in self._names(symbol, "bookTicker"):
            bid, bid_quantity, ask, ask_quantity = book.best()
            self.publish(symbol, stream, {
                "u": book.update_id, "s": symbol, "b": text(bid), "B": text(bid_quantity),
                "a": text(ask), "A": text(ask_quantity),
            })  # fmt: skip
        self._publish_depth(symbol, now)
        for stream in self._names(symbol, "ticker"):
            self.publish(symbol, stream, self._day(symbol, now))
        for stream in self._names(symbol, "miniTicker"):
            day = self._day(symbol, now)
            mini = {name: day[name] for name in ("E", "s", "c", "o", "h", "l", "v", "q")}
            self.publish(symbol, stream, {"e": "24hrMiniTicker", **mini})

    def _publish_depth(self, symbol: str, now: int) -> None:
        book = self.market.engine.books[symbol]
        for count in (5, 10, 20):
            for stream in self._names(symbol, f"depth{count}", f"depth{count}@100ms"):
                self.publish(symbol, stream, {
                    "lastUpdateId": book.update_id, "bids": levels(book.bids, count),
                    "asks": levels(book.asks, count),
                })  # fmt: skip
        streams = self._names(symbol, "depth", "depth@100ms")
        if not streams:
            self._shown.pop(symbol, None)
            return
        seen, bids, asks = self._shown.get(symbol, (book.update_id, {}, {}))
        if seen == book.update_id:
            return
        body = {
            "e": "depthUpdate", "E": now, "s": symbol, "U": seen + 1, "u": book.update_id,
            "b": _changes(bids, book.bids), "a": _changes(asks, book.asks),
        }  # fmt: skip
        self._shown[symbol] = (book.update_id, dict(book.bids), dict(book.asks))
        for stream in streams:
            self.publish(symbol, stream, body)

    def _day(self, symbol: str, now: int) -> dict[str, Any]:
        day = self.market.ticker(symbol)
        return {
            "e": "24hrTicker", "E": now, "s": symbol, "p": day["priceChange"],
            "P": day["priceChangePercent"], "w": day["weightedAvgPrice"],
            "x": day["prevClosePrice"], "c": day["lastPrice"], "Q": day["lastQty"],
            "b": day["bidPrice"], "B": day["bidQty"], "a": day["askPrice"], "A": day["askQty"],
            "o": day["openPrice"], "h": day["highPrice"], "l": day["lowPrice"],
            "v": day["volume"], "q": day["quoteVolume"], "O": day["openTime"],
            "C": day["closeTime"], "F": day["firstId"], "L": day["lastId"], "n": day["count"],
        }  # fmt: skip


def _changes(old: dict[int, int], new: dict[int, int]) -> list[list[str]]:
    """Return the levels that differ, gone ones with quantity zero."""
    gone = [[text(price), text(0)] for price in old if price not in new]
    fresh = [[text(p), text(q)] for p, q in new.items() if old.get(p) != q]
    return gone + fresh
