"""Protective stops, targets and time limits of an open position."""

import math
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic_core import PydanticCustomError

from septet.plugin import Config, Expression, MarketDuration, stop
from septet.plugin.numeric import touches
from septet.plugin.risk import Away, AwayOrZero, Distance, StopAway, break_even_price

__all__ = [
    "BreakEven",
    "Level",
    "StopLoss",
    "TakeProfit",
    "TimeLimit",
    "Trailing",
    "break_even",
    "level",
    "stop_loss",
    "take_profit",
    "time_limit",
    "trailing",
]


def _below_whole(value: float | Distance) -> float | Distance:
    """Refuse a share of a price that leaves none of it."""
    if isinstance(value, float) and value >= 1.0:
        raise PydanticCustomError(
            "whole_price",
            "the stop lies {found} below the price, where there is none",
            {
                "expected": "less than 100%" + (" (1% for one percent)" if value == 1.0 else ""),
                "found": f"{value * 100:g}%",
            },
        )
    return value


class StopLoss(Config):
    """Leave when the price has moved `distance` against the average entry.

    A share of the entry price (`4%`), or a distance that is read at the entry (`3 * atr_14`).
    """

    shorthand: ClassVar[str | None] = "distance"
    distance: Annotated[StopAway, AfterValidator(_below_whole)]
    """Distance from the average entry: 4%, 3 * atr_14."""


@stop(StopLoss)
def stop_loss(side, average_price, distance, distance_amount):
    """Return the stop's price."""
    return average_price * (1.0 - side * distance) - side * distance_amount


class Level(Config):
    """Leave at a price that is read at every decision: `level: lowest_20`. It only tightens.

    `{long: EXPR, short: EXPR}` gives each side its own.
    """

    shorthand: ClassVar[str | None] = "price"
    price: Expression | None = None
    """Price at which a position is closed, read at every decision."""
    long: Expression | None = None
    """The same for long positions alone."""
    short: Expression | None = None
    """The same for short positions alone."""

    def is_for(self, side: int) -> bool:
        """Whether the file names a price for a side: 1 long, -1 short."""
        return self.price is not None or (self.long if side > 0 else self.short) is not None

    @model_validator(mode="after")
    def _some_price(self) -> Self:
        """Reject a level for no side, and one that is given twice."""
        sides = [name for name in ("long", "short") if getattr(self, name) is not None]
        if bool(sides) == (self.price is not None):
            raise PydanticCustomError(
                "level_sides",
                "a level is one price for both sides, or long and short",
                {"expected": "an expression such as lowest_20, or {long: EXPR, short: EXPR}"},
            )
        return self


@stop(Level, tightens=True)
def level(side, price, long, short):
    """Return the price of the side, NaN where it is unknown or the file names none."""
    own_price = long if side > 0.0 else short
    if own_price > 0.0:
        return own_price
    return price if price > 0.0 else math.nan


class TakeProfit(Config):
    """Leave when the price has moved `distance` in favour of the average entry.

    A share of the entry price (`4%`), a distance (`3 * atr_14`), or a multiple of R (`4R`).
    """

    shorthand: ClassVar[str | None] = "distance"
    distance: Away
    """Distance from the average entry: 4%, 3 * atr_14, 4R."""


@stop(TakeProfit, role="target")
def take_profit(side, average_price, distance, distance_amount):
    """Return the target's price."""
    return average_price * (1.0 + side * distance) + side * distance_amount


class Trailing(Config):
    """Leave when the price falls `distance` from its best; active once it is `after` in profit.

    The best price is that of the bars before this one. Both are shares, distances that are read
    at the entry, or multiples of R.
    """

    shorthand: ClassVar[str | None] = "distance"
    distance: Annotated[StopAway, AfterValidator(_below_whole)]
    """Distance from the best price."""
    after: AwayOrZero = 0.0
    """Profit from which on the stop is active."""


@stop(Trailing)
def trailing(side, average_price, high_water, distance, distance_amount, after, after_amount):
    """Return the trailing price, NaN until the position has been `after` in profit."""
    reached = average_price * (1.0 + side * after) + side * after_amount
    if not touches(-side, high_water, reached):
        return math.nan
    return high_water * (1.0 - side * distance) - side * distance_amount


class BreakEven(Config):
    """Leave without a loss once the position was `after` in profit: `break_even: 1R`.

    The best price is that of the bars before this one, counted from the average entry.
    """

    shorthand: ClassVar[str | None] = "after"
    after: Away
    """Profit from which on the stop is active: 2%, 2 * atr_14, 1R."""


@stop(BreakEven)
def break_even(
    side, average_price, high_water, entry_fee, taker_fee, after, after_amount
):  # fmt: skip
    """Return the price at which what is held closes at zero after entry and taker fees.

    NaN until the position has been `after` in profit, and while the best price lies within the
    fees. Slippage and funding are not counted.
    """
    reached = average_price * (1.0 + side * after) + side * after_amount
    price = break_even_price(side, average_price, entry_fee, taker_fee)
    if not touches(-side, high_water, reached) or touches(side, high_water, price):
        return math.nan
    return price


def _in_time(value: object) -> object:
    """Refuse a number of bars, and name the key that counts them."""
    words = value.split() if isinstance(value, str) else []
    if len(words) == 2 and words[0].isdigit() and words[1] in ("bar", "bars"):
        raise PydanticCustomError(
            "bars",
            "this is not a duration",
            {
                "expected": "a duration such as 12h or 5d",
                "found": repr(value),
                "hint": f"bars are counted by the signal's exit: signal.exit.after: {value}",
            },
        )
    return value


class TimeLimit(Config):
    """Leave at the first decision `after` the first entry fill, or later."""

    shorthand: ClassVar[str | None] = "after"
    after: Annotated[MarketDuration, BeforeValidator(_in_time)]
    """Market time after the first entry fill."""


@stop(TimeLimit, role="exit")
def time_limit(now_ns, entry_ns, after):
    """Return whether the time is up."""
    return now_ns - entry_ns >= after
