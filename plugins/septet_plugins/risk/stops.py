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
    """Reject a share that would put the price at zero or below."""
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
    """Exit when the price has moved by `distance` against the average entry.

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
    """Exit at a price that is evaluated at every decision: `level: lowest_20`.

    The price only moves in favour of the position. `{long: EXPR, short: EXPR}` sets one for each
    side.
    """

    shorthand: ClassVar[str | None] = "price"
    price: Expression | None = None
    """Price at which a position is closed, evaluated at every decision."""
    long: Expression | None = None
    """The same for long positions only."""
    short: Expression | None = None
    """The same for short positions only."""

    def is_for(self, side: int) -> bool:
        """Whether the file names a price for a side: 1 long, -1 short."""
        return self.price is not None or (self.long if side > 0 else self.short) is not None

    @model_validator(mode="after")
    def _some_price(self) -> Self:
        """Reject a level without a side, and a side that is given twice."""
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
    """Return the price for the side; NaN if it is unknown or not configured."""
    own_price = long if side > 0.0 else short
    if own_price > 0.0:
        return own_price
    return price if price > 0.0 else math.nan


class TakeProfit(Config):
    """Exit when the price has moved by `distance` in favour of the average entry.

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
    """Exit when the price falls by `distance` from its best; active after a profit of `after`.

    The best price is that of the bars before this one. Both are shares, distances that are
    evaluated at the entry, or multiples of R.
    """

    shorthand: ClassVar[str | None] = "distance"
    distance: Annotated[StopAway, AfterValidator(_below_whole)]
    """Distance from the best price."""
    after: AwayOrZero = 0.0
    """Profit from which on the stop is active."""


@stop(Trailing)
def trailing(side, average_price, high_water, distance, distance_amount, after, after_amount):
    """Return the trailing price; NaN until the profit has reached `after`."""
    reached = average_price * (1.0 + side * after) + side * after_amount
    if not touches(-side, high_water, reached):
        return math.nan
    return high_water * (1.0 - side * distance) - side * distance_amount


class BreakEven(Config):
    """Exit without a loss after a profit of `after` was reached: `break_even: 1R`.

    The best price is that of the bars before this one, counted from the average entry.
    """

    shorthand: ClassVar[str | None] = "after"
    after: Away
    """Profit from which on the stop is active: 2%, 2 * atr_14, 1R."""


@stop(BreakEven)
def break_even(
    side, average_price, high_water, entry_fee, taker_fee, after, after_amount
):  # fmt: skip
    """Return the price at which the position closes at zero after entry and taker fees.

    NaN until the profit has reached `after`, and while the best price is within the fees. Slippage
    and funding are not counted.
    """
    reached = average_price * (1.0 + side * after) + side * after_amount
    price = break_even_price(side, average_price, entry_fee, taker_fee)
    if not touches(-side, high_water, reached) or touches(side, high_water, price):
        return math.nan
    return price


def _in_time(value: object) -> object:
    """Reject a number of bars, with a hint at the key for bars."""
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
    """Exit at the first decision at `after` or later, counted from the first entry fill."""

    shorthand: ClassVar[str | None] = "after"
    after: Annotated[MarketDuration, BeforeValidator(_in_time)]
    """Market time after the first entry fill."""


@stop(TimeLimit, role="exit")
def time_limit(now_ns, entry_ns, after):
    """Return whether the time limit is reached."""
    return now_ns - entry_ns >= after
