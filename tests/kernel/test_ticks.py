"""Rounding to the tick: against the order, within one tick, and never to nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as draw

from septet._kernel.match import round_against

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
