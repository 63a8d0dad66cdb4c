"""Every feature that TA-Lib has agrees with it; where it does not, exact arithmetic decides."""

from __future__ import annotations

import numpy as np
import pytest

from septet.testing import flat_bars, run_feature, sample_bars
from septet.testing.bars import Columns
from septet.testing.evaluate import resolve
from tests.features import exact
from tests.features.oracle import COMPARISONS, Comparison, Outcome, compare, count_excused


def _bars(seed: int, *, tick: float) -> Columns:
    """Moving bars; prices on a tick grid, as real ones are, where `tick` is not zero."""
    bars = sample_bars(4_200, seed=seed, gaps=False, flats=False)
    bars["other"] = sample_bars(4_200, seed=seed + 1, gaps=False, flats=False)["close"]
    if tick:
        for name in ("open", "high", "low", "close", "other"):
            bars[name] = np.round(bars[name] / tick) * tick
    return bars


MOVING = [_bars(3, tick=0.0), _bars(5, tick=0.01)]


@pytest.mark.parametrize("each", COMPARISONS, ids=lambda each: each.feature)
def test_agrees_with_talib(each: Comparison) -> None:
    for bars in MOVING:
        outcome = compare(each, bars, Outcome())
        assert outcome.rows > 1_000
        assert outcome.flat == 0
        assert len(outcome.beyond) == count_excused(each, bars, outcome), outcome.beyond[:3]


def test_most_features_have_an_exact_oracle() -> None:
    for each in COMPARISONS:
        if each.feature not in ("mfi", "correlation"):
            assert not compare(each, MOVING[0], Outcome()).beyond, each.feature


def test_talib_drifts_where_exact_arithmetic_does_not() -> None:
    bars = sample_bars(2_000, gaps=False, flats=False)
    # A quiet stretch at a high price: squares of prices leave nothing but rounding.
    quiet = np.random.default_rng(2).normal(0.0, 1e-5, 1_000)
    bars["close"][1_000:] = 60_000.0 + quiet
    each = next(each for each in COMPARISONS if each.feature == "bollinger_percent")
    outcome = compare(each, bars, Outcome())
    assert len(outcome.beyond) > 900
    assert count_excused(each, bars, outcome) == len(outcome.beyond)


@pytest.mark.parametrize(
    "name",
    ["bollinger_percent", "stochastic_fast", "williams_r", "cci", "rsi_simple", "rsi", "zscore",
     "mfi", "dx", "skew", "kurtosis", "autocorrelation"],
)  # fmt: skip
def test_a_flat_market_has_no_answer(name: str) -> None:
    step = resolve(name)
    values = run_feature(step, step.config(), flat_bars(300))["value"]
    assert np.isnan(values).all()


@pytest.mark.parametrize("name", ["deviation", "bollinger_width", "volatility", "momentum", "roc"])
def test_a_flat_market_has_no_spread(name: str) -> None:
    step = resolve(name)
    values = run_feature(step, step.config(), flat_bars(300))["value"]
    assert (values[40:] == 0.0).all()


def test_exact_roots_are_exact() -> None:
    from fractions import Fraction

    assert float(exact.root(Fraction(2))) == 2.0**0.5
    assert exact.root(Fraction(49, 64)) == Fraction(7, 8)
