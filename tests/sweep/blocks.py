"""From daily returns to the blocks that a sweep's table keeps, the long way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from septet._results.selection_bias import BLOCKS

Floats = npt.NDArray[np.float64]

__all__ = ["blocks_of", "moments"]


def blocks_of(returns: Floats) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Sums, sums of squares and days of sixteen blocks; one row of returns a setting."""
    parts = np.array_split(returns, BLOCKS, axis=1)
    sums = np.stack([part.sum(axis=1) for part in parts], axis=1)
    squares = np.stack([(part * part).sum(axis=1) for part in parts], axis=1)
    return sums, squares, np.array([part.shape[1] for part in parts])


def moments(returns: Floats) -> tuple[float, float, float]:
    """Daily Sharpe ratio, skewness and kurtosis of one row of returns."""
    away = returns - returns.mean()
    spread = float(np.sqrt(np.mean(away**2)))
    skew = float(np.mean(away**3)) / spread**3
    kurtosis = float(np.mean(away**4)) / spread**4
    return float(returns.mean() / returns.std(ddof=1)), skew, kurtosis
