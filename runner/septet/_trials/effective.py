"""The effective number of independent trials among correlated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from septet._data.bars import Floats

__all__ = ["effective_number", "mean_correlation"]


def mean_correlation(returns: Floats) -> float:
    """Return the mean correlation over all pairs of rows, at least 0.

    Parameters
    ----------
    returns : array, shape (N, n)
        Daily returns of N trials on the same n days. NaN where a trial has no return; it counts as
        the trial's mean. A constant row is left out.

    Returns
    -------
    float
        From 0 to 1; 0 with fewer than two rows that vary.

    Notes
    -----
    For standardised rows z, the mean over days of (sum over rows of z)^2 is N + N (N - 1) rho.
    """
    if not returns.size:
        return 0.0
    is_finite = np.isfinite(returns)
    days = np.maximum(is_finite.sum(axis=1, keepdims=True), 1)
    means = np.where(is_finite, returns, 0.0).sum(axis=1, keepdims=True) / days
    centred = np.where(is_finite, returns - means, 0.0)
    spread = np.sqrt((centred * centred).mean(axis=1))
    rows = centred[spread > 0.0] / spread[spread > 0.0, None]
    count = len(rows)
    if count < 2:
        return 0.0
    together = float((rows.sum(axis=0) ** 2).mean())
    return min(1.0, max(0.0, (together - count) / (count * (count - 1))))


def effective_number(count: int, *returns: Floats) -> float:
    """Return the effective number of independent trials, 1 + (count - 1)(1 - rho).

    rho is the mean correlation of the trials whose returns are known: groups of shape (N, n),
    weighted by N. Trials without known returns are assumed to be correlated like the others. The
    result is never below 1 or above the count. The best of equally correlated trials exceeds their
    common part by no more than the best of this many independent trials does; tests with simulated
    searchers verify it.
    """
    if count < 1:
        return 0.0
    sizes = [len(each) for each in returns]
    if not sum(sizes):
        return float(count)
    rho = sum(size * mean_correlation(each) for size, each in zip(sizes, returns, strict=True))
    return 1.0 + (count - 1) * (1.0 - rho / sum(sizes))
