"""The weights of W7 for peers that have none of their own: numpy, at the closes of decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["decision_rows", "weights_at"]

DAY_NS = 86_400_000_000_000


def decision_rows(time: Any, setup: Any) -> Any:
    """Bars that close on a Monday at 00:00, from the first with a whole momentum on."""
    rows = np.arange(len(time))
    monday = (time + DAY_NS) // DAY_NS % 7 == 4
    return rows[monday & (rows >= setup.portfolio["momentum"]) & (rows < len(time) - 1)]


def weights_at(rows: Any, close: Any, deviation: Callable[[Any, int], Any], setup: Any) -> Any:
    """Weights of all symbols at some bars, shape (bars, symbols).

    `deviation` gives the rolling sample deviation of columns over a number of bars.
    """
    portfolio = setup.portfolio
    returns = np.full(close.shape, np.nan)
    np.log(close[1:] / close[:-1], out=returns[1:])
    momentum = close[rows] / close[rows - portfolio["momentum"]]
    held = portfolio["held"]
    best = np.argpartition(-momentum, held - 1, axis=1)[:, :held]
    risk = deviation(returns, portfolio["volatility"])[rows]
    inverse = 1.0 / np.take_along_axis(risk, best, axis=1)
    weights = np.zeros(momentum.shape)
    share = portfolio["gross"] * inverse / inverse.sum(axis=1, keepdims=True)
    np.put_along_axis(weights, best, share, axis=1)
    return weights
