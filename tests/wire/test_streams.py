"""Recorded frames through the real stream clients: what comes out, and that nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet import messages as m
from septet.plugin.live import BarSeen, FeedRequest, Notices, PrintSeen, QuoteSeen, StreamDown
from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms
from septet_plugins.data.ccxt_kinds import served
from septet_plugins.data.ccxt_messages import (
    inner_of,
    print_of,
    print_of_raw,
    quote_of_raw,
    quote_of_ticker,
)
from septet_plugins.data.ccxt_requests import Requests
from septet_plugins.exchange.clients import Terms
from septet_plugins.exchange.listing import Listing
from septet_plugins.execution.ccxt_orders import Translator
from septet_plugins.execution.ccxt_user import UserStream
from tests.execution.helpers import Received, WallTime
from tests.wire.offline import frames, markets, offline, pushed, requests

MINUTE_NS = 60 * 10**9


class Listener:
    """A feed whose sockets are never dialled: frames are handed to the client one by one."""

    def __init__(
        self, client: Any, symbols: Sequence[str], kinds: Sequence[str], timeframe: str = "1m"
    ) -> None:
        self.received = Received()
        self.feed: Any = CcxtFeed(FeedTerms(Terms(client.id)), WallTime())
        request = FeedRequest(tuple(symbols), MINUTE_NS, frozenset(kinds))
        self.feed._client, self.feed._request, self.feed._sink = client, request, self.received
        feed = self.feed
        feed._requests = Requests(client, feed._terms, feed._gate, feed._clock, feed._scrub)
        self.feed._timeframe = timeframe
        self.feed._how, self.feed._methods, _ = served(client, request.kinds)
        self.feed._listing = Listing(client, symbols, self.feed._relist, self.feed._owned)
        setattr(self.feed, "_start", lambda kind, symbol: None)  # noqa: B010
        self.feed._tap_messages()
        for symbol in symbols:
            for kind in kinds:
                self.feed._prepare(kind, symbol)
        self.client = client

    def take(self, url: str, message: Any) -> None:
        self.client.handle_message(self.client.client(url), message)


URLS = {
    "binance": "wss://stream.binance.com:9443/ws",
    "bybit": "wss://stream.bybit.com/v5/public/spot",
    "okx": "wss://ws.okx.com:8443/ws/v5/business",
}


def fed(
    exchange: str, symbol: str, kinds: Sequence[str], name: str, timeframe: str = "1m"
) -> list[Any]:
    async def run() -> list[Any]:
        client = offline(exchange, lambda method, path: {})
        markets(client, "BTC/USDT", "ETH/USDT", "BNB/BTC", "BNB/USDT", "ETH/BTC")
        listener = Listener(client, [symbol], kinds, timeframe)
        for message in pushed(exchange, name):
            listener.take(URLS[exchange], message)
        await listener.feed.close()
        return listener.received.events

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("exchange", "symbol", "timeframe"), [("binance", "BNB/BTC", "1m"), ("okx", "ETH/USDT", "1d")]
)
def test_a_bar_that_goes_on_is_reported_as_open(exchange: str, symbol: str, timeframe: str) -> None:
    (bar,) = fed(exchange, symbol, ["bars"], "PushedKlines", timeframe)
    assert isinstance(bar, BarSeen)
    assert (bar.symbol, bar.closed) == (symbol, False)


@pytest.mark.parametrize(
    ("exchange", "symbol"),
    [("binance", "BNB/BTC"), ("bybit", "BTC/USDT"), ("okx", "ETH/USDT")],
)
def test_a_trade_of_others(exchange: str, symbol: str) -> None:
    prints = fed(exchange, symbol, ["trades"], "PushedTrades")
    assert prints
    for each in prints:
        assert isinstance(each, PrintSeen)
        assert each.trade_id
        assert each.price > 0.0


def decimals(places: int) -> st.SearchStrategy[str]:
    return st.integers(0, 10**15).map(lambda n: f"{Decimal(n).scaleb(-places):f}")


@given(
    stamp=st.integers(1, 2**42), number=st.integers(1, 2**53), price=decimals(8),
    quantity=decimals(5),
)  # fmt: skip
def test_a_trade_we_read_ourselves_is_what_the_clients_parser_makes_of_it(
    stamp: int, number: int, price: str, quantity: str
) -> None:
    changes = {"T": stamp, "t": number, "p": price, "q": quantity}
    message = {**inner_of(pushed("binance", "PushedTrades")[0]), **changes}
    client = a_client()
    parsed = client.parse_ws_trade(message, client.market("BNB/BTC"))
    assert print_of_raw(message, "BNB/BTC") == print_of("BNB/BTC", parsed, 0) is not None


@given(bid=decimals(8), bids=decimals(5), ask=decimals(8), asks=decimals(5))
def test_best_prices_we_read_ourselves_are_what_the_clients_parser_makes_of_them(
    bid: str, bids: str, ask: str, asks: str
) -> None:
    for stamp in ({}, {"e": "bookTicker", "E": 7, "T": 6}):
        message = {"u": 1, "s": "BNBBTC", "b": bid, "B": bids, "a": ask, "A": asks, **stamp}
        parsed = a_client().parse_ws_ticker(message, "spot")
        assert quote_of_raw(message, "BNB/BTC", 5) == quote_of_ticker(parsed, 5)


@pytest.mark.parametrize("name", ["b", "B", "a", "A"])
def test_best_prices_that_are_not_as_expected_are_left_to_the_clients_parser(name: str) -> None:
    message = {"u": 1, "s": "BNBBTC", "b": "1", "B": "1", "a": "2", "A": "1"}
    assert quote_of_raw(message, "BNB/BTC", 5) is not None
    others: tuple[Any, ...] = (None, "", "much", [])
    for other in others:
        assert quote_of_raw({**message, name: other}, "BNB/BTC", 5) is None
    del message[name]
    assert quote_of_raw(message, "BNB/BTC", 5) is None


@cache
def a_client() -> Any:
    client = offline("binance", lambda method, path: {})
    markets(client, "BNB/BTC")
    return client


@pytest.mark.parametrize("name", ["T", "t", "p", "q"])
def test_a_trade_that_is_not_as_expected_is_left_to_the_clients_parser(name: str) -> None:
    message = dict(inner_of(pushed("binance", "PushedTrades")[0]))
    assert print_of_raw(message, "BNB/BTC") is not None
    others: tuple[Any, ...] = (None, "", "much", [])
    for other in others:
        assert print_of_raw({**message, name: other}, "BNB/BTC") is None
    del message[name]
    assert print_of_raw(message, "BNB/BTC") is None


def test_the_best_prices() -> None:
    (quote,) = fed("binance", "BNB/USDT", ["quotes"], "PushedBookTicker")
    assert isinstance(quote, QuoteSeen)
    assert (quote.bid, quote.bid_quantity) == (25.3519, 31.21)
    assert (quote.ask, quote.ask_quantity) == (25.3652, 40.66)


def own(exchange: str, messages: Sequence[Any], *symbols: str) -> list[Any]:
    """Hand the account's frames to the client; return what the venue adapter would send on."""

    async def run() -> list[Any]:
        client = offline(exchange, lambda method, path: {})
        markets(client, *symbols)
        translator = Translator(client, "main", symbols, WallTime())
        out: list[Any] = []
        stream: Any = UserStream(
            client, translator, None, None,  # type: ignore[arg-type]
            deliver=out.append, catch_up=None, stream_within_s=1.0,  # type: ignore[arg-type]
            notices=Notices(WallTime(), out.append),
        )  # fmt: skip
        client.orders, client.myTrades = stream._caches["orders"], stream._caches["myTrades"]
        ws = client.client("wss://user")
        for message in messages:
            client.handle_message(ws, message)
        await client.close()
        return out

    return asyncio.run(run())


def test_a_burst_of_our_own_executions_loses_none() -> None:
    """Between two awaits ccxt's cache keeps the last state only; the tap saw each of them."""
    (shown,) = pushed("binance", "PushedOrder")
    messages = [shown]
    for n in range(1, 51):
        report = {
            **shown["event"], "x": "TRADE", "X": "FILLED" if n == 50 else "PARTIALLY_FILLED",
            "t": 1_000 + n, "l": "0.02", "z": f"{n * 0.02:.2f}", "L": "0.1026", "n": "0.00002",
            "N": "ETH", "m": n % 2 == 0,
        }  # fmt: skip
        messages.append({"subscriptionId": 0, "event": report})
    out = own("binance", messages, "ETH/BTC")
    fills = [each for each in out if isinstance(each, m.Filled)]
    orders = [each for each in out if isinstance(each, m.OrderSeen)]
    assert [int(each.trade_id) for each in fills] == list(range(1_001, 1_051))
    assert {each.client_id for each in fills} == {"mUvoqJxFIILMdfAW5iGSOW"}
    assert sum(each.quantity for each in fills) == pytest.approx(1.0)
    assert [each.filled for each in orders] == pytest.approx([n * 0.02 for n in range(51)])
    assert orders[-1].state == "filled"
    assert fills[0].fee_currency == "ETH"
    assert (fills[0].maker, fills[1].maker) == (False, True)


def test_an_order_of_ours_at_another_exchange() -> None:
    out = own("okx", pushed("okx", "PushedOrder"), "BTC/USDT", "ETH/USDT", "ETH/BTC", "BNB/BTC")
    assert all(isinstance(each, (m.OrderSeen, m.Filled)) for each in out)


# ---------------------------------------------------------------------------- half a minute, whole


def _played(venue: str, exchange: str, info: str, depth: str) -> Counter[str]:
    """Play a recording; compare each book with the best prices reported for the same number."""
    snapshots = requests("cryptofeed.tar.xz", f"{venue}.http.0.0")
    listing = requests("cryptofeed.tar.xz", f"{venue}.0")

    async def run() -> Counter[str]:
        answers: dict[str, Any] = {"exchangeInfo": next(iter(listing.values()))}
        client = offline(
            exchange, lambda method, path: answers.get(path.rpartition("/")[2], {}),
            fetchMarkets={"types": [info]}, fetchMargins=False, fetchCurrencies=False,
        )  # fmt: skip
        await client.load_markets()
        kind = None if info == "spot" else "contract"
        reported = {address.partition("symbol=")[2].partition("&")[0]: each
                for address, each in snapshots.items()}  # fmt: skip
        symbols = {
            name: client.safe_symbol(name, None, None, kind or "spot")
            for name in reported
            if name in client.markets_by_id
        }
        listener = Listener(client, list(symbols.values()), ["bars", "trades", "quotes", "book"])
        books = listener.feed._books._books
        counted: Counter[str] = Counter()
        best: dict[tuple[str, int], tuple[float, ...]] = {}
        compared: dict[tuple[str, int], tuple[float, ...]] = {}
        asked: set[str] = set()
        for _, frame in frames("cryptofeed.tar.xz", f"{venue}.ws.1.0"):
            inner = frame.get("data", frame)
            name = inner.get("s")
            listener.take(depth, frame)
            counted[str(inner.get("e", "bookTicker"))] += 1
            if name not in symbols:
                continue
            symbol, number = symbols[name], inner.get("u")
            if "B" in inner:
                parsed = client.parse_ws_ticker(inner, kind or "spot")
                counted["read otherwise"] += quote_of_raw(inner, symbol, 5) != quote_of_ticker(
                    parsed, 5
                )
                best[symbol, number] = tuple(float(inner[key]) for key in "bBaA")
            if inner.get("e") != "depthUpdate":
                continue
            if name not in asked and inner["u"] >= reported[name]["lastUpdateId"]:
                asked.add(name)
                answers["depth"] = reported[name]
                await client.fetch_order_book(symbol, 1_000)
            if books[symbol].valid:
                (bid,), (ask,) = books[symbol].top(1)
                compared[symbol, books[symbol].last_id] = (*bid, *ask)
        counted["books"] = sum(each.valid for each in books.values())
        counted["gaps"] = sum(each.gaps for each in books.values())
        await listener.feed.close()
        counted["same"] = sum(compared[key] == best[key] for key in compared.keys() & best.keys())
        counted["other"] = len(compared.keys() & best.keys()) - counted["same"]
        for each in listener.received.events:
            counted[type(each).__name__] += 1
        return counted

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("venue", "exchange", "info", "url"),
    [
        ("BINANCE", "binance", "spot", "wss://stream.binance.com:9443/stream"),
        ("BINANCE_US", "binanceus", "spot", "wss://stream.binance.us:9443/stream"),
        ("BINANCE_FUTURES", "binanceusdm", "linear", "wss://fstream.binance.com/stream"),
    ],
)
def test_half_a_minute_of_real_frames(venue: str, exchange: str, info: str, url: str) -> None:
    counted = _played(venue, exchange, info, url)
    print(venue, dict(counted))
    assert counted["books"] > 0
    assert counted["same"] > 0
    assert counted["other"] == counted["read otherwise"] == 0
    assert counted[QuoteSeen.__name__] > 0
    assert counted[PrintSeen.__name__] > 0
    assert counted[StreamDown.__name__] <= counted["gaps"]


def test_half_a_minute_of_real_frames_of_okx() -> None:
    """Books come with a checksum there: the client compares it, we compare the two sides."""

    async def run() -> Counter[str]:
        client = offline("okx", lambda method, path: {})
        markets(client, "BTC/USDT")
        listener = Listener(client, ["BTC/USDT"], ["trades", "quotes", "book"])
        counted: Counter[str] = Counter()
        for _, frame in frames("cryptofeed.tar.xz", "OKX.ws.1.0"):
            if frame.get("arg", {}).get("instId") == "BTC-USDT" and "data" in frame:
                listener.take("wss://ws.okx.com:8443/ws/v5/public", frame)
                counted[frame["arg"]["channel"]] += 1
        await listener.feed.close()
        for each in listener.received.events:
            counted[type(each).__name__] += 1
            if isinstance(each, QuoteSeen):
                assert each.bid < each.ask
        return counted

    counted = asyncio.run(run())
    print("OKX", dict(counted))
    assert counted[StreamDown.__name__] == 0
    assert counted[PrintSeen.__name__] >= counted["trades"] > 0
    assert counted[QuoteSeen.__name__] > counted["books"] > 0
