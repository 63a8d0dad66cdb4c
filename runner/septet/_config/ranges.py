"""Computes the range of an expression, and whether conditions can be true together.

Ranges are closed intervals that contain every possible value; an unknown range is all numbers. So
a condition found impossible is impossible; some impossible conditions are not found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from septet._expressions import (
    And,
    Binary,
    Call,
    Compare,
    Expr,
    Name,
    Negate,
    Not,
    Number,
    Or,
)

__all__ = ["ALL", "Range", "can_hold", "difference", "range_of", "text_of"]

Range = tuple[float, float]
Known = Callable[[Name], Range]
Operator = Literal["<", "<=", ">", ">=", "==", "!="]
ALL: Final[Range] = (-math.inf, math.inf)
MAX_STEPS: Final = 2_000
_ORDER: Final[Mapping[str, int]] = {"low": 0, "open": 1, "close": 1, "high": 2}
_OPPOSITE: Final[Mapping[str, Operator]] = {
    "<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="
}  # fmt: skip
_MIRRORED: Final[Mapping[str, Operator]] = {
    "<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="
}  # fmt: skip


def text_of(expression: Expr) -> str:
    """Write an expression, every operation in parentheses that needs them."""
    match expression:
        case Number(value=value):
            return f"{value:.10g}"
        case Name():
            return str(expression)
        case Negate(operand=operand):
            return f"-{_inside(operand)}"
        case Binary(operator=operator, left=left, right=right):
            return f"{_inside(left)} {operator} {_inside(right)}"
        case Compare(operator=operator, left=left, right=right):
            return f"{text_of(left)} {operator} {text_of(right)}"
        case And(parts=parts) | Or(parts=parts):
            word = " and " if isinstance(expression, And) else " or "
            return word.join(_inside(part) for part in parts)
        case Not(operand=operand):
            return f"not {_inside(operand)}"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(text_of(each) for each in arguments)})"


def _inside(expression: Expr) -> str:
    text = text_of(expression)
    return f"({text})" if isinstance(expression, Binary | And | Or) else text


def range_of(expression: Expr, known: Known) -> Range:
    """Return the range of a number; `known` gives that of a column."""
    match expression:
        case Number(value=value):
            return (value, value)
        case Name():
            return known(expression)
        case Negate(operand=operand):
            low, high = range_of(operand, known)
            return (-high, -low)
        case Binary(operator=operator, left=left, right=right):
            return _binary(operator, range_of(left, known), range_of(right, known))
        case Call(function=function, arguments=arguments):
            return _call(function, [range_of(each, known) for each in arguments])
    return ALL


def _binary(operator: str, left: Range, right: Range) -> Range:
    if operator == "+":
        return _sane(left[0] + right[0], left[1] + right[1])
    if operator == "-":
        return _sane(left[0] - right[1], left[1] - right[0])
    if operator == "*":
        return _spanned(left, right, lambda a, b: a * b)
    if operator == "/" and (right[0] > 0.0 or right[1] < 0.0):
        return _spanned(left, right, lambda a, b: a / b)
    if operator == "**" and right[0] == right[1] and right[0] % 2.0 == 0.0:
        return (0.0, math.inf)
    return ALL


def _spanned(left: Range, right: Range, act: Callable[[float, float], float]) -> Range:
    ends = [act(a, b) for a in left for b in right]
    return ALL if any(math.isnan(each) for each in ends) else (min(ends), max(ends))


def _sane(low: float, high: float) -> Range:
    return ALL if math.isnan(low) or math.isnan(high) else (low, high)


def _call(function: str, ranges: Sequence[Range]) -> Range:
    low, high = ranges[0]
    match function:
        case "abs":
            least = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
            return (least, max(abs(low), abs(high)))
        case "min":
            return (min(each[0] for each in ranges), min(each[1] for each in ranges))
        case "max":
            return (max(each[0] for each in ranges), max(each[1] for each in ranges))
        case "exp" | "sqrt":
            return (0.0, math.inf)
        case "sign":
            return (-1.0, 1.0)
        case "prev":
            return (low, high)
    return ALL


class _Bound(msgspec.Struct, frozen=True):
    """The remaining range of a quantity; `open_low` and `open_high` exclude the end itself."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    @property
    def is_empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.open_low or self.open_high))

    def cut(self, operator: str, value: float) -> _Bound:
        """Return what is left where the quantity is also `operator` `value`."""
        low, high, open_low, open_high = self.low, self.high, self.open_low, self.open_high
        if operator in (">", ">=", "==") and (value, operator == ">") > (low, open_low):
            low, open_low = value, operator == ">"
        if operator in ("<", "<=", "==") and (-value, operator == "<") > (-high, open_high):
            high, open_high = value, operator == "<"
        return _Bound(low, high, open_low, open_high)


class _Search(msgspec.Struct):
    """Looks for values that make conditions true together; gives up after some steps."""

    known: Known
    steps: int = 0
    bounds: dict[str, _Bound] = msgspec.field(default_factory=dict)

    def holds(self, conditions: Sequence[Expr], bounds: Mapping[str, _Bound]) -> bool:
        """Whether all may be true with what is left of each quantity."""
        self.steps += 1
        if not conditions or self.steps > MAX_STEPS:
            return True
        first, others = conditions[0], conditions[1:]
        match first:
            case And(parts=parts):
                return self.holds((*parts, *others), bounds)
            case Or(parts=parts):
                return any(self.holds((part, *others), bounds) for part in parts)
            case Not(operand=operand):
                opposite = _negated(operand)
                return self.holds(others if opposite is None else (opposite, *others), bounds)
            case Call(function=function, arguments=arguments):
                return self.holds((*_spelled_out(function, arguments), *others), bounds)
            case Compare():
                narrowed = self._narrowed(first, bounds)
                return narrowed is not None and self.holds(others, narrowed)
        return True

    def _narrowed(self, part: Compare, bounds: Mapping[str, _Bound]) -> dict[str, _Bound] | None:
        left, right = range_of(part.left, self.known), range_of(part.right, self.known)
        operator: str = part.operator
        if not _possible(operator, left, right):
            return None
        if left[0] == left[1] and right[0] != right[1]:
            part = Compare(_MIRRORED[operator], part.right, part.left)
            left, right, operator = right, left, part.operator
        key, value = text_of(part.left), right[0]
        if right[0] != right[1]:  # two quantities: what is known of their difference
            first, second, operands = (
                text_of(part.left),
                text_of(part.right),
                (part.left, part.right),
            )
            if first > second:
                first, second, operator = second, first, _MIRRORED[operator]
                operands = (part.right, part.left)
            key, value, left = f"{first} - {second}", 0.0, difference(*operands)
        bound = bounds.get(key, _Bound(*left)).cut(operator, value)
        return None if bound.is_empty else {**bounds, key: bound}


def difference(left: Expr, right: Expr) -> Range:
    """Return the range of the difference of two quantities; that of prices of one bar is known."""
    if text_of(left) == text_of(right):
        return (0.0, 0.0)
    first, second = _price_of(left), _price_of(right)
    if first is None or second is None or first[1:] != second[1:] or first[0] == second[0]:
        return ALL
    return (-math.inf, 0.0) if first[0] < second[0] else (0.0, math.inf)


def _price_of(expression: Expr) -> tuple[int, str, float] | None:
    """Return where a price stands in its bar, of which symbol it is, and how many bars ago."""
    match expression:
        case Name(name=name, symbol=symbol) if name in _ORDER:
            return (_ORDER[name], symbol, 0.0)
        case Call(function="prev", arguments=(Name(name=name, symbol=symbol), Number(value=ago))):
            return (_ORDER[name], symbol, ago) if name in _ORDER else None
    return None


def _possible(operator: str, left: Range, right: Range) -> bool:
    match operator:
        case "<":
            return left[0] < right[1]
        case "<=":
            return left[0] <= right[1]
        case ">":
            return left[1] > right[0]
        case ">=":
            return left[1] >= right[0]
        case "==":
            return left[0] <= right[1] and right[0] <= left[1]
    return not left[0] == left[1] == right[0] == right[1]


def _spelled_out(function: str, arguments: Sequence[Expr]) -> tuple[Expr, ...]:
    """Return the comparisons that a condition among the functions stands for."""
    if function == "between":
        value, low, high = arguments
        return (Compare(">=", value, low), Compare("<=", value, high))
    now, previous = (">", "<=") if function == "crosses_above" else ("<", ">=")
    one_bar = Number(1.0)
    left, right = (
        each if isinstance(each, Number) else Call("prev", (each, one_bar)) for each in arguments
    )
    first: Compare = Compare(now, arguments[0], arguments[1])  # type: ignore[arg-type]
    return (first, Compare(previous, left, right))  # type: ignore[arg-type]


def _negated(condition: Expr) -> Expr | None:
    """Return the opposite of a condition; None where nothing follows from it."""
    match condition:
        case Compare(operator=operator, left=left, right=right):
            return Compare(_OPPOSITE[operator], left, right)
        case Not(operand=operand):
            return operand
        case And(parts=parts):
            return Or(tuple(Not(part) for part in parts))
        case Or(parts=parts):
            return And(tuple(Not(part) for part in parts))
        case Call(function="between", arguments=(value, low, high)):
            return Or((Compare("<", value, low), Compare(">", value, high)))
    return None


def can_hold(conditions: Sequence[Expr], known: Known) -> bool:
    """Whether conditions may all be true of one bar, as far as ranges show.

    Only true acts: a condition that is unknown, because a value is missing, counts as not true.
    """
    return _Search(known).holds(tuple(conditions), {})
