"""Moving averages."""

from septet.plugin import Bars, Config, Input, feature, window

__all__ = ["Sma", "sma"]


class Sma(Config):
    """Simple moving average: the mean of the last `period` values."""

    of: Input = "close"
    period: Bars = 20


@feature(Sma, lookback=lambda c: c.period - 1, memory=lambda c: window(c.period))
def sma(i, of, period):
    """Return the mean of ``of[i - period + 1 .. i]``."""
    total = 0.0
    for j in range(i - period + 1, i + 1):
        total += of[j]
    return total / period
