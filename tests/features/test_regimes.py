"""The volatility regime: terciles of what was known, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from septet._host.plugin_registry import Host
from septet.testing import check_component, run_feature, sample_bars
from septet.testing.bars import Columns

STEP = Host().declaration("signals", "volatility_regime", "regime")


def run(bars: Columns, **settings: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return run_feature(STEP, STEP.config(of="calm", **settings), bars)["value"]


@pytest.fixture(scope="module")
def bars() -> Columns:
    bars = sample_bars(400, gaps=False, flats=False)
    bars["calm"] = np.random.default_rng(3).lognormal(size=400)
    bars["calm"][200:210] = np.nan
    return bars


def test_conforms() -> None:
    check_component(STEP, STEP.config(of="calm", window="40h", min=12))


def test_agrees_with_sorting(bars: Columns) -> None:
    found = run(bars, window="60h", min=20)
    for i in range(400):
        known = bars["calm"][max(0, i - 59) : i + 1]
        known = known[~np.isnan(known)]
        now = bars["calm"][i]
        if len(known) < 20 or math.isnan(now):
            assert math.isnan(found[i])
            continue
        others = np.sort(known)
        place = np.searchsorted(others, now) / (len(others) - 1)
        assert found[i] == (0.0 if place < 1 / 3 else 1.0 if place <= 2 / 3 else 2.0)
    assert set(found[~np.isnan(found)]) == {0.0, 1.0, 2.0}


def test_a_third_of_the_time_is_spent_in_each(bars: Columns) -> None:
    found = run(bars, window="90d")
    assert np.isnan(found[:198]).all()
    shares = np.bincount(found[~np.isnan(found)].astype(int)) / np.isfinite(found).sum()
    assert shares == pytest.approx([1 / 3] * 3, abs=0.1)


def test_a_flat_window_is_mid(bars: Columns) -> None:
    found = run({**bars, "calm": np.ones(400)}, window="40h", min=10)
    assert (found[9:] == 1.0).all()


def test_the_window_is_time_on_the_clock(bars: Columns) -> None:
    count = 400
    opened = 24 * (np.arange(count) // 7) + 14 + np.arange(count) % 7  # seven hours of each day
    times = {"seconds": 3_600.0 * (opened + 1), "slot": opened.astype(float)}
    found = run({**bars, **times}, window="5d", min=20)
    ranked = 0
    for i in range(count):
        low = np.searchsorted(times["seconds"], times["seconds"][i] - 5 * 86_400, side="right")
        assert i < 40 or i - low + 1 == 35
        known = bars["calm"][low : i + 1]
        known = known[~np.isnan(known)]
        now = bars["calm"][i]
        if i < 40 or len(known) < 25 or math.isnan(now):
            continue
        place = np.searchsorted(np.sort(known), now) / (len(known) - 1)
        assert found[i] == (0.0 if place < 1 / 3 else 1.0 if place <= 2 / 3 else 2.0)
        ranked += 1
    assert ranked > 300


def test_a_window_of_fewer_bars_is_the_last_ones(bars: Columns) -> None:
    opened = 24.0 * np.arange(400)  # one bar of an hour in each day
    times = {"seconds": 3_600.0 * (opened + 1), "slot": opened}
    found = run({**bars, **times}, window="30h", min=20)
    plain = run(bars, window="20h", min=20)
    assert np.array_equal(found, plain, equal_nan=True)
