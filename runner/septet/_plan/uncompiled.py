"""What a generated plan imports when a part has no compiled step: the same text, uncompiled.

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
    """Compile what can be compiled, leave the rest as it is; `watch` every read of some steps."""
    if isinstance(target, Step):
        assert target.function is not None
        if target.compiled and not watch:
            return compile_step(target.function)
        function = watched(target) if watch else target.function
        return sealed(function, target.parameters)
    return compile_step(target)


def kernel(function: Callable[..., Any]) -> Any:
    """Leave a function as it is."""
    return function


routine = by_hand = kernel


def entry(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Leave a function as it is; its signature binds only compiled plans."""
    return kernel


def view_of(dtype: str, dimensions: int) -> Any:
    """Return what takes an array out of the tuple that uncompiled entries are given."""
    return lambda arrays, row: arrays[row]


def read_only(array: Any) -> Any:
    """Return the same array, to read alone; writing to it raises."""
    view = array.view()
    view.flags.writeable = False
    return view


def outside(address: int, number: int, k: int, i0: int, first: int, stop: int, *arrays: Any) -> int:
    """Call a feature without a compiled form for a stretch of its column."""
    return called_at(address).by_arrays(number, k, (i0, first, stop), *arrays)


def local(count: int) -> Any:
    """Make a small array of its own."""
    return np.zeros(count)


def at(i: int) -> int:
    """Leave a cursor as it is."""
    return i


def beside(array: Any, apart: int) -> Any:
    """Leave an array as it is."""
    return array


def prefetch(row: Any, i: int) -> None:
    """Do nothing: what is read soon is read then."""
