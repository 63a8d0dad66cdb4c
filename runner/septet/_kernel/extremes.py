"""Largest and smallest value of a rolling window: exact, so they depend on the window alone.

The extreme is kept with the number of bars until it leaves; only then is the window read again.
NaN policy: NaN while anything in the window is not finite.
"""

from __future__ import annotations

from typing import Any, Final

from septet._kernel.maths import NAN, finite, helper

__all__ = ["EXTREME", "window_max", "window_min"]

EXTREME: Final = ("extreme", "stays")
"""Slots of `window_max` and `window_min`."""


@helper
def _scan(i: int, x: Any, period: int, sign: float, state: Any, at: int) -> None:
    best = sign * x[i]
    stays = period
    for back in range(period):
        value = sign * x[i - back]
        if not finite(value):
            best = NAN
            stays = period - back
            break
        if value > best:
            best = value
            stays = period - back
    state[at] = best
    state[at + 1] = stays


@helper
def _extreme(i: int, x: Any, period: int, sign: float, state: Any, at: int) -> float:
    """Largest ``sign * x`` of the window, kept in ``state[at]``."""
    stays = state[at + 1] - 1.0
    value = sign * x[i]
    if stays <= 0.0:
        _scan(i, x, period, sign, state, at)
    elif not finite(value):
        state[at] = NAN
        state[at + 1] = period
    elif value >= state[at]:
        state[at] = value
        state[at + 1] = period
    else:
        state[at + 1] = stays
    return sign * state[at]


@helper
def window_max(i: int, x: Any, period: int, state: Any, at: int) -> float:
    """Return the largest of ``x[i - period + 1 .. i]``; slots `EXTREME` from `at` on."""
    return _extreme(i, x, period, 1.0, state, at)


@helper
def window_min(i: int, x: Any, period: int, state: Any, at: int) -> float:
    """Return the smallest of ``x[i - period + 1 .. i]``; slots `EXTREME` from `at` on."""
    return _extreme(i, x, period, -1.0, state, at)
