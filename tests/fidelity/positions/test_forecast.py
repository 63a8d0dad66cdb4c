"""`use: forecast` by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from tests.fidelity.positions.forecast import (
    AtTimes,
    clip,
    common_returns,
    correlation,
    forecast_weights,
    multiplier,
    scale_of,
)
from tests.fidelity.positions.settings import Forecast

ONE = Forecast(of={"f": 1.0}, volatility="vol", target=0.2, window=4)


def test_m_is_the_mean_of_the_medians_with_zeros_left_out() -> None:
    # |f| of three members: medians 2, then of 1 and 3 (a zero left out) 2, then 4: mean 8/3.
    history = {"a": [1.0, 0.0, 4.0], "b": [-2.0, 1.0, -4.0], "c": [3.0, -3.0, 4.0]}
    assert scale_of(history) == pytest.approx(8.0 / 3.0)


def test_a_time_at_which_all_are_zero_is_left_out_too() -> None:
    assert scale_of({"a": [0.0, 2.0], "b": [0.0, 4.0]}) == pytest.approx(3.0)


def test_clip_holds_both_ways() -> None:
    assert [clip(each, 2.0) for each in (-3.0, 1.0, 5.0)] == [-2.0, 1.0, 2.0]


def test_a_multiplier_lets_negative_correlations_count_as_zero() -> None:
    up, down = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
    assert correlation(up, down) == pytest.approx(-1.0)
    assert multiplier([0.5, 0.5], lambda *_: -1.0) == pytest.approx(1.0 / math.sqrt(0.5))
    assert multiplier([0.5, 0.5], lambda *_: 1.0) == pytest.approx(1.0)


def test_a_multiplier_is_at_most_two_and_a_half() -> None:
    assert multiplier([1.0 / 9.0] * 9, lambda *_: -0.1) == 2.5  # 3 without the bound


def test_one_member_and_one_forecast() -> None:
    # m = (1 + 1 + 1 + 3)/4 = 1.5, x = 3/1.5 = 2, FDM and IDM 1: weight 2 * 0.2/0.4 = 1.
    found = forecast_weights(
        ONE, {"f": {"a": [1.0, -1.0, 1.0, 3.0]}}, {"a": [0.1, -0.1, 0.2, 0.0]}, {"a": 0.4}
    )
    assert found == {"a": pytest.approx(1.0)}


def test_the_cap_holds_the_combined_forecast() -> None:
    # m = (1 + 1 + 1 + 9)/4 = 3, x = 3 is held at 2: weight 2 * 0.2/0.4 = 1.
    found = forecast_weights(
        ONE, {"f": {"a": [1.0, 1.0, 1.0, 9.0]}}, {"a": [0.1, -0.1, 0.2, 0.0]}, {"a": 0.4}
    )
    assert found == {"a": pytest.approx(1.0)}


def test_each_member_has_its_share_and_the_returns_their_multiplier() -> None:
    # Returns move against each other: IDM = 1/sqrt(1/2). m = 1, x = 1 and -1, s = 1/2.
    found = forecast_weights(
        ONE,
        {"f": {"a": [1.0] * 4, "b": [-1.0] * 4}},
        {"a": [0.1, -0.1, 0.1, -0.1], "b": [-0.1, 0.1, -0.1, 0.1]},
        {"a": 0.2, "b": 0.4},
    )
    assert found["a"] == pytest.approx(math.sqrt(2.0) / 2.0)
    assert found["b"] == pytest.approx(-math.sqrt(2.0) / 4.0)


def test_two_forecasts_are_weighted_and_diversified_over_pooled_members() -> None:
    two = Forecast(of={"f": 0.6, "g": 0.4}, volatility="vol", target=0.2, window=4)
    f, g = [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]  # uncorrelated, m = 1
    found = forecast_weights(
        two, {"f": {"a": f}, "g": {"a": g}}, {"a": [0.1, 0.0, 0.1, 0.2]}, {"a": 0.2}
    )
    combined = (0.6 * -1.0 + 0.4 * -1.0) / math.sqrt(0.6**2 + 0.4**2)
    assert found == {"a": pytest.approx(combined)}


@pytest.mark.parametrize(
    ("f", "returns", "volatility"),
    [
        ([1.0, 1.0, 1.0], [0.1] * 4, 0.2),
        ([1.0, 1.0, 1.0, math.nan], [0.1] * 4, 0.2),
        ([1.0] * 4, [0.1] * 3, 0.2),
        ([1.0] * 4, [0.1, 0.2, 0.1, 0.3], math.nan),
    ],
)
def test_without_a_full_window_or_with_nan_units_stay(
    f: list[float], returns: list[float], volatility: float
) -> None:
    assert forecast_weights(ONE, {"f": {"a": f}}, {"a": returns}, {"a": volatility}) == {"a": None}


def test_returns_are_compared_between_the_times_at_which_both_have_a_bar() -> None:
    a, b = [100.0, 110.0, 99.0, 108.9], [10.0, math.nan, 9.9, 10.89]
    first, second = common_returns(a, b)
    assert first == pytest.approx([-0.01, 0.1])
    assert second == pytest.approx([-0.01, 0.1])


def test_a_missing_bar_of_one_of_two_twins_leaves_their_weights() -> None:
    # The same prices: IDM 1. By their own last bars the returns would be shifted by one.
    closes = [100.0, 102.0, 101.0, 105.0, 103.0]
    returns = [b / a - 1.0 for a, b in pairwise(closes)]
    shifted = [0.03, *(closes[i] / closes[j] - 1.0 for j, i in ((0, 1), (1, 3), (3, 4)))]
    features = {"f": {"a": [1.0] * 4, "b": [1.0] * 4}}
    known = AtTimes(
        {"f": {"a": [1.0] * 4, "b": [1.0, math.nan, 1.0, 1.0]}},
        {"a": closes, "b": [*closes[:2], math.nan, *closes[3:]]},
    )
    given = features, {"a": returns, "b": shifted}, {"a": 0.2, "b": 0.2}
    found = forecast_weights(ONE, *given, known)
    assert found == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}
    by_rows = forecast_weights(ONE, *given)["a"]
    assert by_rows is not None
    assert by_rows > 0.52


def test_two_symbols_that_share_too_few_bars_count_as_fully_correlated() -> None:
    nan = math.nan
    closes = {"a": [1.0, 2.0, nan, 3.0, nan], "b": [2.0, 1.0, nan, nan, nan]}
    timed = AtTimes({"f": {"a": [1.0, nan, 1.0, nan], "b": [1.0, nan, nan, nan]}}, closes)
    moved = {"a": [0.1, 0.2, 0.0, 0.1], "b": [0.2, 0.1, 0.1, 0.0]}
    features = {"f": {"a": [1.0] * 4, "b": [1.0] * 4}}
    found = forecast_weights(ONE, features, moved, {"a": 0.2, "b": 0.2}, timed)
    assert found["a"] == pytest.approx(0.5)
