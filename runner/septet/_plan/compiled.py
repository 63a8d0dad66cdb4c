"""The names that a compiled plan imports."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from septet._host.declare import Step
from septet._kernel.lanes import WIDTH, instructions
from septet._kernel.step import (
    compile_part,
    jit_entry,
    jit_inner,
    local_maker,
    outside_maker,
    prefetcher,
    read_only_maker,
    unit_caller,
    view_maker,
)

__all__ = [
    "WIDTH", "at", "beside", "by_hand", "call_unit", "entry", "kernel", "lanes", "local", "outside",
    "prefetch", "read_only", "rejoin", "routine", "scatter", "use", "view_of",
]  # fmt: skip

beside, lanes, scatter, rejoin = instructions()
"""Four blocks of the time grid side by side; see `septet._kernel.lanes`."""

prefetch = prefetcher()
"""Ask the memory for an element that is read soon."""


def use(target: Any) -> Any:
    """Compile a step or a helper."""
    if isinstance(target, Step):
        assert target.function is not None
        return compile_part(target.function)
    return compile_part(target)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a part of the hot path; it is inlined."""
    return jit_inner(function, inline=True)


def routine(function: Callable[..., Any]) -> Any:
    """Compile a part that runs rarely; it is called."""
    return jit_inner(function, inline=False)


def by_hand(function: Callable[..., Any]) -> None:
    """Compile nothing: actions of a person run as plain Python, see `Plan.by_hand`."""


def entry(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile an entry for the host, eagerly, without the GIL; it is cached on disk."""

    def wrap(function: Callable[..., Any]) -> Any:
        return jit_entry(function, signature, nogil=True)

    return wrap


def view_of(dtype: str, dimensions: int) -> Any:
    """Return the function that makes an array from the table of addresses of an entry."""
    return view_maker(dtype, dimensions)


read_only = read_only_maker()
"""The same array, to read alone: what a step is given of bars, features, positions and tables."""

outside = outside_maker()
"""Call the plain Python of a feature without a compiled form, for a stretch of its column."""

call_unit = unit_caller()
"""Call an entry of another unit of the plan: see `septet._plan.units`."""

local = local_maker()
"""``local(count)``: a small array of its own, in registers where it can be."""


@partial(jit_inner, inline=True)
def at(i: Any) -> Any:
    """Return a cursor as an unsigned index, without the handling of negative indices."""
    return np.uint64(i)
