"""Finds inputs that are never known: series without a value, joins without a common time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import BaseModel

from septet._config.check_context import readings
from septet._config.pydantic_problems import problem_at
from septet._config.tree import Path as KeyPath
from septet._data.align import series_as_of
from septet._data.bars import Ints, MarketData
from septet._data.stamps import iso
from septet._expressions import names_in, parse_expression
from septet._shell.session import Session
from septet.errors import ConfigError, Problem

__all__ = ["Unknown", "never_known", "refuse_never_known"]


def never_known(session: Session) -> list[Problem]:
    """Return problems for inputs that no decision knows; a warning if a series is optional."""
    unknown = Unknown(session.loaded)
    unknown.take(session.market, session.aligned.T[0][session.first :])
    return unknown.problems()


def refuse_never_known(session: Session) -> None:
    """Reject a run with an input that, as `check` finds, is never known.

    Raises
    ------
    ConfigError
        With the place of each input.
    """
    _refuse(never_known(session))


def _refuse(problems: list[Problem]) -> None:
    errors = [each for each in problems if each.severity == "error"]
    if errors:
        raise ConfigError(errors)


class Unknown:
    """Inputs of a file that no decision has known so far, for a run in time spans."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded
        self._joins = [
            (path, symbol)
            for name, block in loaded.strategy.features.items()
            for path, symbol in _others(name, block.config)
        ]
        self._series: dict[str, str] | None = None  # the known span of each that no decision saw
        self._spans: dict[str, tuple[int, int]] = {}
        self._times: tuple[int, int] | None = None

    def take(self, market: MarketData, times: Ints) -> None:
        """Add the bars of a time span, and the times of its decisions."""
        for symbol, bars in market.bars.items():
            if len(bars):
                first, _ = self._spans.get(symbol, (int(bars.known_ns[0]), 0))
                self._spans[symbol] = first, int(bars.known_ns[-1])
        self._joins = [each for each in self._joins if not _is_common(market, each[1])]
        if self._series is None:
            self._series = {
                name: f"{iso(table.known_ns[0])} to {iso(table.known_ns[-1])}"
                if len(table.value)
                else ""
                for name, table in market.series.items()
                if name.partition("@")[0] != "funding"
            }
        if not len(times):
            return
        first = int(times[0]) if self._times is None else self._times[0]
        self._times = first, int(times[-1])
        for name in list(self._series):
            if np.isfinite(series_as_of(market.series[name], times)).any():
                del self._series[name]

    def problems(self) -> list[Problem]:
        """Return the problems of the inputs that were never known."""
        tree = self._loaded.tree
        spans = [f"{name} {iso(a)} to {iso(b)}" for name, (a, b) in self._spans.items()]
        problems = [
            problem_at(
                tree, path, f"{symbol} has no bar at a time of another symbol: this is never known",
                hint=f"the data: {'; '.join(spans[:4])}",
            )
            for path, symbol in self._joins
        ]  # fmt: skip
        if self._times is None:
            return problems
        first, last = self._times
        for base, unseen in self._by_series().items():
            symbols = [name for name in unseen if name]
            whose = f" for {', '.join(symbols[:4])}" if symbols else ""
            more = f" and {len(symbols) - 4} more" if len(symbols) > 4 else ""
            span = next(iter(unseen.values()))
            optional = bool(self._loaded.strategy.data.series[base].extra.get("optional"))
            problems.append(
                problem_at(
                    tree,
                    ("data", base),
                    f"no value of this series is known at any decision{whose}{more}",
                    found=f"values known {span}" if span else "no value",
                    hint=f"decisions are from {iso(first)} to {iso(last)}: bring data of that "
                    "span, or raise max_age",
                    severity="warning" if optional else "error",
                )
            )
        return problems

    def _by_series(self) -> dict[str, dict[str, str]]:
        """Return the known spans by series and symbol; "" stands for all symbols."""
        found: dict[str, dict[str, str]] = {}
        for name, span in (self._series or {}).items():
            base, _, symbol = name.partition("@")
            found.setdefault(base, {})[symbol] = span
        return found

    def refuse(self) -> None:
        """Reject a run in time spans for what `never_known` rejects in a run in one piece.

        Raises
        ------
        ConfigError
            With the place of each input.
        """
        _refuse(self.problems())


def _is_common(market: MarketData, symbol: str) -> bool:
    """Return whether a symbol has a bar at a time of another; True if there is no other."""
    bars_read = market.bars.get(symbol)
    other_bars = [market.bars[each] for each in market.symbols if each != symbol]
    if bars_read is None or not other_bars:
        return True
    return any(len(np.intersect1d(each.known_ns, bars_read.known_ns)) for each in other_bars)


def _others(name: str, config: BaseModel) -> Iterator[tuple[KeyPath, str]]:
    """Yield the places at which a feature reads another symbol, and that symbol."""
    for reading in readings(("features", name), config):  # type: ignore[arg-type]
        if reading.is_expression:
            for each in names_in(parse_expression(reading.text)):
                if each.symbol:
                    yield reading.path, each.symbol
        elif "@" in reading.text:
            yield reading.path, reading.text.partition("@")[2].strip("'")
