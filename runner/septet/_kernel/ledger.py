"""Whole lots, mean prices and fees: the arithmetic of the ledger that needs no run.

Quantities are whole units of an instrument's precision (float64, integer-valued), so that closing a
position leaves exactly zero. The ledger itself is `septet._rules.ledger`.
"""

import math

from septet._kernel.marks import helper

__all__ = ["round_down", "floor_units", "reduce_only", "mean_price", "fee_of_fill"]


@helper
def round_down(x):
    """Largest integer not above x, as a float; a number too large for a fraction is unchanged."""
    if not abs(x) < 4_503_599_627_370_496.0:
        return x
    return 1.0 * math.floor(x)


@helper
def floor_units(units, lot):
    """Whole lots in `units`, in units; a value within rounding of a whole lot counts as whole."""
    lots = units if lot == 1.0 else units / lot
    down = round_down(lots)
    up = down + 1.0
    missing = up - lots
    if missing <= 0.5 and missing <= 4e-15 * abs(up):
        return up * lot
    return down * lot


@helper
def reduce_only(units, held):
    """Limit an order to the quantity that closes the position `held`; both in signed units."""
    if units > 0.0:
        return min(units, max(0.0, -held))
    return max(units, min(0.0, -held))


@helper
def mean_price(price, weight, other, added):
    """Mean of `price` and `other` (quote), weighted by `weight` and `added`, not both zero.

    Of equal prices it is exactly that price.
    """
    if weight == 0.0 or price == other:
        return other
    return (price * weight + other * added) / (weight + added)


@helper
def fee_of_fill(units, price, rate, received, scale):
    """Return the units that arrive by a fill and its fee (quote).

    `units` are signed, `scale` of them make one of the base currency; `price` is in the quote
    currency, `rate` a fraction. With `received` 1 the fee of a buy is withheld from its units.
    """
    fee = abs(units) / scale * price * rate
    net_units = units
    if units > 0.0 and received == 1:
        withheld = -round_down(-units * rate)
        net_units = units - withheld
        fee = withheld / scale * price
    return net_units, fee
