"""Window statistics in exact arithmetic: fractions all the way, one rounding at the end."""

from __future__ import annotations

import itertools
import math
from typing import Any

from tests.exact_fraction import Fraction

__all__ = [
    "bands", "beta", "cci", "correlation", "deviation", "mfi", "percent", "root", "spread", "width",
]  # fmt: skip

Bars = Any


def window(values: Any, i: int, period: int) -> list[Fraction]:
    return [Fraction(float(value)) for value in values[i - period + 1 : i + 1]]


def root(x: Fraction) -> Fraction:
    """Square root to about forty digits, as a fraction."""
    digits = 10**80
    return Fraction(math.isqrt(x.numerator * digits * x.denominator), 10**40 * x.denominator)


def spread(values: list[Fraction]) -> tuple[Fraction, Fraction]:
    """Mean and population standard deviation."""
    mean = sum(values, Fraction(0)) / len(values)
    return mean, root(sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values))


def deviation(bars: Bars, i: int) -> dict[str, float]:
    return {"value": float(spread(window(bars["close"], i, 20))[1])}


def bands(bars: Bars, i: int) -> dict[str, float]:
    mean, sigma = spread(window(bars["close"], i, 20))
    return {
        "upper": float(mean + 2 * sigma),
        "middle": float(mean),
        "lower": float(mean - 2 * sigma),
    }


def width(bars: Bars, i: int) -> dict[str, float]:
    mean, sigma = spread(window(bars["close"], i, 20))
    return {"value": float(4 * sigma / mean)}


def percent(bars: Bars, i: int) -> dict[str, float]:
    mean, sigma = spread(window(bars["close"], i, 20))
    return {"value": float((Fraction(float(bars["close"][i])) - mean + 2 * sigma) / (4 * sigma))}


def _typical(bars: Bars, i: int, period: int) -> list[Fraction]:
    high, low, close = (window(bars[name], i, period) for name in ("high", "low", "close"))
    return [(a + b + c) / 3 for a, b, c in zip(high, low, close, strict=True)]


def cci(bars: Bars, i: int) -> dict[str, float]:
    price = _typical(bars, i, 20)
    mean = sum(price, Fraction(0)) / 20
    away = sum((abs(p - mean) for p in price), Fraction(0)) / 20
    return {"value": float((price[-1] - mean) / (Fraction(15, 1000) * away))}


def _decimal(values: Any, i: int, period: int) -> list[Fraction]:
    """Prices as they were written, so that equal sums of ticks are equal."""
    return [Fraction(repr(float(value))) for value in values[i - period + 1 : i + 1]]


def mfi(bars: Bars, i: int) -> dict[str, float]:
    high, low, close = (_decimal(bars[name], i, 15) for name in ("high", "low", "close"))
    price = [(a + b + c) / 3 for a, b, c in zip(high, low, close, strict=True)]
    volume = _decimal(bars["volume"], i, 15)
    up = down = Fraction(0)
    for last, now, traded in zip(price, price[1:], volume[1:], strict=False):
        up += now * traded if now > last else 0
        down += now * traded if now < last else 0
    return {"value": float(100 * up / (up + down))}


def _sums(x: list[Fraction], y: list[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    mean_x, mean_y = sum(x, Fraction(0)) / len(x), sum(y, Fraction(0)) / len(y)
    xx = sum(((a - mean_x) ** 2 for a in x), Fraction(0))
    yy = sum(((b - mean_y) ** 2 for b in y), Fraction(0))
    products = ((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return xx, yy, sum(products, Fraction(0))


def correlation(bars: Bars, i: int) -> dict[str, float]:
    xx, yy, xy = _sums(window(bars["close"], i, 60), window(bars["other"], i, 60))
    return {"value": float(xy / root(xx * yy))}


def _returns(values: list[Fraction]) -> list[Fraction]:
    return [now / last - 1 for last, now in itertools.pairwise(values)]


def beta(bars: Bars, i: int) -> dict[str, float]:
    mine = _returns(window(bars["close"], i, 61))
    other = _returns(window(bars["other"], i, 61))
    _xx, yy, xy = _sums(mine, other)
    return {"value": float(xy / yy)}
