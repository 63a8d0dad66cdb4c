"""Rounding to the tick: against the order, within one tick, and never to nothing."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as draw

from septet._kernel.match import price_of_ticks, round_against

PRICES = draw.floats(1e-9, 1e9)


@given(PRICES, draw.sampled_from([1.0, -1.0]), draw.floats(1e-4, 1e4))
def test_a_price_is_rounded_against_the_order_and_stays_one(price, side, ticks):
    tick = price / ticks
    rounded = round_against(price, side, tick)
    assert rounded > 0.0
    assert abs(rounded - price) <= tick * (1.0 + 1e-9)
    if price >= tick:
        assert side * (rounded - price) >= -2e-9 * tick
    else:
        assert rounded == tick


def test_no_price_and_levels_below_zero_are_rounded_as_they_are():
    assert round_against(-2.5, -1.0, 1.0) == -3.0
    assert round_against(0.0, -1.0, 1.0) == 0.0
    assert round_against(2.5, 1.0, 0.0) == 2.5


@given(
    draw.integers(1, 10**7),
    draw.sampled_from(["0.1", "0.05", "0.01", "0.25", "2.5", "5", "0.3", "0.0125", "0.00000001"]),
)
def test_a_price_of_ticks_is_the_float_of_its_decimal(count, tick):
    """1018 * 0.1 is not: a limit there would fill in a bar that only touches 101.8."""
    assert price_of_ticks(float(count), float(tick)) == float(Fraction(tick) * count)
    assert round_against(float(Fraction(tick) * count), 1.0, float(tick)) == float(
        Fraction(tick) * count
    )
