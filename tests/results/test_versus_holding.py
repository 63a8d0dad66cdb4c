from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as draw
from sklearn.linear_model import LinearRegression

from septet._results.statistics import DAY_NS, YEAR_NS, sharpe
from septet._results.versus_holding import alpha_beta, annual_growth, calmar, excess_over


def test_annual_growth_by_hand() -> None:
    assert annual_growth(100.0, 121.0, 2 * YEAR_NS) == pytest.approx(0.1)
    assert annual_growth(100.0, 110.0, YEAR_NS // 2) == pytest.approx(0.21)
    assert annual_growth(100.0, 0.0, YEAR_NS) == -1.0
    assert annual_growth(100.0, 200.0, 29 * DAY_NS) is None
    assert annual_growth(0.0, 200.0, YEAR_NS) is None
    assert annual_growth(1.0, 1e300, 30 * DAY_NS) is None


def test_calmar_by_hand() -> None:
    assert calmar(0.3, 0.15) == 2.0
    assert calmar(0.3, 0.0) is None
    assert calmar(None, 0.1) is None


@given(draw.integers(0, 2**32 - 1), draw.floats(-2, 2), draw.floats(-0.001, 0.001))
def test_alpha_and_beta_agree_with_scikit_learn(seed: int, beta: float, alpha: float) -> None:
    dice = np.random.default_rng(seed)
    market = dice.normal(0.0005, 0.02, 250)
    returns = alpha + beta * market + dice.normal(0, 0.01, 250)
    fitted = LinearRegression().fit(market[:, None], returns)
    found = alpha_beta(returns, market, 365.0)
    assert found == pytest.approx((fitted.intercept_ * 365.0, fitted.coef_[0]), rel=1e-6, abs=1e-9)


def test_a_market_that_stands_still_has_no_beta() -> None:
    assert alpha_beta(np.arange(40.0), np.zeros(40), 365.0) == (None, None)
    assert alpha_beta(np.arange(29.0), np.arange(29.0), 365.0) == (None, None)


def test_holding_half_all_the_time_has_no_excess() -> None:
    market = np.random.default_rng(4).normal(0.001, 0.02, 400)
    found = excess_over(0.5 * market, market, 0.5, 365.0)
    assert found is not None
    assert found.sharpe is None
    assert found.cagr == pytest.approx(0.0, abs=1e-12)


def test_the_excess_by_hand() -> None:
    market = np.array([0.01, -0.02] * 50)
    over = np.array([0.002, 0.001] * 50)
    found = excess_over(0.3 * market + over, market, 0.3, 365.0)
    assert found is not None
    assert found.sharpe == pytest.approx(sharpe(over, 365.0))
    assert found.cagr == pytest.approx((1.002 * 1.001) ** (50 * 365 / 100) - 1, rel=1e-6)
    assert found.calmar is None
    assert found.document()["exposure"] == 0.3
    assert excess_over(over, market, None, 365.0) is None
    assert excess_over(over * math.nan, market, 0.3, 365.0) is None
