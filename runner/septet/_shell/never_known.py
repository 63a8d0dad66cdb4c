"""What a run reads and can never know: series without a value, joins without a common time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel

from septet._config.case import readings
from septet._config.check import problem_at
from septet._config.expressions import names_in, parse_expression
from septet._config.tree import Path as KeyPath
from septet._data.align import series_as_of
from septet._data.bars import MarketData
from septet._data.stamps import iso
from septet._shell.session import Session
from septet.errors import ConfigError, Problem

__all__ = ["never_known", "refuse_never_known"]


def never_known(session: Session) -> list[Problem]:
    """Say what the file reads and no decision knows; a warning where a series is optional."""
    return [*_joins(session), *_series(session)]


def refuse_never_known(session: Session) -> None:
    """Refuse a run of which `check` says that something it reads is never known.

    Raises
    ------
    ConfigError
        With the place of each.
    """
    problems = [each for each in never_known(session) if each.severity == "error"]
    if problems:
        raise ConfigError(problems)


def _joins(session: Session) -> list[Problem]:
    """Say which features read a symbol whose bars have no time in common with any other's."""
    market = session.market
    problems = []
    for name, block in session.strategy.features.items():
        for path, symbol in _others(name, block.config):
            others = market.bars.get(symbol)
            own = [market.bars[each] for each in market.symbols if each != symbol]
            if others is None or not own:
                continue
            common = any(len(np.intersect1d(each.known_ns, others.known_ns)) for each in own)
            if not common:
                text = f"{symbol} has no bar at a time of another symbol: this is never known"
                problems.append(problem_at(session.loaded.tree, path, text, hint=_spans(market)))
    return problems


def _others(name: str, config: BaseModel) -> Iterator[tuple[KeyPath, str]]:
    """Yield where a feature reads another symbol, and which."""
    for reading in readings(("features", name), config):  # type: ignore[arg-type]
        if reading.is_expression:
            for each in names_in(parse_expression(reading.text)):
                if each.symbol:
                    yield reading.path, each.symbol
        elif "@" in reading.text:
            yield reading.path, reading.text.partition("@")[2].strip("'")


def _spans(market: MarketData) -> str:
    said = [
        f"{symbol} {iso(table.known_ns[0])} to {iso(table.known_ns[-1])}"
        for symbol, table in market.bars.items()
        if len(table)
    ]
    return f"the data: {'; '.join(said[:4])}"


def _series(session: Session) -> list[Problem]:
    """Say which series has no value at any decision."""
    times = session.tape.T[0][session.first :]
    problems = []
    for name, table in session.market.series.items():
        base = name.partition("@")[0]
        if base == "funding" or not len(times) or np.isfinite(series_as_of(table, times)).any():
            continue
        span = f"{iso(table.known_ns[0])} to {iso(table.known_ns[-1])}" if len(table.value) else ""
        optional = bool(session.strategy.data.series[base].extra.get("optional"))
        problems.append(
            problem_at(
                session.loaded.tree,
                ("data", base),
                "no value of this series is known at any decision",
                found=f"values known {span}" if span else "no value",
                hint=f"decisions are from {iso(times[0])} to {iso(times[-1])}: bring data of that "
                "span, or raise max_age",
                severity="warning" if optional else "error",
            )
        )
    return problems
