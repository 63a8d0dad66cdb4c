"""W3 as a programmer would write it for this one task: one function, one loop, numbers fixed.

`accurate` keeps septet's promises: sums that are compensated and taken anew on the time grid, a
recursive average that is replayed from its last bars, NaN where there is no answer. `naive` keeps
none of them. Both write the same ten rows: log return, RSI 14, Bollinger width 20, volatility 10,
z-score of the volume 20, and the return of 1, 2, 3, 5 and 10 bars ago.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

__all__ = ["FIRST", "accurate", "naive"]

FIRST = 40
"""First bar that is written."""
WEIGHT = 1.0 / 14.0
DEPTH = 36 * 14
FLAT = 1e-9

loop = njit(error_model="numpy", _nrt=False)
part = njit(error_model="numpy", _nrt=False, forceinline=True)


@part
def _gather(total: float, carry: float, x: float) -> Any:
    grown = total + x
    rest = grown - total
    return grown, carry + ((total - (grown - rest)) + (x - rest))


@part
def _roll(total: float, carry: float, entering: float, leaving: float) -> Any:
    change = entering - leaving
    back = change - entering
    lost = (entering - (change - back)) - (leaving + back)
    grown = total + change
    rest = grown - total
    return grown, carry + (lost + ((total - (grown - rest)) + (change - rest)))


@part
def _take(i: int, x: Any, period: int) -> Any:
    shift = x[i]
    total = carry = square = square_carry = 0.0
    for back in range(period):
        d = x[i - back] - shift
        total, carry = _gather(total, carry, d)
        square, square_carry = _gather(square, square_carry, d * d)
    return shift, total, carry, square, square_carry


@part
def _moments(i: int, x: Any, period: int, anchor: int, kept: Any) -> Any:
    """Sums of the window that ends at i, and its mean, its spread, and the distance from the mean.

    `kept` is shift, sum, carry, sum of squares, carry; it is taken anew where the bar is a
    multiple of the period.
    """
    shift, total, carry, square, square_carry = kept
    if i >= anchor:
        anchor = (i // period + 1) * period
        shift, total, carry, square, square_carry = _take(i, x, period)
    else:
        a, b = x[i] - shift, x[i - period] - shift
        total, carry = _roll(total, carry, a, b)
        square, square_carry = _roll(square, square_carry, a * a, b * b)
    whole, squares = total + carry, square + square_carry
    middle = whole / period
    spread = squares - middle * whole
    kept = (shift, total, carry, square, square_carry)
    if spread > FLAT * squares:
        return anchor, kept, shift + middle, spread, (x[i] - shift) - middle
    if squares - squares == 0.0:
        return 0, kept, x[i], 0.0, 0.0
    return 0, kept, math.nan, math.nan, math.nan


@part
def _move(up: float, down: float, move: float) -> Any:
    rise = move if move > 0.0 else 0.0
    fall = -move if move < 0.0 else 0.0
    return up + (rise - up) * WEIGHT, down + (fall - down) * WEIGHT


@loop
def accurate(close: Any, volume: Any, out: Any) -> None:
    """Write the ten rows from `FIRST` on; close and volume are finite."""
    ret, rsi, width, deviation, zscore = out[0], out[1], out[2], out[3], out[4]
    lag_1, lag_2, lag_3, lag_5, lag_10 = out[5], out[6], out[7], out[8], out[9]
    up = down = 0.0
    next_c = next_v = next_r = next_rsi = 0
    of_c = of_v = of_r = (0.0, 0.0, 0.0, 0.0, 0.0)
    for i in range(1, FIRST):
        ret[i] = math.log(close[i] / close[i - 1])
    for i in range(FIRST, len(close)):
        ratio = close[i] / close[i - 1]
        ret[i] = math.log(ratio) if ratio > 0.0 else math.nan
        if i >= next_rsi:
            next_rsi = (i // DEPTH + 1) * DEPTH
            up = down = 0.0
            for j in range(max(1, i - DEPTH + 1), i):
                up, down = _move(up, down, close[j] - close[j - 1])
        up, down = _move(up, down, close[i] - close[i - 1])
        rsi[i] = 100.0 * up / (up + down) if up + down != 0.0 else math.nan
        next_c, of_c, mean, spread, _ = _moments(i, close, 20, next_c, of_c)
        width[i] = 4.0 * math.sqrt(spread / 20) / mean
        next_v, of_v, mean, spread, away = _moments(i, volume, 20, next_v, of_v)
        zscore[i] = away / math.sqrt(spread / 20)
        next_r, of_r, mean, spread, _ = _moments(i, ret, 10, next_r, of_r)
        deviation[i] = math.sqrt(spread / 9)
        lag_1[i], lag_2[i], lag_3[i] = ret[i - 1], ret[i - 2], ret[i - 3]
        lag_5[i], lag_10[i] = ret[i - 5], ret[i - 10]


@loop
def naive(close: Any, volume: Any, out: Any) -> None:
    """Write the ten rows with plain running sums: they drift, and a NaN stays for ever."""
    ret, rsi, width, deviation, zscore = out[0], out[1], out[2], out[3], out[4]
    lag_1, lag_2, lag_3, lag_5, lag_10 = out[5], out[6], out[7], out[8], out[9]
    up = down = sum_c = squares_c = sum_v = squares_v = sum_r = squares_r = 0.0
    for i in range(1, FIRST):
        ret[i] = math.log(close[i] / close[i - 1])
        up, down = _move(up, down, close[i] - close[i - 1])
    for i in range(FIRST - 20, FIRST):
        sum_c, squares_c = sum_c + close[i], squares_c + close[i] * close[i]
        sum_v, squares_v = sum_v + volume[i], squares_v + volume[i] * volume[i]
    for i in range(FIRST - 10, FIRST):
        sum_r, squares_r = sum_r + ret[i], squares_r + ret[i] * ret[i]
    for i in range(FIRST, len(close)):
        ret[i] = math.log(close[i] / close[i - 1])
        up, down = _move(up, down, close[i] - close[i - 1])
        rsi[i] = 100.0 * up / (up + down)
        new, old = close[i], close[i - 20]
        sum_c, squares_c = sum_c + (new - old), squares_c + (new * new - old * old)
        mean = sum_c / 20
        width[i] = 4.0 * math.sqrt(squares_c / 20 - mean * mean) / mean
        new, old = volume[i], volume[i - 20]
        sum_v, squares_v = sum_v + (new - old), squares_v + (new * new - old * old)
        mean = sum_v / 20
        zscore[i] = (new - mean) / math.sqrt(squares_v / 20 - mean * mean)
        new, old = ret[i], ret[i - 10]
        sum_r, squares_r = sum_r + (new - old), squares_r + (new * new - old * old)
        deviation[i] = math.sqrt((squares_r - sum_r * sum_r / 10) / 9)
        lag_1[i], lag_2[i], lag_3[i] = ret[i - 1], ret[i - 2], ret[i - 3]
        lag_5[i], lag_10[i] = ret[i - 5], ret[i - 10]
