"""Cross-check of the unit of distances: an amount of the price, and no ratio of two prices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from septet._config.check_context import CheckContext
from septet._config.feature_ranges import FeatureRanges
from septet._config.tree import Path
from septet._expressions import (
    Binary,
    Call,
    Expr,
    ExpressionError,
    Name,
    Negate,
    Number,
    names_in,
    parse_expression,
)
from septet._host.declare import Step
from septet._host.plugin_registry import BUILT_IN
from septet_schemas.position import Distance, distances_of

__all__ = ["CHECKS"]

_PRICES: Final = frozenset(("open", "high", "low", "close"))
_AMOUNTS: Final = frozenset(("atr", "true_range"))
"""Features of septet whose values are amounts of the price."""
_MAX_DEPTH: Final = 30


class _Units(msgspec.Struct):
    """The power of the price in each column: 1 for a price, 0 for a ratio, None if unknown."""

    ranges: FeatureRanges
    found: dict[str, int | None] = msgspec.field(default_factory=dict)

    def of_name(self, name: Name, depth: int = 0) -> int | None:
        """Return the power of the price in a column."""
        if name.name in _PRICES:
            return 1
        if name.name not in self.ranges.owners or depth > _MAX_DEPTH:
            return None
        if name.name not in self.found:
            self.found[name.name] = self._of_feature(name.name, depth)
        return self.found[name.name]

    def _of_feature(self, column: str, depth: int) -> int | None:
        block = self.ranges.strategy.features[self.ranges.owners[column][0]]
        step = block.declaration
        if block.distribution != BUILT_IN or not isinstance(step, Step):
            return None
        if block.use in _AMOUNTS:
            return 1
        formula = getattr(block.config, "formula", None)
        if isinstance(formula, str):
            return self.of(formula, depth + 1)
        source = getattr(block.config, "of", None)
        if step.value_range == "of" and isinstance(source, str) and "@" not in source:
            return self.of_name(Name(source), depth + 1)
        return None

    def of(self, formula: str, depth: int = 0) -> int | None:
        """Return the power of the price in an expression."""
        try:
            return _power(parse_expression(formula), lambda name: self.of_name(name, depth))
        except ExpressionError:  # reported at its place
            return None


def _power(expression: Expr, power_of: Callable[[Name], int | None]) -> int | None:
    match expression:
        case Number():
            return 0
        case Name():
            return power_of(expression)
        case Negate(operand=operand):
            return _power(operand, power_of)
        case Binary(operator=operator, left=left, right=right):
            powers = (_power(left, power_of), _power(right, power_of))
            if powers[0] is None or powers[1] is None:
                return None
            if operator in ("*", "/"):
                return powers[0] + (powers[1] if operator == "*" else -powers[1])
            return powers[0] if powers[0] == powers[1] and operator != "**" else None
        case Call(function="abs" | "min" | "max", arguments=arguments):
            each = {_power(argument, power_of) for argument in arguments}
            return each.pop() if len(each) == 1 else None
        case Call(function="prev", arguments=arguments):
            return _power(arguments[0], power_of)
    return None


def _distances(context: CheckContext) -> Iterator[tuple[Path, str]]:
    """Yield every distance that is an expression, with its path."""
    risk = context.strategy.risk
    for stop, block in risk.stops.items():
        for name in distances_of(type(block.config)):
            value = getattr(block.config, name)
            if isinstance(value, Distance) and value.formula:
                yield ("risk", "stops", stop, name), value.formula
    position = risk.position
    for index, take in enumerate(position.take if position is not None else ()):
        if isinstance(take.at, Distance) and take.at.formula:
            yield ("risk", "position", "take", index, "at"), take.at.formula


def check_units(context: CheckContext) -> None:
    """A distance is an amount of the price where all that it is made of is known.

    Units are known of bar columns, of ranges, and of averages and expressions of these. A distance
    without a price in it, such as ten times an oscillator, may be meant.
    """
    distances = list(_distances(context))
    if not distances:
        return
    units = _Units(FeatureRanges(context.strategy, context.host))
    for path, formula in distances:
        power = units.of(formula)
        if power in (None, 1):
            continue
        try:
            names = names_in(parse_expression(formula))
        except ExpressionError:  # reported where it stands
            continue
        if not names:  # a constant amount
            continue
        unit = "a ratio of prices" if power == 0 else f"a price to the power of {power}"
        remark = "0.02 is read as 0.02 of the quote currency, not as 2%"
        _, reached = context.tree.nearest(path)
        context.warn(
            reached,
            f"this is {unit}, and a distance is an amount of the price: {remark}",
            found=formula,
            hint="write the amount, such as 2 * atr_14, or multiply the ratio by close; a share of "
            "the price is written as 2%",
        )


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (check_units,)
