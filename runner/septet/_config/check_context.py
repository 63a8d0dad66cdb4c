"""The context of a cross-check: the validated strategy, its tree, and the list of problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from pydantic import BaseModel

from septet._config.pydantic_problems import problem_at
from septet._config.tree import Key, Node, Path
from septet._host.declare import Step
from septet._host.plugin_registry import BUILT_IN, Host
from septet.errors import Problem
from septet_schemas.base import Config, ExpressionMark, InputMark
from septet_schemas.blocks import UseBlock
from septet_schemas.position import Distance
from septet_schemas.strategy import Strategy

__all__ = [
    "CheckContext", "Reading", "asks_for", "blocks_of", "portfolio_readings", "readings",
    "strangers_of",
]  # fmt: skip


class CheckContext(msgspec.Struct):
    """One strategy under check. `pruned` are paths left out because their shape is wrong."""

    strategy: Strategy
    tree: Node
    host: Host
    pruned: frozenset[Path] = frozenset()
    problems: list[Problem] = msgspec.field(default_factory=list)
    used_features: frozenset[str] = frozenset()

    def error(self, path: Sequence[Key], message: str, **parts: Any) -> None:
        """Report an error at a path, unless its value was left out as invalid."""
        if not self._left_out(path):
            self.problems.append(problem_at(self.tree, path, message, **parts))

    def warn(self, path: Sequence[Key], message: str, **parts: Any) -> None:
        """Report a warning at a path, unless its value was left out as invalid."""
        self.error(path, message, severity="warning", **parts)

    def _left_out(self, path: Sequence[Key]) -> bool:
        full_path = tuple(path)
        return any(each and full_path[: len(each)] == each for each in self.pruned)

    def written(self, *path: Key) -> bool:
        """Return whether the file itself sets this key."""
        return self.tree.at(path) is not None

    @property
    def has_errors(self) -> bool:
        """Whether any error was found so far, in shape or in meaning."""
        return bool(self.pruned) or any(each.severity == "error" for each in self.problems)

    def doubtful(self, *path: Key) -> bool:
        """Return whether something at or below a path was left out."""
        return any(each[: len(path)] == path or path[: len(each)] == each for each in self.pruned)

    @property
    def bar_ns(self) -> int:
        """The universe's bar, nanoseconds."""
        return self.strategy.universe.bar

    @property
    def is_perpetual(self) -> bool:
        """Whether shorts and leverage exist."""
        return self.strategy.account.type == "perpetual"

    @property
    def is_spot(self) -> bool:
        """Whether neither exists; False if the file's own value was left out as invalid."""
        return not self.is_perpetual and not self.doubtful("account")


class Reading(msgspec.Struct, frozen=True):
    """A field that names a column (`is_expression` False) or holds an expression over columns."""

    path: Path
    text: str
    is_expression: bool


def blocks_of(strategy: Strategy) -> Iterator[tuple[Path, UseBlock]]:
    """Yield every block of a strategy with its path."""
    yield ("data", "candles"), strategy.data.candles
    if strategy.data.funding is not None:
        yield ("data", "funding"), strategy.data.funding
    yield from ((("data", name), block) for name, block in strategy.data.series.items())
    yield from ((("features", name), block) for name, block in strategy.features.items())
    if strategy.model is not None:
        yield ("model",), strategy.model
    if strategy.follows_signal:  # else both follow from the deciding block
        yield ("signal",), strategy.signal
        regime = strategy.signal.extra.get("regime")
        if regime is not None:
            yield ("signal", "regime"), regime
        yield ("risk", "sizing"), strategy.risk.sizing
    for group in ("limits", "stops", "halts"):
        for name, block in getattr(strategy.risk, group).items():
            yield ("risk", group, name), block
    for name, block in strategy.execution.venues.items():
        yield ("execution", "venues", name), block
    yield ("execution", "order"), strategy.execution.order
    if strategy.monitoring.alerts is not None:
        yield ("monitoring", "alerts"), strategy.monitoring.alerts
    yield from ((("monitoring", name), b) for name, b in strategy.monitoring.monitors.items())


def strangers_of(strategy: Strategy) -> Iterator[tuple[Path, UseBlock]]:
    """Yield every block of a file that belongs to a third-party package."""
    for path, block in blocks_of(strategy):
        if block.distribution != BUILT_IN:
            yield path, block


def portfolio_readings(strategy: Strategy) -> Iterator[Reading]:
    """Yield every column and condition that a portfolio reads."""
    portfolio = strategy.portfolio
    is_one_condition = portfolio.where is not None and portfolio.where.long == portfolio.where.short
    for reading in readings(("portfolio",), portfolio):
        if not is_one_condition or reading.path[1:] != ("where", "short"):
            yield reading
    if portfolio.forecast is not None:
        for name in portfolio.forecast.of:
            yield Reading(("portfolio", "forecast", "of", name), name, False)


def readings(path: Path, config: Config) -> Iterator[Reading]:
    """Yield every field of a config that reads columns, including nested ones."""
    for name, marks in _marked_fields(type(config)):
        yield from _readings((*path, name), getattr(config, name), marks)


@lru_cache(maxsize=1024)
def _marked_fields(kind: type[Config]) -> tuple[tuple[str, frozenset[type]], ...]:
    """Return the fields of a config with their marks (cached: blocks are of few kinds)."""
    fields = kind.model_fields.items()
    return tuple((name, _marks(info.annotation, info.metadata)) for name, info in fields)


def _marks(annotation: Any, metadata: Sequence[Any]) -> frozenset[type]:
    """Return which of the two marks an annotation has, at any depth."""
    marks = {type(each) for each in metadata if isinstance(each, InputMark | ExpressionMark)}
    for each in getattr(annotation, "__metadata__", ()):
        if isinstance(each, InputMark | ExpressionMark):
            marks.add(type(each))
    for part in getattr(annotation, "__args__", ()) or ():
        marks |= _marks(part, ())
    return frozenset(marks)


def _readings(path: Path, value: Any, marks: frozenset[type]) -> Iterator[Reading]:
    if isinstance(value, Distance):
        if value.formula:
            yield Reading(path, value.formula, True)
    elif isinstance(value, str) and marks:
        yield Reading(path, value, ExpressionMark in marks)
    elif isinstance(value, BaseModel):
        yield from readings(path, value)  # type: ignore[arg-type]
    elif isinstance(value, tuple | list):
        for index, each in enumerate(value):
            yield from _readings((*path, index), each, marks)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _readings((*path, key), each, marks)


def asks_for(block: UseBlock, *names: str) -> bool:
    """Return whether the signature of a step has one of these parameters."""
    declaration = block.declaration
    return isinstance(declaration, Step) and any(word in declaration.parameters for word in names)
