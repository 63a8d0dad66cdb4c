"""Slippage of fills against the price at which they were decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from septet._data.bars import Floats, Ints

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FEWEST", "METRIC", "WINDOW", "fill_readings", "slippage_rows"]

WINDOW: Final = 20
FEWEST: Final = 5
"""Fills below which the mean is not compared with the alarm."""
STANDARD_ERRORS: Final = 1.959963984540054
"""Distance of the lower 95 % end of a mean, for a normal distribution."""
METRIC: Final = "slippage"


def fill_readings(
    time_ns: Ints,
    symbol: Ints,
    names: Sequence[str],
    side: Ints,
    price: Floats,
    decision_price: Floats,
    alarm: float,
    window: int = WINDOW,
) -> pl.DataFrame:
    """Mean slippage of the last fills of each symbol, at every fill.

    Parameters
    ----------
    time_ns : int64 (n,)
        Times of the fills, never falling.
    symbol : int64 (n,)
        Number of the symbol of every fill in `names`.
    side : int64 (n,)
        +1 bought, -1 sold.
    price, decision_price : float64 (n,)
        Price paid, and the close at which the order was decided (quote). NaN is left out.
    alarm : float
        Fraction of the price. A mean is a warning if the lower end of its 95 % interval is above
        it: between decision and fill the market moves either way, overnight by far more than
        orders cost.
    window : int
        Largest number of fills of the symbol that are averaged.

    Returns
    -------
    DataFrame
        Rows of monitoring.parquet, in order of the fills. Metric ``slippage``: positive is a
        cost. It sees fills up to its own; `compared` is the lower end. Below five fills it is
        the mean, and `threshold` is NaN.
    """
    import polars as pl

    known, mean, low, count = slippage_rows(symbol, len(names), side, price, decision_price, window)
    threshold = np.where(count >= FEWEST, alarm, np.nan)
    return pl.DataFrame(
        {
            "time": pl.Series(time_ns[known], dtype=pl.Int64),
            "symbol": pl.Series(names, dtype=pl.String).gather(symbol[known]),
            "metric": pl.repeat(METRIC, len(known), dtype=pl.String, eager=True),
            "value": mean,
            "threshold": threshold,
            "verdict": pl.Series(("ok", "warn"), dtype=pl.String).gather(low > threshold),
            "window": count,
            "compared": low,
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))


def slippage_rows(
    symbol: Ints, symbols: int, side: Ints, price: Floats, decision_price: Floats,
    window: int = WINDOW,
) -> tuple[Ints, Floats, Floats, Ints]:  # fmt: skip
    """Return the mean slippage, a fraction, at every fill that has a decision price.

    `side` is +1 for a buy and -1 for a sell, prices are in the quote currency, all of shape (n,);
    a decision price of NaN is none. `window` is a number of fills.

    Returns
    -------
    int64 (m,), float64 (m,), float64 (m,), int64 (m,)
        Numbers of those fills, the mean cost of the last fills of their symbol, the lower end of
        its 95 % interval (the mean below five fills), and the number of fills averaged.
    """
    costs = side * (price - decision_price) / decision_price
    known = np.flatnonzero(np.isfinite(costs))
    costs, symbol = costs[known], symbol[known]
    mean, low = np.empty(len(known)), np.empty(len(known))
    count = np.empty(len(known), np.int64)
    for number in range(symbols):
        fills_of_symbol = np.flatnonzero(symbol == number)
        mean[fills_of_symbol], low[fills_of_symbol] = _trailing(costs[fills_of_symbol], window)
        count[fills_of_symbol] = np.minimum(np.arange(1, len(fills_of_symbol) + 1), window)
    return known, mean, low, count


def _trailing(values: Floats, window: int) -> tuple[Floats, Floats]:
    """Return mean and lower end of each value and those before it, at most `window` of them.

    Each is computed from its own window, so that it does not depend on where a history begins.
    """
    first = min(window - 1, len(values))
    means: Floats = np.empty(len(values))
    lows: Floats = np.empty(len(values))
    for stop in range(first):
        means[stop] = values[: stop + 1].mean()
        lows[stop] = means[stop] - _error(values[: stop + 1])
    if len(values) >= window:
        windows = np.ascontiguousarray(sliding_window_view(values, window))
        means[first:] = windows.mean(axis=1)
        lows[first:] = means[first:] - _error(windows)
    return means, lows


def _error(values: Floats) -> Floats | float:
    """Return the distance from the mean of the last axis to the lower end of its interval."""
    if values.shape[-1] < FEWEST:
        return 0.0
    distance: Floats = STANDARD_ERRORS * values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])
    return distance
