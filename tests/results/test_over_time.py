"""Falls of equity and rolling figures, against a walk along the curve and single windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._results import statistics
from septet._results.over_time import deepest_drawdowns, rolling_beta, rolling_sharpe
from septet._results.versus_holding import alpha_beta

WALKS = st.lists(st.integers(1, 12), max_size=40)
RETURNS = st.lists(st.sampled_from([-0.05, -0.01, 0.0, 0.0, 0.02, 0.07]), max_size=60)


def walked(levels: list[int], initial: int) -> list[tuple[int, int, int | None, float]]:
    """Falls as (start, bottom, recovery, depth), found by walking along the levels."""
    found: list[tuple[int, int, int | None, float]] = []
    peak, start, bottom = initial, 0, None
    for at, level in enumerate(levels):
        if level >= peak:
            if bottom is not None:
                found.append((start, bottom, at, 1.0 - levels[bottom] / peak))
            peak, start, bottom = level, at, None
        elif bottom is None or level < levels[bottom]:
            bottom = at
    if bottom is not None:
        found.append((start, bottom, None, 1.0 - levels[bottom] / peak))
    return found


@given(WALKS, st.integers(1, 12), st.integers(1, 6))
def test_drawdowns_are_those_of_a_walk_along_the_curve(
    levels: list[int], initial: int, most: int
) -> None:
    time_ns = np.arange(len(levels), dtype=np.int64)
    found = deepest_drawdowns(time_ns, np.array(levels, float), float(initial), most)
    expected = sorted(walked(levels, initial), key=lambda each: -each[3])[:most]
    shown = [(each.start_ns, each.bottom_ns, each.recovery_ns, each.depth) for each in found]
    assert shown == expected
    last = len(levels) - 1
    for each in found:
        end = last if each.recovery_ns is None else each.recovery_ns
        assert each.length_ns == end - each.start_ns
    if found:
        deepest = statistics.max_drawdown(np.array(levels, float), float(initial))
        assert found[0].depth == deepest


@given(RETURNS, RETURNS, st.integers(30, 40))
def test_rolling_figures_are_those_of_each_window(
    own: list[float], other: list[float], window: int
) -> None:
    count = min(len(own), len(other))
    returns, market = np.array(own[:count]), np.array(other[:count])
    sharpe = rolling_sharpe(returns, 365.0, window)
    beta = rolling_beta(returns, market, window)
    assert len(sharpe) == len(beta) == count
    for at in range(count):
        part = slice(at - window + 1, at + 1)
        wanted: tuple[float | None, float | None] = (None, None)
        if at + 1 >= window:
            wanted = (
                statistics.sharpe(returns[part], 365.0),
                alpha_beta(returns[part], market[part], 365.0)[1],
            )
        for found, expected in zip((sharpe[at], beta[at]), wanted, strict=True):
            if expected is None:
                assert math.isnan(found), at
            else:
                assert found == pytest.approx(expected, rel=1e-9, abs=1e-12), at


def test_a_day_without_equity_leaves_its_windows_undefined() -> None:
    returns = np.tile([0.01, -0.02], 30)
    returns[30] = math.nan
    found = rolling_sharpe(returns, 365.0, 10)
    assert np.isnan(found[30:40]).all()
    assert np.isfinite(found[[29, 40]]).all()
    assert np.isnan(rolling_beta(returns, np.tile([0.03, 0.01], 30), 10)[30:40]).all()
