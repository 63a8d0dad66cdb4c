"""A venue connection under test: the real ccxt clients, the project's local venue, a clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from septet import messages as m
from septet._drill.venue import Fault, LocalVenue, SymbolConfig, VenueConfig
from septet.plugin import SecretRef
from septet.plugin.live import Clock, LiveVenue
from septet_plugins.execution.venues import Ccxt, CcxtAccount

KEY, SECRET = "kkkk-the-key-kkkk", "ssss-the-secret-ssss"
OPTIONS: dict[str, Any] = {
    "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False,
    "fetchCurrencies": False,
}  # fmt: skip
SYMBOLS = ("BTC/USDT", "ETH/USDT")
PATIENCE_S = 20.0


class WallTime(Clock):
    """Wall and market time are the same."""

    @property
    def speed(self) -> float:
        return 1.0

    def now_ns(self) -> int:
        return time.time_ns()

    def market_ns(self) -> int:
        return time.time_ns()


class Received:
    """A sink that remembers, and can be waited on."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._more = asyncio.Event()

    def __call__(self, event: Any) -> None:
        self.events.append(event)
        self._more.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]

    async def until(self, met: Callable[[], Any]) -> None:
        """Wait until something holds; it is looked at whenever an event comes."""
        async with asyncio.timeout(PATIENCE_S):
            while not met():
                self._more.clear()
                await self._more.wait()

    async def until_state(self, *states: str) -> None:
        """Wait until the venue has reported these states, in this order, possibly among others."""

        def met() -> bool:
            text = iter([each.state for each in self.of(m.VenueChanged)])
            return all(state in text for state in states)

        await self.until(met)

    def forget(self) -> None:
        self.events.clear()


def account(urls: dict[str, Any], **config: Any) -> CcxtAccount:
    """The venue plugin's factory, pointed at a local address."""
    settings: dict[str, Any] = {
        "exchange": "binance", "key": "env:K", "secret": "env:S", "urls": urls,
        "options": OPTIONS, "rate_limit": False, "timeout": "3s", **config,
    }  # fmt: skip
    return CcxtAccount(Ccxt(**settings))


def read(reference: SecretRef) -> str:
    return {"K": KEY, "S": SECRET}[reference.name]


@asynccontextmanager
async def local_venue(*faults: Fault, **config: Any) -> AsyncIterator[LocalVenue]:
    settings: dict[str, Any] = {
        "symbols": [SymbolConfig(base="BTC"), SymbolConfig(base="ETH")], "api_key": KEY,
        "secret": SECRET, "paused": True, "faults": list(faults), **config,
    }  # fmt: skip
    async with LocalVenue(VenueConfig(**settings)) as venue:
        yield venue


@asynccontextmanager
async def connected(
    venue: LocalVenue, *, symbols: Sequence[str] = SYMBOLS, up: bool = True, **config: Any
) -> AsyncIterator[tuple[Any, Received]]:
    """An open connection, caught up unless set otherwise."""
    received = Received()
    live: LiveVenue = account(venue.urls, **config).connect(
        name="main", clock=WallTime(), read=read
    )
    await live.open(symbols, received)
    try:
        if up:
            await received.until_state("up")
        yield live, received
    finally:
        await live.close()


def submit(client_id: str, **changes: Any) -> m.Submit:
    fields: dict[str, Any] = {
        "client_id": client_id, "parent": 1, "symbol": 0, "side": "buy", "order_type": "market",
        "quantity": 0.5, "reduces": False, "deadline_ns": time.time_ns() + 60 * 10**9,
    }  # fmt: skip
    return m.Submit(**{**fields, **changes})


def limit(client_id: str, price: float = 90.0, **changes: Any) -> m.Submit:
    return submit(client_id, order_type="limit", limit_price=price, **changes)


def placed(venue: LocalVenue) -> list[str]:
    """Client ids of the orders that were asked for, one entry a request."""
    return [
        each.client_id
        for each in venue.journal.dump().requests
        if each.method == "POST" and each.path.endswith("/order")
    ]
