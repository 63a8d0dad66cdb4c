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
    """Mark a helper that is compiled from another text of the same bits, which `lanes` has."""
    function.__septet_native__ = True  # type: ignore[attr-defined]
    return helper(function)


def in_python(quick: Callable[..., Any]) -> Callable[[F], F]:
    """Mark a helper for which Python itself asks `quick`, another text of the same bits.

    Compiled is the text of the helper, and Python runs it where `quick` returns None. In a step
    that runs as plain Python a loop over its window costs more than all else of a run.
    """

    def mark(function: F) -> F:
        @wraps(function)
        def chosen(*given: Any) -> Any:
            found = quick(*given)
            return function(*given) if found is None else found

        chosen.__septet_text__ = function  # type: ignore[attr-defined]
        return helper(cast("F", chosen))

    return mark


@helper
def index(i: int) -> int:
    """Take a cursor as an index that is known not to be negative.

    Compiled code prepares for the wrapping around of every other index, which costs a scan of a
    window more than its arithmetic. Only for reads that a look-back covers: a negative one would
    leave the array.
    """
    return i
