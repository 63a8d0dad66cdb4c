"""Fair games, played by dice: how often the verdict on them is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from septet._results.intervals import mean_interval

Floats = npt.NDArray[np.float64]
Game = Callable[[np.random.Generator, int], Floats]
SAMPLES = 300


def two_prices(win: float, loss: float) -> Game:
    """A bracket of a target and a stop on a price without drift: the mean is zero."""
    chance = loss / (win + loss)
    return lambda draw, count: np.where(draw.random(count) < chance, win, -loss)


def in_clusters(draw: np.random.Generator, count: int) -> Floats:
    """Five trades open together, that move together."""
    return np.repeat(draw.normal(0, 1, count // 5), 5) + 0.5 * draw.normal(0, 1, count)


GAMES: dict[str, tuple[Game, float]] = {
    "symmetric": (lambda draw, count: draw.normal(0, 1, count), 1.0),
    "fat tails": (lambda draw, count: draw.standard_t(3, count), 1.0),
    "coin": (two_prices(1.0, 1.0), 1.0),
    "lottery": (two_prices(5.0, 0.3), 1.0),
    "pennies": (two_prices(0.3, 5.0), 1.0),
    "rare lottery": (two_prices(99.0, 1.0), 1.0),
    "clusters": (in_clusters, 5.0),
}

ALWAYS_GIVEN = ("symmetric", "coin", "lottery", "pennies")
"""Of 500 trades of these there are winners and losers enough for an interval."""


@pytest.mark.parametrize("count", [35, 120, 500])
@pytest.mark.parametrize("name", GAMES)
def test_the_interval_of_a_fair_game_holds_zero(name: str, count: int) -> None:
    game, at_once = GAMES[name]
    draw = np.random.default_rng(7 + count)
    wrong = given = 0
    for _ in range(SAMPLES):
        found = mean_interval(game(draw, count), at_once)
        assert found is not None
        given += not found.problem
        wrong += not (found.problem or found.low <= 0.0 <= found.high)
    assert wrong <= 0.08 * given, "of those that are given, not of those that are withheld"
    if count == 500 and name in ALWAYS_GIVEN:
        assert given == SAMPLES


@pytest.mark.parametrize(("win", "loss"), [(1.0, 1.0), (5.0, 0.3), (0.3, 5.0)])
def test_an_edge_is_seen(win: float, loss: float) -> None:
    draw = np.random.default_rng(9)
    chance = loss / (win + loss)
    better = chance + 5.0 * (chance * (1.0 - chance) / 1_000) ** 0.5
    seen = 0
    for _ in range(50):
        found = mean_interval(np.where(draw.random(1_000) < better, win, -loss))
        seen += found is not None and found.low > 0.0
    assert seen >= 48
