"""Requests about the market, which need no key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from septet._drill.venue.amounts import text
from septet._drill.venue.book import Book
from septet._drill.venue.config import Limits
from septet._drill.venue.market import Market, Trade
from septet._drill.venue.orders import Rejection
from septet._drill.venue.request import Answer, Call, whole_of
from septet._drill.venue.shapes import exchange_symbol

__all__ = ["Public", "levels"]


def levels(side: dict[int, int], limit: int) -> list[list[str]]:
    """Return the best levels of one side of a book as price and quantity texts."""
    return [[text(price), text(quantity)] for price, quantity in list(side.items())[:limit]]


class Public:
    """The public part of the protocol."""

    def __init__(self, market: Market, skew_ms: Callable[[], float], limits: Limits) -> None:
        self.market = market
        self._limits = limits
        self.engine = market.engine
        self._skew_ms = skew_ms

    def symbol_of(self, call: Call) -> str:
        """Return the symbol asked about; Rejection if there is none or it is unknown."""
        symbol = call.params.get("symbol", "")
        if not symbol:
            raise Rejection(
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            )
        if symbol not in self.engine.rules:
            raise Rejection(-1121, "Invalid symbol.")
        return symbol

    def ping(self, call: Call) -> Answer:
        """Answer."""
        return Answer(200, {})

    def time(self, call: Call) -> Answer:
        """Return the venue's wall time."""
        return Answer(200, {"serverTime": self.server_ms()})

    def server_ms(self) -> int:
        """Return the venue's wall time."""
        return int(self.market.clock.wall_ns() // 10**6 + self._skew_ms())

    def exchange_info(self, call: Call) -> Answer:
        """Return symbols, filters and limits."""
        body = {
            "timezone": "UTC", "serverTime": self.server_ms(),
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
                 "limit": self._limits.weight_per_minute or 6000},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
                 "limit": self._limits.orders_per_10s or 100},
            ],
            "exchangeFilters": [],
            "symbols": [exchange_symbol(rules) for rules in self.engine.rules.values()],
        }  # fmt: skip
        return Answer(200, body)

    def klines(self, call: Call) -> Answer:
        """List bars; times are market time."""
        symbol = self.symbol_of(call)
        if call.params.get("interval") != self.market.word:
            raise Rejection(-1120, "Invalid interval.")
        limit = min(whole_of(call.params, "limit") or 500, 1000)
        start, end = whole_of(call.params, "startTime"), whole_of(call.params, "endTime")
        return Answer(200, self.market.klines(symbol, start, end, limit))

    def depth(self, call: Call) -> Answer:
        """Return the book."""
        book, limit = self._book(call), whole_of(call.params, "limit") or 100
        return Answer(200, {
            "lastUpdateId": book.update_id, "bids": levels(book.bids, limit),
            "asks": levels(book.asks, limit),
        })  # fmt: skip

    def _book(self, call: Call) -> Book:
        return self.engine.books[self.symbol_of(call)]

    def _each(self, call: Call, show: Any) -> Answer:
        """Answer for one symbol, or for all or those listed."""
        if call.params.get("symbol"):
            return Answer(200, show(self.symbol_of(call)))
        listed = call.params.get("symbols", "")
        names = [n for n in listed.strip("[]").replace('"', "").split(",") if n]
        if any(name not in self.engine.rules for name in names):
            raise Rejection(-1121, "Invalid symbol.")
        return Answer(200, [show(name) for name in names or list(self.engine.rules)])

    def book_ticker(self, call: Call) -> Answer:
        """Return the best bid and ask."""
        return self._each(call, self.best)

    def best(self, symbol: str) -> dict[str, str]:
        """Return the best bid and ask of a symbol."""
        bid, bid_quantity, ask, ask_quantity = self.engine.books[symbol].best()
        return {
            "symbol": symbol, "bidPrice": text(bid), "bidQty": text(bid_quantity),
            "askPrice": text(ask), "askQty": text(ask_quantity),
        }  # fmt: skip

    def price(self, call: Call) -> Answer:
        """Return the last price."""
        prices = self.market.prices
        return self._each(
            call, lambda name: {"symbol": name, "price": format(prices[name].last, "f")}
        )

    def day(self, call: Call) -> Answer:
        """Return the last day's statistics."""
        return self._each(call, self.market.ticker)

    def _recent(self, call: Call) -> list[Trade]:
        params = call.params
        since, until = whole_of(params, "startTime"), whole_of(params, "endTime")
        first, limit = whole_of(params, "fromId"), whole_of(params, "limit") or 500
        found = [
            trade
            for trade in self.market.trades[self.symbol_of(call)]
            if trade.trade_id >= (first or 0) and (since or 0) <= trade.at_ms <= (until or 2**62)
        ]
        return found[:limit] if since or first else found[-limit:]

    def trades(self, call: Call) -> Answer:
        """List recent trades."""
        return Answer(200, [
            {"id": t.trade_id, "price": t.price, "qty": t.quantity, "quoteQty": "0",
             "time": t.at_ms, "isBuyerMaker": t.buyer_is_maker, "isBestMatch": True}
            for t in self._recent(call)
        ])  # fmt: skip

    def agg_trades(self, call: Call) -> Answer:
        """List recent trades, each its own aggregate."""
        return Answer(200, [
            {"a": t.trade_id, "p": t.price, "q": t.quantity, "f": t.trade_id, "l": t.trade_id,
             "T": t.at_ms, "m": t.buyer_is_maker, "M": True}
            for t in self._recent(call)
        ])  # fmt: skip
