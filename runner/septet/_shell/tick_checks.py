"""Compares prices of the data with the tick of their instrument, to find a wrong tick."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numpy as np

from septet._config.pydantic_problems import problem_at
from septet._config.tree import Path as KeyPath
from septet._data.bars import BarTable
from septet._shell.session import Session
from septet.errors import ConfigError, Problem

__all__ = ["TickCounts", "refuse_ticks", "tick_problems"]

FEW_TICKS: Final = 100
"""Prices below this number of ticks are rounded by 1 % or more."""
NO_PRICE: Final = 10
"""A price below this number of ticks that is not a multiple of the tick is of another
instrument."""
_ON_TICK: Final = 1e-6
_MOST_OFF: Final = 0.5


class TickCounts(msgspec.Struct):
    """Number of a symbol's closes that are few ticks, and of those that are not multiples of it."""

    tick: float
    lowest: float = math.inf
    bars: int = 0
    few: int = 0
    few_off: int = 0
    least: int = 0
    least_off: int = 0

    def take(self, table: BarTable, first: int) -> None:
        """Count the bars of a table from row `first` on."""
        if self.tick <= 0.0 or first >= len(table):
            return
        self.lowest = min(self.lowest, float(table.low[first:].min()))
        self.bars += len(table) - first
        ticks = table.close[first:] / self.tick
        ticks = ticks[ticks < FEW_TICKS]
        is_off = np.abs(ticks - np.round(ticks)) > _ON_TICK
        least = ticks < NO_PRICE
        self.few += len(ticks)
        self.few_off += int(is_off.sum())
        self.least += int(least.sum())
        self.least_off += int((is_off & least).sum())

    @property
    def is_above_prices(self) -> bool:
        """Whether a price is less than one tick: it would be rounded to zero, or to a multiple."""
        return self.tick > 0.0 and self.lowest < self.tick * (1.0 - 1e-9)

    @property
    def is_wrong(self) -> bool:
        """Whether fills at this tick would certainly not be prices of the market."""
        return self.is_above_prices or self.least_off > _MOST_OFF * self.least

    @property
    def is_coarse(self) -> bool:
        """Whether prices between the ticks are rounded by more than 1 %."""
        return self.few_off > _MOST_OFF * self.few

    def problem(self, loaded: Any, symbol: str) -> Problem | None:
        """Return the problem of the tick, at its key; a warning if the tick may be intended."""
        if not (self.is_wrong or self.is_coarse):
            return None
        share = 100.0 * self.tick / self.lowest
        text = (
            f"the tick of {symbol} is {self.tick:g}, {share:,.3g} % of its lowest price of "
            f"{self.lowest:,.6g}"
        )
        if not self.is_above_prices:
            count, off = (self.few, self.few_off)
            if self.is_wrong:
                count, off = self.least, self.least_off
            most = NO_PRICE if self.is_wrong else FEW_TICKS
            text += (
                f"; of {count:,} closes under {most} ticks {off:,} are no whole number of ticks, "
                "and every fill at market is rounded to one"
            )
        key_path: KeyPath = ("execution", "instruments", symbol, "tick")
        if loaded.tree.at(key_path) is None:
            key_path = ("universe", "symbols")
        return problem_at(
            loaded.tree,
            key_path,
            text,
            hint="write the tick of the instrument (0: prices have no step), or, where adjusted "
            "prices are that low, a later universe.start",
            severity="error" if self.is_wrong else "warning",
        )


def tick_problems(session: Session) -> list[Problem]:
    """Return problems of ticks that do not fit the prices from the first decision on."""
    problems = []
    begin_ns = session.aligned.T[0][session.first]
    for symbol, instrument in zip(session.market.symbols, session.instruments, strict=True):
        table = session.market.bars[symbol]
        counts = TickCounts(instrument.tick)
        counts.take(table, int(np.searchsorted(table.known_ns, begin_ns)))
        if (problem := counts.problem(session.loaded, symbol)) is not None:
            problems.append(problem)
    return problems


def refuse_ticks(problems: list[Problem]) -> None:
    """Reject a run whose fills would be at prices that the market never had.

    Raises
    ------
    ConfigError
        With the findings of `check`.
    """
    if errors := [each for each in problems if each.severity == "error"]:
        raise ConfigError(errors)
