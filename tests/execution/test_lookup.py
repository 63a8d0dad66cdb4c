"""Exchanges that are not asked by our id: lists of ended orders, page by page, then executions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from septet_plugins.execution.ccxt_lookup import Lookup, Missing, Unanswered
from septet_plugins.execution.ccxt_orders import Ids

SENT_MS = 1_700_000_000_000
SINCE_NS = (SENT_MS - 60_000) * 1_000_000


class Exchange:
    """Answers with the lists of an account that has many ended orders."""

    def __init__(self, name: str, ended: int, *, habit: str, most: int = 50) -> None:
        self.id, self.habit, self.most = name, habit, most
        self.has = {"fetchClosedOrders": True, "fetchCanceledOrders": False}
        self.open: list[Any] = []
        self.ended: list[dict[str, Any]] = [
            {"id": str(n), "clientOrderId": f"c-{n}", "timestamp": SENT_MS + n * 1_000}
            for n in range(ended)
        ]
        self.open_limit = 0
        self.asked = 0

    @property
    def client(self) -> Any:
        return self

    def feature_value(self, symbol: str, method: str, name: str) -> int:
        return self.open_limit

    async def ask(
        self, method: str, symbol: str, since: int = 0, limit: Any = None, params: Any = None
    ) -> list[Any]:
        self.asked += 1
        if method == "fetch_open_orders":
            return self.open
        if self.habit == "newest only":
            return self.ended[-self.most :]
        until = (params or {}).get("until", 2**62)
        fits = [each for each in self.ended if since <= each["timestamp"] <= until]
        return fits[: self.most] if self.habit == "forwards" and since else fits[-self.most :]


def find(exchange: Exchange, name: str, *, readable: bool = True, since_ns: int = SINCE_NS) -> Any:
    reported: list[tuple[str, int]] = []

    async def executions(symbol: str, since: int) -> bool:
        reported.append((symbol, since))
        return readable

    made: Any = exchange
    lookup = Lookup(made, Ids(exchange.id), executions)
    try:
        return asyncio.run(lookup.find(name, "", "BTC/USDT", since_ns)), reported
    except (Missing, Unanswered) as error:
        return type(error), reported


@pytest.mark.parametrize(("name", "habit"), [("mexc", "forwards"), ("kraken", "backwards")])
@pytest.mark.parametrize("ended", [49, 50, 51, 500])
def test_ended_orders_are_read_back_to_when_the_order_was_sent(
    name: str, habit: str, ended: int
) -> None:
    for number in (0, 1, ended // 2, ended - 1):
        found, _ = find(Exchange(name, ended, habit=habit), f"c-{number}")
        assert found["id"] == str(number)
    exchange = Exchange(name, ended, habit=habit)
    assert find(exchange, "never-accepted")[0] is Missing
    assert exchange.asked <= 4 + 2 * ended // 50


def test_an_exchange_of_the_other_habit_is_not_accepted() -> None:
    assert find(Exchange("mexc", 500, habit="backwards"), "c-3") == (
        Missing,
        [("BTC/USDT", SINCE_NS)],
    ), "its lists hide it, so its executions decide"


@pytest.mark.parametrize("name", ["mexc", "kraken"])
def test_where_only_the_newest_are_listed_executions_decide(name: str) -> None:
    exchange = Exchange(name, 500, habit="newest only")
    assert find(exchange, "c-3") == (Missing, [("BTC/USDT", SINCE_NS)])
    assert find(exchange, "c-3", readable=False)[0] is Unanswered
    assert find(exchange, "c-499")[0]["id"] == "499"


def test_an_order_that_may_be_open_is_never_taken_for_gone() -> None:
    exchange = Exchange("mexc", 500, habit="newest only")
    exchange.open = [{"id": "9000", "clientOrderId": "c-9000"}]
    exchange.open_limit = 1
    assert find(exchange, "c-3")[0] is Unanswered
    assert find(exchange, "c-9000")[0]["id"] == "9000"


def test_without_the_time_of_sending_nothing_is_concluded() -> None:
    assert find(Exchange("mexc", 500, habit="forwards"), "x", since_ns=0) == (Unanswered, [])
