"""Range and realised volatility features."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from septet.plugin import Bars, Config, Inner, Input, MarketDuration, feature, inner, window
from septet.plugin.numeric import (
    MOMENTS,
    divide,
    helper,
    logarithm,
    root,
    standard_deviation,
    window_moments,
)

__all__ = [
    "Deviation",
    "Range",
    "RangeVolatility",
    "Volatility",
    "annual_scale",
    "atr",
    "deviation",
    "garman_klass",
    "garman_klass_variance",
    "parkinson",
    "parkinson_variance",
    "true_range",
    "volatility",
]

LN_2 = 0.6931471805599453


class OneBar(Config):
    """A feature of each bar alone; takes no settings."""


class Range(Config):
    """An average over `period` bars."""

    period: Bars = 14
    """Number of bars of the average."""


class Deviation(Config):
    """Standard deviation of `of` over `period` bars; `ddof` 1 divides by one less."""

    of: Input = "close"
    """The column whose deviation is taken."""
    period: Annotated[Bars, Field(ge=2)] = 20
    """Number of bars of the window."""
    ddof: Annotated[int, Field(ge=0, le=1)] = 0
    """0 divides by the number of bars, 1 by one less."""


class Annualised(Config):
    """Annualisation, shared by all volatilities.

    `annualise` is the trading time of a year, with days of 24 hours: 365d around the clock, 252d
    for daily stock bars, 1638h (252 sessions of 6.5 hours) for intraday ones. The factor is the
    square root of `annualise` / bar.
    """

    annualise: MarketDuration | None = None
    """Trading time of a year: 365d around the clock, daily stock bars 252d, intraday ones 1638h."""

    @property
    def annualise_ns(self) -> int:
        """`annualise` in nanoseconds, 0 if it is not set."""
        return self.annualise or 0


class Volatility(Annualised):
    """Realised volatility: sample standard deviation of log returns over `period` bars."""

    of: Input = "close"
    """The column whose log returns are taken."""
    period: Annotated[Bars, Field(ge=2)] = 20
    """Bars of the window."""


class RangeVolatility(Annualised):
    """Volatility from the range of `period` bars."""

    period: Bars = 20
    """Bars of the window."""


@helper
def annual_scale(annualise_ns: int, bar_ns: int) -> float:
    """Return the factor from a bar's volatility to an annual one; 1 if `annualise_ns` is 0."""
    if annualise_ns == 0:
        return 1.0
    return root(annualise_ns / bar_ns)


@feature(OneBar, lookback=lambda c: 1, value_range=(0.0, math.inf))
def true_range(i, high, low, close):
    """Return Wilder's true range: the largest of the range and the distances from the last close.

    In quote currency; NaN where one of the prices is NaN.
    """
    top = high[i]
    bottom = low[i]
    last = close[i - 1]
    if last > top:
        return last - bottom
    if last < bottom:
        return top - last
    if last == last:
        return top - bottom
    return last


@feature(
    Range,
    inner=lambda c: {
        "reach": inner("true_range"),
        "average": inner("wilder", of="@reach", period=c.period),
    },
    value_range=(0.0, math.inf),
)
def atr(i, average):
    """Return the average true range, Wilder's average of `true_range`, in quote currency."""
    return average[i]


@feature(
    Deviation,
    state=MOMENTS,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range=(0.0, math.inf),
)
def deviation(i, of, slot, state, period, ddof):
    """Return the rolling standard deviation, in the unit of `of`; exactly 0 in a flat window."""
    _mean, square, _away = window_moments(i, of, slot, period, state, state.at.anchor)
    return standard_deviation(square, period - ddof)


@feature(
    Volatility,
    inner=lambda c: {"returns": inner("log_return", of=c.of)},
    state=MOMENTS,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range=(0.0, math.inf),
)
def volatility(i, returns, slot, state, period, bar_ns, annualise_ns):
    """Return the sample standard deviation (ddof 1) of log returns, a fraction per bar or year."""
    _mean, square, _away = window_moments(i, returns, slot, period, state, state.at.anchor)
    return standard_deviation(square, period - 1) * annual_scale(annualise_ns, bar_ns)


@feature(OneBar, value_range=(0.0, math.inf))
def parkinson_variance(i, high, low):
    """Return a bar's variance from its range, ``ln(high / low)**2 / (4 ln 2)``."""
    reach = logarithm(divide(high[i], low[i]))
    return reach * reach / (4.0 * LN_2)


@feature(OneBar)
def garman_klass_variance(i, open, high, low, close):
    """Return a bar's variance, ``ln(high/low)**2 / 2 - (2 ln 2 - 1) ln(close/open)**2``."""
    reach = logarithm(divide(high[i], low[i]))
    body = logarithm(divide(close[i], open[i]))
    return 0.5 * reach * reach - (2.0 * LN_2 - 1.0) * body * body


def _mean_of(use: str, period: int) -> dict[str, Inner]:
    return {"each": inner(use), "mean": inner("sma", of="@each", period=period)}


@feature(
    RangeVolatility,
    inner=lambda c: _mean_of("parkinson_variance", c.period),
    value_range=(0.0, math.inf),
)
def parkinson(i, mean, bar_ns, annualise_ns):
    """Return Parkinson's volatility, the root of the mean of `parkinson_variance`, a fraction.

    Source: M. Parkinson, Journal of Business 53, 1980. A bar whose high equals its low counts as
    zero.
    """
    return root(mean[i]) * annual_scale(annualise_ns, bar_ns)


@feature(
    RangeVolatility,
    inner=lambda c: _mean_of("garman_klass_variance", c.period),
    value_range=(0.0, math.inf),
)
def garman_klass(i, mean, bar_ns, annualise_ns):
    """Return Garman and Klass's volatility, the root of the mean of their variance, a fraction.

    Source: M. Garman and M. Klass, Journal of Business 53, 1980.
    """
    return root(mean[i]) * annual_scale(annualise_ns, bar_ns)
