"""Weights from forecasts, in numbers small enough to check by head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from septet._kernel import layout
from septet._kernel.layout import KEEPS_UNITS
from septet._rules import forecasting, weighting
from septet._rules.run_state import Run
from tests.rules.small_run import run_of, set_to, values


class Given:
    """A forecast that is a row of numbers, the same of two symbols."""

    def __init__(self, *given: float) -> None:
        self.number, self.share, self.given = 0, 1.0, given

    def column(self, run: Run) -> tuple[Any, int, int]:
        """Return the array that holds it, its row, and that it is not of a model."""
        return np.array([[self.given], [self.given]]), 0, -1


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


def of_twins() -> dict[str, Any]:
    """Return the settings of a forecast of both twins."""
    return {
        "SYMBOLS": 2, "ONE_SYMBOL": False, "FORECASTS": (Given(*[1.0] * 7),), "FORECAST_COUNT": 1,
        "FORECAST_WINDOW": 4, "FORECAST_TARGET": 0.2, "volatility_at": values(0.2, 0.2),
        "MEMBERS_ROW": layout.ROW + 2,
    }  # fmt: skip


@pytest.mark.parametrize("lacks", [None, 3, 4])
def test_a_missing_bar_of_a_twin_does_not_change_the_diversification(lacks: int | None) -> None:
    run = twins(lacks)
    with set_to(**of_twins()):
        weighting.drift_weights(run)
        forecasting.forecast_weights(6, run)
    assert list(run.new_weight) == pytest.approx([0.5, 0.5])


def test_a_symbol_without_a_bar_at_t_keeps_its_units_and_stays_in_the_estimate() -> None:
    run = twins(6)
    run.X[1, layout.CLOSE, :6] = [103.0, 101.0, 102.0, 98.0, 100.0, 99.0]  # against the first
    with set_to(**of_twins()):
        weighting.drift_weights(run)
        forecasting.forecast_weights(6, run)
        assert run.new_weight[0] == pytest.approx(2.0**0.5 / 2.0)
        assert run.role[1] == KEEPS_UNITS
        run.bar[1][4] = run.bar[1][5] = -1  # three times without a bar: three returns stay
        assert forecasting.newest_member_bar(1, 6, run) == 3
        run.bar[1][3] = -1  # none at the last four times
        assert forecasting.newest_member_bar(1, 6, run) == -1


def test_a_symbol_whose_bars_have_ended_leaves_the_estimate() -> None:
    """A time at which none of its bars was due ends nothing."""
    run = run_of(bars=30, symbols=2, weighs=1)
    opens = np.arange(30) * 3_600_000_000_000
    run.bar[1][:5] = np.arange(5)
    with set_to(SYMBOLS=2, ONE_SYMBOL=False, FORECAST_WINDOW=30):
        run.bar[1][5:] = layout.NO_BAR + opens[5:]
        assert [forecasting.newest_member_bar(1, t, run) for t in (4, 23, 24)] == [4, 4, -1]
        run.bar[1][5:] = layout.NO_BAR + opens[5]
        assert forecasting.newest_member_bar(1, 29, run) == 4
        run.bar[1][5:] = -1
        assert forecasting.newest_member_bar(1, 29, run) == 4
