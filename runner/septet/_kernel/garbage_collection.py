"""Python's garbage collector: off for work that frees little, seldom in a process of septet."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["collect_seldom", "collector_off"]

_YOUNG: Final = 250_000
"""Objects that are made before a collection looks at them: 700 is meant for small programs.

A short backtest makes over 100,000, most of them while modules are imported, and they stay.
"""


def collect_seldom() -> None:
    """Collect seldom in this process, and nothing at its end; to be called before its imports.

    What is imported stays: looking for cycles in it on the way, and in everything once more at
    the end, is a third of what the start of a process that imports scikit-learn costs.
    """
    gc.set_threshold(_YOUNG)
    atexit.register(gc.freeze)


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
