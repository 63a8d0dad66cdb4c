"""Rolling moments from shifted sums.

Values are taken relative to a shift, the newest value at the last passing of the time grid, so
that the squares to be subtracted are of the size of the spread and not of the price. The sums are
the compensated, re-anchored ones of `sums`. A window whose values are all equal is counted as it
goes and has a spread of exactly zero.

NaN policy: as for sums, NaN while anything in the window is not finite.
"""

from __future__ import annotations

from typing import Any, Final

from septet._kernel.maths import NAN, finite, helper, positive_part
from septet._kernel.sums import add, due, roll

__all__ = ["COMOMENTS", "MOMENTS", "POWERS", "window_comoments", "window_moments", "window_powers"]

MOMENTS: Final = ("anchor", "shift", "same", "sum", "sum_carry", "square", "square_carry")
"""Slots of `window_moments`."""
POWERS: Final = (*MOMENTS, "cube", "cube_carry", "fourth", "fourth_carry")
"""Slots of `window_powers`."""
COMOMENTS: Final = (
    *("anchor", "shift_x", "same_x", "x", "x_carry", "xx", "xx_carry"),
    *("shift_y", "same_y", "y", "y_carry", "yy", "yy_carry", "xy", "xy_carry"),
)
"""Slots of `window_comoments`."""


@helper
def _run(i: int, x: Any, period: int) -> float:
    """How many values up to `i` are equal, `period` at most."""
    same = 1
    while same < period and x[i - same] == x[i]:
        same += 1
    return float(same)


@helper
def _follow(i: int, x: Any, state: Any, at: int) -> None:
    """Count one more equal value, or begin again."""
    if x[i] == x[i - 1]:
        state[at] += 1.0
    else:
        state[at] = 1.0


@helper
def _clear(state: Any, first: int, last: int) -> None:
    for place in range(first, last):
        state[place] = 0.0


@helper
def window_moments(
    i: int, x: Any, slot: Any, period: int, state: Any, at: int
) -> tuple[float, float, float]:
    """Return the window's mean, its sum of squares about it, and how far ``x[i]`` lies from it.

    The distance is taken from the shifted sums, so that it keeps its digits where the spread is
    small beside the values.

    Slots `MOMENTS` from `at` on. Reads ``x[i - period]`` from its second call on; same bits for
    every start at least ``2 * period`` bars earlier. The sum of squares is never negative, and
    exactly zero when all values are equal.
    """
    if due(i, slot, period, state, at) or not finite(state[at + 5]):
        shift = x[i]
        state[at + 1] = shift
        state[at + 2] = _run(i, x, period)
        _clear(state, at + 3, at + 7)
        for back in range(period):
            distance = x[i - back] - shift
            if not finite(distance):
                state[at + 5] = NAN
                break
            add(state, at + 3, distance)
            add(state, at + 5, distance * distance)
    else:
        _follow(i, x, state, at + 2)
        shift = state[at + 1]
        entering = x[i] - shift
        leaving = x[i - period] - shift
        roll(state, at + 3, entering, leaving)
        roll(state, at + 5, entering * entering, leaving * leaving)
    total = state[at + 3] + state[at + 4]
    square = state[at + 5] + state[at + 6]
    if not finite(square):
        state[at + 5] = NAN
        return NAN, NAN, NAN
    if state[at + 2] >= period:
        return x[i], 0.0, 0.0
    middle = total / period
    return (
        shift + middle,
        positive_part(square - middle * total),
        (x[i] - shift) - middle,
    )


@helper
def _take_powers(i: int, x: Any, period: int, state: Any, at: int) -> None:
    shift = x[i]
    state[at + 1] = shift
    state[at + 2] = _run(i, x, period)
    _clear(state, at + 3, at + 11)
    for back in range(period):
        d = x[i - back] - shift
        if not finite(d):
            state[at + 9] = NAN
            break
        add(state, at + 3, d)
        add(state, at + 5, d * d)
        add(state, at + 7, d * d * d)
        add(state, at + 9, d * d * (d * d))


@helper
def window_powers(
    i: int, x: Any, slot: Any, period: int, state: Any, at: int
) -> tuple[float, float, float]:
    """Return the second, third and fourth central moments of the window; slots `POWERS`.

    All three are exactly zero when all values are equal.
    """
    if due(i, slot, period, state, at) or not finite(state[at + 9]):
        _take_powers(i, x, period, state, at)
    else:
        _follow(i, x, state, at + 2)
        shift = state[at + 1]
        a = x[i] - shift
        b = x[i - period] - shift
        roll(state, at + 3, a, b)
        roll(state, at + 5, a * a, b * b)
        roll(state, at + 7, a * a * a, b * b * b)
        roll(state, at + 9, a * a * (a * a), b * b * (b * b))
    fourth = (state[at + 9] + state[at + 10]) / period
    if not finite(fourth):
        state[at + 9] = NAN
        return NAN, NAN, NAN
    if state[at + 2] >= period:
        return 0.0, 0.0, 0.0
    m = (state[at + 3] + state[at + 4]) / period
    square = (state[at + 5] + state[at + 6]) / period
    cube = (state[at + 7] + state[at + 8]) / period
    return (
        positive_part(square - m * m),
        cube - 3.0 * m * square + 2.0 * m * m * m,
        fourth - 4.0 * m * cube + 6.0 * m * m * square - 3.0 * m * m * (m * m),
    )


@helper
def _take_comoments(i: int, x: Any, y: Any, gap: int, period: int, state: Any, at: int) -> None:
    state[at + 1] = x[i]
    state[at + 2] = _run(i, x, period)
    state[at + 7] = y[i - gap]
    state[at + 8] = _run(i - gap, y, period)
    _clear(state, at + 3, at + 7)
    _clear(state, at + 9, at + 15)
    for back in range(period):
        a = x[i - back] - state[at + 1]
        b = y[i - gap - back] - state[at + 7]
        if not finite(a + b):
            state[at + 13] = NAN
            break
        add(state, at + 3, a)
        add(state, at + 5, a * a)
        add(state, at + 9, b)
        add(state, at + 11, b * b)
        add(state, at + 13, a * b)


@helper
def _roll_comoments(i: int, x: Any, y: Any, gap: int, period: int, state: Any, at: int) -> None:
    _follow(i, x, state, at + 2)
    _follow(i - gap, y, state, at + 8)
    a = x[i] - state[at + 1]
    b = y[i - gap] - state[at + 7]
    c = x[i - period] - state[at + 1]
    d = y[i - gap - period] - state[at + 7]
    roll(state, at + 3, a, c)
    roll(state, at + 5, a * a, c * c)
    roll(state, at + 9, b, d)
    roll(state, at + 11, b * b, d * d)
    roll(state, at + 13, a * b, c * d)


@helper
def window_comoments(
    i: int, x: Any, y: Any, gap: int, slot: Any, period: int, state: Any, at: int
) -> tuple[float, float, float]:
    """Return the sums about the means of x·x, y·y and x·y; slots `COMOMENTS`.

    `y` is taken `gap` bars earlier than `x` (0: the same bars). Where the values of a side are
    all equal, its sum and the product's are exactly zero.
    """
    if due(i, slot, period, state, at) or not finite(state[at + 13]):
        _take_comoments(i, x, y, gap, period, state, at)
    else:
        _roll_comoments(i, x, y, gap, period, state, at)
    sum_x = state[at + 3] + state[at + 4]
    sum_y = state[at + 9] + state[at + 10]
    xx = state[at + 5] + state[at + 6] - sum_x * sum_x / period
    yy = state[at + 11] + state[at + 12] - sum_y * sum_y / period
    xy = state[at + 13] + state[at + 14] - sum_x * sum_y / period
    if not (finite(xx) and finite(yy) and finite(xy)):
        state[at + 13] = NAN
        return NAN, NAN, NAN
    if state[at + 2] >= period:
        xx = 0.0
        xy = 0.0
    if state[at + 8] >= period:
        yy = 0.0
        xy = 0.0
    return positive_part(xx), positive_part(yy), xy
