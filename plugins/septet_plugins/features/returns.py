"""Changes of a series, and arithmetic between two."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from septet.plugin import Bars, Config, Inner, Input, composition, feature, inner, window
from septet.plugin.numeric import divide, logarithm

__all__ = [
    "Change",
    "Difference",
    "Lag",
    "Ratio",
    "Shift",
    "difference",
    "lag",
    "log_return",
    "momentum",
    "ratio",
    "roc",
    "shift",
    "simple_return",
]

PRICES = ("open", "high", "low", "close")


class Change(Config):
    """Change of `of` over `period` bars."""

    of: Input = "close"
    """The column whose change is taken."""
    period: Bars = 1
    """Number of bars from the earlier value to this one."""


class Change10(Change):
    """Change of `of` over `period` bars."""

    period: Bars = 10
    """Bars from the earlier value to this one."""


class Shift(Config):
    """Value of `of`, `by` bars ago."""

    of: Input = "close"
    """The column whose past is taken."""
    by: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """Number of bars."""


class Lag(Config):
    """Values of `of`, `by` bars ago: one number gives one column, a list one column each."""

    of: Input = "close"
    """The column whose past is taken."""
    by: Bars | Annotated[list[Bars], Field(min_length=1, max_length=1000)] = 1
    """Number of bars; a list gives one column for each number."""


class Difference(Config):
    """`of` minus `minus`."""

    of: Input
    """The column from which is subtracted."""
    minus: Input
    """The column that is subtracted."""


class Ratio(Config):
    """`of` divided by `to`."""

    of: Input
    """The numerator."""
    to: Input
    """The denominator."""


def _least(of: str, whole: float) -> tuple[float, float]:
    """Return the range of a change of `of`: a price cannot lose more than 100 %."""
    return (whole if of in PRICES else -math.inf), math.inf


@feature(Change, lookback=lambda c: c.period)
def log_return(i, of, period):
    """Return ``ln(of[i] / of[i - period])``, a fraction; NaN where the ratio is not positive."""
    return logarithm(divide(of[i], of[i - period]))


@feature(Change, lookback=lambda c: c.period, value_range=lambda c: _least(c.of, -1.0))
def simple_return(i, of, period):
    """Return ``of[i] / of[i - period] - 1``, a fraction; NaN where the older value is zero."""
    return divide(of[i] - of[i - period], of[i - period])


@feature(Change10, lookback=lambda c: c.period, value_range=lambda c: _least(c.of, -100.0))
def roc(i, of, period):
    """Return the rate of change, ``100 * (of[i] / of[i - period] - 1)``, in percent."""
    return divide(of[i] - of[i - period], of[i - period]) * 100.0


@feature(Change10, lookback=lambda c: c.period)
def momentum(i, of, period):
    """Return ``of[i] - of[i - period]``, in the unit of `of`."""
    return of[i] - of[i - period]


@feature(Shift, lookback=lambda c: c.by, memory=lambda c: window(c.by + 1), value_range="of")
def shift(i, of, by):
    """Return ``of[i - by]``, in the unit of `of`."""
    return of[i - by]


@composition(Lag)
def lag(config: Lag) -> dict[str, Inner]:
    """Return one `shift` for each number of bars; a single number keeps the feature's own name."""
    if isinstance(config.by, int):
        return {"": inner("shift", of=config.of, by=config.by)}
    return {str(each): inner("shift", of=config.of, by=each) for each in config.by}


@feature(Difference)
def difference(i, of, minus):
    """Return ``of[i] - minus[i]``, in the unit of `of`."""
    return of[i] - minus[i]


@feature(Ratio)
def ratio(i, of, to):
    """Return ``of[i] / to[i]``; NaN where `to` is zero."""
    return divide(of[i], to[i])
