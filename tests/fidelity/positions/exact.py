"""Exact arithmetic of the reference: fractions, whole lots, prices on the tick."""

from __future__ import annotations

import math
from functools import cache

from tests.exact_fraction import Fraction

__all__ = ["ZERO", "ceil_lots", "exact", "floor_lots", "is_known", "on_tick", "sign"]

ZERO = Fraction(0)
_HAIR = Fraction(1, 10**12)
"""Share of a number of lots by which a float may miss a whole one and still count as it."""


def exact(value: float | int | str | Fraction) -> Fraction:
    """Return the decimal that is written: 0.1 is one tenth, not the binary number next to it."""
    return value if isinstance(value, Fraction) else _written(value)


@cache
def _written(value: float | int | str) -> Fraction:
    return Fraction(str(value))


def is_known(value: float) -> bool:
    """Return whether a feature has a finite value."""
    return math.isfinite(value)


def sign(value: Fraction | float) -> int:
    """Return -1, 0 or 1."""
    whole = value.numerator if isinstance(value, Fraction) else value
    return (whole > 0) - (whole < 0)


def _near_whole(lots: Fraction) -> int | None:
    near = round(lots)
    return near if abs(lots - near) <= _HAIR * max(1, abs(near)) else None


def floor_lots(quantity: Fraction, lot: Fraction) -> Fraction:
    """Return the whole lots in a quantity that is not negative."""
    lots = quantity / lot
    near = _near_whole(lots)
    return lot * (math.floor(lots) if near is None else near)


def ceil_lots(quantity: Fraction, lot: Fraction) -> Fraction:
    """Return the least whole lots that cover a quantity."""
    lots = quantity / lot
    near = _near_whole(lots)
    return lot * (math.ceil(lots) if near is None else near)


def on_tick(price: Fraction, tick: Fraction, side: int) -> Fraction:
    """Round a price to the tick, up for side 1 and down for side -1; a tick of 0 is none."""
    if not tick:
        return price
    steps = price / tick
    near = _near_whole(steps)
    if near is not None:
        return near * tick
    return tick * (math.ceil(steps) if side > 0 else math.floor(steps))
