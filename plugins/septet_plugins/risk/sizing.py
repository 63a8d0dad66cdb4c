"""How much: the quantity an entry asks for, before limits and lots."""

import math
from typing import Annotated

from pydantic import Field

from septet.plugin import Config, Fraction, Input, Trades, sizing
from septet.plugin.numeric import slots

__all__ = [
    "FixedFraction",
    "FixedQuantity",
    "FixedRisk",
    "Kelly",
    "KellyOdds",
    "VolatilityTarget",
    "fixed_fraction",
    "fixed_quantity",
    "fixed_risk",
    "kelly",
    "volatility_target",
]


class FixedQuantity(Config):
    """The same quantity every time (base currency)."""

    quantity: float = Field(gt=0.0)
    """Units of the base currency."""


@sizing(FixedQuantity)
def fixed_quantity(quantity):
    """Return the quantity."""
    return quantity


class FixedFraction(Config):
    """A share of equity; `100%` includes fee and slippage."""

    fraction: Fraction = Field(default=1.0)
    """Share of equity that an entry uses, costs included."""


@sizing(FixedFraction)
def fixed_fraction(equity, cost, fraction):
    """Return what `fraction` of equity buys at the expected cost."""
    return fraction * equity / cost


class FixedRisk(Config):
    """A position that loses `risk` of equity if its first stop is reached, without costs."""

    risk: Annotated[Fraction, Field(gt=0.0, lt=1.0)] = Field(default=0.01)
    """Share of equity that is lost where the first stop is reached, without costs."""


@sizing(FixedRisk)
def fixed_risk(equity, stop_distance, risk):
    """Return ``risk * equity`` over the distance of the close to the first stop; NaN for none."""
    return risk * equity / stop_distance if stop_distance > 0.0 else math.nan


class VolatilityTarget(Config):
    """A position whose own volatility is `target` a year, from the volatility feature `of`.

    The feature must be annualised alike (`use: volatility`). `max` caps the share of equity.
    """

    target: Fraction = Field(default=0.20)
    """Volatility of the position in a year, as a share of equity."""
    of: Input
    """The feature that is the annualised volatility."""
    max: Fraction = Field(default=1.0)
    """Largest share of equity."""


@sizing(VolatilityTarget)
def volatility_target(equity, cost, of, target, max):
    """Return the quantity whose annual volatility is `target` of equity; nothing on NaN."""
    if not of > 0.0:
        return math.nan
    share = target / of
    return (max if share > max else share) * equity / cost


class KellyOdds(Config):
    """Where the odds come from: the last `window` trades, if `min_each` of each are there."""

    window: Trades = Field(default=50)
    """Closed trades that the odds are measured on."""
    average_win: Fraction = Field(default=0.02, gt=0.0)
    """Mean return of a win until enough trades are closed."""
    average_loss: Fraction = Field(default=0.015, gt=0.0)
    """Mean return of a loss until enough trades are closed, without its sign."""
    min_each: Annotated[int, Field(ge=1)] = 20
    """Wins, and losses, that must be among them for the measured odds to be used."""


class Kelly(Config):
    """Fractional Kelly: ``f* = (p b - (1 - p)) / b`` times `fraction`, at most `max` of equity.

    p is the model's probability of the side traded, b the mean net win over the mean net loss
    of closed trades (returns on notional). Source: J. L. Kelly, 1956.
    """

    fraction: Fraction = Field(default=0.25)
    """Share of the Kelly size that is used."""
    max: Fraction = Field(default=0.10)
    """Largest share of equity."""
    odds: KellyOdds = Field(default_factory=KellyOdds)
    """Where the odds come from."""

    @property
    def window(self) -> int:
        """Closed trades remembered."""
        return self.odds.window

    @property
    def average_win(self) -> float:
        """Prior mean win, a return on notional."""
        return self.odds.average_win

    @property
    def average_loss(self) -> float:
        """Prior mean loss, a return on notional, positive."""
        return self.odds.average_loss

    @property
    def min_each(self) -> int:
        """Wins and losses needed before the prior gives way."""
        return self.odds.min_each


def kelly_closed(return_, state, window):
    """Remember the net return of a closed trade; a break-even counts as a loss of nothing."""
    count = int(state.trades)
    state.returns[count % window] = return_
    state.trades = count + 1.0


@sizing(
    Kelly,
    state=(
        "probability",
        "odds",
        "kelly",
        "mean_win",
        "mean_loss",
        "trades",
        slots("returns", lambda c: c.window),
    ),
    closed=kelly_closed,
)
def kelly(
    side,
    up,
    down,
    equity,
    cost,
    state,
    fraction,
    max,
    window,
    average_win,
    average_loss,
    min_each,
):
    """Return the quantity of the capped fraction; no model probability, no trade."""
    p = up if side > 0.0 else down
    wins, losses, won, lost = 0, 0, 0.0, 0.0
    count = int(state.trades)
    for j in range(count if count < window else window):
        value = state.returns[j]
        if value > 0.0:
            wins += 1
            won += value
        else:
            losses += 1
            lost -= value
    mean_win, mean_loss = average_win, average_loss
    if wins >= min_each and losses >= min_each and lost > 0.0:
        mean_win, mean_loss = won / wins, lost / losses
    odds = mean_win / mean_loss
    full_fraction = (p * odds - (1.0 - p)) / odds
    state.probability, state.odds, state.kelly = p, odds, full_fraction
    state.mean_win, state.mean_loss = mean_win, mean_loss
    share = fraction * full_fraction
    if not share > 0.0:
        return 0.0
    return (max if share > max else share) * equity / cost
