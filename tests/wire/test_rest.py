"""Recorded REST answers of four exchanges through the real client and our events."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from septet_plugins.data.ccxt_messages import bar_of, print_of, quote_of_book, quote_of_ticker
from septet_plugins.execution.ccxt_answers import echo_fault
from septet_plugins.execution.ccxt_orders import Translator
from tests.execution.helpers import WallTime
from tests.wire.offline import markets, offline, rest

SYMBOLS = (
    "BTC/USDT", "ETH/USDT", "LTC/BTC", "BTC/USD", "ETH/BTC", "BNB/BTC", "BTC/USDT:USDT",
    "ETH/USDT:USDT",
)  # fmt: skip


def ask(exchange: str, name: str, method: str, *args: Any) -> tuple[Any, Any]:
    body = rest(exchange, name)

    async def run() -> tuple[Any, Any]:
        client = offline(
            exchange, lambda method, path: body, enableUnifiedAccount=True, unifiedMarginStatus=5
        )
        markets(client, *SYMBOLS)
        try:
            return client, await getattr(client, method)(*args)
        finally:
            await client.close()

    return asyncio.run(run())


ORDERS: list[tuple[str, str, str, tuple[Any, ...], str, str]] = [
    # exchange, file, method, arguments, venue's id and state of the first order
    ("binance", "GetOrder", "fetch_order", ("1", "LTC/BTC"), "1", "open"),
    ("binance", "GetOrders", "fetch_orders", ("LTC/BTC",), "1", "open"),
    ("binance", "GetOpenOrders", "fetch_open_orders", ("LTC/BTC",), "1", "open"),
    ("binance", "CancelOrder", "cancel_order", ("4", "LTC/BTC"), "4", "cancelled"),
    (
        "bybit", "GetOrderHistory", "fetch_canceled_and_closed_orders", ("BTC/USDT",),
        "14bad3a1-6454-43d8-bcf2-5345896cf74d", "cancelled",
    ),
    (
        "okx", "GetOrderDetails", "fetch_order", ("1", "BTC/USDT"), "680800019749904384", "filled",
    ),
    ("okx", "GetOrders", "fetch_open_orders", ("BTC/USDT",), "301835739059335168", "open"),
    (
        "okx", "GetOrderHistory", "fetch_closed_orders", ("BTC/USDT",), "680800019749904384",
        "filled",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "name", "method", "args", "venue_id", "state"), ORDERS)
def test_orders(
    exchange: str, name: str, method: str, args: tuple[Any, ...], venue_id: str, state: str
) -> None:
    client, found = ask(exchange, name, method, *args)
    translator = Translator(client, "main", SYMBOLS, WallTime())
    first = found[0] if isinstance(found, list) else found
    seen = translator.order(first, "list")
    assert seen is not None
    assert (seen.venue_order_id, seen.state) == (venue_id, state)
    assert 0.0 <= seen.filled <= seen.quantity
    assert seen.quantity > 0.0


def test_the_answer_to_a_cancel_is_about_the_order_not_the_cancel() -> None:
    client, found = ask("binance", "CancelOrder", "cancel_order", "4", "LTC/BTC")
    assert found["clientOrderId"] == "cancelMyOrder1"
    seen = Translator(client, "main", SYMBOLS, WallTime()).order(found, "cancel")
    assert seen is not None
    assert seen.client_id == "myOrder1"


@pytest.mark.parametrize(
    ("exchange", "fault"),
    [
        ("binance", "another order"),
        ("bybit", "another order"),
        ("okx", "another order"),
        ("kraken", "does not repeat the client id"),
    ],
)
def test_the_answer_to_a_new_order_counts_only_with_our_client_id(
    exchange: str, fault: str
) -> None:
    symbol = "BTC/USD" if exchange == "kraken" else "BTC/USDT"
    client, answer = ask(
        exchange, "PlaceOrder", "create_order", symbol, "limit", "buy", "1", "2",
        {"clientOrderId": "a1"},
    )  # fmt: skip
    assert answer["id"]
    assert fault in echo_fault(answer, client.markets[symbol], "a1")


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx", "kraken"])
def test_executions(exchange: str) -> None:
    symbol = {"binance": "BNB/BTC", "kraken": "BTC/USD"}.get(exchange, "BTC/USDT")
    client, trades = ask(exchange, "GetUserTrades", "fetch_my_trades", symbol)
    translator = Translator(client, "main", SYMBOLS, WallTime())
    fills = [translator.fill(each) for each in trades]
    assert fills
    for fill in fills:
        assert fill is not None
        assert fill.trade_id
        assert fill.venue_order_id
        assert fill.quantity > 0.0
        assert fill.price > 0.0
        assert fill.side in ("buy", "sell")
        assert fill.market_ns == fill.venue_ns > 10**18


@pytest.mark.parametrize(
    ("exchange", "name", "currency", "free", "used"),
    [
        ("binance", "GetAccountInfo", "BTC", 4723846.89208129, 0.0),
        ("bybit", "GetBalances", "BTC", 0.0, 0.0),
        ("okx", "GetAccountBalance", "USDT", 4834.3170936228935, 158.5730000000005),
        ("kraken", "GetAvailableBalances", "BTC", 0.4012, 0.8423),
    ],
)
def test_balances(exchange: str, name: str, currency: str, free: float, used: float) -> None:
    _, balance = ask(exchange, name, "fetch_balance")
    assert balance["free"][currency] == free
    assert balance["used"][currency] == used


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx", "kraken"])
def test_bars(exchange: str) -> None:
    symbol = "BTC/USD" if exchange == "kraken" else "BTC/USDT"
    _, rows = ask(exchange, "GetKlines", "fetch_ohlcv", symbol, "1h")
    bars = [bar_of(symbol, row, True, "poll") for row in rows]
    assert bars
    assert [each.open_ns for each in bars] == sorted(each.open_ns for each in bars)
    for each in bars:
        assert each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high
        assert math.isfinite(each.volume)


@pytest.mark.parametrize(
    ("exchange", "name"),
    [
        ("binance", "GetTicker"),
        ("bybit", "GetSpotTickers"),
        ("okx", "GetTicker"),
        ("kraken", "GetTicker"),
    ],
)
def test_quotes(exchange: str, name: str) -> None:
    symbol = {"binance": "BNB/BTC", "kraken": "BTC/USD"}.get(exchange, "BTC/USDT")
    _, ticker = ask(exchange, name, "fetch_ticker", symbol)
    seen = quote_of_ticker(ticker, 1)
    assert seen is not None
    assert 0.0 < seen.bid < seen.ask
    assert seen.bid_quantity > 0.0


@pytest.mark.parametrize(
    ("exchange", "name"),
    [("bybit", "GetOrderbook"), ("okx", "GetOrderBook"), ("kraken", "GetOrderBook")],
)
def test_books(exchange: str, name: str) -> None:
    symbol = "BTC/USD" if exchange == "kraken" else "BTC/USDT"
    _, book = ask(exchange, name, "fetch_order_book", symbol)
    seen = quote_of_book(symbol, book["bids"], book["asks"], 1)
    assert not isinstance(seen, str)
    assert seen.bids[0][0] == seen.bid < seen.ask == seen.asks[0][0]


@pytest.mark.parametrize(
    ("exchange", "name"),
    [
        ("binance", "GetRecentTrades"),
        ("bybit", "GetTradeHistory"),
        ("okx", "GetRecentTrades"),
        ("kraken", "GetTradeHistory"),
    ],
)
def test_trades_of_others(exchange: str, name: str) -> None:
    symbol = "BTC/USD" if exchange == "kraken" else "BTC/USDT"
    _, trades = ask(exchange, name, "fetch_trades", symbol)
    seen = [print_of(symbol, each, 1) for each in trades]
    assert seen
    assert all(each is not None and each.trade_id and each.venue_ns > 10**18 for each in seen)
