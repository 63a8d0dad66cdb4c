"""Sums over windows of forecasts and of returns, in the order of the bars.

A forecast is a column: an array of symbols, rows and bars, its row, and -1. With the row of a
model's state in place of -1 it is 2p - 1 of the probability in its row, NaN where that state is
not 0.

Plain Python computes a window by numpy, to the same bits: `numpy.add.accumulate` adds one number
after the other, as the loops do. (`numpy.sum` adds in pairs.)
"""

from __future__ import annotations

from typing import Any

from septet._kernel.layout import CLOSE, PROPORTION, ROLE, ROW
from septet._kernel.marks import in_python
from septet._kernel.maths import NAN, finite, helper

__all__ = [
    "add_clipped", "add_products", "all_finite", "clip", "common_products", "median_size",
    "returns_finite", "value_of",
]  # fmt: skip


@helper
def clip(value, cap):
    """Return a value limited to +-cap; NaN stays NaN."""
    return max(-cap, min(cap, value)) if value == value else NAN


@helper
def value_of(k, i, column):
    """Return the forecast of k at bar i."""
    values, row, state_row = column
    if state_row < 0:
        return values[k, row, i]
    return 2.0 * values[k, row, i] - 1.0 if values[k, state_row, i] == 0.0 else NAN


def _window(k: Any, first: int, last: int, column: Any) -> Any:
    """Return the forecasts of bars `first` to `last`; None for other than numpy's arrays."""
    import numpy as np  # not at the top: importing a plugin must not load numpy

    values, row, state_row = column
    if type(values) is not np.ndarray or first < 0 or last < first:
        return None
    window = values[k, row, first : last + 1]
    if state_row < 0:
        return window
    return np.where(values[k, state_row, first : last + 1] == 0.0, 2.0 * window - 1.0, np.nan)


def _clipped(window: Any, m: float, cap: float) -> Any:
    """Return the forecasts of a window, scaled by m and limited to +-cap; NaN stays NaN."""
    import numpy as np

    return np.maximum(-cap, np.minimum(cap, window / m))


def _total(first: float, terms: Any) -> Any:
    """Return `first` and the terms, added one after the other."""
    import numpy as np

    terms[0] = first + terms[0]
    return np.add.accumulate(terms)[-1]


def _quick_finite(k: int, first: int, last: int, column: Any) -> bool | None:
    import numpy as np

    window = _window(k, first, last, column)
    return None if window is None else bool(np.isfinite(window).all())


@in_python(_quick_finite)
def all_finite(k, first, last, column):
    """Whether the forecast of k is finite at each of the bars `first` to `last`."""
    i = first
    while i <= last and finite(value_of(k, i, column)):
        i += 1
    return i > last


def _quick_returns(k: int, first: int, last: int, prices: Any) -> bool | None:
    import numpy as np

    if type(prices) is not np.ndarray or first < 1:
        return None
    closes = prices[k, CLOSE, first - 1 : last + 1]
    return bool(np.isfinite(closes[1:] / closes[:-1]).all())


@in_python(_quick_returns)
def returns_finite(k, first, last, prices):
    """Whether the return of k to each of the bars `first` to `last` is finite."""
    for i in range(first, last + 1):
        if not finite(prices[k, CLOSE, i] / prices[k, CLOSE, i - 1]):
            return False
    return True


def _quick_sum(
    total: float, k: int, first: int, last: int, column: Any, m: float, cap: float
) -> Any:
    window = _window(k, first, last, column)
    return None if window is None else _total(total, _clipped(window, m, cap))


@in_python(_quick_sum)
def add_clipped(total, k, first, last, column, m, cap):
    """Return `total` with the scaled and limited forecasts of bars `first` to `last` added."""
    for i in range(first, last + 1):
        total += clip(value_of(k, i, column) / m, cap)
    return total


def _quick_products(
    totals: Any, k: int, first: int, last: int, columns: Any, scales: Any, means: Any, cap: float
) -> Any:
    import numpy as np

    windows = [_window(k, first, last, each) for each in columns]
    if windows[0] is None or windows[1] is None:
        return None
    x, y = (_clipped(each, m, cap) for each, m in zip(windows, scales, strict=True))
    a, b = x - means[0], y - means[1]
    terms = np.empty((4, len(x) + 1))
    terms[:, 0] = totals
    terms[0, 1:], terms[1, 1:], terms[2, 1:], terms[3, 1:] = a * a, b * b, a * b, x * x + y * y
    return tuple(np.add.accumulate(terms, axis=1)[:, -1])


@in_python(_quick_products)
def add_products(totals, k, first, last, columns, scales, means, cap):
    """Return `totals` with the products of two forecasts over bars `first` to `last` added.

    These are, of the scaled and limited forecasts x and y: the squares of x less its mean, of y
    less its mean, their product, and x * x + y * y.
    """
    xx, yy, xy, size = totals
    of_x, of_y = columns
    m, n = scales
    a, b = means
    for i in range(first, last + 1):
        x = clip(value_of(k, i, of_x) / m, cap)
        y = clip(value_of(k, i, of_y) / n, cap)
        size += x * x + y * y
        xx += (x - a) * (x - a)
        yy += (y - b) * (y - b)
        xy += (x - a) * (y - b)
    return xx, yy, xy, size


def _quick_median(t: int, window: int, column: Any, is_one: bool, T: Any, B: Any, I: Any) -> Any:
    import numpy as np

    values, row, state_row = column
    if type(values) is not np.ndarray or t < window - 1:
        return None
    chosen = np.flatnonzero(I[:, ROLE] == 1)[:, None]
    times = np.arange(t, t - window, -1)
    cells = times[None, :] if is_one else T[ROW + chosen, times[None, :]]
    bars = np.maximum(cells, 0)
    sizes = np.abs(values[chosen, row, bars])
    if state_row >= 0:
        edges = 2.0 * values[chosen, row, bars] - 1.0
        sizes = np.where(values[chosen, state_row, bars] == 0.0, np.abs(edges), np.nan)
    counted = (cells >= 0) & (sizes != 0.0)
    sizes[~counted] = np.inf
    if np.isnan(sizes).any():
        return None  # it has no place in an order: the loop decides
    sizes.sort(axis=0)
    counts = counted.sum(axis=0)
    known = np.flatnonzero(counts)
    if known.size == 0:
        return NAN
    half = counts[known] // 2
    upper, lower = sizes[half, known], sizes[half - 1, known]
    medians = np.where(counts[known] % 2 == 0, (lower + upper) / 2.0, upper)
    return _total(0.0, medians) / len(medians)


@in_python(_quick_median)
def median_size(t, window, column, is_one, T, B, I):
    """Return the mean over the last `window` times of the median size of a forecast.

    The sizes of a time are those of the symbols whose role is 1 and that have a bar, zeros left
    out; they are sorted in the column `PROPORTION` of B. NaN without any.
    """
    total, times = 0.0, 0
    for back in range(window):
        count = 0
        for k in range(len(I)):
            i = t - back if is_one else T[ROW + k, t - back]
            if I[k, ROLE] != 1 or i < 0:
                continue
            size = abs(value_of(k, i, column))
            if size == 0.0:
                continue
            n = count
            while n > 0 and B[n - 1, PROPORTION] > size:
                B[n, PROPORTION] = B[n - 1, PROPORTION]
                n -= 1
            B[n, PROPORTION] = size
            count += 1
        if count > 0:
            half = count // 2
            median = B[half, PROPORTION]
            if count % 2 == 0:
                median = (B[half - 1, PROPORTION] + median) / 2.0
            total += median
            times += 1
    return total / times if times > 0 else NAN


def _quick_common(k: int, other_k: int, t: int, window: int, T: Any, prices: Any) -> Any:
    import numpy as np

    if type(prices) is not np.ndarray or t < window:
        return None
    bars = T[ROW + k, t - window : t + 1], T[ROW + other_k, t - window : t + 1]
    common = (bars[0] >= 0) & (bars[1] >= 0)
    x, y = prices[k, CLOSE, bars[0][common]], prices[other_k, CLOSE, bars[1][common]]
    known = x[:-1] == x[:-1]
    moves = np.empty((2, int(np.count_nonzero(known)) + 1))
    count = moves.shape[1] - 1
    if 2 * count < window:
        return count, 0.0, 0.0, 0.0, 0.0
    moves[:, 0] = 0.0
    moves[0, 1:] = x[1:][known] / x[:-1][known] - 1.0
    moves[1, 1:] = y[1:][known] / y[:-1][known] - 1.0
    sums = np.add.accumulate(moves, axis=1)[:, -1]
    x, y = moves[0, 1:], moves[1, 1:]
    a, b = x - sums[0] / count, y - sums[1] / count
    terms = np.zeros((4, count + 1))
    terms[0, 1:], terms[1, 1:], terms[2, 1:], terms[3, 1:] = a * a, b * b, a * b, x * x + y * y
    return count, *np.add.accumulate(terms, axis=1)[:, -1]


@in_python(_quick_common)
def common_products(k, other_k, t, window, T, prices):
    """Count the returns of two symbols between their common bars of the last times; add products.

    These are, of the returns x of k and y of the other: the squares of x less its mean, of y less
    its mean, their product, and x * x + y * y; zeros where less than half of the window is common.
    """
    count, sum_x, sum_y = 0, 0.0, 0.0
    before_x, before_y = NAN, NAN
    for u in range(t - window, t + 1):
        i, j = T[ROW + k, u], T[ROW + other_k, u]
        if i < 0 or j < 0:
            continue
        x, y = prices[k, CLOSE, i], prices[other_k, CLOSE, j]
        if before_x == before_x:
            count += 1
            sum_x += x / before_x - 1.0
            sum_y += y / before_y - 1.0
        before_x, before_y = x, y
    xx, yy, xy, size = 0.0, 0.0, 0.0, 0.0
    if 2 * count < window:
        return count, xx, yy, xy, size
    mean_x, mean_y = sum_x / count, sum_y / count
    before_x, before_y = NAN, NAN
    for u in range(t - window, t + 1):
        i, j = T[ROW + k, u], T[ROW + other_k, u]
        if i < 0 or j < 0:
            continue
        x, y = prices[k, CLOSE, i], prices[other_k, CLOSE, j]
        if before_x == before_x:
            moved_x, moved_y = x / before_x - 1.0, y / before_y - 1.0
            size += moved_x * moved_x + moved_y * moved_y
            xx += (moved_x - mean_x) * (moved_x - mean_x)
            yy += (moved_y - mean_y) * (moved_y - mean_y)
            xy += (moved_x - mean_x) * (moved_y - mean_y)
        before_x, before_y = x, y
    return count, xx, yy, xy, size
