"""Figures of a finished run with a value for each day or for each drawdown.

Pure functions of arrays. What is undefined is NaN in an array and None in a row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from septet._data.bars import Floats, Ints

__all__ = ["WINDOW_DAYS", "Drawdown", "deepest_drawdowns", "rolling_beta", "rolling_sharpe"]

WINDOW_DAYS: Final = 90
# A spread below this share of the values is the rounding of their sums, not a spread.
_ROUNDING: Final = 1e-12


class Drawdown(msgspec.Struct, frozen=True):
    """A fall from a peak of equity to its recovery.

    `start_ns` is the last time at the peak, `bottom_ns` the time of the lowest equity,
    `recovery_ns` the first time at the peak again or above it, None where that did not come.
    `depth` is a fraction of the peak, `length_ns` from start to recovery, or to the end.
    """

    start_ns: int
    bottom_ns: int
    recovery_ns: int | None
    depth: float
    length_ns: int


def deepest_drawdowns(
    time_ns: Ints, equity: Floats, initial: float, most: int = 5
) -> list[Drawdown]:
    """Give the deepest falls of equity, the deepest first; of equal ones the earlier first.

    Parameters
    ----------
    time_ns, equity : arrays, shape (n,)
        Rising UTC times and the equity then, without NaN. The initial capital is the first peak,
        at the first time.
    """
    if len(time_ns) == 0 or initial <= 0:
        return []
    peak = np.maximum(np.maximum.accumulate(equity), initial)
    below = np.concatenate([[False], equity < peak, [False]])
    edges = np.diff(below.astype(np.int8))
    drawdowns = []
    falls, ends = (np.flatnonzero(edges == sign).tolist() for sign in (1, -1))
    for first, after in zip(falls, ends, strict=True):
        bottom = first + int(np.argmin(equity[first:after]))
        start_ns = int(time_ns[max(first - 1, 0)])
        back = int(time_ns[after]) if after < len(time_ns) else None
        end_ns = int(time_ns[-1]) if back is None else back
        depth = float(1.0 - equity[bottom] / peak[bottom])
        drawdowns.append(Drawdown(start_ns, int(time_ns[bottom]), back, depth, end_ns - start_ns))
    return sorted(drawdowns, key=lambda each: -each.depth)[:most]


def _windows(values: Floats, window: int) -> Floats:
    return np.lib.stride_tricks.sliding_window_view(values, window)


def rolling_sharpe(returns: Floats, days: float, window: int = WINDOW_DAYS) -> Floats:
    """Sharpe ratio of the last `window` daily returns: mean over deviation times sqrt(days).

    Standard deviation with ddof 1, zero rate, as the Sharpe ratio of the run.

    Parameters
    ----------
    returns : array, shape (n,)
        Daily returns.

    Returns
    -------
    array, shape (n,)
        NaN before `window` returns, and where they have no spread or are not finite.
    """
    ratios = np.full(len(returns), np.nan)
    if len(returns) < window or window < 2:
        return ratios
    part = _windows(returns, window)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = part.std(axis=1, ddof=1)
        ratio = part.mean(axis=1) / spread * math.sqrt(days)
        flat = ~(spread > _ROUNDING * np.abs(part).max(axis=1))
    ratios[window - 1 :] = np.where(flat, np.nan, ratio)
    return ratios


def rolling_beta(returns: Floats, market: Floats, window: int = WINDOW_DAYS) -> Floats:
    """Least-squares slope of the last `window` daily returns on those of the market.

    ``cov(r, m) / var(m)``, as the beta of the run.

    Parameters
    ----------
    returns, market : arrays, shape (n,)
        Daily returns of the same days.

    Returns
    -------
    array, shape (n,)
        NaN before `window` returns, and where the market has no spread or either is not finite.
    """
    betas = np.full(len(returns), np.nan)
    if len(returns) < window or window < 2 or len(market) != len(returns):
        return betas
    run_windows, market_windows = _windows(returns, window), _windows(market, window)
    with np.errstate(invalid="ignore", divide="ignore"):
        away = market_windows - market_windows.mean(axis=1, keepdims=True)
        moved = (away * away).sum(axis=1)
        together = (away * (run_windows - run_windows.mean(axis=1, keepdims=True))).sum(axis=1)
        spread = np.sqrt(moved / (window - 1))
        flat = ~(spread > _ROUNDING * np.abs(market_windows).max(axis=1))
        betas[window - 1 :] = np.where(flat, np.nan, together / moved)
    return betas
