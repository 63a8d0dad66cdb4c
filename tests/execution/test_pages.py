"""Executions page by page, whichever end an exchange begins with."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet_plugins.execution.ccxt_account import Account
from septet_plugins.execution.ccxt_orders import Translator
from tests.execution.helpers import Received, WallTime
from tests.wire.offline import markets, offline

DAY_MS = 86_400_000


class Pages:
    """Answers as an exchange does: so many executions a page, from the one end or the other."""

    def __init__(self, exchange: str, ages_ms: list[int], page: int, days: int) -> None:
        self.client = offline(exchange, lambda method, path: {})
        markets(self.client, "BTC/USDT")
        self.newest, self.page, self.span_ms = exchange != "binance", page, days * DAY_MS
        now = time.time_ns() // 10**6
        self.times = sorted(now - each for each in ages_ms)

    async def attempt(self, method: str, *rest: Any) -> tuple[Any, str]:
        if method == "fetch_balance":
            return {"free": {}, "used": {}}, ""
        assert method == "fetch_my_trades"
        return self.shown(*rest)

    def shown(
        self, symbol: str, since: int, limit: int, params: dict[str, int]
    ) -> tuple[Any, str]:  # fmt: skip
        until = params.get("until", since + self.span_ms)
        if until - since > self.span_ms:
            return None, "too long a time"
        shown = [(n, at) for n, at in enumerate(self.times) if since <= at <= until]
        shown = shown[-self.page :] if self.newest else shown[: self.page]
        return [
            {"id": str(n), "order": "1", "symbol": symbol, "side": "buy", "amount": 1.0,
             "price": 1.0, "timestamp": at}
            for n, at in shown[-limit:]
        ], ""  # fmt: skip


@pytest.mark.parametrize(
    ("exchange", "days"), [("binance", 10_000), ("bybit", 7), ("okx", 10_000), ("kraken", 10_000)]
)
@settings(max_examples=25)
@given(
    ages=st.lists(st.integers(0, 40 * DAY_MS), max_size=60, unique=True),
    since_days=st.integers(0, 45), page=st.integers(2, 20),
)  # fmt: skip
def test_every_execution_since_a_time_is_read_once_and_in_order(
    exchange: str, days: int, ages: list[int], since_days: int, page: int
) -> None:
    async def case() -> None:
        pages: Any = Pages(exchange, ages, page, days)
        clock, since_ns = WallTime(), time.time_ns() - since_days * DAY_MS * 10**6
        translator = Translator(pages.client, "main", ["BTC/USDT"], clock)
        found = await Account(pages, translator, clock, Received(), 0).fills(0, since_ns)
        assert found is not None
        wanted = [n for n, at in enumerate(pages.times) if at * 10**6 >= since_ns]
        assert [int(each.trade_id) for each in found] == wanted
        await pages.client.close()

    asyncio.run(case())
