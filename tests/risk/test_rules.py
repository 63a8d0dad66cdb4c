"""The risk rules as plain functions: sizes, caps and levels by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet_plugins.risk import halts, limits, sizing, stops

COST = 1.01
price = st.floats(1e-6, 1e6)
rate = st.floats(0.0, 0.02)
share = st.floats(0.01, 3.0)
odds = {"window": 4, "average_win": 0.02, "average_loss": 0.01, "min_each": 1}


def state_of(*returns: float) -> np.ndarray:
    state = np.zeros(10)
    closed: Any = sizing.kelly.closed
    for each in returns:
        closed(each, state, 4)
    return state


def kelly(
    side: float, up: float, state: np.ndarray, fraction: float = 1.0, top: float = 1.0
) -> float:
    return sizing.kelly(side, up, 1.0 - up, 1_000.0, 1.0, state, fraction, top, *odds.values())


def test_kelly_is_the_formula_for_the_side_that_is_traded():
    expected = (0.6 * 2.0 - 0.4) / 2.0
    assert kelly(1.0, 0.6, state_of()) == pytest.approx(1_000 * expected)
    assert kelly(-1.0, 0.4, state_of()) == pytest.approx(1_000 * expected)


def test_kelly_is_floored_at_nothing_and_capped():
    assert kelly(1.0, 0.2, state_of()) == 0.0
    assert kelly(1.0, 0.99, state_of(), top=0.1) == pytest.approx(100.0)
    assert kelly(1.0, 0.6, state_of(), fraction=0.25) == pytest.approx(100.0)


def test_kelly_takes_its_odds_from_the_last_closed_trades_once_there_are_enough():
    assert kelly(1.0, 0.6, state_of(0.05)) == kelly(1.0, 0.6, state_of())
    learned = kelly(1.0, 0.6, state_of(0.03, -0.03))
    assert learned == pytest.approx(1_000 * (0.6 - 0.4))
    forgotten = state_of(0.9, 0.03, 0.03, -0.03, -0.03)
    assert kelly(1.0, 0.6, forgotten) == pytest.approx(learned)


@pytest.mark.parametrize("last", [(0.03,) * 4, (-0.03,) * 4, (0.03, 0.03, 0.0, 0.0)])
def test_kelly_returns_to_the_odds_of_the_file_without_wins_or_losses_in_its_window(last):
    assert kelly(1.0, 0.6, state_of(0.03, -0.03)) != kelly(1.0, 0.6, state_of())
    assert kelly(1.0, 0.6, state_of(0.03, -0.03, *last)) == kelly(1.0, 0.6, state_of())


def test_kelly_without_a_probability_gives_no_size():
    assert not kelly(1.0, math.nan, state_of()) > 0.0


@given(price, rate, share, st.floats(-1e6, 1e6), st.sampled_from([-1.0, 1.0]))
def test_position_fills_its_share_of_equity_after_the_order(p, fee, top, notional, side):
    equity = 10_000.0
    quantity = limits.position(notional, side, p, p * (1 + fee), equity, top)
    after = side * notional + quantity * p
    allowed = pytest.approx(top * (equity - quantity * p * fee), rel=1e-9, abs=1e-6)
    assert after == allowed if side * notional < top * equity else quantity == 0.0


@given(price, rate, share, st.floats(0.0, 1e6))
def test_gross_fills_its_share_of_equity_after_the_order(p, fee, top, gross):
    quantity = limits.gross_exposure(gross, p, p * (1 + fee), 10_000.0, top)
    allowed = pytest.approx(top * (10_000.0 - quantity * p * fee), rel=1e-9, abs=1e-6)
    assert gross + quantity * p == allowed if gross < top * 10_000.0 else quantity == 0.0


def test_groups_take_the_smallest_room_of_those_a_symbol_is_in():
    table = np.array([[0.5, 1.0, 1.0], [0.2, 0.0, 1.0]])
    notionals = np.array([100.0, -50.0])
    assert limits.groups(0, notionals, 1.0, 1.0, 1_000.0, table) == pytest.approx(350.0)
    assert limits.groups(1, notionals, 1.0, 1.0, 1_000.0, table) == pytest.approx(150.0)
    alone = np.array([[0.5, 0.0, 1.0]])
    assert limits.groups(0, notionals, 1.0, 1.0, 1_000.0, alone) == math.inf


@pytest.mark.parametrize(
    ("side", "held", "correlation", "counts"),
    [
        (1.0, 100.0, 0.9, True), (1.0, 100.0, 0.5, False), (1.0, -100.0, 0.9, False),
        (-1.0, -100.0, 0.9, True), (1.0, -100.0, -0.9, True), (1.0, 100.0, math.nan, True),
    ],
)  # fmt: skip
def test_correlated_counts_sides_and_takes_the_unknown_for_correlated(
    side, held, correlation, counts
):
    found = limits.correlated(
        0, side, np.array([0.0, held]), np.array([1.0, correlation]), 1.0, 1.0, 1_000.0, 0.8, 0.5
    )
    assert found == pytest.approx(400.0 if counts else 500.0)


def test_half_of_a_budget_of_one_is_one():
    assert limits.orders_per_minute(0, 1) == math.inf
    assert limits.orders_per_minute(1, 1) == 0.0
    assert limits.orders_per_minute(2, 4) == 0.0


def test_levels_are_mirrored_for_shorts():
    assert stops.stop_loss(1.0, 100.0, 0.1, 0.0) == 90.0
    assert stops.stop_loss(-1.0, 100.0, 0.1, 0.0) == pytest.approx(110.0)
    assert stops.stop_loss(1.0, 100.0, 0.0, 7.0) == 93.0
    assert stops.take_profit(-1.0, 100.0, 0.1, 0.0) == 90.0
    assert stops.take_profit(1.0, 100.0, 0.0, 7.0) == 107.0
    assert stops.trailing(-1.0, 100.0, 80.0, 0.1, 0.0, 0.0, 0.0) == pytest.approx(88.0)
    assert math.isnan(stops.trailing(1.0, 100.0, 104.0, 0.1, 0.0, 0.05, 0.0))
    assert math.isnan(stops.trailing(1.0, 100.0, 104.0, 0.1, 0.0, 0.0, math.nan))
    assert stops.level(-1.0, 0.0, 90.0, 110.0) == 110.0
    assert math.isnan(stops.level(1.0, 0.0, math.nan, 110.0))


def test_halts_trip_at_their_threshold():
    assert halts.drawdown(75.0, 100.0, 0.25)
    assert not halts.drawdown(75.01, 100.0, 0.25)
    assert halts.daily_loss(75.0, 100.0, 0.25)
    assert halts.losses_in_a_row(3, 3)


def test_volatility_target_gives_no_size_for_an_unknown_volatility():
    assert math.isnan(sizing.volatility_target(1_000.0, COST, math.nan, 0.2, 1.0))
    assert math.isnan(sizing.volatility_target(1_000.0, COST, 0.0, 0.2, 1.0))
    wanted = sizing.volatility_target(1_000.0, 1.0, 0.4, 0.2, 1.0)
    assert wanted == pytest.approx(500.0)
