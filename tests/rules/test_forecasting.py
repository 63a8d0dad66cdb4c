"""Weights from forecasts, in numbers small enough to check by head."""

from __future__ import annotations

import numpy as np
import pytest

from septet._kernel import layout
from septet._kernel.layout import KEEPS_UNITS
from septet._rules import forecasting, weighting
from septet._rules.run_state import Run
from tests.rules.small_run import run_of, set_to, values


class Given:
    """A forecast that is a row of numbers."""

    def __init__(self, *given: float) -> None:
        self.number, self.share, self.given = 0, 1.0, given

    def value(self, k: int, i: int, run: Run) -> float:
        """Return the number of a bar."""
        return self.given[i]


def test_a_forecast_is_scaled_capped_and_sized_by_volatility() -> None:
    run = run_of(bars=5, weighs=1)
    run.M[0, layout.AGE] = np.arange(5)
    run.X[0, layout.CLOSE] = 100.0, 101.0, 100.0, 102.0, 101.0
    run.mark[0], run.target_close[0] = 101.0, 101.0
    more = {
        "FORECASTS": (Given(9.0, 1.0, -1.0, 1.0, 3.0),), "FORECAST_COUNT": 1, "FORECAST_WINDOW": 4,
        "FORECAST_TARGET": 0.2, "volatility_at": values(0.4),
    }  # fmt: skip
    with set_to(**more):
        weighting.drift_weights(run)
        forecasting.forecast_weights(4, run)
        # m = (1 + 1 + 1 + 3)/4 = 1.5, x = 2: weight 2 * 0.2/0.4 = 1
        assert run.new_weight[0] == pytest.approx(1.0)
        forecasting.forecast_weights(3, run)  # there is no whole window yet
    assert run.role[0] == KEEPS_UNITS


def twins(lacks: int | None) -> Run:
    """Two symbols of the same prices, of which the second may lack the bar of one time."""
    run = run_of(bars=7, symbols=2, weighs=1)
    prices = [100.0, 102.0, 101.0, 105.0, 103.0, 104.0, 101.0]
    run.M[:, layout.AGE] = np.arange(7)
    for k in range(2):
        times = [t for t in range(7) if k == 0 or t != lacks]
        run.X[k, layout.CLOSE, : len(times)] = [prices[t] for t in times]
        run.bar[k][:] = -1
        for i, t in enumerate(times):
            run.bar[k][t] = i
    run.mark[:] = 101.0
    run.target_close[:] = 101.0
    return run


@pytest.mark.parametrize("lacks", [None, 3, 4])
def test_a_missing_bar_of_a_twin_does_not_change_the_diversification(lacks: int | None) -> None:
    run = twins(lacks)
    more = {
        "SYMBOLS": 2, "ONE_SYMBOL": False, "FORECASTS": (Given(*[1.0] * 7),), "FORECAST_COUNT": 1,
        "FORECAST_WINDOW": 4, "FORECAST_TARGET": 0.2, "volatility_at": values(0.2, 0.2),
        "MEMBERS_ROW": layout.ROW + 2,
    }  # fmt: skip
    with set_to(**more):
        weighting.drift_weights(run)
        forecasting.forecast_weights(6, run)
    assert list(run.new_weight) == pytest.approx([0.5, 0.5])
