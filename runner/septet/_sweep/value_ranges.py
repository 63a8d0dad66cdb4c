"""Exact values of a range, and values drawn between two ends, as written in a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Final

from septet_schemas.sweep import Quantity, SweepDraw, SweepRange

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LEVELS", "draw_of", "levels_of", "range_of"]

LEVELS: Final = 1_000
"""Most values of a draw among which a guided search chooses."""

_DIGITS: Final = Context(prec=6)
_INTEGER_FAMILIES: Final = ("bars", "trades", "duration")


def range_of(written: SweepRange) -> Iterator[Quantity]:
    """Yield the values of a range in its finest written unit, so that no rounding adds up."""
    unit = min((written.first, written.to, written.step), key=lambda each: each.size)
    step, first = _in(written.step, unit), _in(written.first, unit)
    count = int((_in(written.to, unit) - first) / step)
    yield from (Quantity(first + step * place, unit.unit) for place in range(count + 1))


def _in(quantity: Quantity, unit: Quantity) -> Decimal:
    """Return a quantity as a number of units."""
    return quantity.amount / unit.size


def draw_of(written: SweepDraw, chance: np.random.Generator, size: int) -> Iterator[Quantity]:
    """Yield values drawn evenly between two ends (in the logarithm with `log`).

    Values without a step that are not integers are rounded to six digits: the file written with
    such a value is the setting that was run.
    """
    unit, low, high, step = _span(written)
    for share in chance.random(size):
        yield Quantity(_drawn(float(share), low, high, step, log=written.log), unit.unit)


def levels_of(written: SweepDraw) -> Iterator[Quantity]:
    """Yield values a draw may return, ascending: all of them, or `LEVELS` at equal distances.

    The distances are those of the logarithm with `log`; both ends are among the values, as far as a
    step permits.
    """
    unit, low, high, step = _span(written)
    count = LEVELS if step is None else int((high - low) / step) + 1
    if count <= LEVELS and step is not None:
        yield from (Quantity(low + step * place, unit.unit) for place in range(count))
        return
    shares = [place / (LEVELS - 1) for place in range(LEVELS)]
    levels = [_drawn(share, low, high, step, log=written.log) for share in shares]
    yield from (Quantity(number, unit.unit) for number in dict.fromkeys(levels))


def _span(written: SweepDraw) -> tuple[Quantity, Decimal, Decimal, Decimal | None]:
    """Return the ends and the step of a draw in the finest unit it is written in."""
    quantities = [each for each in (written.low, written.high, written.step) if each is not None]
    unit = min(quantities, key=lambda each: each.size)
    low, high = _in(written.low, unit), _in(written.high, unit)
    step = _in(written.step, unit) if written.step is not None else _natural_step(unit, low, high)
    return unit, low, high, step


def _natural_step(unit: Quantity, low: Decimal, high: Decimal) -> Decimal | None:
    """Return one for counted values and integers; None for shares and decimals."""
    are_whole = low == low.to_integral_value() and high == high.to_integral_value()
    counted = unit.family in _INTEGER_FAMILIES or (unit.family == "number" and are_whole)
    return Decimal(1) if counted else None


def _drawn(
    share: float, low: Decimal, high: Decimal, step: Decimal | None, *, log: bool
) -> Decimal:
    if step is None:
        at = _between(share, float(low), float(high), log=log)
        return min(max(_DIGITS.create_decimal_from_float(at), low), high)
    # each multiple of the step gets the interval up to the next one, including the last
    last = int((high - low) / step)
    end = low + step * (last + 1)
    at = _between(share, float(low), float(end), log=log)
    place = ((Decimal(at) - low) / step).to_integral_value(ROUND_FLOOR)
    return low + step * min(max(place, Decimal(0)), Decimal(last))


def _between(share: float, low: float, high: float, *, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return low + share * (high - low)
