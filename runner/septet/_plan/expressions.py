"""From an expression's tree to a line of the plan's text."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

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

__all__ = ["LOGIC", "MATHS", "render_expression"]

LOGIC = (
    "between", "both", "crosses_above", "crosses_below", "either", "equal", "greater",
    "greater_equal", "less", "less_equal", "max_of", "min_of", "negation",
    "not_equal", "raised", "sign",
)  # fmt: skip
MATHS = ("divide", "exponential", "logarithm", "root")
_COMPARE = {
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal",
    "!=": "not_equal",
}  # fmt: skip
_UNARY = {"log": "logarithm", "exp": "exponential", "sqrt": "root", "abs": "abs", "sign": "sign"}


def render_expression(
    expression: Expr, read: Callable[[str, int], str], number: Callable[[float], str]
) -> str:
    """Write an expression as Python text.

    `read(name, back)` gives the text of a column `back` bars ago, `number(value)` that of a
    constant (a parameter, so that another value compiles nothing).
    """
    return _Renderer(read, number).text(expression, 0)


class _Renderer:
    def __init__(self, read: Callable[[str, int], str], number: Callable[[float], str]) -> None:
        self._read, self._number = read, number

    def text(self, part: Expr, back: int) -> str:
        """Write one node as it stood `back` bars ago."""
        match part:
            case Number(value=value):
                return self._number(value)
            case Name():
                return self._read(str(part), back)
            case Negate(operand=operand):
                return f"(-{self.text(operand, back)})"
            case Not(operand=operand):
                return f"negation({self.text(operand, back)})"
            case Binary():
                return self._binary(part, back)
            case Compare(operator=operator, left=left, right=right):
                return f"{_COMPARE[operator]}({self.text(left, back)}, {self.text(right, back)})"
            case And(parts=parts):
                return _fold("both", [self.text(each, back) for each in parts])
            case Or(parts=parts):
                return _fold("either", [self.text(each, back) for each in parts])
            case Call():
                return self._call(part, back)

    def _binary(self, part: Binary, back: int) -> str:
        left, right = self.text(part.left, back), self.text(part.right, back)
        function = {"**": "raised", "/": "divide"}.get(part.operator)
        return f"{function}({left}, {right})" if function else f"({left} {part.operator} {right})"

    def _call(self, part: Call, back: int) -> str:
        first, *rest = part.arguments
        if part.function == "prev":
            bars = rest[0]
            assert isinstance(bars, Number)
            return self.text(first, back + int(bars.value))
        if part.function.startswith("crosses_"):
            both = (first, rest[0])
            sides = [self.text(each, lag) for lag in (back, back + 1) for each in both]
            return f"{part.function}({', '.join(sides)})"
        shown = [self.text(each, back) for each in part.arguments]
        if part.function in ("min", "max"):
            return _fold(f"{part.function}_of", shown)
        return f"{_UNARY.get(part.function, part.function)}({', '.join(shown)})"


def _fold(function: str, parts: list[str]) -> str:
    return reduce(lambda left, right: f"{function}({left}, {right})", parts)
