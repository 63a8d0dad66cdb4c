"""Order styles: limit and trigger prices of entries. Exits are market orders."""

import math
from typing import Annotated

from pydantic import Field

from septet.plugin import Bars, Config, Fraction, WallDuration, order

__all__ = [
    "Limit",
    "LimitThenMarket",
    "Market",
    "Stop",
    "StopLimit",
    "limit",
    "limit_then_market",
    "market",
    "stop",
    "stop_limit",
]

Offset = Annotated[Fraction, Field(lt=1.0)]


class Market(Config):
    """Buy or sell at the next open."""


@order(Market)
def market():
    """Return no prices: a market order."""
    return math.nan, math.nan


class Limit(Config):
    """Rest `offset` better than the close for `time_in_force` bars."""

    offset: Offset = 0.0
    """Distance of the limit from the close, as a share, on the better side."""
    time_in_force: Bars = 1
    """Number of bars that the order works."""


@order(Limit)
def limit(side, price, offset):
    """Return the limit price (quote), better than `price`; `side` is +1 (buy) or -1 (sell)."""
    return price * (1.0 - side * offset), math.nan


class Stop(Config):
    """Enter after a move of `offset` in the trade's direction, within `time_in_force` bars."""

    offset: Offset = 0.0
    """Distance of the trigger from the close, as a share, on the worse side."""
    time_in_force: Bars = 1
    """Bars that the order works."""


@order(Stop)
def stop(side, price, offset):
    """Return the trigger price (quote), worse than `price`; `side` is +1 (buy) or -1 (sell)."""
    return math.nan, price * (1.0 + side * offset)


class StopLimit(Config):
    """After the price has moved by `offset`, pay at most `slack` beyond the trigger."""

    offset: Offset = 0.0
    """Distance of the trigger from the close, as a share, on the worse side."""
    slack: Offset = 0.001
    """Distance from the trigger to the limit, as a share."""
    time_in_force: Bars = 1
    """Bars that the order works."""


@order(StopLimit)
def stop_limit(side, price, offset, slack):
    """Return limit and trigger prices (quote); `side` is +1 for a buy, -1 for a sell."""
    trigger = price * (1.0 + side * offset)
    return trigger * (1.0 + side * slack), trigger


class LimitThenMarket(Config):
    """Rest at the best price for `patience`, then take liquidity.

    On bars a market order at the open.
    """

    patience: WallDuration = Field(default="45s")  # type: ignore[assignment]
    """How long the order rests at the best price."""
    max_slippage: Fraction = Field(default=0.0015, lt=1.0)
    """Largest distance from the decision price at which the rest takes liquidity."""


@order(LimitThenMarket)
def limit_then_market():
    """Return no prices: bars do not show where a resting order would have filled."""
    return math.nan, math.nan
