"""Requests about the market, which need no key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from septet._drill.venue.amounts import text
from septet._drill.venue.binance_messages import exchange_symbol
from septet._drill.venue.book import Book
from septet._drill.venue.config import Limits
from septet._drill.venue.market import Market, Trade
from septet._drill.venue.orders import Rejection, Rules
from septet._drill.venue.venue_request import VenueRequest, VenueResponse, whole_of

__all__ = ["MarketRequests", "levels"]


def levels(side: dict[int, int], limit: int) -> list[list[str]]:
    """Return the best levels of one side of a book as price and quantity texts."""
    return [[text(price), text(quantity)] for price, quantity in list(side.items())[:limit]]


class MarketRequests:
    """The public part of the protocol."""

    def __init__(
        self, market: Market, skew_ms: Callable[[], float], limits: Limits,
        is_listed: Callable[[str], bool] = lambda symbol: True,
    ) -> None:  # fmt: skip
        self.market, self._is_listed = market, is_listed
        self._limits = limits
        self.engine = market.engine
        self._skew_ms = skew_ms

    def symbol_of(self, request: VenueRequest) -> str:
        """Return the symbol asked about; Rejection if there is none or it is unknown."""
        symbol = request.params.get("symbol", "")
        if not symbol:
            raise Rejection(
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            )
        if symbol not in self.engine.rules:
            raise Rejection(-1121, "Invalid symbol.")
        return symbol

    def ping(self, request: VenueRequest) -> VenueResponse:
        """Answer."""
        return VenueResponse(200, {})

    def time(self, request: VenueRequest) -> VenueResponse:
        """Return the venue's wall time."""
        return VenueResponse(200, {"serverTime": self.server_ms()})

    def server_ms(self) -> int:
        """Return the venue's wall time."""
        return int(self.market.clock.wall_ns() // 10**6 + self._skew_ms())

    def _listed(self) -> list[Rules]:
        """Return what is listed: if none of its own symbols is, another that nobody trades.

        An exchange without any symbol does not exist, and such an answer counts as unreadable.
        """
        known = self.engine.rules
        listed = [rules for name, rules in known.items() if self._is_listed(name)]
        some = next(iter(known.values()))
        other = replace(some, symbol=f"OTHER{some.quote}", base="OTHER")
        return listed or [other]

    def exchange_info(self, request: VenueRequest) -> VenueResponse:
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
            "symbols": [exchange_symbol(rules) for rules in self._listed()],
        }  # fmt: skip
        return VenueResponse(200, body)

    def klines(self, request: VenueRequest) -> VenueResponse:
        """List bars; times are market time."""
        symbol = self.symbol_of(request)
        if request.params.get("interval") != self.market.word:
            raise Rejection(-1120, "Invalid interval.")
        limit = min(whole_of(request.params, "limit") or 500, 1000)
        start, end = whole_of(request.params, "startTime"), whole_of(request.params, "endTime")
        return VenueResponse(200, self.market.klines(symbol, start, end, limit))

    def depth(self, request: VenueRequest) -> VenueResponse:
        """Return the book."""
        book, limit = self._book(request), whole_of(request.params, "limit") or 100
        return VenueResponse(200, {
            "lastUpdateId": book.update_id, "bids": levels(book.bids, limit),
            "asks": levels(book.asks, limit),
        })  # fmt: skip

    def _book(self, request: VenueRequest) -> Book:
        return self.engine.books[self.symbol_of(request)]

    def _each(self, request: VenueRequest, show: Any) -> VenueResponse:
        """Answer for one symbol, or for all or those listed."""
        if request.params.get("symbol"):
            return VenueResponse(200, show(self.symbol_of(request)))
        listed = request.params.get("symbols", "")
        names = [n for n in listed.strip("[]").replace('"', "").split(",") if n]
        if any(name not in self.engine.rules for name in names):
            raise Rejection(-1121, "Invalid symbol.")
        return VenueResponse(200, [show(name) for name in names or list(self.engine.rules)])

    def book_ticker(self, request: VenueRequest) -> VenueResponse:
        """Return the best bid and ask."""
        return self._each(request, self.best)

    def best(self, symbol: str) -> dict[str, str]:
        """Return the best bid and ask of a symbol."""
        bid, bid_quantity, ask, ask_quantity = self.engine.books[symbol].best()
        return {
            "symbol": symbol, "bidPrice": text(bid), "bidQty": text(bid_quantity),
            "askPrice": text(ask), "askQty": text(ask_quantity),
        }  # fmt: skip

    def price(self, request: VenueRequest) -> VenueResponse:
        """Return the last price."""
        prices = self.market.prices
        return self._each(
            request, lambda name: {"symbol": name, "price": format(prices[name].last, "f")}
        )

    def day(self, request: VenueRequest) -> VenueResponse:
        """Return the last day's statistics."""
        return self._each(request, self.market.ticker)

    def _recent(self, request: VenueRequest) -> list[Trade]:
        params = request.params
        since, until = whole_of(params, "startTime"), whole_of(params, "endTime")
        first, limit = whole_of(params, "fromId"), whole_of(params, "limit") or 500
        found = [
            trade
            for trade in self.market.trades[self.symbol_of(request)]
            if trade.trade_id >= (first or 0) and (since or 0) <= trade.at_ms <= (until or 2**62)
        ]
        return found[:limit] if since or first else found[-limit:]

    def trades(self, request: VenueRequest) -> VenueResponse:
        """List recent trades."""
        return VenueResponse(200, [
            {"id": t.trade_id, "price": t.price, "qty": t.quantity, "quoteQty": "0",
             "time": t.at_ms, "isBuyerMaker": t.buyer_is_maker, "isBestMatch": True}
            for t in self._recent(request)
        ])  # fmt: skip

    def agg_trades(self, request: VenueRequest) -> VenueResponse:
        """List recent trades, each its own aggregate."""
        return VenueResponse(200, [
            {"a": t.trade_id, "p": t.price, "q": t.quantity, "f": t.trade_id, "l": t.trade_id,
             "T": t.at_ms, "m": t.buyer_is_maker, "M": True}
            for t in self._recent(request)
        ])  # fmt: skip
