"""Statistics of a rolling window."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from septet.plugin import Bars, Config, Inner, Input, feature, inner, window
from septet.plugin.numeric import (
    COMOMENTS,
    MOMENTS,
    POWERS,
    RANK,
    divide,
    root,
    standard_deviation,
    window_comoments,
    window_moments,
    window_powers,
    window_rank,
)

__all__ = [
    "Autocorrelation",
    "Moment",
    "Pair",
    "Rank",
    "Zscore",
    "autocorrelation",
    "beta",
    "correlation",
    "kurtosis",
    "rank",
    "skew",
    "zscore",
]

AtLeast2 = Annotated[Bars, Field(ge=2)]
AtLeast3 = Annotated[Bars, Field(ge=3)]


class Zscore(Config):
    """Number of standard deviations from the mean over `period` bars to `of`."""

    of: Input = "close"
    """The column that is compared with its mean."""
    period: AtLeast2 = 20
    """Number of bars of the window."""
    ddof: Annotated[int, Field(ge=0, le=1)] = 0
    """0 divides by the number of bars, 1 by one less."""


class Rank(Config):
    """Share of the other `period` - 1 values that lie below the newest, equals counting half."""

    of: Input = "close"
    """The column that is ranked."""
    period: AtLeast2 = 20
    """Bars of the window."""


class Moment(Config):
    """Shape of the distribution of `of` over `period` bars."""

    of: Input = "close"
    """The column whose distribution is described."""
    period: AtLeast3 = 60
    """Bars of the window."""


class Autocorrelation(Config):
    """Correlation of `of` with itself `lag` bars earlier, over `period` pairs."""

    of: Input = "close"
    """The column that is correlated with its own past."""
    lag: Bars = 1
    """Number of bars between the two values of a pair."""
    period: AtLeast3 = 60
    """Number of pairs of the window."""


class Pair(Config):
    """Comparison of `of` with `to` over `period` bars, after taking the `change` of both.

    `to` may be another symbol's column, such as `close@ETH/USDT`.
    """

    of: Input = "close"
    """The first column."""
    to: Input
    """The second column; another symbol's is written close@ETH/USDT."""
    period: AtLeast3 = 60
    """Bars of the window."""
    change: Literal["log", "simple", "none"] = "log"
    """Change of both columns: log returns, simple returns, or none."""


def _farthest(period: int, ddof: int) -> tuple[float, float]:
    """Range of a standard score: one value among equal ones has the largest possible score."""
    most = (period - 1) / math.sqrt(period) * math.sqrt((period - ddof) / (period - 1))
    return -most, most


@feature(
    Zscore,
    state=MOMENTS,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range=lambda c: _farthest(c.period, c.ddof),
)
def zscore(i, of, slot, state, period, ddof):
    """Return ``(of - mean) / standard deviation``, dimensionless; NaN in a flat window."""
    _mean, square, away = window_moments(i, of, slot, period, state, state.at.anchor)
    return divide(away, standard_deviation(square, period - ddof))


@feature(
    Rank,
    state=RANK,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(c.period),
    value_range=(0.0, 1.0),
)
def rank(i, of, state, period):
    """Return the share of the window's other values below this one, equals counting half: 0 to 1.

    NaN while anything in the window is not finite.
    """
    return window_rank(i, of, period, state, state.at.finite) / (period - 1)


@feature(
    Moment,
    state=POWERS,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
)
def skew(i, of, slot, state, period):
    """Return the population skewness, third moment over the deviation cubed; NaN if flat."""
    second, third, _fourth = window_powers(i, of, slot, period, state, state.at.anchor)
    return divide(third, second * root(second))


@feature(
    Moment,
    state=POWERS,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range=(-2.0, math.inf),
)
def kurtosis(i, of, slot, state, period):
    """Return the population excess kurtosis, 0 for a normal distribution; NaN in a flat window."""
    second, _third, fourth = window_powers(i, of, slot, period, state, state.at.anchor)
    return divide(fourth, second * second) - 3.0


@feature(
    Autocorrelation,
    state=COMOMENTS,
    lookback=lambda c: c.period + c.lag - 1,
    memory=lambda c: window(2 * c.period + c.lag),
    value_range=(-1.0, 1.0),
)
def autocorrelation(i, of, slot, state, lag, period):
    """Return Pearson's correlation of `of` with its own value `lag` bars earlier, -1 to 1.

    NaN where either window is flat.
    """
    xx, yy, xy = window_comoments(i, of, of, lag, slot, period, state, state.at.anchor)
    return divide(xy, root(xx) * root(yy))


def _changes(config: Pair) -> dict[str, Inner]:
    use = {"log": "log_return", "simple": "simple_return", "none": "shift"}[config.change]
    more = {"by": 0} if config.change == "none" else {}
    return {
        "mine": inner(use, of=config.of, **more),
        "other": inner(use, of=config.to, **more),
    }


@feature(
    Pair,
    inner=_changes,
    state=COMOMENTS,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range=(-1.0, 1.0),
)
def correlation(i, mine, other, slot, state, period):
    """Return Pearson's correlation of the two changes, -1 to 1; NaN where either is flat."""
    xx, yy, xy = window_comoments(i, mine, other, 0, slot, period, state, state.at.anchor)
    return divide(xy, root(xx) * root(yy))


@feature(
    Pair,
    inner=_changes,
    state=COMOMENTS,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
)
def beta(i, mine, other, slot, state, period):
    """Return the slope of `of`'s changes on `to`'s, covariance over variance; NaN if `to` is flat.

    In the unit of `of` per unit of `to`; dimensionless for returns.
    """
    _xx, yy, xy = window_comoments(i, mine, other, 0, slot, period, state, state.at.anchor)
    return divide(xy, yy)
