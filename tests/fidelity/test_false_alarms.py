"""Rules without skill on a market that rises: how often a sweep calls the best above chance."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from septet._sweep.metrics_of_rows import _daily
from septet._sweep.sweep_findings import findings_of
from septet._sweep.verdict import choice

Floats = npt.NDArray[np.float64]
DAYS = 500


def held_at_random(dice: np.random.Generator, settings: int, days: int) -> Floats:
    """Positions of 0 or 1 that know nothing of the market and change every few days."""
    change = dice.random((settings, days)) < 0.1
    drawn = dice.random((settings, days)) < dice.uniform(0.2, 0.9, (settings, 1))
    last = np.maximum.accumulate(np.where(change, np.arange(days), 0), axis=1)
    return np.take_along_axis(drawn, last, axis=1).astype(np.float64)


def sweep_of(dice: np.random.Generator, settings: int, *, edge: float = 0.0) -> pl.DataFrame:
    """The table of a sweep over long-only rules, by the arithmetic that a real one uses."""
    market = dice.normal(0.0012, 0.02, DAYS)
    held = held_at_random(dice, settings, DAYS)
    if edge:
        held[0] = np.where(market > 0, dice.random(DAYS) < 0.5 + edge, dice.random(DAYS) < 0.5)
    worth = np.cumprod(np.hstack((np.ones((settings, 1)), 1.0 + held * market)), axis=1)
    samples: Floats = np.asarray(1e4 * worth, dtype=np.float64)
    growth = np.cumprod(np.append(1.0, 1.0 + market))
    exposure = held.mean(axis=1)
    figures = _daily(samples, 365.0, growth, exposure)
    listed = {name: np.asarray(values).tolist() for name, values in figures.items()}
    plain = dict.fromkeys(("total_return", "max_drawdown", "win_rate", "profit_factor"), 0.1)
    return pl.DataFrame(
        {
            "setting": range(settings),
            "features.fast.period": [float(n) for n in range(settings)],
            "status": "done",
            "problem": "",
            "trades": 40,
            **plain,
            **listed,
            "exposure": exposure,
        }
    )


def is_above_luck(table: pl.DataFrame) -> bool:
    found = findings_of(table, {"goal": "sharpe"})
    return "exceeds chance" in choice(found)


@pytest.mark.parametrize("settings", [5, 60])
def test_rules_without_skill_pass_in_one_of_twenty(settings: int) -> None:
    passed = sum(is_above_luck(sweep_of(np.random.default_rng(n), settings)) for n in range(120))
    assert passed <= 6


def test_their_plain_ratios_would_have_passed() -> None:
    """The market's own rise is what a measure against zero takes for skill."""
    high = 0
    for n in range(20):
        daily = sweep_of(np.random.default_rng(n), 60).get_column("sharpe").to_numpy()
        high += daily.max() / math.sqrt(365.0) * math.sqrt(DAYS) > 2.0
    assert high >= 15


def test_a_rule_with_skill_passes() -> None:
    passed = sum(is_above_luck(sweep_of(np.random.default_rng(n), 20, edge=0.3)) for n in range(20))
    assert passed >= 16
