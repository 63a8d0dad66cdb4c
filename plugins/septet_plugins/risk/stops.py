"""Protective stops, targets and time limits of an open position."""

import math
from typing import Annotated, ClassVar

from pydantic import Field

from septet.plugin import Config, Fraction, MarketDuration, stop

__all__ = [
    "StopLoss",
    "TakeProfit",
    "TimeLimit",
    "Trailing",
    "stop_loss",
    "take_profit",
    "time_limit",
    "trailing",
]

Distance = Annotated[Fraction, Field(gt=0.0)]


class StopLoss(Config):
    """Leave when the price has moved `distance` against the average entry."""

    shorthand: ClassVar[str | None] = "distance"
    distance: Annotated[Fraction, Field(gt=0.0, lt=1.0)]


@stop(StopLoss)
def stop_loss(side, average_price, distance):
    """Return the stop's price."""
    return average_price * (1.0 - side * distance)


class TakeProfit(Config):
    """Leave when the price has moved `distance` in favour of the average entry."""

    shorthand: ClassVar[str | None] = "distance"
    distance: Distance


@stop(TakeProfit, role="target")
def take_profit(side, average_price, distance):
    """Return the target's price."""
    return average_price * (1.0 + side * distance)


class Trailing(Config):
    """Leave when the price falls `distance` from its best; active once it is `after` in profit.

    The best price is that of the bars before this one.
    """

    shorthand: ClassVar[str | None] = "distance"
    distance: Annotated[Fraction, Field(gt=0.0, lt=1.0)]
    after: Fraction = 0.0


@stop(Trailing)
def trailing(side, average_price, high_water, distance, after):
    """Return the trailing price, NaN until the position has been `after` in profit."""
    if side * (high_water - average_price * (1.0 + side * after)) < 0.0:
        return math.nan
    return high_water * (1.0 - side * distance)


class TimeLimit(Config):
    """Leave at the first decision `after` the first entry fill, or later."""

    shorthand: ClassVar[str | None] = "after"
    after: MarketDuration


@stop(TimeLimit, role="exit")
def time_limit(now_ns, entry_ns, after):
    """Return whether the time is up."""
    return now_ns - entry_ns >= after
