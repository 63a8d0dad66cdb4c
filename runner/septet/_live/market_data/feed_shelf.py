"""The bars and series of a run, kept as columns: the training data of a model."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from septet import messages as m
from septet._data.bars import BarTable, Floats, Ints, MarketData, SeriesTable
from septet._data.calendars import load_calendar
from septet._live.market_data.feed_grid import Grid

__all__ = ["Shelf"]

_DAY_NS: Final = 86_400 * 1_000_000_000
_PRICES: Final = ("open", "high", "low", "close", "volume")


def _times() -> array[int]:
    return array("q")


def _numbers() -> tuple[array[float], ...]:
    return tuple(array("d") for _ in _PRICES)


@dataclass
class _Bars:
    open_ns: array[int] = field(default_factory=_times)
    known_ns: array[int] = field(default_factory=_times)
    prices: tuple[array[float], ...] = field(default_factory=_numbers)


@dataclass
class _Series:
    stamp_ns: array[int] = field(default_factory=_times)
    known_ns: array[int] = field(default_factory=_times)
    value: array[float] = field(default_factory=lambda: array("d"))


class Shelf:
    """All bars and points that the core received, in order: a fold of the journal's events.

    `keep_ns` is the market time that is kept; more than that and a quarter is cut off.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        grids: Sequence[Grid],
        *,
        keep_ns: int = 2**62,
        max_ages_ns: Mapping[str, int | None] | None = None,
    ) -> None:
        """Begin empty."""
        self.symbols, self._grids, self._keep_ns = tuple(symbols), tuple(grids), keep_ns
        self._bars = [_Bars() for _ in symbols]
        self._max_ages = dict(max_ages_ns or {})
        self._series = {name: _Series() for name in self._max_ages}

    def take(self, event: m.Event) -> None:
        """Store a bar or a point of a series; other events have no effect."""
        if isinstance(event, m.BarClosed):
            bars = self._bars[event.symbol]
            bars.open_ns.append(event.open_ns)
            bars.known_ns.append(event.known_ns)
            row = (event.open, event.high, event.low, event.close, event.volume)
            for column, value in zip(bars.prices, row, strict=True):
                column.append(value)
            if event.known_ns - bars.known_ns[0] > self._keep_ns + self._keep_ns // 4:
                self._cut(bars, event.known_ns - self._keep_ns)
        elif isinstance(event, m.SeriesPoint):
            series = self._series.setdefault(event.name, _Series())
            series.stamp_ns.append(event.stamp_ns)
            series.known_ns.append(event.known_ns)
            series.value.append(event.value)

    def fold(self, events: Iterable[m.Event]) -> Shelf:
        """Process events, in order; return itself."""
        for event in events:
            self.take(event)
        return self

    @staticmethod
    def _cut(bars: _Bars, before_ns: int) -> None:
        first = int(np.searchsorted(np.asarray(bars.known_ns), before_ns))
        for times in (bars.open_ns, bars.known_ns):
            del times[:first]
        for prices in bars.prices:
            del prices[:first]

    def first_known_ns(self) -> int | None:
        """Return when the first bar of all became known."""
        return min((bars.known_ns[0] for bars in self._bars if bars.known_ns), default=None)

    def bars(self, k: int, until_ns: int = 2**62) -> BarTable:
        """Return the bars of a symbol that were known by a time, as a backtest has them."""
        bars, grid = self._bars[k], self._grids[k]
        known: Ints = np.array(bars.known_ns, dtype=np.int64)
        stop = int(np.searchsorted(known, until_ns, side="right"))
        opened: Ints = np.array(bars.open_ns, dtype=np.int64)[:stop]
        columns: list[Floats] = [np.array(each, dtype=np.float64)[:stop] for each in bars.prices]
        table = BarTable(
            self.symbols[k], grid.bar_ns, opened, known[:stop].copy(), columns[0], columns[1],
            columns[2], columns[3], columns[4], _sessions(opened, grid),
        )  # fmt: skip
        return table

    def market(self, until_ns: int = 2**62) -> MarketData:
        """Return all that was known by a time."""
        names = [grid.calendar for grid in self._grids]
        return MarketData(
            symbols=self.symbols,
            bar_ns=self._grids[0].bar_ns,
            bars={symbol: self.bars(k, until_ns) for k, symbol in enumerate(self.symbols)},
            series={name: self._table(name, until_ns) for name in self._series},
            calendar=max(sorted(set(names), key=names.index), key=names.count),
            calendars=dict(zip(self.symbols, names, strict=True)),
        )

    def _table(self, name: str, until_ns: int) -> SeriesTable:
        series = self._series[name]
        known: Ints = np.array(series.known_ns, dtype=np.int64)
        # a stable order of what became known: a point of the past may have been seen late
        order = np.argsort(known, kind="stable")
        order = order[known[order] <= until_ns]
        max_age = self._max_ages.get(name.partition("@")[0])
        return SeriesTable(
            name, np.array(series.stamp_ns, dtype=np.int64)[order], known[order],
            np.array(series.value, dtype=np.float64)[order], max_age, "live",
        )  # fmt: skip


def _sessions(open_ns: Ints, grid: Grid) -> Ints:
    if grid.calendar == "24x7" or not len(open_ns):
        return open_ns // _DAY_NS
    calendar = load_calendar(grid.calendar, int(open_ns[0]), int(open_ns[-1]))
    return calendar.place(open_ns, grid.bar_ns, "open", grid.anchor).session
