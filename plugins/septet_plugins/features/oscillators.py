"""Oscillators: the position of the price within its recent range or moves."""

from __future__ import annotations

import math

from septet.plugin import Bars, Config, Input, fading, feature, inner, window
from septet.plugin.numeric import (
    NAN,
    absorb,
    distance_sum,
    divide,
    finite,
    positive_part,
    replay_due,
    window_max,
    window_min,
)

__all__ = [
    "Cci",
    "Rsi",
    "Stochastic",
    "Window14",
    "cci",
    "gains_losses",
    "rsi",
    "rsi_simple",
    "stochastic",
    "stochastic_fast",
    "williams_r",
]

EXTREMES = ("top", "top_finite", "bottom", "bottom_finite")


class Moves(Config):
    """Moves of `of` from bar to bar."""

    of: Input = "close"
    """The column whose moves are taken."""


class Rsi(Config):
    """Relative strength index of `of` over `period` bars."""

    of: Input = "close"
    """The column whose moves are compared."""
    period: Bars = 14
    """Number of bars of the averages."""


class Window14(Config):
    """Over the range of `period` bars."""

    period: Bars = 14
    """Number of bars of the window."""


class Stochastic(Config):
    """Stochastic over `period` bars, smoothed over `smooth`, with a `signal` line."""

    period: Bars = 14
    """Number of bars of the range."""
    smooth: Bars = 3
    """Number of bars over which the first line is averaged."""
    signal: Bars = 3
    """Number of bars over which the second line is averaged."""


class Cci(Config):
    """Commodity channel index over `period` bars."""

    period: Bars = 20
    """Bars of the window."""


@feature(
    Rsi,
    state=("anchor", "calls", "count", "up", "down"),
    lookback=lambda c: 1,
    warmup=lambda c: c.period - 1,
    memory=lambda c: fading(72 * c.period + 1),
    value_range=(0.0, 100.0),
)
def rsi(i, of, slot, state, period):
    """Return Wilder's relative strength index, ``100 * up / (up + down)``, 0 to 100.

    `up` and `down` are Wilder's averages of rises and falls, seeded with the mean of the first
    `period`. NaN where nothing has moved, and where a value is not finite; the averages then keep
    their previous values. Source: J. Welles Wilder, 1978.
    """
    weight = 1.0 / period
    depth = 36 * period
    count = state.count
    up = state.up
    down = state.down
    if replay_due(i, slot, depth, state, state.at.anchor):
        count = 0.0
        up = 0.0
        down = 0.0
        for j in range(i - depth + 1, i):
            move = of[j] - of[j - 1]
            if finite(move):
                _count, up = absorb(count, up, positive_part(move), period, weight)
                count, down = absorb(count, down, positive_part(-move), period, weight)
    move = of[i] - of[i - 1]
    known = finite(move)
    if known:
        _count, up = absorb(count, up, positive_part(move), period, weight)
        count, down = absorb(count, down, positive_part(-move), period, weight)
    state.count = count
    state.up = up
    state.down = down
    if not known or count < period:
        return NAN
    return divide(100.0 * up, up + down)


@feature(Moves, outputs=("up", "down"), lookback=lambda c: 1, value_range=(0.0, math.inf))
def gains_losses(i, of):
    """Return the rise and the fall since the last bar, both 0 or more, in the unit of `of`."""
    move = of[i] - of[i - 1]
    if not finite(move):
        return NAN, NAN
    return positive_part(move), positive_part(-move)


@feature(
    Rsi,
    inner=lambda c: {
        "moves": inner("gains_losses", of=c.of),
        "up": inner("sum", of="@moves_up", period=c.period),
        "down": inner("sum", of="@moves_down", period=c.period),
    },
    value_range=(0.0, 100.0),
)
def rsi_simple(i, up, down):
    """Return the relative strength index of plain means over `period` bars, 0 to 100.

    Its memory ends after `period` bars, whereas Wilder's average fades. NaN where nothing moved.
    """
    return divide(100.0 * up[i], up[i] + down[i])


@feature(
    Window14,
    state=EXTREMES,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(c.period),
    value_range=(0.0, 100.0),
)
def stochastic_fast(i, high, low, close, state, period):
    """Return ``100 * (close - lowest) / (highest - lowest)``, 0 to 100; NaN in a flat window."""
    top = window_max(i, high, period, state, state.at.top)
    bottom = window_min(i, low, period, state, state.at.bottom)
    return divide(100.0 * (close[i] - bottom), top - bottom)


@feature(
    Stochastic,
    outputs=("k", "d"),
    inner=lambda c: {
        "fast": inner("stochastic_fast", period=c.period),
        "slow": inner("sma", of="@fast", period=c.smooth),
        "line": inner("sma", of="@slow", period=c.signal),
    },
    value_range=(0.0, 100.0),
)
def stochastic(i, slow, line):
    """Return the slow stochastic `k` and its signal line `d`, 0 to 100. Source: G. Lane."""
    return slow[i], line[i]


@feature(
    Window14,
    state=EXTREMES,
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(c.period),
    value_range=(-100.0, 0.0),
)
def williams_r(i, high, low, close, state, period):
    """Return Williams's %R, ``-100 * (highest - close) / (highest - lowest)``, -100 to 0.

    NaN in a flat window.
    """
    top = window_max(i, high, period, state, state.at.top)
    bottom = window_min(i, low, period, state, state.at.bottom)
    return divide(-100.0 * (top - close[i]), top - bottom)


@feature(
    Cci,
    inner=lambda c: {
        "price": inner("typical_price"),
        "mean": inner("sma", of="@price", period=c.period),
    },
    memory=lambda c: window(c.period),
)
def cci(i, price, mean, period):
    """Return ``(price - mean) / (0.015 * mean absolute deviation)`` of the typical price.

    Dimensionless; NaN in a flat window. Source: D. Lambert, 1980.
    """
    spread = distance_sum(i, price, period, mean[i]) / period
    return divide(price[i] - mean[i], 0.015 * spread)
