"""The market: the prices of every symbol, replayed by the clock, and queries about them."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from septet._drill.venue.amounts import SCALE, exact, text
from septet._drill.venue.binance_messages import kline_row
from septet._drill.venue.clock import MarketClock
from septet._drill.venue.config import VenueConfig, interval
from septet._drill.venue.engine import MatchingEngine
from septet._drill.venue.symbol_prices import Kline, SymbolPrices, Tick, load_bars
from septet.errors import InputError

__all__ = ["Listener", "Market", "Trade"]

_KEEP_TRADES = 1000


@dataclass(frozen=True, slots=True)
class Trade:
    """A public trade, at market time."""

    trade_id: int
    symbol: str
    price: str
    quantity: str
    at_ms: int
    buyer_is_maker: bool


class Listener(Protocol):
    """A subscriber of the market's events."""

    def traded(self, trade: Trade) -> None: ...

    def kline(self, symbol: str, kline: Kline, *, closed: bool) -> None: ...

    def moved(self, symbol: str) -> None: ...


class Market:
    """Replays the prices; `position` counts (bar, tick) from the start."""

    def __init__(self, config: VenueConfig, engine: MatchingEngine) -> None:
        self.bar_ns = config.bar_ns
        self.word = interval(config.bar_ns)
        self.engine = engine
        self.listener: Listener | None = None
        self.on_bar: Callable[[int], None] = lambda bar: None
        self.prices = {
            each.id: SymbolPrices(
                each, load_bars(each, config.seed, config.bar_ns), config.bar_ns,
                config.ticks_per_bar, config.seed,
            )
            for each in config.symbols
        }  # fmt: skip
        first = min(prices.bars.open_ns[0] for prices in self.prices.values())
        self.origin_ns = first + config.history * config.bar_ns
        self.end_ns = (
            max(prices.bars.open_ns[-1] for prices in self.prices.values()) + config.bar_ns
        )
        if self.origin_ns >= self.end_ns:
            raise InputError(
                f"history: {config.history} bars leave none to play, "
                f"there are {(self.end_ns - first) // config.bar_ns}"
            )
        self.clock = MarketClock(
            self.origin_ns, config.bar_ns, config.bar_wall_ns, paused=config.paused
        )
        self.bar = 0
        self.tick = 0
        self.hidden: set[tuple[str, int]] = set()
        self._ticks: dict[str, list[Tick]] = {}
        self._count = max(config.ticks_per_bar, 4)
        self._next_trade = 1
        self.trades: dict[str, deque[Trade]] = {
            symbol: deque(maxlen=_KEEP_TRADES) for symbol in self.prices
        }
        self._wake = asyncio.Event()
        self._open_quotes()

    # ------------------------------------------------------------ time

    @property
    def ended(self) -> bool:
        """Whether all prices have been replayed."""
        return self.origin_ns + self.bar * self.bar_ns >= self.end_ns

    @property
    def open_ns(self) -> int:
        """Where the bar that is forming opens."""
        return self.origin_ns + self.bar * self.bar_ns

    def now_ms(self) -> int:
        """Market time in milliseconds."""
        return self.clock.market_ns() // 10**6

    def next_ns(self) -> int:
        """Market time of the next step: a tick, or the close after the last one."""
        return self.open_ns + self.tick * self.bar_ns // self._count

    def advance(self) -> None:
        """Make the next step."""
        if self.tick < self._count:
            self._play_tick()
            self.tick += 1
        else:
            self._close_bar()
            self.bar, self.tick = self.bar + 1, 0
            self.on_bar(self.bar)

    def step(self, bars: int = 1, ticks: int = 0) -> None:
        """Advance paused time: a number of bars to their close, then a number of ticks."""
        goal = self.bar + bars
        while self.bar < goal and not self.ended:
            self._one()
        for _ in range(ticks):
            if not self.ended:
                self._one()

    def _one(self) -> None:
        self.clock.put(self.next_ns())
        self.advance()

    def poke(self) -> None:
        """Report that the clock was paused or continued."""
        self._wake.set()

    async def run(self) -> None:
        """Replay as time passes, until the prices end."""
        while not self.ended:
            if self.clock.paused:
                await self._wake.wait()
                self._wake.clear()
                continue
            due = self.clock.wall_at(self.next_ns()) - self.clock.wall_ns()
            if due > 0:
                await asyncio.sleep(due / 1e9)
                continue
            self.advance()
            # A venue that is behind still answers: one step, then everybody else's turn.
            await asyncio.sleep(0)

    def _open_quotes(self) -> None:
        for symbol, prices in self.prices.items():
            before = [r for r, at in enumerate(prices.bars.open_ns) if at < self.origin_ns]
            if before:
                prices.last = Decimal(repr(prices.bars.close[before[-1]]))
            self.engine.move(symbol, int(prices.last * SCALE), 0, self.clock.wall_ns() // 10**6)

    def _play_tick(self) -> None:
        at_ns = self.next_ns()
        for symbol, prices in self.prices.items():
            row = prices.row_of(self.open_ns)
            if row is None:
                continue
            if self.tick == 0 or symbol not in self._ticks:
                self._ticks[symbol] = prices.ticks(row)
            tick = self._ticks[symbol][self.tick]
            kline = prices.apply(self.open_ns, tick)
            self.engine.move(
                symbol, tick.price_units, int(tick.quantity * SCALE), self.clock.wall_ns() // 10**6
            )
            if tick.quantity:
                self._print(symbol, tick, at_ns)
            if self.listener is not None:
                self.listener.kline(symbol, kline, closed=False)
                self.listener.moved(symbol)

    def _print(self, symbol: str, tick: Tick, at_ns: int) -> None:
        trade = Trade(
            self._next_trade, symbol, format(tick.price, "f"), format(tick.quantity, "f"),
            at_ns // 10**6, tick.buyer_is_maker,
        )  # fmt: skip
        self._next_trade += 1
        self.trades[symbol].append(trade)
        if self.listener is not None:
            self.listener.traded(trade)

    def _close_bar(self) -> None:
        for symbol, prices in self.prices.items():
            row = prices.row_of(self.open_ns)
            if row is not None and self.listener is not None:
                self.listener.kline(symbol, self.shown(prices, row), closed=True)

    # ------------------------------------------------------------ questions

    def shown(self, prices: SymbolPrices, row: int) -> Kline:
        """Return a closed bar; a replayed one counts its own trades."""
        closed, now = prices.closed(row), prices.now
        if now is not None and now.open_ns == closed.open_ns:
            closed.trades = now.trades
            closed.quote_volume = now.quote_volume
            closed.taker_volume = now.taker_volume
            closed.taker_quote_volume = now.taker_quote_volume
        return closed

    def klines(
        self, symbol: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[list[str | int]]:
        """Return bars as the REST list shows them: closed ones, and the one that is forming."""
        prices = self.prices[symbol]
        opens = prices.bars.open_ns
        last_ns = self.open_ns - (self.tick == 0)
        if end_ms is not None:
            last_ns = min(last_ns, end_ms * 10**6)
        stop = bisect_right(opens, last_ns)
        start = 0 if start_ms is None else bisect_left(opens, start_ms * 10**6)
        rows = [row for row in range(start, stop) if (symbol, opens[row]) not in self.hidden]
        found = []
        for row in rows[-limit:] if start_ms is None else rows[:limit]:
            forming = prices.bars.open_ns[row] == self.open_ns and prices.now is not None
            kline = prices.now if forming and prices.now is not None else prices.closed(row)
            found.append(kline_row(kline, self.bar_ns))
        return found

    def ticker(self, symbol: str) -> dict[str, Any]:
        """Return the last day's figures as ticker/24hr shows them."""
        prices, bars = self.prices[symbol], self.prices[symbol].bars
        since = self.open_ns - 86_400 * 10**9
        rows = [r for r, at in enumerate(bars.open_ns) if since <= at < self.open_ns]
        highs = [bars.high[r] for r in rows] + [float(prices.last)]
        lows = [bars.low[r] for r in rows] + [float(prices.last)]
        first = Decimal(repr(bars.open[rows[0]])) if rows else prices.last
        volume = sum((Decimal(repr(bars.volume[r])) for r in rows), Decimal(0))
        bid, bid_quantity, ask, ask_quantity = self.engine.books[symbol].best()
        last, now = format(prices.last, "f"), self.now_ms()
        return {
            "symbol": symbol, "priceChange": format(prices.last - first, "f"),
            "priceChangePercent": f"{(prices.last - first) / first * 100:.3f}",
            "weightedAvgPrice": last, "prevClosePrice": format(first, "f"), "lastPrice": last,
            "lastQty": "0", "bidPrice": text(bid), "bidQty": text(bid_quantity),
            "askPrice": text(ask), "askQty": text(ask_quantity), "openPrice": format(first, "f"),
            "highPrice": exact(max(highs)), "lowPrice": exact(min(lows)),
            "volume": format(volume, "f"), "quoteVolume": format(volume * prices.last, "f"),
            "openTime": now - 86_400_000, "closeTime": now, "firstId": 0,
            "lastId": self._next_trade - 1, "count": len(rows) * self._count,
        }  # fmt: skip
