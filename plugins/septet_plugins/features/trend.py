"""Trend features: convergence, direction, and trailing levels."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from septet.plugin import Bars, Config, Inner, Input, fading, feature, inner
from septet.plugin.numeric import NAN, divide, finite, helper, replay_due

__all__ = [
    "Directional",
    "Macd",
    "ParabolicSar",
    "Supertrend",
    "adx",
    "directional_move",
    "dx",
    "macd",
    "minus_di",
    "parabolic_sar",
    "plus_di",
    "supertrend",
]


class OneBar(Config):
    """A feature of each bar and the previous bar; takes no settings."""


class Macd(Config):
    """Convergence of a `fast` and a `slow` exponential average, with a `signal` line."""

    of: Input = "close"
    """The column to average."""
    fast: Bars = 12
    """Number of bars of the fast average."""
    slow: Bars = 26
    """Number of bars of the slow average."""
    signal: Bars = 9
    """Number of bars of the average of their difference."""

    @model_validator(mode="after")
    def _ordered(self) -> Macd:
        if self.fast >= self.slow:
            raise ValueError(f"expected fast below slow, found {self.fast} and {self.slow}")
        return self


class Directional(Config):
    """Wilder's directional movement over `period` bars."""

    period: Bars = 14
    """Number of bars of Wilder's average."""


class Supertrend(Config):
    """A trailing level `multiple` average true ranges from the middle of the bar.

    It is recomputed from the last `window` bars whenever the time grid passes a multiple of
    `window`, so that it does not depend on the start of the history.
    """

    period: Bars = 10
    """Number of bars of the average true range."""
    multiple: Annotated[float, Field(gt=0.0, le=100.0)] = 3.0
    """Number of average true ranges from the middle of the bar to the level."""
    window: Annotated[Bars, Field(ge=2)] = 1000
    """Number of bars from which the level is recomputed."""


class ParabolicSar(Config):
    """Parabolic stop and reverse; `window` as for supertrend."""

    step: Annotated[float, Field(gt=0.0, le=1.0)] = 0.02
    """Increase of the acceleration at each new extreme."""
    most: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """Largest acceleration."""
    window: Annotated[Bars, Field(ge=2)] = 1000
    """Bars from which the course is taken anew."""


@feature(
    Macd,
    outputs=("line", "signal", "histogram"),
    inner=lambda c: {
        "quick": inner("ema", of=c.of, period=c.fast),
        "steady": inner("ema", of=c.of, period=c.slow),
        "gap": inner("difference", of="@quick", minus="@steady"),
        "smooth": inner("ema", of="@gap", period=c.signal),
    },
)
def macd(i, gap, smooth):
    """Return fast minus slow average, its own average, and the difference of the two.

    In the unit of `of`. Source: G. Appel.
    """
    return gap[i], smooth[i], gap[i] - smooth[i]


@feature(OneBar, outputs=("plus", "minus"), lookback=lambda c: 1, value_range=(0.0, math.inf))
def directional_move(i, high, low):
    """Return the move above the previous high or below the previous low, whichever is larger.

    In quote currency; the other output is 0. NaN where a price is NaN.
    """
    up = high[i] - high[i - 1]
    down = low[i - 1] - low[i]
    if not finite(up + down):
        return NAN, NAN
    if up > down and up > 0.0:
        return up, 0.0
    if down > up and down > 0.0:
        return 0.0, down
    return 0.0, 0.0


def _directional(side: str, period: int) -> dict[str, Inner]:
    return {
        "move": inner("directional_move"),
        "reach": inner("true_range"),
        "over": inner("wilder", of=f"@move_{side}", period=period),
        "under": inner("wilder", of="@reach", period=period),
    }


@feature(Directional, inner=lambda c: _directional("plus", c.period), value_range=(0.0, 100.0))
def plus_di(i, over, under):
    """Return +DI: smoothed upward movement as a percentage of smoothed true range, 0 to 100."""
    return divide(100.0 * over[i], under[i])


@feature(Directional, inner=lambda c: _directional("minus", c.period), value_range=(0.0, 100.0))
def minus_di(i, over, under):
    """Return -DI: smoothed downward movement as a percentage of smoothed true range, 0 to 100."""
    return divide(100.0 * over[i], under[i])


@feature(
    Directional,
    inner=lambda c: {
        "plus": inner("plus_di", period=c.period),
        "minus": inner("minus_di", period=c.period),
    },
    value_range=(0.0, 100.0),
)
def dx(i, plus, minus):
    """Return ``100 * |+DI - -DI| / (+DI + -DI)``, 0 to 100; NaN where nothing moved."""
    return divide(100.0 * abs(plus[i] - minus[i]), plus[i] + minus[i])


@feature(
    Directional,
    inner=lambda c: {
        "strength": inner("dx", period=c.period),
        "average": inner("wilder", of="@strength", period=c.period),
    },
    value_range=(0.0, 100.0),
)
def adx(i, average):
    """Return the average directional index, Wilder's average of `dx`, 0 to 100."""
    return average[i]


@helper
def _trail(j, high, low, close, spread, multiple, upper, lower, side):
    """Move the two levels by one bar.

    `side` is +1 above the lower, -1 below the upper, 0 at the start.
    """
    middle = 0.5 * (high[j] + low[j])
    above = middle + multiple * spread[j]
    below = middle - multiple * spread[j]
    if not finite(above + below + close[j]):
        return upper, lower, side
    if side == 0.0:
        if close[j] >= middle:
            return above, below, 1.0
        return above, below, -1.0
    if above < upper or close[j - 1] > upper:
        upper = above
    if below > lower or close[j - 1] < lower:
        lower = below
    if side < 0.0 and close[j] > upper:
        return upper, lower, 1.0
    if side > 0.0 and close[j] < lower:
        return upper, lower, -1.0
    return upper, lower, side


@feature(
    Supertrend,
    outputs=("level", "direction"),
    inner=lambda c: {"spread": inner("atr", period=c.period)},
    state=("anchor", "calls", "upper", "lower", "side"),
    memory=lambda c: fading(2 * c.window),
    value_range={"direction": (-1.0, 1.0)},
)
def supertrend(i, high, low, close, spread, slot, state, multiple, window):
    """Return the level (quote) and the direction, +1 with price above it, -1 below.

    NaN where a price or the average true range is NaN; the level then keeps its previous value.
    Source: O. Seban.
    """
    upper = state.upper
    lower = state.lower
    side = state.side
    if replay_due(i, slot, window, state, state.at.anchor):
        side = 0.0
        for j in range(i - window + 1, i):
            upper, lower, side = _trail(j, high, low, close, spread, multiple, upper, lower, side)
    upper, lower, side = _trail(i, high, low, close, spread, multiple, upper, lower, side)
    state.upper = upper
    state.lower = lower
    state.side = side
    if side == 0.0 or not finite(high[i] + low[i] + close[i] + spread[i]):
        return NAN, NAN
    if side > 0.0:
        return lower, side
    return upper, side


@helper
def _first_side(j, high, low):
    down = low[j - 1] - low[j]
    if down > 0.0 and down > high[j] - high[j - 1]:
        return -1.0
    return 1.0


@helper
def _reach(j, high, low, side):
    """Return the nearest and the farthest price of a bar for the side: mirrored for a short."""
    if side > 0.0:
        return low[j], high[j]
    return -high[j], -low[j]


@helper
def _sar(j, high, low, step, most, side, extreme, pace, level):
    """Move the stop by one bar. A short is a mirrored long; the bar's own stop is returned last."""
    if not finite(high[j] + low[j] + high[j - 1] + low[j - 1]):
        return side, extreme, pace, level, NAN
    before = j - 1
    if side == 0.0:
        side = _first_side(j, high, low)
        level, _far = _reach(j - 1, high, low, side)
        _near, extreme = _reach(j, high, low, side)
        pace = step
        before = j
    near, far = _reach(j, high, low, side)
    near_before, _far = _reach(before, high, low, side)
    if near <= level:
        side = -side
        near, far = _reach(j, high, low, side)
        near_before, _far = _reach(before, high, low, side)
        level = min(min(-extreme, near_before), near)
        shown = side * level
        pace = step
        extreme = far
    else:
        shown = side * level
        if far > extreme:
            extreme = far
            pace = min(pace + step, most)
    level = level + pace * (extreme - level)
    return side, extreme, pace, min(min(level, near_before), near), shown


@feature(
    ParabolicSar,
    state=("anchor", "calls", "side", "extreme", "pace", "level"),
    lookback=lambda c: 1,
    memory=lambda c: fading(2 * c.window + 1),
)
def parabolic_sar(i, high, low, slot, state, step, most, window):
    """Return the parabolic stop, in quote currency; below price in a rise, above in a fall.

    NaN where a price is NaN; the stop then keeps its previous value. Source: J. Welles Wilder,
    1978.
    """
    side = state.side
    extreme = state.extreme
    pace = state.pace
    level = state.level
    if replay_due(i, slot, window, state, state.at.anchor):
        side = 0.0
        for j in range(i - window + 1, i):
            side, extreme, pace, level, _shown = _sar(
                j, high, low, step, most, side, extreme, pace, level
            )
    side, extreme, pace, level, shown = _sar(i, high, low, step, most, side, extreme, pace, level)
    state.side = side
    state.extreme = extreme
    state.pace = pace
    state.level = level
    return shown
