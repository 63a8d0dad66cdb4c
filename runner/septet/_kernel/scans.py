"""Scans of all values of a window on every bar, where nothing can be kept from the bar before.

Several independent counts or sums are combined in a fixed order, so that the bits are the same
however the source is compiled. Every read lies within the window, which the caller's look-back
covers.
"""

from __future__ import annotations

from typing import Any, Final

from septet._kernel.marks import in_python, index, native
from septet._kernel.maths import NAN, finite, helper

__all__ = ["RANK", "distance_sum", "window_counts", "window_finite", "window_rank"]

RANK: Final = ("finite",)
"""Slots of `window_rank`: that of `window_finite`."""


@helper
def window_finite(i: int, x: Any, period: int, state: Any, at: int) -> bool:
    """Whether all of ``x[i - period + 1 .. i]`` is finite; only its first call looks back.

    The slot at `at` is 1 once it is; below zero, for how many bars it will not be.
    """
    if finite(x[i]):
        if state[at] == 1.0:
            return True
        if state[at] < 0.0:
            state[at] += 1.0
        if state[at] < 0.0:
            return False
        state[at] = 1.0
        for back in range(1, period):
            if not finite(x[i - back]):
                state[at] = back - period
                return False
        return True
    state[at] = -period
    return False


@helper
def window_rank(i: int, x: Any, period: int, state: Any, at: int) -> float:
    """Return how many of ``x[i - period + 1 .. i - 1]`` lie below ``x[i]``, equals as a half.

    Slots `RANK` from `at` on. NaN while anything in the window is not finite.
    """
    if not window_finite(i, x, period, state, at):
        return NAN
    now = x[i]
    halves = 0
    for j in range(i - period + 1, i + 1):  # without branches: they would be unpredictable
        value = x[index(j)]
        halves += (1 if value < now else 0) + (1 if value <= now else 0)
    return 0.5 * halves - 0.5  # it is itself one of those not above it


def _quick_counts(i: int, x: Any, period: int) -> tuple[int, int, int] | None:
    import numpy as np  # not at the top: importing a plugin must not load numpy

    first = i - period + 1
    if type(x) is not np.ndarray or first < 0:  # an array that records its reads records each one
        return None
    window = x[first : i + 1]
    marks = window == window, window < x[i], window == x[i]
    number_count, below, equal = (int(np.count_nonzero(each)) for each in marks)
    return number_count, below, equal


@in_python(_quick_counts)
def window_counts(i: int, x: Any, period: int) -> tuple[int, int, int]:
    """Return how many of ``x[i - period + 1 .. i]`` are known, lie below ``x[i]``, and equal it.

    NaN is not known, and neither below nor equal.
    """
    now = x[i]
    number_count = 0
    below = 0
    equal = 0
    for j in range(i - period + 1, i + 1):
        value = x[index(j)]
        number_count += 1 if value == value else 0
        below += 1 if value < now else 0
        equal += 1 if value == now else 0
    return number_count, below, equal


@native
def four_distances(i: int, x: Any, fours: int, middle: float) -> tuple[float, float, float, float]:
    """Return four sums of ``|x - middle|`` over ``x[i - 4 * fours + 1 .. i]``.

    Compiled, one instruction takes four values: the compiler would not vectorise this by itself.
    """
    a = b = c = d = 0.0
    for four in range(fours):
        j = i - 4 * four
        a += abs(x[j] - middle)
        b += abs(x[j - 1] - middle)
        c += abs(x[j - 2] - middle)
        d += abs(x[j - 3] - middle)
    return a, b, c, d


@helper
def distance_sum(i: int, x: Any, period: int, middle: float) -> float:
    """Return the sum of ``|x - middle|`` over ``x[i - period + 1 .. i]``.

    Exactly zero where all values are equal, wherever the middle was rounded to. NaN while anything
    in the window or the middle is NaN.
    """
    fours = period // 4
    a, b, c, d = four_distances(i, x, fours, middle)
    for back in range(4 * fours, period):
        a += abs(x[index(i - back)] - middle)
    total = (a + b) + (c + d)
    if total > 1e-9 * abs(middle):
        return total
    for back in range(1, period):
        if x[index(i - back)] != x[i]:
            return total
    return 0.0 * total  # NaN stays what it is
