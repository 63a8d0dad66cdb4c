"""Figures of many settings at once."""

from __future__ import annotations

import numpy as np
import pytest

from septet._kernel import layout
from septet._results.statistics import sharpe
from septet._sweep.metrics_of_rows import Measured, _daily, _excess_over_holding
from septet._sweep.setting_row import EXCESS_COLUMNS, daily_figures


@pytest.mark.parametrize("days", [1, 2, 9, 17, 341])
def test_no_row_depends_on_the_others(days: int) -> None:
    """Blocks of settings differ from machine to machine; their rows must not, to the last bit."""
    draw = np.random.default_rng(days)
    samples = 1e4 * np.exp(np.cumsum(draw.normal(0.0, 0.01, (40, days)), axis=1))
    together = _daily(samples, 365.0)
    for row in range(len(samples)):
        alone = _daily(samples[row : row + 1], 365.0)
        for name, values in alone.items():
            assert np.array_equal(values[0], together[name][row], equal_nan=True), (name, row)


@pytest.mark.parametrize("days", [3, 17, 18, 341])
def test_over_holding_blocks_are_those_of_the_excess(days: int) -> None:
    dice = np.random.default_rng(days)
    samples = 1e4 * np.exp(np.cumsum(dice.normal(0.0, 0.01, (3, days)), axis=1))
    held = np.exp(np.cumsum(dice.normal(0.001, 0.02, days + 5)))  # more days than were measured
    exposure = np.array([0.2, 0.9, np.nan])
    found = _daily(samples, 365.0, held, exposure)
    market = held[1:days] / held[: days - 1] - 1.0
    for row, each in enumerate(samples[:2]):
        over = each[1:] / each[:-1] - 1.0 - exposure[row] * market
        one = daily_figures(over)
        for name in ("skew", "kurtosis", "block_sums", "block_squares"):
            assert found[name][row] == pytest.approx(one[name], rel=1e-9, abs=1e-15)
        assert found["excess_sharpe"][row] == pytest.approx(sharpe(over, 365.0), rel=1e-9)
    assert np.isnan(found["excess_sharpe"][2])
    assert found["days"].tolist() == [days - 1, days - 1, 0]
    assert np.isfinite(found["sharpe"]).all()


def test_a_setting_that_was_short_has_no_figures_over_holding() -> None:
    """Nor has one that never held anything; the others have those of the excess."""
    dice = np.random.default_rng(3)
    samples = 1e4 * np.exp(np.cumsum(dice.normal(0.0, 0.01, (3, 60)), axis=1))
    held, exposure = np.exp(np.cumsum(dice.normal(0.001, 0.02, 60))), np.array([0.5, 0.5, 0.0])
    amounts, counts = np.zeros((3, 64)), np.zeros((3, 64), np.int64)
    counts[:2, layout.TRADES], amounts[:2, layout.EXPOSED] = 4, 30.0
    shorted = np.array([False, True, False])
    measured = Measured(np.full(3, 1e4), amounts, counts, samples, np.full(3, 1e4), shorted)
    found = _excess_over_holding(measured, 365.0, held, exposure)
    over = samples[0, 1:] / samples[0, :-1] - 1.0 - 0.5 * (held[1:] / held[:-1] - 1.0)
    assert found["over_sharpe"][0] == pytest.approx(sharpe(over, 365.0), rel=1e-9)
    assert found["over_sums"][0] == pytest.approx(daily_figures(over)["block_sums"], rel=1e-9)
    assert [found[name][row] for name in EXCESS_COLUMNS for row in (1, 2)] == [None] * 10


@pytest.mark.parametrize("days", [3, 17, 18, 341])
def test_blocks_are_those_of_one_run(days: int) -> None:
    samples = 1e4 * np.exp(np.cumsum(np.random.default_rng(7).normal(0.0, 0.01, (3, days)), axis=1))
    found = _daily(samples, 365.0)
    for row, each in enumerate(samples):
        one = daily_figures(each[1:] / each[:-1] - 1.0)
        for name in ("block_sums", "block_squares"):
            assert found[name][row] == pytest.approx(one[name], rel=1e-12, abs=1e-18)
