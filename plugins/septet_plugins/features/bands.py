"""Bands and channels around price."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from septet.plugin import Bars, Config, Input, feature, inner, window
from septet.plugin.numeric import (
    EXTREME,
    MOMENTS,
    divide,
    standard_deviation,
    window_max,
    window_min,
    window_moments,
)

__all__ = [
    "Bollinger",
    "Channel",
    "Keltner",
    "bollinger",
    "bollinger_percent",
    "bollinger_width",
    "donchian",
    "highest",
    "keltner",
    "lowest",
]

Multiple = Annotated[float, Field(gt=0.0, le=100.0)]
BANDS = ("upper", "middle", "lower")


class Bollinger(Config):
    """Bands `deviations` population standard deviations about the mean of `period` bars."""

    of: Input = "close"
    """The column that the bands surround."""
    period: Annotated[Bars, Field(ge=2)] = 20
    """Number of bars of the mean and the deviation."""
    deviations: Multiple = 2.0
    """Number of standard deviations from the mean to a band."""


class Highest(Config):
    """Largest value of `of` in `period` bars."""

    of: Input = "high"
    """The column whose largest value is taken."""
    period: Bars = 20
    """Number of bars of the window, including the current bar."""


class Lowest(Config):
    """Smallest value of `of` in `period` bars."""

    of: Input = "low"
    """The column whose smallest value is taken."""
    period: Bars = 20
    """Bars of the window, the current one included."""


class Channel(Config):
    """Highest high and lowest low of `period` bars."""

    period: Bars = 20
    """Bars of the window, the current one included."""


class Keltner(Config):
    """Bands `multiple` average true ranges about an exponential average."""

    of: Input = "close"
    """The column of the middle line."""
    period: Bars = 20
    """Number of bars of the exponential average of the middle line."""
    atr_period: Bars = 10
    """Number of bars of the average true range."""
    multiple: Multiple = 2.0
    """Number of average true ranges from the middle line to a band."""


@feature(
    Bollinger,
    outputs=BANDS,
    state=MOMENTS,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
)
def bollinger(i, of, slot, state, period, deviations):
    """Return the bands ``mean ± deviations * standard deviation`` and the mean between them.

    In the unit of `of`; the deviation divides by `period`. All three are equal where the window
    is flat; NaN while anything in it is not finite. Source: J. Bollinger.
    """
    mean, square, _away = window_moments(i, of, slot, period, state, state.at.anchor)
    half = deviations * standard_deviation(square, period)
    return mean + half, mean, mean - half


@feature(
    Bollinger,
    state=MOMENTS,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
)
def bollinger_width(i, of, slot, state, period, deviations):
    """Return ``(upper - lower) / middle``, a fraction; 0 where the window is flat."""
    mean, square, _away = window_moments(i, of, slot, period, state, state.at.anchor)
    return divide(2.0 * deviations * standard_deviation(square, period), mean)


def _percent_range(config: Bollinger) -> tuple[float, float]:
    """Range of the position between the bands: one of `period` values may be far away."""
    reach = math.sqrt(config.period - 1) / (2.0 * config.deviations)
    return 0.5 - reach, 0.5 + reach


@feature(
    Bollinger,
    state=MOMENTS,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range=_percent_range,
)
def bollinger_percent(i, of, slot, state, period, deviations):
    """Return the position of `of` between the bands: 0 lower, 1 upper; NaN in a flat window."""
    _mean, square, away = window_moments(i, of, slot, period, state, state.at.anchor)
    half = deviations * standard_deviation(square, period)
    return divide(away + half, 2.0 * half)


@feature(
    Highest,
    state=EXTREME,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(c.period),
    value_range="of",
)
def highest(i, of, state, period):
    """Return the largest of ``of[i - period + 1 .. i]``; NaN while any of it is not finite."""
    return window_max(i, of, period, state, state.at.extreme)


@feature(
    Lowest,
    state=EXTREME,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(c.period),
    value_range="of",
)
def lowest(i, of, state, period):
    """Return the smallest of ``of[i - period + 1 .. i]``; NaN while any of it is not finite."""
    return window_min(i, of, period, state, state.at.extreme)


@feature(
    Channel,
    outputs=BANDS,
    state=("top", "top_finite", "bottom", "bottom_finite"),
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(c.period),
    value_range=(0.0, math.inf),
)
def donchian(i, high, low, state, period):
    """Return the highest high, the middle and the lowest low of `period` bars, this one included.

    In quote currency. Source: R. Donchian.
    """
    top = window_max(i, high, period, state, state.at.top)
    bottom = window_min(i, low, period, state, state.at.bottom)
    return top, 0.5 * (top + bottom), bottom


@feature(
    Keltner,
    outputs=BANDS,
    inner=lambda c: {
        "middle": inner("ema", of=c.of, period=c.period),
        "spread": inner("atr", period=c.atr_period),
    },
)
def keltner(i, middle, spread, multiple):
    """Return ``ema ± multiple * atr`` and the average between them, in quote currency.

    Source: the form of L. Raschke, with exponential average and true range.
    """
    half = multiple * spread[i]
    return middle[i] + half, middle[i], middle[i] - half
