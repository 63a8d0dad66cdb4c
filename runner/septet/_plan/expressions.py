"""From an expression's tree to a line of the plan's text."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from septet._config.expressions import (
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
    "greater_equal", "less", "less_equal", "max_of", "min_of", "negation", "not_equal", "raised", "sign",
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

    def text(part: Expr, back: int) -> str:
        match part:
            case Number(value=value):
                return number(value)
            case Name():
                return read(str(part), back)
            case Negate(operand=operand):
                return f"(-{text(operand, back)})"
            case Not(operand=operand):
                return f"negation({text(operand, back)})"
            case Binary(operator="**", left=left, right=right):
                return f"raised({text(left, back)}, {text(right, back)})"
            case Binary(operator="/", left=left, right=right):
                return f"divide({text(left, back)}, {text(right, back)})"
            case Binary(operator=operator, left=left, right=right):
                return f"({text(left, back)} {operator} {text(right, back)})"
            case Compare(operator=operator, left=left, right=right):
                return f"{_COMPARE[operator]}({text(left, back)}, {text(right, back)})"
            case And(parts=parts):
                return _fold("both", [text(each, back) for each in parts])
            case Or(parts=parts):
                return _fold("either", [text(each, back) for each in parts])
            case Call():
                return call(part, back)

    def call(part: Call, back: int) -> str:
        first, *rest = part.arguments
        if part.function == "prev":
            bars = rest[0]
            return text(first, back + int(bars.value)) if isinstance(bars, Number) else "nan"
        if part.function.startswith("crosses_"):
            sides = [text(each, lag) for lag in (back, back + 1) for each in (first, rest[0])]
            return f"{part.function}({', '.join(sides)})"
        shown = [text(each, back) for each in part.arguments]
        if part.function in ("min", "max"):
            return _fold(f"{part.function}_of", shown)
        return f"{_UNARY.get(part.function, part.function)}({', '.join(shown)})"

    return text(expression, 0)


def _fold(function: str, parts: list[str]) -> str:
    return reduce(lambda left, right: f"{function}({left}, {right})", parts)
