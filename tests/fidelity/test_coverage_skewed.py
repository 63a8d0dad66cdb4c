"""Fair games of continuous, skewed results: what a bootstrap alone covers in 81 to 91 of 100."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from septet._results.intervals import Z95, mean_interval, student

Floats = npt.NDArray[np.float64]
Game = Callable[[np.random.Generator, int], Floats]
SAMPLES = 600
"""Measured with 6,000 samples a cell, such games miss in 4 to 7 %: 600 show more than 8 % of 5 %
once in 2,000 times, and less than 8 % of the 11 % of a bootstrap alone once in 100. Fixed seeds."""


def lognormal(sigma: float) -> Game:
    return lambda dice, count: np.exp(dice.normal(0, sigma, count)) - math.exp(sigma**2 / 2)


def pareto(tail: float) -> Game:
    return lambda dice, count: dice.pareto(tail, count) - 1 / (tail - 1)


def rare_large_winners(dice: np.random.Generator, count: int) -> Floats:
    """Seven in ten lose one; the winners have a Pareto tail of 2.05."""
    won = dice.pareto(2.05, count) * (0.7 / 0.3) * 1.05
    return np.where(dice.random(count) < 0.3, won, -1.0)


def three_at_once(dice: np.random.Generator, count: int) -> Floats:
    return np.convolve(lognormal(1.5)(dice, count + 2), np.ones(3), "valid")


GAMES: dict[str, tuple[Game, float, tuple[int, ...]]] = {
    "lognormal 1.5": (lognormal(1.5), 1.0, (30, 45, 90)),
    "lognormal 2": (lognormal(2.0), 1.0, (35, 120)),
    "pareto 2.05": (pareto(2.05), 1.0, (35, 60)),
    "pareto 2.2": (pareto(2.2), 1.0, (35, 120)),
    "rare large winners": (rare_large_winners, 1.0, (35, 60)),
    "exponential": (lambda dice, count: dice.exponential(1, count) - 1.0, 1.0, (35,)),
    "three at once": (three_at_once, 3.0, (130,)),
}
CELLS = [(name, count) for name, (_, _, counts) in GAMES.items() for count in counts]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("name", "count"), CELLS)
def test_the_interval_of_a_skewed_fair_game_holds_zero(
    name: str, count: int, mirrored: bool
) -> None:
    game, at_once, _ = GAMES[name]
    dice = np.random.default_rng((11 if mirrored else 12, count))
    wrong = given_ones = 0
    for _ in range(SAMPLES):
        values = game(dice, count)
        found = mean_interval(-values if mirrored else values, at_once)
        assert found is not None
        given_ones += not found.problem
        wrong += not (found.problem or found.low <= 0.0 <= found.high)
    assert given_ones > 0.8 * SAMPLES or name == "lognormal 2"
    assert wrong <= 0.08 * given_ones


@pytest.mark.parametrize(("name", "most"), [("normal", 1.04), ("t3", 1.10)])
def test_symmetric_results_hardly_pay_for_it(name: str, most: float) -> None:
    """Width over that of Student's interval, which covers symmetric games as it is."""
    dice = np.random.default_rng(13)
    ratios = []
    for _ in range(200):
        values = dice.normal(0, 1, 60) if name == "normal" else dice.standard_t(3, 60)
        found = mean_interval(values)
        assert found is not None
        whole = 2 * student(Z95, 59) * values.std(ddof=1) / math.sqrt(60)
        ratios.append((found.high - found.low) / whole)
    assert 1.0 <= float(np.median(ratios)) <= most


def test_the_side_of_the_longer_tail_is_widened_alone() -> None:
    values = lognormal(1.5)(np.random.default_rng(14), 60)
    right, left = mean_interval(values), mean_interval(-values)
    assert right is not None
    assert left is not None
    half = student(Z95, 59) * values.std(ddof=1) / math.sqrt(60)
    assert right.mean - right.low == pytest.approx(half)
    assert left.high - left.mean == pytest.approx(half)
    assert right.high - right.mean > 1.5 * half
    assert left.mean - left.low == pytest.approx(right.high - right.mean)
