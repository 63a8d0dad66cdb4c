"""Simulated searchers: many rules without skill, the best reported; and one with skill."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from septet._data.bars import Floats
from septet._results.previous_trials import Tries, deflated, sentence
from septet._trials.effective import effective_number, mean_correlation

DAYS, RULES, SEARCHERS = 504, 200, 1_000
SURE = 0.95


def reported(returns: Floats) -> float:
    """Return the deflated probability of the best of some rules."""
    centred = returns - returns.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1)
    ratio = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    best = int(ratio.argmax())
    skew = float((centred[best] ** 3).mean() / spread[best] ** 3)
    kurtosis = float((centred[best] ** 4).mean() / spread[best] ** 4)
    tries = Tries(len(returns), effective_number(len(returns), returns))
    found = deflated(tries, float(ratio[best]), returns.shape[1], skew, kurtosis)
    assert found is not None
    return found


def alike(rng: np.random.Generator, rho: float) -> Floats:
    common = rng.normal(size=DAYS)
    own = rng.normal(size=(RULES, DAYS))
    return np.asarray(0.01 * (math.sqrt(rho) * common + math.sqrt(1.0 - rho) * own))


def clusters(rng: np.random.Generator) -> Floats:
    return np.vstack([alike(rng, 0.9)[: RULES // 5] for _ in range(5)])


@pytest.mark.parametrize(
    "searcher",
    [lambda r: alike(r, 0.0), lambda r: alike(r, 0.6), lambda r: alike(r, 0.95), clusters],
    ids=["independent", "alike", "nearly the same", "clusters"],
)
def test_at_most_five_percent_of_searchers_without_skill_pass(
    searcher: Callable[[np.random.Generator], Floats],
) -> None:
    rng = np.random.default_rng(11)
    passed = sum(reported(searcher(rng)) >= SURE for _ in range(SEARCHERS // 4))
    assert passed <= 0.05 * SEARCHERS / 4


def test_a_true_sharpe_of_three_over_four_years_passes_among_fifty_tries() -> None:
    rng = np.random.default_rng(12)
    passed = 0
    for _ in range(200):
        edge = np.where(np.arange(50) == 0, 0.01 * 3.0 / math.sqrt(252.0), 0.0)
        returns: Floats = 0.01 * rng.normal(size=(50, 1_008)) + edge[:, None]
        passed += reported(returns) >= SURE
    assert passed >= 0.8 * 200


def test_the_mean_correlation_is_that_of_all_pairs() -> None:
    returns = alike(np.random.default_rng(3), 0.4)[:12]
    pairs = np.asarray(np.corrcoef(returns))[np.triu_indices(12, 1)]
    assert mean_correlation(returns) == pytest.approx(pairs.mean(), abs=1e-9)
    assert mean_correlation(returns[:1]) == 0.0
    assert mean_correlation(np.zeros((5, 40))) == 0.0
    assert mean_correlation(np.full((5, 40), np.nan)) == 0.0


def test_a_first_try_states_nothing_and_an_unknown_number_is_reported() -> None:
    assert sentence(Tries(1, 1.0), 0.4).startswith("It is the first try on these data")
    many = sentence(Tries(40, 8.2, declared=5), 0.41)
    assert many == (
        "It is one of 40 tries on these data, 5 of them declared, worth 8.2 independent ones: its "
        "true Sharpe ratio is above zero with a probability of 41.0 % (deflated Sharpe ratio), so "
        "it cannot be distinguished from chance."
    )
    over = sentence(Tries(40, 8.2), 0.97, over_holding=True)
    assert over.endswith(
        ": its true Sharpe ratio over holding is above zero with a probability of 97.0 % "
        "(deflated Sharpe ratio)."
    )
    assert sentence(Tries(None, None, problem="the ledger is off"), None) == (
        "How many tries preceded it is not known: the ledger is off."
    )
