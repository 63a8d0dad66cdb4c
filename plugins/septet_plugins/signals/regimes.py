"""Regime filters: the states of the market in which entries are allowed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from septet.plugin import Bars, Config, Input, MarketDuration, Memory, regime
from septet.plugin.numeric import NAN, finite, window_counts

__all__ = ["VolatilityRegime", "volatility_regime"]

EDGE = 1e-4
"""Tolerance in seconds of the difference of two times, which are floats."""
Label = Literal["low", "mid", "high"]


class VolatilityRegime(Config):
    """Allow entries only while `of` is in the given terciles of its last `window`.

    Until `min` values are known the regime is unknown, and an unknown regime blocks entries.
    """

    of: Input
    """The feature whose terciles are the regimes, such as a volatility."""
    trade_in: Annotated[list[Label], Field(min_length=1)] = ["low", "mid"]
    """Regimes in which entries are allowed: low, mid, high."""
    window: MarketDuration = "90d"  # type: ignore[assignment]  # parsed by the type
    """Time before each bar, by the clock, over which the terciles are computed; `min` values at
    least."""
    min: Annotated[Bars, Field(ge=3)] = 200
    """Number of known values below which the regime is unknown and blocks entries."""


@regime(
    VolatilityRegime,
    reasons=("low", "mid", "high"),
    lookback=lambda c: c.min - 1,
    memory=lambda c: Memory("window", bars=c.min, duration_ns=c.window),
)
def volatility_regime(i, age, of, seconds, bar_ns, window, min):
    """Return 0, 1 or 2 for the lower, middle and upper third; NaN while unknown.

    The terciles are computed from the bars known less than `window` before this one, closures
    included, or from the last `min` bars if those are fewer; never from before the start of the
    history. A value is ranked by the share of the other known values below it, equal ones counting
    half, so that a flat window is `mid`.
    """
    now = of[i]
    most = -(-window // bar_ns)
    if most < min:
        most = min
    if most > age + 1:
        most = age + 1
    if most < min or not finite(now):
        return NAN
    least = seconds[i] - window / 1e9
    low = 0
    high = most - min  # of the bars before the last `min`, the number that are too old
    while low < high:
        middle = (low + high) // 2
        if seconds[i - most + 1 + middle] - least > EDGE:
            high = middle
        else:
            low = middle + 1
    most -= low
    known, below, equal = window_counts(i, of, most)
    if known < min:
        return NAN
    share = (below + 0.5 * (equal - 1)) / (known - 1)
    if share < 1.0 / 3.0:
        return 0.0
    if share <= 2.0 / 3.0:
        return 1.0
    return 2.0
