"""The real ccxt client, pointed at a local venue."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from septet._drill.venue import LocalVenue, SymbolConfig, Synthetic, VenueConfig

SYMBOL = "BTC/USDT"
ID = "BTCUSDT"


def config(**changes: Any) -> VenueConfig:
    """A venue whose time stands still, with money on both sides."""
    given: dict[str, Any] = {
        "symbols": [SymbolConfig(base="BTC", synthetic=Synthetic(count=300))],
        "balances": {"USDT": "10000", "BTC": "10"},
        "paused": True,
        "seed": 7,
    }
    return VenueConfig(**{**given, **changes})


def client_of(venue: LocalVenue, **changes: Any) -> Any:
    """The unmodified client, configured by the rules of live safety."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ccxt.pro as ccxtpro
    settings: dict[str, Any] = {
        "apiKey": "k",
        "secret": "s",
        "enableRateLimit": False,
        "timeout": 2000,
        "urls": venue.urls,
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
        },
        "streaming": {"keepAlive": 5000},
        "timeout_on_exit": 0,
        "verify": False,  # reading the certificates of the system takes longer than a test
        **changes,
    }
    client = ccxtpro.binance(settings)
    for part in ("exact", "broad"):
        client.exceptions[part].update(client.exceptions["spot"].get(part, {}))
    return client


@asynccontextmanager
async def open_both(**changes: Any) -> AsyncIterator[tuple[LocalVenue, Any]]:
    """A venue and a client whose markets are loaded."""
    async with LocalVenue(config(**changes)) as venue:
        client = client_of(venue)
        try:
            await client.load_markets()
            yield venue, client
        finally:
            await client.close()


def play(story: Callable[[LocalVenue, Any], Awaitable[None]], **changes: Any) -> None:
    """Run a story against a fresh venue."""

    async def run() -> None:
        async with asyncio.timeout(30):
            async with open_both(**changes) as (venue, client):
                await story(venue, client)

    asyncio.run(run())


class Tap:
    """Every message of a client, in order, as the user stream delivers them."""

    def __init__(self, client: Any) -> None:
        self.messages: list[Any] = []
        self._new = asyncio.Event()
        passed = client.handle_message

        def received(connection: Any, message: Any) -> None:
            self.messages.append(message)
            self._new.set()
            passed(connection, message)

        client.handle_message = received

    def events(self, kind: str) -> list[Any]:
        """The messages of one kind, unwrapped."""
        inner = [m.get("event", m) for m in self.messages if isinstance(m, dict)]
        return [message for message in inner if message.get("e") == kind]

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait for messages until there are enough."""
        async with asyncio.timeout(10):
            while not enough():
                self._new.clear()
                await self._new.wait()


async def listen(client: Any) -> Tap:
    """Open the user stream and hear everything."""
    tap = Tap(client)
    # ccxt's own handler raises on the first balance event, and its receive loop dies of that,
    # unless watch_balance was called before: this is what watch_balance prepares.
    client.balance["spot"] = {}
    await client.ensure_user_data_stream_ws_subscribe_signature("spot")
    return tap
