"""Rolling moments from shifted sums.

Values are taken relative to a shift, the newest value at the last passing of the time grid, so
that the squares to be subtracted are of the size of the spread and not of the price. The sums are
the compensated, re-anchored ones of `sums`. A window whose values are all equal has a spread of
zero: where the difference of the sums is next to nothing, the values themselves are compared.
the values of the window are compared.

NaN policy: as for sums, NaN while anything in the window is not finite.
"""

from __future__ import annotations

from typing import Any, Final

from septet._kernel.maths import NAN, finite, helper, positive_part, root, usual
from septet._kernel.sums import due, gather, roll

__all__ = [
    "COMOMENTS", "MOMENTS", "POWERS", "standard_deviation", "window_comoments", "window_moments",
    "window_powers",
]  # fmt: skip

NEARLY_FLAT: Final = 1e-9
MOMENTS: Final = ("anchor", "shift", "sum", "sum_carry", "square", "square_carry")
"""Slots of `window_moments`."""
POWERS: Final = (*MOMENTS, "cube", "cube_carry", "fourth", "fourth_carry")
"""Slots of `window_powers`."""
COMOMENTS: Final = (
    *("anchor", "shift_x", "shift_y", "x", "x_carry", "xx", "xx_carry"),
    *("y", "y_carry", "yy", "yy_carry", "xy", "xy_carry"),
)
"""Slots of `window_comoments`."""


@helper
def _flat(i: int, x: Any, period: int) -> bool:
    """Whether all values of the window that ends at `i` are equal."""
    for back in range(1, period):  # noqa: SIM110 - a generator does not compile
        if x[i - back] != x[i]:
            return False
    return True


@helper
def _spread(square: float, part: float, i: int, x: Any, period: int) -> float:
    """Return ``square - part``: a sum of squares about the mean, exactly zero in a flat window.

    Where the difference is next to nothing the values of the window are compared.
    """
    remainder = square - part
    if remainder > NEARLY_FLAT * square:
        return remainder
    if square == 0.0 or _flat(i, x, period):
        return 0.0
    return positive_part(remainder)


@helper
def _take_moments(i: int, x: Any, period: int, state: Any, at: int) -> None:
    shift = x[i]
    total = total_carry = square = square_carry = 0.0
    for back in range(period):
        distance = x[i - back] - shift
        total, total_carry = gather(total, total_carry, distance)
        square, square_carry = gather(square, square_carry, distance * distance)
    state[at + 1] = shift
    state[at + 2] = total
    state[at + 3] = total_carry
    state[at + 4] = square
    state[at + 5] = square_carry


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
    if due(i, slot, period, state, at):
        _take_moments(i, x, period, state, at)
    else:
        shift = state[at + 1]
        entering = x[i] - shift
        leaving = x[i - period] - shift
        roll(state, at + 2, entering, leaving)
        roll(state, at + 4, entering * entering, leaving * leaving)
    total = state[at + 2] + state[at + 3]
    square = state[at + 4] + state[at + 5]
    shift = state[at + 1]
    middle = total * (1.0 / period)  # the quotient is the same for a whole loop
    spread = square - middle * total
    if not usual(spread > NEARLY_FLAT * square, state):
        return odd_moments(i, x, period, middle, state, at)
    return shift + middle, spread, (x[i] - shift) - middle


@helper
def odd_moments(
    i: int, x: Any, period: int, middle: float, state: Any, at: int
) -> tuple[float, float, float]:
    """Return what `window_moments` does where not all is finite, or next to no spread is left."""
    shift = state[at + 1]
    square = state[at + 4] + state[at + 5]
    if not finite(square):
        state[at] = 0.0
        return NAN, NAN, NAN
    spread = _spread(square, middle * (state[at + 2] + state[at + 3]), i, x, period)
    if spread == 0.0:
        return x[i], 0.0, 0.0
    return shift + middle, spread, (x[i] - shift) - middle


@helper
def standard_deviation(square: float, count: int) -> float:
    """Return the standard deviation for `square`, the sum of squared deviations from the mean.

    `count` is the period (population) or one less (sample). NaN where `square` is negative or NaN.
    """
    return root(square * (1.0 / count))  # the quotient is the same for a whole loop


@helper
def _take_powers(i: int, x: Any, period: int, state: Any, at: int) -> None:
    _take_moments(i, x, period, state, at)
    shift = x[i]
    cube = cube_carry = fourth = fourth_carry = 0.0
    for back in range(period):
        distance = x[i - back] - shift
        cube, cube_carry = gather(cube, cube_carry, distance * distance * distance)
        fourth, fourth_carry = gather(
            fourth, fourth_carry, distance * distance * (distance * distance)
        )
    state[at + 6] = cube
    state[at + 7] = cube_carry
    state[at + 8] = fourth
    state[at + 9] = fourth_carry


@helper
def window_powers(
    i: int, x: Any, slot: Any, period: int, state: Any, at: int
) -> tuple[float, float, float]:
    """Return the second, third and fourth central moments of the window of `x`; slots `POWERS`.

    They are in the unit of `x` squared, cubed and to the fourth power, and all three are exactly
    zero when all values are equal.
    """
    if due(i, slot, period, state, at):
        _take_powers(i, x, period, state, at)
    else:
        shift = state[at + 1]
        a = x[i] - shift
        b = x[i - period] - shift
        roll(state, at + 2, a, b)
        roll(state, at + 4, a * a, b * b)
        roll(state, at + 6, a * a * a, b * b * b)
        roll(state, at + 8, a * a * (a * a), b * b * (b * b))
    fourth = (state[at + 8] + state[at + 9]) / period
    if not finite(fourth):
        state[at] = 0.0
        return NAN, NAN, NAN
    total = state[at + 2] + state[at + 3]
    square = state[at + 4] + state[at + 5]
    m = total / period
    spread = _spread(square, m * total, i, x, period)
    if spread == 0.0:
        return 0.0, 0.0, 0.0
    square = square / period
    cube = (state[at + 6] + state[at + 7]) / period
    return (
        spread / period,
        cube - 3.0 * m * square + 2.0 * m * m * m,
        fourth - 4.0 * m * cube + 6.0 * m * m * square - 3.0 * m * m * (m * m),
    )


@helper
def _take_comoments(i: int, x: Any, y: Any, gap: int, period: int, state: Any, at: int) -> None:
    shift_x = x[i]
    shift_y = y[i - gap]
    sum_x = carry_x = xx = carry_xx = sum_y = carry_y = yy = carry_yy = xy = carry_xy = 0.0
    for back in range(period):
        a = x[i - back] - shift_x
        b = y[i - gap - back] - shift_y
        sum_x, carry_x = gather(sum_x, carry_x, a)
        xx, carry_xx = gather(xx, carry_xx, a * a)
        sum_y, carry_y = gather(sum_y, carry_y, b)
        yy, carry_yy = gather(yy, carry_yy, b * b)
        xy, carry_xy = gather(xy, carry_xy, a * b)
    state[at + 1], state[at + 2] = shift_x, shift_y
    state[at + 3], state[at + 4] = sum_x, carry_x
    state[at + 5], state[at + 6] = xx, carry_xx
    state[at + 7], state[at + 8] = sum_y, carry_y
    state[at + 9], state[at + 10] = yy, carry_yy
    state[at + 11], state[at + 12] = xy, carry_xy


@helper
def _roll_comoments(i: int, x: Any, y: Any, gap: int, period: int, state: Any, at: int) -> None:
    a = x[i] - state[at + 1]
    b = y[i - gap] - state[at + 2]
    c = x[i - period] - state[at + 1]
    d = y[i - gap - period] - state[at + 2]
    roll(state, at + 3, a, c)
    roll(state, at + 5, a * a, c * c)
    roll(state, at + 7, b, d)
    roll(state, at + 9, b * b, d * d)
    roll(state, at + 11, a * b, c * d)


@helper
def window_comoments(
    i: int, x: Any, y: Any, gap: int, slot: Any, period: int, state: Any, at: int
) -> tuple[float, float, float]:
    """Return the sums about the means of x·x, y·y and x·y; slots `COMOMENTS`.

    `y` is taken `gap` bars earlier than `x` (0: the same bars). Where the values of a side are
    all equal, its sum and the product's are exactly zero.
    """
    if due(i, slot, period, state, at):
        _take_comoments(i, x, y, gap, period, state, at)
    else:
        _roll_comoments(i, x, y, gap, period, state, at)
    sum_x = state[at + 3] + state[at + 4]
    sum_y = state[at + 7] + state[at + 8]
    xx = state[at + 5] + state[at + 6]
    yy = state[at + 9] + state[at + 10]
    xy = state[at + 11] + state[at + 12]
    if not (finite(xx) and finite(yy) and finite(xy)):
        state[at] = 0.0
        return NAN, NAN, NAN
    xx = _spread(xx, sum_x * sum_x / period, i, x, period)
    yy = _spread(yy, sum_y * sum_y / period, i - gap, y, period)
    if xx == 0.0 or yy == 0.0:
        return xx, yy, 0.0
    return xx, yy, xy - sum_x * sum_y / period
