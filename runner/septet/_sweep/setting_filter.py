"""Filter of settings by a condition: the expression language over columns of numbers.

A comparison that touches NaN is unknown and `and or not` follow Kleene, as in rules; a setting
stays only where the condition is true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt

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

__all__ = ["holds"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Known = tuple[Flags, Flags]
"""Masks of the rows where a condition is true, and where it is false; neither means unknown."""

_ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power
}  # fmt: skip
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
_FUNCTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "abs": np.abs, "log": np.log, "exp": np.exp, "sqrt": np.sqrt, "sign": np.sign
}  # fmt: skip


def holds(condition: Expr, columns: Mapping[str, Floats], rows: int) -> Flags:
    """Return whether a condition is true, row by row.

    Parameters
    ----------
    condition
        Its names are keys of `columns`.
    columns : mapping key -> array, shape (rows,)
        Numbers of the settings.
    """
    with np.errstate(all="ignore"):
        true, _ = _Rows(columns, rows).condition(condition)
    return true


class _Rows:
    def __init__(self, columns: Mapping[str, Floats], rows: int) -> None:
        self._columns, self._rows = columns, rows

    def number(self, part: Expr) -> Floats:
        match part:
            case Number(value=value):
                return np.full(self._rows, value)
            case Name(name=name):
                return self._columns[name]
            case Negate(operand=operand):
                return -self.number(operand)
            case Binary(operator=operator, left=left, right=right):
                return np.asarray(_ARITHMETIC[operator](self.number(left), self.number(right)))
            case Call(function=function, arguments=arguments):
                operands = [self.number(each) for each in arguments]
                if function in ("min", "max"):
                    return reduce(np.minimum if function == "min" else np.maximum, operands)
                return np.asarray(_FUNCTIONS[function](*operands))
        raise AssertionError(f"{part} is not a number")

    def condition(self, part: Expr) -> Known:
        match part:
            case Compare(operator=operator, left=left, right=right):
                return self._compare(operator, self.number(left), self.number(right))
            case Not(operand=operand):
                true, false = self.condition(operand)
                return false, true
            case And(parts=parts):
                return reduce(_both, map(self.condition, parts))
            case Or(parts=parts):
                opposite = reduce(_both, (self.condition(each)[::-1] for each in parts))
                return opposite[1], opposite[0]
            case Call(function="between", arguments=(value, low, high)):
                at = self.number(value)
                lower = self._compare(">=", at, self.number(low))
                return _both(lower, self._compare("<=", at, self.number(high)))
        raise AssertionError(f"{part} is not a condition")

    def _compare(self, operator: str, left: Floats, right: Floats) -> Known:
        known = ~(np.isnan(left) | np.isnan(right))
        true = _COMPARISONS[operator](left, right)
        return true & known, ~true & known


def _both(left: Known, right: Known) -> Known:
    return left[0] & right[0], left[1] | right[1]
