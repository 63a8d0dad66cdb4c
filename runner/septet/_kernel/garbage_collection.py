"""Python's garbage collector, kept out of work that makes much and drops little of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_off"]


@contextmanager
def collector_off(*, collects: bool = False) -> Iterator[None]:
    """Turn the collector off; `collects` lets it run once at the end.

    It walks everything that is alive again and again while a compiler or a simulation fills the
    memory, and finds next to nothing to free.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
        if collects:
            gc.collect()
