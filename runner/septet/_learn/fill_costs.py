"""What fills cost against the price they were decided at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from septet._data.bars import Floats, Ints

if TYPE_CHECKING:
    import polars as pl

__all__ = ["METRIC", "WINDOW", "fill_readings", "slippage_rows"]

WINDOW: Final = 20
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
        Fraction of the price; a mean above it is a warning.
    window : int
        Fills of the symbol that are averaged, so many or as many as there are.

    Returns
    -------
    DataFrame
        Rows of monitoring.parquet, in order of the fills. Metric ``slippage``: positive is a
        cost. It sees fills up to its own.
    """
    import polars as pl

    known, mean, count = slippage_rows(symbol, len(names), side, price, decision_price, window)
    return pl.DataFrame(
        {
            "time": pl.Series(time_ns[known], dtype=pl.Int64),
            "symbol": pl.Series(names, dtype=pl.String).gather(symbol[known]),
            "metric": pl.repeat(METRIC, len(known), dtype=pl.String, eager=True),
            "value": mean,
            "threshold": np.full(len(known), alarm),
            "verdict": pl.Series(("ok", "warn"), dtype=pl.String).gather(mean > alarm),
            "window": count,
            "compared": mean,
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))


def slippage_rows(
    symbol: Ints, symbols: int, side: Ints, price: Floats, decision_price: Floats,
    window: int = WINDOW,
) -> tuple[Ints, Floats, Ints]:  # fmt: skip
    """Return the mean slippage, a fraction, at every fill that has a decision price.

    `side` is +1 for a buy and -1 for a sell, prices are in the quote currency, all of shape (n,);
    a decision price of NaN is none. `window` is a number of fills.

    Returns
    -------
    int64 (m,), float64 (m,), int64 (m,)
        Numbers of those fills, the mean cost of the last of their symbol, and how many those are.
    """
    costs = side * (price - decision_price) / decision_price
    known = np.flatnonzero(np.isfinite(costs))
    costs, symbol = costs[known], symbol[known]
    mean = np.empty(len(known))
    count = np.empty(len(known), np.int64)
    for number in range(symbols):
        fills_of_symbol = np.flatnonzero(symbol == number)
        mean[fills_of_symbol] = _trailing_mean(costs[fills_of_symbol], window)
        count[fills_of_symbol] = np.minimum(np.arange(1, len(fills_of_symbol) + 1), window)
    return known, mean, count


def _trailing_mean(values: Floats, window: int) -> Floats:
    """Mean of each value and those before it, `window` at most; each is its own sum."""
    first = min(window - 1, len(values))
    means: Floats = np.empty(len(values))
    means[:first] = [values[: stop + 1].mean() for stop in range(first)]
    if len(values) >= window:
        means[first:] = np.ascontiguousarray(sliding_window_view(values, window)).mean(axis=1)
    return means
