"""A price at a level is at it however both were rounded, and not beyond it."""

from __future__ import annotations

import math

import pytest

from septet._kernel.layout import LIMIT, STOP
from septet._kernel.match import match_open, match_within, stop_price, target_price
from septet._kernel.touch import passes, rounded_share, touches

NAN = math.nan
PAIRS = [
    (round(price * (100 + change) / 100, 2), price * (1.0 + change / 100))
    for price in range(50, 90)
    for change in (-5, -3, -2, -1, 1, 2, 3, 5)
]
"""Prices on the tick, and the same computed from a share."""


def test_the_pairs_differ_by_the_last_bit():
    assert 20 < sum(price != level for price, level in PAIRS) < len(PAIRS)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_price_at_a_level_touches_it_and_does_not_pass_it(side):
    for price, level in PAIRS:
        assert touches(side, price, level)
        assert not passes(side, price, level)
        for away in (1e-9, 0.01):
            assert passes(side, price + side * away, level)
            assert touches(side, price - side * away, level)
            assert not touches(side, price + side * away, level)


def test_an_unknown_level_is_neither_touched_nor_passed():
    assert not touches(1.0, 100.0, NAN)
    assert not passes(1.0, 100.0, NAN)


def test_stops_and_triggers_act_at_the_level_and_limits_beyond_it():
    for price, level in PAIRS:
        above, below = price + 1.0, price - 1.0
        assert stop_price(1.0, level, above, above, price, 0.0, 0.01) == price
        assert stop_price(-1.0, level, below, price, below, 0.0, 0.01) == price
        assert math.isnan(target_price(1.0, level, below, price, below))
        assert math.isnan(target_price(-1.0, level, above, above, price))
        assert target_price(1.0, level, below, price + 0.01, below) == level
        assert match_within(STOP, 1.0, NAN, level, price, below, 0.0, 0.01) == price
        assert match_open(STOP, 1.0, NAN, level, price, 0.0, 0.01, 0) == price
        assert math.isnan(match_within(LIMIT, 1.0, level, NAN, above, price, 0.0, 0.01))
        assert math.isnan(match_open(LIMIT, 1.0, level, NAN, price, 0.0, 0.01, 0))


def test_a_share_that_is_exact_is_the_float_that_is_written():
    for price in range(50, 90):
        for change in (-5, -3, -2, -1, 1, 2, 3, 5):
            assert rounded_share(round(price * (100 + change) / 100, 2) / price - 1.0) == (
                change / 100
            )
    assert math.isnan(rounded_share(NAN))
