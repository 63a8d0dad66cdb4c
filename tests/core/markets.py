"""Markets that are hard to cross: gaps, halvings, dead stretches, bars nobody traded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from septet._data.bars import SeriesTable
from septet._data.calendars import load_calendar
from tests.core.settings import HOUR, START, Bars, made_bars, walk

__all__ = [
    "LENGTHS", "Rough", "calendar_of", "calendars_of", "made_series", "rough_market", "roughs",
    "series_of", "two_markets",
]  # fmt: skip

LENGTHS = (30, 120, 120, 320)
"""Bars of a market; one symbol alone may also be longer than a tile."""
CURRENCIES = ("EUR", "GBP")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rough:
    """How rough a market is: all of it follows from these numbers."""

    seed: int
    count: int
    step: float = 0.01
    jumps: tuple[int, ...] = ()  # bars at which the price halves or grows by a half
    flats: tuple[tuple[int, int], ...] = ()  # stretches without any move: first bar, bars
    holes: tuple[tuple[int, int], ...] = ()  # stretches without bars
    made_up: tuple[tuple[int, int], ...] = ()  # stretches of made-up bars
    missing: float = 0.0  # share of single bars that are missing
    quiet: float = 0.0  # share of bars without volume
    begins: int = 0
    ends: int = 0

    def bars(self, calendar: str = "24x7", tick: float = 0.0) -> Bars:
        """Make the market of one symbol."""
        draw = np.random.default_rng(self.seed)
        columns = self._prices(draw)
        volume = np.exp(draw.normal(4.0, 1.5, self.count))
        volume[draw.random(self.count) < self.quiet] = 0.0
        keep = draw.random(self.count) >= self.missing
        filled = np.zeros(self.count, bool)
        for first, bars in self.made_up:
            filled[max(1, first) : first + bars] = True
        for first, bars in self.holes:
            keep[first : first + bars] = False
        open_ns = START + HOUR * np.arange(self.count, dtype=np.int64)
        keep[: self.begins] = False
        keep[self.count - self.ends :] = False
        if calendar != "24x7":
            schedule = load_calendar(calendar, int(open_ns[0]), int(open_ns[-1]))
            placed = schedule.place(open_ns, HOUR)
            keep &= ~(placed.outside | placed.off_grid)
        if not keep.any():
            keep[self.count // 2] = True
        columns = [_ticked(each, tick) for each in columns]
        opened, high, low, close = columns
        for i in np.flatnonzero(filled):  # repeats the close before it, without volume
            opened[i] = high[i] = low[i] = close[i] = close[i - 1]
            volume[i] = 0.0
        kept = [each[keep] for each in (*columns, volume)]
        return made_bars(open_ns[keep], kept, filled[keep] if self.made_up else None)

    def _prices(self, draw: Any) -> list[Floats]:
        count = self.count
        moves = draw.normal(0.0, self.step, count)
        gaps = draw.normal(0.0, self.step, count) * np.where(draw.random(count) < 0.1, 3.0, 0.2)
        spread = np.abs(draw.normal(0.0, self.step, (2, count)))
        for at in self.jumps:
            if at < count:
                leap = float(draw.choice([np.log(0.5), np.log(1.5)]))
                (gaps if draw.random() < 0.5 else moves)[at] += leap
        for first, bars in self.flats:
            for each in (moves, gaps, spread[0], spread[1]):
                each[first : first + bars] = 0.0
        close = 100.0 * np.exp(np.cumsum(moves + gaps))
        before = np.concatenate(([100.0], close[:-1]))
        opened = before * np.exp(gaps)
        high = np.maximum(opened, close) * np.exp(spread[0])
        low = np.minimum(opened, close) * np.exp(-spread[1])
        return [opened, high, low, close]


def _ticked(prices: Floats, tick: float) -> Floats:
    return np.round(np.maximum(np.round(prices / tick), 1.0) * tick, 8) if tick else prices


def calendar_of(symbol: str) -> str:
    """Coins trade always, currencies close at the weekend."""
    return "XFX" if symbol.startswith(CURRENCIES) else "24x7"


def calendars_of(symbols: Sequence[str]) -> dict[str, str]:
    """Return the calendar of each symbol."""
    return {symbol: calendar_of(symbol) for symbol in symbols}


def _stretches(count: int, most: int, longest: int) -> st.SearchStrategy[tuple[Any, ...]]:
    stretch = st.tuples(st.integers(0, count), st.integers(1, longest))
    return st.lists(stretch, max_size=most).map(tuple)


@st.composite
def roughs(draw: Any, symbols: Sequence[str], lengths: Sequence[int] = LENGTHS) -> list[Rough]:
    """Draw how rough the market of each symbol is; all of one length before their holes."""
    count = draw(st.sampled_from(lengths), label="bars")
    seed, step = draw(st.integers(0, 2**31)), draw(st.sampled_from([0.01, 0.003, 0.04, 0.0]))
    made = []
    for k in range(len(symbols)):
        begins, ends = (draw(st.integers(0, count // 3)) for _ in range(2)) if k else (0, 0)
        made.append(
            Rough(
                seed + k, count, step,
                jumps=tuple(draw(st.lists(st.integers(0, count), max_size=4))),
                flats=draw(_stretches(count, 2, count // 2)),
                holes=draw(_stretches(count, 2, 40)),
                made_up=draw(_stretches(count, 2, 12)),
                missing=draw(st.sampled_from([0.0, 0.0, 0.05, 0.3])),
                quiet=draw(st.sampled_from([0.0, 0.0, 0.2])),
                begins=begins, ends=ends,
            )
        )  # fmt: skip
    return made


def rough_market(
    symbols: Sequence[str], made: Sequence[Rough], ticks: Sequence[float]
) -> list[Bars]:
    """Make the bars of every symbol."""
    return [
        rough.bars(calendar_of(symbol), tick)
        for symbol, rough, tick in zip(symbols, made, ticks, strict=True)
    ]


def made_series(seed: int = 3, hours: int = 150) -> dict[str, SeriesTable]:
    """Return an outside series with holes and late arrivals."""
    draw, some = np.random.default_rng(seed), max(2, hours * 2 // 5)
    stamp = START + np.sort(draw.integers(0, hours, some)).astype(np.int64) * HOUR
    known = stamp + 2 * HOUR + draw.integers(0, 5, some) * (HOUR // 4)
    value = draw.normal(0.0, 1.0, some)
    return {"mood": SeriesTable("mood", stamp, np.maximum.accumulate(known), value, 9 * HOUR)}


def series_of(strategy: Any, seed: int, hours: int) -> dict[str, SeriesTable]:
    """Make the outside series a strategy names, and rates of funding of both signs."""
    found = made_series(seed, hours) if strategy.data.series else {}
    if strategy.data.funding is not None:
        stamp = START + np.arange(0, hours, 4, dtype=np.int64) * HOUR
        rates = np.random.default_rng(seed).normal(0.0, 0.001, len(stamp))
        found["funding"] = SeriesTable("funding", stamp, stamp, rates)
    return found


def two_markets(seed: int, count: int = 150) -> Sequence[Bars]:
    """Return two rough markets, the second with a gap that restarts its history."""
    return [walk(seed, count), walk(seed + 1, count, holes=0.2, long_hole=True)]
