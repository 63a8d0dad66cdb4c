"""Reading an exchange's messages ourselves gives what ccxt's parsers give, event for event."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from septet import messages as m
from septet.plugin.live import Notices, Unreadable
from septet_plugins.execution.ccxt_account import Account
from septet_plugins.execution.ccxt_direct import read_directly
from septet_plugins.execution.ccxt_orders import Translator
from septet_plugins.execution.ccxt_user import UserStream
from tests.execution.helpers import WallTime
from tests.wire.offline import markets, offline, pushed

SYMBOLS = ("BTC/USDT", "ETH/BTC")
STAMP_MS = 1_700_000_000_000
STATUSES = (
    "NEW", "PENDING_NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "PENDING_CANCEL", "REJECTED",
    "EXPIRED", "EXPIRED_IN_MATCH",
)  # fmt: skip
TYPES = ("MARKET", "LIMIT", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT")

money = st.integers(0, 10**13).map(lambda units: f"{units // 10**8}.{units % 10**8:08d}")
ids = st.text("abcdefghij0123456789-", min_size=1, max_size=12)
currencies = st.sampled_from(["BTC", "USDT", "BNB", "ETH"])
sides = st.sampled_from(["BUY", "SELL"])
stamps = st.integers(STAMP_MS, STAMP_MS + 10**7)

reports = st.fixed_dictionaries(
    {
        "e": st.just("executionReport"), "E": stamps, "c": ids, "S": sides,
        "s": st.sampled_from(["BTCUSDT", "ETHBTC", "BNBBTC"]), "o": st.sampled_from(TYPES),
        "f": st.sampled_from(["GTC", "IOC", "FOK"]), "q": money, "p": money, "P": money,
        "F": st.just("0.00000000"), "g": st.just(-1), "C": st.none() | st.just("") | ids,
        "x": st.sampled_from(["NEW", "TRADE", "CANCELED", "EXPIRED", "REPLACED", "REJECTED"]),
        "X": st.sampled_from(STATUSES), "r": st.just("NONE"), "i": st.integers(1, 4), "l": money,
        "z": money, "L": money, "n": money, "N": currencies, "T": stamps,
        "t": st.integers(-1, 50), "I": st.integers(1, 10**9), "w": st.booleans(),
        "m": st.booleans(), "M": st.booleans(), "O": stamps, "Z": money, "Y": money, "Q": money,
    }
).map(lambda row: row if row["x"] == "TRADE" else {**row, "n": "0", "N": None})  # fmt: skip
fills = st.fixed_dictionaries(
    {"price": money, "qty": money, "commission": money, "commissionAsset": currencies}
)  # fmt: skip
answers = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["BTCUSDT", "ETHBTC"]), "orderId": st.integers(1, 10**12),
        "orderListId": st.just(-1), "clientOrderId": ids, "transactTime": stamps, "price": money,
        "origQty": money, "executedQty": money, "origQuoteOrderQty": money,
        "cummulativeQuoteQty": money, "status": st.sampled_from(STATUSES),
        "timeInForce": st.just("GTC"), "type": st.sampled_from(TYPES), "side": sides,
    },
    optional={"fills": st.lists(fills, max_size=4), "stopPrice": money, "workingTime": stamps},
)  # fmt: skip


class Frozen(WallTime):
    """The same instant for both readings."""

    def now_ns(self) -> int:
        return STAMP_MS * 1_000_000

    market_ns = now_ns


class Reading:
    """A client without a network, and what its messages become: by ccxt, or by ourselves."""

    def __init__(self, *, directly: bool) -> None:
        self.client = offline("binance", lambda method, path: {})
        markets(self.client, *SYMBOLS, "BNB/BTC")
        self.direct = read_directly(self.client, SYMBOLS) if directly else None
        self.translator = Translator(self.client, "main", SYMBOLS, Frozen())
        self.out: list[Any] = []
        self.stream: Any = UserStream(
            self.client, self.translator, None, None,  # type: ignore[arg-type]
            deliver=self.out.append, catch_up=None, stream_within_s=1.0,  # type: ignore[arg-type]
            notices=Notices(Frozen(), lambda event: None), direct=self.direct,
        )  # fmt: skip
        self.left_over: list[Any] = []
        self.handle, self.stream._tap._handle = self.stream._tap._handle, self._by_library
        self.socket: Any = SimpleNamespace(subscriptions={}, resolve=lambda *reported: None)

    def _by_library(self, socket: Any, message: Any) -> None:
        self.left_over.append(message)
        self.handle(socket, message)

    def of(self, messages: Sequence[Any]) -> list[Any]:
        """Return what the account's stream hands on, from a fresh start."""
        for name, kept in self.stream._caches.items():
            kept.clear()
            setattr(self.client, name, kept)
        self.client.balance = {}
        for each in (self.out, self.left_over, self.translator._owners):
            each.clear()
        for message in messages:
            try:
                self.client.handle_message(self.socket, deepcopy(message))
            except Exception as error:  # it would end the socket
                self.out.append(type(error))
        return list(self.out)

    def answer(self, body: dict[str, Any]) -> list[Any]:
        """Return the executions in the answer to an order, and its acceptance."""
        out: list[Any] = []
        self.translator._owners.clear()
        rest: Any = SimpleNamespace(client=self.client)
        account: Any = Account(rest, self.translator, Frozen(), out.append, 0)
        account._third = lambda event: None
        symbol = {"BTCUSDT": "BTC/USDT", "ETHBTC": "ETH/BTC"}[body["symbol"]]
        order = self.client.parse_order(deepcopy(body), self.client.markets[symbol])
        account.fills_of(order, "own")
        try:
            return [*out, self.translator.acked(order, "own")]
        except Unreadable as error:
            return [*out, str(error)]


@cache
def reading(directly: bool) -> Reading:
    return Reading(directly=directly)


@given(st.lists(reports, min_size=1, max_size=8))
def test_a_report_becomes_what_the_library_makes_of_it(reported: list[dict[str, Any]]) -> None:
    wrapped = [
        {"subscriptionId": 0, "event": each} if n % 2 else each for n, each in enumerate(reported)
    ]
    assert reading(True).of(wrapped) == reading(False).of(wrapped)


A_FEE_TOO_LARGE = {
    "symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": "0",
    "transactTime": STAMP_MS, "price": "0", "origQty": "0.00000001", "executedQty": "0",
    "cummulativeQuoteQty": "0", "status": "NEW", "type": "MARKET", "side": "BUY",
    "fills": [{"price": "0.00000001", "qty": "0.00000001", "commission": "0.00000002",
               "commissionAsset": "BTC"}],
}  # fmt: skip


@given(answers)
@example(A_FEE_TOO_LARGE)
def test_an_answer_becomes_what_the_library_makes_of_it(body: dict[str, Any]) -> None:
    for number, fill in enumerate(body.get("fills", ())):
        fill["tradeId"] = 100 + number
    assert reading(True).answer(body) == reading(False).answer(body)


ANSWER = {
    "symbol": "BTCUSDT", "orderId": 7, "clientOrderId": "a-1", "transactTime": STAMP_MS,
    "price": "1.0", "origQty": "2.0", "executedQty": "0.0", "cummulativeQuoteQty": "0.0",
    "status": "NEW", "type": "LIMIT", "side": "BUY",
}  # fmt: skip
KEYS = [
    "s",
    "S",
    "o",
    "X",
    "i",
    "q",
    "p",
    "z",
    "Z",
    "c",
    "x",
    "l",
    "L",
    "n",
    "T",
    "t",
    "m",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("wrong", ["missing", "null", "empty"])
def test_a_report_that_lacks_something_is_what_the_library_makes_of_it(
    key: str, wrong: str
) -> None:
    (shown,) = pushed("binance", "PushedOrder")
    report = {
        **shown["event"], "x": "TRADE", "X": "FILLED", "z": "1.0", "Z": "0.1", "l": "1.0",
        "L": "0.1", "n": "0.001", "N": "ETH", "t": 7,
    }  # fmt: skip
    report[key] = None if wrong == "null" else ""
    if wrong == "missing":
        del report[key]
    theirs, ours = reading(False).of([report]), reading(True).of([report])
    assert ours == theirs
    if key in "sSoXiqpzZlLTt":
        assert reading(True).left_over


@pytest.mark.parametrize("key", ["orderId", "side", "status", "price", "origQty", "executedQty"])
@pytest.mark.parametrize("wrong", [None, ""])
def test_an_answer_that_lacks_something_is_left_to_the_library(key: str, wrong: Any) -> None:
    direct = reading(True).direct
    assert direct is not None
    assert direct.answer({**ANSWER, key: wrong}) is None


def test_the_library_parses_neither_a_report_nor_balances() -> None:
    (shown,) = pushed("binance", "PushedOrder")
    balances = {"e": "outboundAccountPosition", "E": STAMP_MS, "u": STAMP_MS, "B": []}
    (seen,) = reading(True).of([shown, {"subscriptionId": 0, "event": balances}])
    assert isinstance(seen, m.OrderSeen)
    assert seen.state == "open"
    assert reading(True).left_over == []


def test_every_other_answer_is_left_to_the_library() -> None:
    client = offline("binance", lambda method, path: {})
    markets(client, *SYMBOLS)
    direct = read_directly(client, SYMBOLS)
    assert direct is not None
    body = ANSWER
    assert direct.answer(body) is not None
    for foreign in ("origClientOrderId", "code", "positionSide"):
        assert direct.answer({**body, foreign: "1"}) is None
    assert direct.answer({**body, "symbol": "LTCBTC"}) is None
    assert direct.answer({key: body[key] for key in body if key != "status"}) is None
    others: list[Any] = [{}, [], "", None, {"code": -1, "msg": "no"}]
    assert [direct.answer(each) for each in others] == [None] * len(others)
    queried = {**body, "time": STAMP_MS}
    del queried["transactTime"]
    assert client.parse_order(queried)["remaining"] == 2.0


@pytest.mark.parametrize(
    ("exchange", "symbol"),
    [("bybit", "BTC/USDT"), ("okx", "BTC/USDT"), ("binance", "BTC/USDT:USDT")],
)
def test_other_exchanges_and_contracts_are_left_alone(exchange: str, symbol: str) -> None:
    client = offline(exchange, lambda method, path: {})
    markets(client, symbol)
    assert read_directly(client, [symbol]) is None
    assert "parse_order" not in vars(client)
