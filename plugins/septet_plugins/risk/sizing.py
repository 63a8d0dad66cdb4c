"""Sizing: the quantity that an entry requests, before limits and lots."""

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
    """Quantity in base currency."""


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
    """Return the quantity that `fraction` of equity buys at the expected cost."""
    return fraction * equity / cost


class FixedRisk(Config):
    """A position that loses `risk` of equity if its first stop is reached, without costs."""

    risk: Annotated[Fraction, Field(gt=0.0, lt=1.0)] = Field(default=0.01)
    """Share of equity that is lost if the first stop is reached, without costs."""


@sizing(FixedRisk)
def fixed_risk(equity, stop_distance, risk):
    """Return ``risk * equity`` over the distance of the close to the first stop; NaN for none."""
    return risk * equity / stop_distance if stop_distance > 0.0 else math.nan


class VolatilityTarget(Config):
    """A position with an annual volatility of `target`, estimated by the volatility feature `of`.

    The feature must be annualised as well (`use: volatility`). `max` caps the share of equity.
    """

    target: Fraction = Field(default=0.20)
    """Annual volatility of the position, as a share of equity."""
    of: Input
    """The annualised volatility feature."""
    max: Fraction = Field(default=1.0)
    """Largest share of equity."""


@sizing(VolatilityTarget)
def volatility_target(equity, cost, of, target, max):
    """Return the quantity whose annual volatility is `target` of equity; zero for NaN."""
    if not of > 0.0:
        return math.nan
    share = target / of
    return (max if share > max else share) * equity / cost


class KellyOdds(Config):
    """Odds: from the last `window` trades, if `min_each` wins and losses are among them."""

    window: Trades = Field(default=50)
    """Number of closed trades from which the odds are measured."""
    average_win: Fraction = Field(default=0.02, gt=0.0)
    """Mean return of a win until enough trades are closed."""
    average_loss: Fraction = Field(default=0.015, gt=0.0)
    """Absolute mean return of a loss until enough trades are closed."""
    min_each: Annotated[int, Field(ge=1)] = 20
    """Number of wins, and of losses, needed to use the measured odds."""


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
    """Source of the odds."""

    @property
    def window(self) -> int:
        """Number of closed trades that are stored."""
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
        """Number of wins and of losses after which the prior is no longer used."""
        return self.odds.min_each


def kelly_closed(return_, state, window):
    """Store the net return of a closed trade; a break-even counts as a loss of zero."""
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
    """Return the quantity of the capped fraction; zero without a probability of a model."""
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
