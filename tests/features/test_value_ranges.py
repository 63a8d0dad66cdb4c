"""Declared ranges hold on wild bars, and every built-in feature has one or is listed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from septet.testing import run_feature, sample_bars
from septet.testing.evaluate import resolve
from tests.features.cases import CASES

WITHOUT = {
    "beta", "bollinger", "bollinger_width", "cci", "difference", "expr", "garman_klass_variance",
    "keltner", "lag", "log_return", "macd", "momentum", "obv", "parabolic_sar", "ratio",
    "running_sum", "series", "signed_volume", "skew", "sum", "sum_since",
}  # fmt: skip
"""Features that any number may come of, or whose range follows from what they are made of."""


def wild(seed: int) -> dict[str, Any]:
    bars = sample_bars(240, seed=seed, flats=False)
    draw = np.random.default_rng(seed)
    jumps = np.where(draw.random(240) < 0.05, draw.choice([0.01, 100.0], 240), 1.0)
    for name in ("open", "high", "low", "close"):
        bars[name] = bars[name] * jumps
    bars["other"] = sample_bars(240, seed=seed + 1)["close"]
    bars["close@ETH/USDT"] = sample_bars(240, seed=seed + 2)["close"]
    bars["mood"] = np.where(np.arange(240) % 7 < 4, 30.0, np.nan)
    return bars


def test_every_feature_declares_a_range_or_is_listed() -> None:
    silent = {name for name in CASES if resolve(name).value_range is None}
    assert silent == WITHOUT


@pytest.mark.parametrize("name", sorted(set(CASES) - WITHOUT - {"cross_rank"}))
def test_values_lie_in_the_declared_range(name: str) -> None:
    for settings in CASES[name]:
        step = resolve(name)
        config = step.config(**settings)
        for seed in range(3):
            bars = wild(seed)
            columns = run_feature(step, config, bars, compiled=False)
            for column, values in columns.items():
                declared = step.range_of(config, "" if column == "value" else column)
                if isinstance(declared, str):
                    source = np.asarray(bars[str(getattr(config, declared))])
                    declared = (float(np.nanmin(source)), float(np.nanmax(source)))
                slack = 1e-9 * max(
                    1.0, *(abs(each) for each in declared if math.isfinite(each)), 0.0
                )
                known = values[np.isfinite(values)]
                assert len(known)
                assert known.min() >= declared[0] - slack
                assert known.max() <= declared[1] + slack
