"""How much a plain step does in one call, by a count: slow ones are tried on fewer bars.

Functions called are counted and no clock is read, so that the same step is tried on the same bars
everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

__all__ = ["CALLS", "calls_in", "within"]

CALLS: Final = 400_000
"""Calls of functions that one pass over the bars of a trial may take."""


def calls_in(work: Callable[[], Any]) -> int:
    """Return how many functions are called while `work` is done, in this thread."""
    count = 0

    def tally(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def within(most: int, least: int, calls_each: float) -> int:
    """Return how often something is done that takes so many calls each time."""
    return max(least, min(most, int(CALLS // max(1.0, calls_each))))
