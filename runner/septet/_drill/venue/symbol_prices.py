"""Prices of one symbol: bars in, ticks and klines out, each float surviving as text."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from math import inf
from pathlib import Path

import msgspec

from septet._drill.venue.amounts import SCALE, exact, units
from septet._drill.venue.config import Bars, SymbolConfig, Synthetic
from septet.errors import InputError

__all__ = ["Kline", "SymbolPrices", "Tick", "load_bars"]


@dataclass(frozen=True, slots=True)
class Tick:
    """A trade of the market; a quantity of zero moves the price without a trade."""

    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool

    @property
    def price_units(self) -> int:
        """The price in whole units, rounded down."""
        return int(self.price * SCALE)


@dataclass(slots=True)
class Kline:
    """A bar as the venue shows it, so far or closed."""

    open_ns: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int
    taker_volume: str
    taker_quote_volume: str


def load_bars(config: SymbolConfig, seed: int, bar_ns: int) -> Bars:
    """Return the bars of a symbol: given, from a file, or generated; InputError if invalid."""
    if config.bars is not None:
        bars = config.bars
    elif config.bars_path:
        try:
            bars = msgspec.json.decode(Path(config.bars_path).read_bytes(), type=Bars)
        except (OSError, msgspec.MsgspecError, RecursionError) as error:
            raise InputError(f"{config.bars_path}: no bars for {config.id}: {error}") from error
    else:
        bars = _walk(config.synthetic, f"{seed}:{config.id}", units(config.tick), bar_ns)
    rest = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    if not bars.open_ns or any(len(column) != len(bars.open_ns) for column in rest):
        raise InputError(f"{config.id}: bars need columns of one length, at least one bar")
    if any(b <= a or (b - bars.open_ns[0]) % bar_ns for a, b in pairwise(bars.open_ns)):
        raise InputError(f"{config.id}: open_ns does not rise on a grid of {bar_ns} ns")
    for row in zip(*rest, strict=True):
        o, h, l, c, volume = row  # noqa: E741
        if not (0 < l <= min(o, c) <= max(o, c) <= h < inf and 0 <= volume < inf):
            raise InputError(f"{config.id}: no bar is made of {row}")
    return bars


def _walk(how: Synthetic, seed: str, tick: int, bar_ns: int) -> Bars:
    """Generate bars whose prices are multiples of the tick."""
    draw = random.Random(seed)
    columns: list[list[float]] = [[], [], [], [], []]
    opens: list[int] = []
    price = how.price

    def snap(value: float) -> float:
        return max(round(value * SCALE / tick), 1) * tick / SCALE

    for number in range(how.count):
        close = price * (1.0 + draw.gauss(0.0, how.move))
        reach = abs(draw.gauss(0.0, how.move / 2)), abs(draw.gauss(0.0, how.move / 2))
        high, low = max(price, close) * (1 + reach[0]), min(price, close) * (1 - reach[1])
        row = [snap(price), snap(high), snap(low), snap(close)]
        row[1], row[2] = max(row), min(row)
        row.append(round(how.volume * draw.uniform(0.5, 1.5), 5))
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        opens.append(how.start_ns + number * bar_ns)
        price = row[3]
    return Bars(
        open_ns=opens, open=columns[0], high=columns[1], low=columns[2], close=columns[3],
        volume=columns[4],
    )  # fmt: skip


class SymbolPrices:
    """The prices of one symbol; `place` is the grid position of a bar, in bars from its first."""

    def __init__(
        self, config: SymbolConfig, bars: Bars, bar_ns: int, ticks: int, seed: int
    ) -> None:
        self.bars = bars
        self.bar_ns = bar_ns
        self.ticks_per_bar = max(ticks, 4)
        self._tick = Decimal(config.tick)
        self._seed = f"{seed}:{config.id}"
        self._row = {open_ns: number for number, open_ns in enumerate(bars.open_ns)}
        self.now: Kline | None = None
        self.last = Decimal(repr(bars.open[0]))
        self._sums = [Decimal(0)] * 4

    def row_of(self, open_ns: int) -> int | None:
        """Return the row of the bar that opens then, None in a gap."""
        return self._row.get(open_ns)

    def closed(self, row: int) -> Kline:
        """Return a complete bar; its numbers are those of the given bars, bit for bit."""
        b = self.bars
        quote = Decimal(repr(b.close[row])) * Decimal(repr(b.volume[row]))
        half = Decimal(repr(b.volume[row])) / 2
        return Kline(
            b.open_ns[row], exact(b.open[row]), exact(b.high[row]), exact(b.low[row]),
            exact(b.close[row]), exact(b.volume[row]), format(quote, "f"), self.ticks_per_bar,
            format(half, "f"), format(quote / 2, "f"),
        )  # fmt: skip

    def ticks(self, row: int) -> list[Tick]:
        """Yield ticks from open through high and low to close; volumes add up to the bar's."""
        draw = random.Random(f"{self._seed}:{row}")
        b = self.bars
        count = self.ticks_per_bar
        o, h, l, c = (Decimal(repr(x[row])) for x in (b.open, b.high, b.low, b.close))  # noqa: E741
        first, second = (h, l) if draw.random() < 0.5 else (l, h)
        turns = sorted(draw.sample(range(1, count - 1), 2))
        corners = [(0, o), (turns[0], first), (turns[1], second), (count - 1, c)]
        prices = [o]
        for (start, a), (stop, z) in pairwise(corners):
            for step in range(start + 1, stop):
                way = a + (z - a) * (step - start) / (stop - start)
                snapped = (way / self._tick).to_integral_value() * self._tick
                prices.append(min(max(snapped, l), h))
            prices.append(z)
        return [
            Tick(price, quantity, draw.random() < 0.5)
            for price, quantity in zip(prices, self._volumes(row, draw), strict=True)
        ]

    def _volumes(self, row: int, draw: random.Random) -> list[Decimal]:
        volume = Decimal(repr(self.bars.volume[row]))
        shares = [draw.uniform(0.2, 1.0) for _ in range(self.ticks_per_bar)]
        step = Decimal(1).scaleb(-8)
        whole = Decimal(repr(sum(shares)))
        parts = [
            (volume * Decimal(repr(share)) / whole).quantize(step, "ROUND_DOWN")
            for share in shares[1:]
        ]
        return [volume - sum(parts), *parts]

    def apply(self, open_ns: int, tick: Tick) -> Kline:
        """Add a tick to the bar that is forming."""
        self.last = tick.price
        price, now = format(tick.price, "f"), self.now
        if now is None or now.open_ns != open_ns:
            self._sums = [Decimal(0)] * 4
            now = self.now = Kline(
                open_ns, price, price, price, price, "0", "0", 0, "0", "0"
            )  # fmt: skip
        now.close = price
        if tick.price > Decimal(now.high):
            now.high = price
        if tick.price < Decimal(now.low):
            now.low = price
        if tick.quantity:
            sums = self._sums
            quote = tick.price * tick.quantity
            sums[0] += tick.quantity
            sums[1] += quote
            if not tick.buyer_is_maker:
                sums[2] += tick.quantity
                sums[3] += quote
            now.trades += 1
            now.volume, now.quote_volume = format(sums[0], "f"), format(sums[1], "f")
            now.taker_volume, now.taker_quote_volume = format(sums[2], "f"), format(sums[3], "f")
        return now
