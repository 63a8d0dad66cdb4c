"""The names that a plan imports when a part of it has no compiled form: its text is not compiled.

Steps and helpers that can be compiled still are; only the wiring around them is plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from septet._host.declare import Step
from septet._host.guarded_arrays import watched
from septet._host.step_arrays import sealed
from septet._kernel.step import compile_step
from septet._plan.python_features import called_at

__all__ = [
    "WIDTH", "at", "beside", "by_hand", "call_unit", "entry", "kernel", "lanes", "local", "outside",
    "prefetch", "read_only", "rejoin", "routine", "scatter", "use", "view_of",
]  # fmt: skip

WIDTH = 0
"""No blocks are taken side by side, so that the three below are never called."""
lanes = scatter = rejoin = None
call_unit = None
"""A text that is not compiled as a whole has one unit."""


def use(target: Any, watch: bool = False) -> Any:
    """Compile a step or helper if it can be compiled; with `watch` every read of it is checked."""
    if isinstance(target, Step):
        assert target.function is not None
        if target.compiled and not watch:
            return compile_step(target.function)
        function = watched(target) if watch else target.function
        return sealed(function, target.parameters)
    return compile_step(target)


def kernel(function: Callable[..., Any]) -> Any:
    """Return a function unchanged."""
    return function


routine = by_hand = kernel


def entry(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Return a function unchanged; its signature applies to compiled plans only."""
    return kernel


def view_of(dtype: str, dimensions: int) -> Any:
    """Return the function that takes an array out of the tuple given to uncompiled entries."""
    return lambda arrays, row: arrays[row]


def read_only(array: Any) -> Any:
    """Return a read-only view of an array; writing to it raises."""
    view = array.view()
    view.flags.writeable = False
    return view


def outside(address: int, number: int, k: int, i0: int, first: int, stop: int, *arrays: Any) -> int:
    """Call a feature without a compiled form for a stretch of its column."""
    return called_at(address).by_arrays(number, k, (i0, first, stop), *arrays)


def local(count: int) -> Any:
    """Make a small array."""
    return np.zeros(count)


def at(i: int) -> int:
    """Return a cursor unchanged."""
    return i


def beside(array: Any, apart: int) -> Any:
    """Return an array unchanged."""
    return array


def prefetch(row: Any, i: int) -> None:
    """Do nothing: there is no prefetching in plain Python."""
