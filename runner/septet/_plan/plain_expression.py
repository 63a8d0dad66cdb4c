"""Compiles an expression of a file to a plain Python function: the same line as in its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from septet._expressions import Expr
from septet._kernel import maths, three_valued_logic
from septet._plan.expressions import LOGIC, MATHS, render_expression

__all__ = ["plain_expression"]

_LANGUAGE: Final[dict[str, Any]] = {
    **{name: getattr(three_valued_logic, name) for name in LOGIC},
    **{name: getattr(maths, name) for name in MATHS},
}


def plain_expression(expression: Expr) -> Callable[[Callable[[str, int], float]], float]:
    """Return a function that evaluates an expression as the text of a plan does.

    It takes `read(name, back)`, a column so many bars ago (NaN where it is not known), and returns
    a number; of a condition 1 for true, 0 for false and NaN for unknown.
    """
    numbers: list[float] = []

    def number(value: float) -> str:
        numbers.append(value)
        return f"P[{len(numbers) - 1}]"

    text = render_expression(expression, lambda name, back: f"read({name!r}, {back})", number)
    namespace = {**_LANGUAGE, "P": numbers}
    code = f"def value(read):\n    return {text}\n"
    exec(compile(code, "<expression>", "exec", dont_inherit=True), namespace)  # noqa: S102
    function: Callable[[Callable[[str, int], float]], float] = namespace["value"]
    return function
