"""Switches Python's garbage collector off for work that allocates much and frees little."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_off"]


@contextmanager
def collector_off(*, collects: bool = False) -> Iterator[None]:
    """Turn the collector off; with `collects` it looks once, at the end, at what was made.

    It traverses all live objects repeatedly while a compiler or a simulation allocates memory,
    and finds next to nothing to free. What was made while it was off is its youngest generation.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
        if collects:
            gc.collect(0)
