"""Renders an expression's tree as a line of the plan's text."""

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
    expression: Expr,
    render_column: Callable[[str, int], str],
    render_number: Callable[[float], str],
) -> str:
    """Write an expression as Python text.

    `render_column(name, bars_back)` gives the text of a column so many bars ago,
    `render_number(value)` that of a constant (a parameter, so that another value compiles nothing).
    """
    return _Renderer(render_column, render_number).text(expression, 0)


class _Renderer:
    def __init__(
        self, render_column: Callable[[str, int], str], render_number: Callable[[float], str]
    ) -> None:
        self._read, self._number = render_column, render_number

    def text(self, part: Expr, bars_back: int) -> str:
        """Write one node as of `bars_back` bars ago."""
        match part:
            case Number(value=value):
                return self._number(value)
            case Name():
                return self._read(str(part), bars_back)
            case Negate(operand=operand):
                return f"(-{self.text(operand, bars_back)})"
            case Not(operand=operand):
                return f"negation({self.text(operand, bars_back)})"
            case Binary():
                return self._binary(part, bars_back)
            case Compare(operator=operator, left=left, right=right):
                sides = [self.text(each, bars_back) for each in (left, right)]
                return f"{_COMPARE[operator]}({', '.join(sides)})"
            case And(parts=parts):
                return _fold("both", [self.text(each, bars_back) for each in parts])
            case Or(parts=parts):
                return _fold("either", [self.text(each, bars_back) for each in parts])
            case Call():
                return self._call(part, bars_back)

    def _binary(self, part: Binary, bars_back: int) -> str:
        left, right = self.text(part.left, bars_back), self.text(part.right, bars_back)
        function = {"**": "raised", "/": "divide"}.get(part.operator)
        return f"{function}({left}, {right})" if function else f"({left} {part.operator} {right})"

    def _call(self, part: Call, bars_back: int) -> str:
        first, *others = part.arguments
        if part.function == "prev":
            bars = others[0]
            assert isinstance(bars, Number)
            return self.text(first, bars_back + int(bars.value))
        if part.function.startswith("crosses_"):
            sides_read = (first, others[0])
            sides = [
                self.text(each, lag) for lag in (bars_back, bars_back + 1) for each in sides_read
            ]
            return f"{part.function}({', '.join(sides)})"
        rendered = [self.text(each, bars_back) for each in part.arguments]
        if part.function in ("min", "max"):
            return _fold(f"{part.function}_of", rendered)
        return f"{_UNARY.get(part.function, part.function)}({', '.join(rendered)})"


def _fold(function: str, parts: list[str]) -> str:
    return reduce(lambda left, right: f"{function}({left}, {right})", parts)
