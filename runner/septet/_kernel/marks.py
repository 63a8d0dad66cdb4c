"""Marks of functions that steps call: what is compiled with a step, and from which text.

A marked function stays a plain function; `septet._kernel.step` reads the marks when it compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["helper", "in_python", "index", "native"]

F = TypeVar("F", bound=Callable[..., Any])


def helper(function: F) -> F:
    """Mark a plain function as callable from steps; it is compiled with the step that calls it."""
    function.__septet_helper__ = True  # type: ignore[attr-defined]
    return function


def native(function: F) -> F:
    """Mark a helper that is compiled from another implementation in `lanes`, of the same bits."""
    function.__septet_native__ = True  # type: ignore[attr-defined]
    return helper(function)


def in_python(quick: Callable[..., Any]) -> Callable[[F], F]:
    """Mark a helper that plain Python replaces by `quick`, an implementation of the same bits.

    Compiled code has the helper itself, and Python runs it where `quick` returns None. In a step
    that runs as plain Python a loop over its window costs more than everything else in a run.
    """

    def mark(function: F) -> F:
        @wraps(function)
        def chosen(*arguments: Any) -> Any:
            answer = quick(*arguments)
            return function(*arguments) if answer is None else answer

        chosen.__septet_text__ = function  # type: ignore[attr-defined]
        return helper(cast("F", chosen))

    return mark


@helper
def index(i: int) -> int:
    """Return a cursor as an unsigned index, which the compiler knows not to be negative.

    Compiled code handles the wrap-around of every signed index, which costs a scan of a window
    more than its arithmetic. Only for reads that a look-back covers: a negative index would read
    outside the array.
    """
    return i
