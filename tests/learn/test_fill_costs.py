"""Slippage against the decision price, fill by fill."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from septet._learn.fill_costs import fill_readings
from septet._results.result import TABLES


def test_a_cost_is_positive_for_both_sides() -> None:
    found = fill_readings(
        np.array([1, 2, 3, 4, 5]),
        np.array([0, 0, 1, 0, 1]),
        ["A", "B"],
        np.array([1, -1, 1, 1, -1]),
        np.array([100.1, 99.9, 50.0, 100.9, np.nan]),
        np.array([100.0, 100.0, 50.0, 100.0, 50.0]),
        alarm=0.002,
        window=2,
    )
    assert found.columns == list(TABLES["monitoring"])
    assert found.schema["time"] == pl.Datetime("ns", "UTC")
    assert found["time"].to_physical().to_list() == [1, 2, 3, 4]
    assert found["symbol"].to_list() == ["A", "A", "B", "A"]
    assert found["window"].to_list() == [1, 2, 1, 2]
    assert found["value"].to_list() == pytest.approx([0.001, 0.001, 0.0, 0.005])
    assert found["verdict"].unique().to_list() == ["ok"]
    assert found["threshold"].is_nan().all(), "five fills are compared at the least"
    assert found["metric"].unique().to_list() == ["slippage"]


def test_a_mean_over_many_fills_is_the_mean_of_its_own_window_to_the_bit() -> None:
    draw = np.random.default_rng(4)
    symbol, price = draw.integers(0, 3, 400), 100.0 + draw.normal(0.0, 1.0, 400)
    side, decided = np.where(draw.random(400) < 0.5, 1, -1), np.full(400, 100.0)
    found = fill_readings(
        np.arange(400), symbol, ["A", "B", "C"], side, price, decided, alarm=0.001
    )
    costs = side * (price - decided) / decided
    for name, number in (("A", 0), ("B", 1), ("C", 2)):
        mine = costs[symbol == number].tolist()
        expected = [float(np.mean(mine[max(0, n - 20) : n])) for n in range(1, len(mine) + 1)]
        rows = found.filter(pl.col("symbol") == name)
        assert rows["value"].to_list() == expected
        for n, low in enumerate(rows["compared"].to_list(), start=1):
            own = mine[max(0, n - 20) : n]
            wide = stats.norm.ppf(0.975) * stats.sem(own) if n >= 5 else 0.0
            assert low == pytest.approx(expected[n - 1] - wide, rel=1e-9, abs=1e-15)


def test_a_gap_between_sessions_is_no_cost_and_a_cost_is() -> None:
    """Overnight the market moves either way; the mean of twenty such moves is often large."""
    draw, warned = np.random.default_rng(8), 0
    whole, zero = np.arange(20), np.zeros(20, np.int64)
    decided = np.full(20, 100.0)
    for _ in range(200):
        side = np.where(draw.random(20) < 0.5, 1, -1)
        gaps = 100.0 + draw.normal(0.0, 1.5, 20)
        found = fill_readings(whole, zero, ["A"], side, gaps, decided, alarm=0.002)
        warned += found["verdict"].to_list()[-1] == "warn"
        cost = fill_readings(whole, zero, ["A"], side, gaps + side * 2.0, decided, alarm=0.002)
        assert cost["verdict"].to_list()[-1] == "warn"
    assert warned <= 0.05 * 200


def test_no_fills_give_no_rows() -> None:
    none = np.zeros(0)
    whole = np.zeros(0, np.int64)
    assert fill_readings(whole, whole, ["A"], whole, none, none, alarm=0.1).height == 0
