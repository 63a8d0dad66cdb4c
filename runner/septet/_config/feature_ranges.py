"""Range of every column of a strategy, by what its features declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from septet._config.cross_features import output_columns
from septet._config.ranges import ALL, Range, range_of
from septet._expressions import Name, parse_expression
from septet._host.declare import Step
from septet._host.plugin_registry import Host
from septet_schemas.blocks import UseBlock
from septet_schemas.strategy import Strategy

__all__ = ["LEAST_PRICE", "FeatureRanges"]

LEAST_PRICE: Final = 1e-30
"""Bars with prices below this are rejected."""
_COLUMNS: Final[Mapping[str, Range]] = {
    **dict.fromkeys(("open", "high", "low", "close"), (LEAST_PRICE, float("inf"))),
    "volume": (0.0, float("inf")),
}
_MAX_DEPTH: Final = 30


class FeatureRanges(msgspec.Struct):
    """Range of every column of a strategy, computed when it is first needed."""

    strategy: Strategy
    host: Host
    owners: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    known_ranges: dict[str, Range] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, block in self.strategy.features.items():
            for column in output_columns(name, block):
                self.owners.setdefault(column, (name, column[len(name) + 1 :]))

    def of(self, name: Name, depth: int = 0) -> Range:
        """Return the range of a column; all numbers if it is unknown."""
        if name.name in _COLUMNS:
            return _COLUMNS[name.name]
        if name.name not in self.owners or depth > _MAX_DEPTH:
            return ALL
        if name.name not in self.known_ranges:
            feature, output = self.owners[name.name]
            block = self.strategy.features[feature]
            self.known_ranges[name.name] = self._of_output(block, output, depth)
        return self.known_ranges[name.name]

    def _of_output(self, block: UseBlock, output: str, depth: int) -> Range:
        step = block.declaration
        if not isinstance(step, Step):
            return ALL
        if step.value_range is None and "formula" in type(block.config).model_fields:
            formula = parse_expression(str(getattr(block.config, "formula", "0")))
            return range_of(formula, lambda name: self.of(name, depth + 1))
        if step.function is None and step.inner is not None:
            part = step.inner(block.config)[output]
            inner = self.host.load(self.host.inner(part.use, block.distribution))
            source = str(part.config.get("of", ""))
            if inner.value_range == "of" and not source.startswith("@"):
                return self.of(_name(source), depth + 1)
            return ALL
        declared = step.range_of(block.config, output)
        if isinstance(declared, str):
            return self.of(_name(str(getattr(block.config, declared))), depth + 1)
        return float(declared[0]), float(declared[1])


def _name(text: str) -> Name:
    column, _, symbol = text.partition("@")
    return Name(column, symbol.strip("'"))
