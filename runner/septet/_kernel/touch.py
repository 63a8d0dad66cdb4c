"""Comparison of a price with a level, independent of how both were rounded.

A level is computed (51 less 5 % is 48.449999999999996), a price of data is the float nearest to a
decimal (48.45). What differs by less than `TOLERANCE` is the same price. Levels that a price must
have reached (stops, triggers, liquidations) use `touches`; those that it must have traded through
(limits, targets) use `passes`; the notional of an order and the minimum of a venue use
`falls_short`.
"""

from __future__ import annotations

from septet._kernel.layout import TOLERANCE
from septet._kernel.ledger import round_down
from septet._kernel.marks import helper

__all__ = ["falls_short", "passes", "rounded_share", "touches"]


@helper
def touches(side, price, level):
    """Whether a price is at a level or below it (`side` +1), at it or above it (-1); NaN: no."""
    return side * (price - level) <= TOLERANCE * price


@helper
def passes(side, price, level):
    """Whether a price is above a level (`side` +1) or below it (-1), and not at it; NaN: no."""
    return side * (price - level) > TOLERANCE * price


@helper
def falls_short(amount, minimum):
    """Whether `amount` is below `minimum`, in the same unit, by more than the tolerance."""
    return minimum - amount > TOLERANCE * minimum


@helper
def rounded_share(share):
    """Round a share to twelve decimals: one that is exactly 5 % is the float that 0.05 is."""
    return round_down(share * 1e12 + 0.5) / 1e12
