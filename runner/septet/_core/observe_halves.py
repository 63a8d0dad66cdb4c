"""Computes the features of a whole history in two threads, one half each.

Features of finite memory have the same bits for any start at least their memory earlier. So the
second half begins that far before its first bar, with blank state; the first half overwrites the
values written there. The threads never access the same bars at once: the second half passes the
stretch that both read before the first half begins.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from septet._core.state import Arrays, Ints
from septet._kernel import layout

__all__ = ["LEAST", "observe_halves"]

LEAST: Final = 131_072
"""Times from which two threads are worth starting."""
STRETCH: Final = 4_096
"""Times that are looked at together for the place of a bar."""

Observe = Callable[[int, int, Any], int]


def observe_halves(arrays: Arrays, times: int, observe: Observe, memory_bars: int) -> bool:
    """Compute all features in two halves; return False, with nothing done, if that is slower."""
    T, M = arrays["T"], arrays["M"]
    middle = times // 2
    rows = [_row_before(T[layout.ROW + k], middle) for k in range(len(M))]
    start = min(_time_of(T[layout.ROW + k], row - memory_bars) for k, row in enumerate(rows))
    apart = max(_time_of(T[layout.ROW + k], row + memory_bars) for k, row in enumerate(rows))
    if times < LEAST or start < times // 4 or apart > 3 * times // 4:
        return False
    S = np.zeros_like(arrays["S"])
    table = arrays.seen("S", S, first=0)
    saved_ages = _begin_anew(T, M, start, apart)
    try:
        observe(start, apart, table)
    finally:
        for k, first, ages in saved_ages:
            M[k, layout.AGE, first : first + len(ages)] = ages
    with ThreadPoolExecutor(1, thread_name_prefix="observe") as pool:
        second = pool.submit(observe, apart, times, table)
        observe(0, middle, arrays.table)
        second.result()
    arrays["S"][:] = S
    return True


def _row_before(rows: Ints, t: int) -> int:
    """Return the number of bars of a symbol before a time, searched in steps from that time."""
    for stop in range(t, 0, -STRETCH):
        stretch = rows[max(0, stop - STRETCH) : stop]
        known = np.flatnonzero(stretch >= 0)
        if len(known):
            return int(stretch[known[-1]]) + 1
    return 0


def _time_of(rows: Ints, row: int) -> int:
    """Time of a symbol's bar; the first or the last where there is no such bar.

    Bar number n never comes before time number n: times without bars only delay it.
    """
    if row < 0:
        return 0
    for start in range(row, len(rows), STRETCH):
        reached = np.flatnonzero(rows[start : start + STRETCH] >= row)
        if len(reached):
            return start + int(reached[0])
    return len(rows)


def _begin_anew(T: Ints, M: Ints, start: int, apart: int) -> list[tuple[int, int, Ints]]:
    """Count ages from `start` on, up to a gap or to `apart`; return the overwritten values."""
    saved = []
    for k in range(len(M)):
        rows = T[layout.ROW + k, start:apart]
        rows = rows[rows >= 0]
        if not len(rows):
            continue
        first, last = int(rows[0]), int(rows[-1]) + 1
        ages = M[k, layout.AGE, first:last].copy()
        saved.append((k, first, ages))
        until = np.flatnonzero(ages[1:] == 0)
        run = int(until[0]) + 1 if len(until) else len(ages)
        M[k, layout.AGE, first : first + run] -= ages[0]
    return saved
