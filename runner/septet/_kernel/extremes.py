"""Largest and smallest value of a rolling window: exact, so they depend on the window alone.

All values of a short window are read on every bar: that takes a processor less time than a
mispredicted branch. Of a longer window the extreme is kept, and the window is read again when
the value that leaves it was the extreme.

NaN policy: NaN while anything in the window is not finite.
"""

from __future__ import annotations

from typing import Any, Final

from septet._kernel.marks import index
from septet._kernel.maths import NAN, helper
from septet._kernel.scans import window_finite

__all__ = ["EXTREME", "window_max", "window_min"]

SHORT: Final = 24
EXTREME: Final = ("extreme", "finite")
"""Slots of `window_max` and `window_min`."""


@helper
def _scan(i: int, x: Any, period: int, sign: float) -> float:
    """Return the extreme of a window without NaN, from two independent chains of comparisons."""
    even = x[index(i)]
    odd = x[index(i - period + 1)]
    for pair in range(period // 2):
        even_next = x[index(i - 2 * pair)]
        odd_next = x[index(i - 2 * pair - 1)]
        even = even_next if sign * even_next > sign * even else even
        odd = odd_next if sign * odd_next > sign * odd else odd
    return even if sign * even > sign * odd else odd


@helper
def _extreme(i: int, x: Any, period: int, sign: float, state: Any, at: int) -> float:
    """Value of the window whose ``sign * x`` is largest; of two zeros the positive one."""
    begun = state[at + 1] == 1.0
    if not window_finite(i, x, period, state, at + 1):
        return NAN
    if period <= SHORT:
        return _scan(i, x, period, sign) + 0.0
    value = x[i]
    best = state[at]
    if not begun:
        state[at] = _scan(i, x, period, sign)
    elif sign * value >= sign * best:
        state[at] = value
    elif sign * x[index(i - period)] >= sign * best:
        state[at] = _scan(i, x, period, sign)
    return state[at] + 0.0


@helper
def window_max(i: int, x: Any, period: int, state: Any, at: int) -> float:
    """Return the largest of ``x[i - period + 1 .. i]``; slots `EXTREME` from `at` on.

    Reads ``x[i - period]`` from its second call on.
    """
    return _extreme(i, x, period, 1.0, state, at)


@helper
def window_min(i: int, x: Any, period: int, state: Any, at: int) -> float:
    """Return the smallest of ``x[i - period + 1 .. i]``; slots `EXTREME` from `at` on.

    Reads ``x[i - period]`` from its second call on.
    """
    return _extreme(i, x, period, -1.0, state, at)
