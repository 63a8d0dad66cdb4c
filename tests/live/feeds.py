"""Bars in memory that close as market time goes by, and a world to run strategies in."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from septet import messages as m
from septet._config import load
from septet._host.venues import BarSeen, FeedFacts, FeedRequest, LiveFeed, Market
from septet._live.clock import LiveClock, MarketOrigin, ShortenedClock
from septet._live.start import Options
from septet._live.wiring import WIRING, Wiring
from septet.errors import RunError
from tests.live.scripted import MemoryVenue

HOUR_NS = 3_600 * 1_000_000_000
MARKET_NS = 1_700_000_400 * 1_000_000_000 - 1_700_000_400 * 1_000_000_000 % HOUR_NS
BAR_WALL_NS = 40_000_000

STRATEGY = """\
version: 1
name: {name}
account: {{capital: 10000}}
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {{use: synthetic, bars: 500, seed: 4}}}}
features:
  fast: {{use: sma, period: 2}}
  slow: {{use: sma, period: 5}}
signal: {{use: rules, long_if: fast > slow, exit_if: fast < slow}}
risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  halts: {{drawdown: {{above: 90%, then: flatten, resume: manual}}}}
"""


def price(open_ns: int) -> float:
    hours = open_ns // HOUR_NS
    return 100.0 + 10.0 * math.sin(hours / 3.0) + 3.0 * math.sin(hours * 1.7)


def bar(symbol: str, open_ns: int) -> BarSeen:
    first, last = price(open_ns), price(open_ns + HOUR_NS)
    high, low = max(first, last) + 1.0, min(first, last) - 1.0
    return BarSeen(symbol, open_ns, first, high, low, last, 10.0, closed=True)


class MemoryFeed:
    """A bar of every symbol at its close; history as far back as asked."""

    def __init__(self, clock: LiveClock) -> None:
        self.clock = clock
        self.refusals = 0
        self.silent = False
        self._task: asyncio.Task[None] | None = None

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        if self.refusals > 0:
            self.refusals -= 1
            raise RunError("connection refused")
        self._task = asyncio.get_running_loop().create_task(self._emit(request, sink))
        markets = {
            name: Market(name, name.split("/")[0], name.split("/")[1], 1e-6, 0.01)
            for name in request.symbols
        }
        return FeedFacts("memory", dict.fromkeys(sorted(request.kinds), "stream"), markets)

    async def _emit(self, request: FeedRequest, sink: Callable[[Any], None]) -> None:
        bar_ns = request.bar_ns
        open_ns = self.clock.market_ns() // bar_ns * bar_ns
        while True:
            due = self.clock.wall_of_market(open_ns + bar_ns) - self.clock.now_ns()
            await asyncio.sleep(max(0.0, due / 1e9))
            for symbol in request.symbols:
                if not self.silent:
                    sink(bar(symbol, open_ns))
            open_ns += bar_ns

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        last = min(until_ns, self.clock.market_ns() // HOUR_NS * HOUR_NS)
        return [bar(symbol, each) for each in range(since_ns, last, HOUR_NS)]

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()


class World:
    """A folder, a shortened clock, and what runs are connected to."""

    def __init__(self, folder: Path, *, bar_wall_ns: int = BAR_WALL_NS) -> None:
        self.folder = folder
        self.clock = ShortenedClock(
            MarketOrigin(time.time_ns(), MARKET_NS, HOUR_NS / bar_wall_ns, HOUR_NS)
        )
        self.venue = MemoryVenue()
        self.feeds: list[MemoryFeed] = []
        self.core: Callable[..., Any] = WIRING.core
        self.refusals = 0
        self.on_open: Callable[[], None] = lambda: None

    def file(self, name: str = "live") -> Path:
        text = STRATEGY.format(name=name)
        path = self.folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, name: str = "live", *, mode: str = "paper", sets: Sequence[str] = ()) -> Any:
        venues = ["execution.venues={v: {use: ccxt, exchange: binance}}"] if mode == "live" else []
        return load(self.file(name), mode=mode, sets=[*venues, *sets])

    def feed(self, loaded: Any, clock: LiveClock, tasks: Any = None) -> LiveFeed:
        made = MemoryFeed(clock)
        made.refusals, self.refusals = self.refusals, 0
        self.feeds.append(made)
        asyncio.get_running_loop().call_later(0.3, self.on_open)
        return made

    @property
    def wiring(self) -> Wiring:
        return Wiring(self.core, WIRING.venue, self.feed)

    def options(self, **changes: Any) -> Options:
        fields: dict[str, Any] = {"out": self.folder / "runs", "quiet": True, "bars": 10}
        return Options(**(fields | changes))


def kinds(events: Sequence[m.Event]) -> list[str]:
    return [type(each).__name__ for each in events]
