"""Bounds of work in a process of its own: seconds, and bytes of memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Final

from septet._data.parquet_bounds import memory_bytes

__all__ = ["LONG_WORK", "Bounds", "bound_memory", "size_text"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds, and bytes of memory where the system enforces them.

    The defaults are those of a check.
    """

    seconds: float = 60.0
    memory: int = 4 << 30

    def here(self) -> Bounds:
        """Return the bounds for this machine: at most half of its memory."""
        return Bounds(self.seconds, min(self.memory, memory_bytes() // 2))


LONG_WORK: Final = Bounds(seconds=3_600.0, memory=1 << 40)
"""A backtest, a sweep or a comparison: an hour, and half of the memory of the machine."""


def bound_memory(memory: int) -> None:
    """Limit the memory of this process; Linux enforces it."""
    import resource

    with contextlib.suppress(OSError, ValueError):  # not every system has this bound
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def size_text(memory: int) -> str:
    """Format a bound of memory."""
    return f"{memory / (1 << 30):.3g} GiB of memory"
