from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as draw

from septet._results.intervals import mean_interval, trades_at_once

HOUR = 3_600_000_000_000


def hours(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64) * HOUR


def test_under_two_values_nothing_is_reported() -> None:
    assert mean_interval(np.array([1.0])) is None
    assert mean_interval(np.array([1.0, math.nan] * 20)) is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([5.0] * 2 + [-0.3] * 33, "only 2 of 35 trades won"),
        ([0.3] * 35, "only 0 of 35 trades lost"),
        ([0.3] * 31 + [-5.0] * 4, "only 4 of 35 trades lost"),
    ],
)
def test_a_sample_without_both_kinds_has_no_interval(values: list[float], problem: str) -> None:
    found = mean_interval(np.array(values))
    assert found is not None
    assert found.problem == problem
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.mean == pytest.approx(np.mean(values))


def test_trades_that_all_overlap_have_no_interval() -> None:
    found = mean_interval(np.array([1.0, -1.0] * 20), at_once=20.0)
    assert found is not None
    assert found.problem.startswith("each trade overlaps 19.0 others")


@given(draw.integers(0, 2**32 - 1), draw.integers(30, 200))
def test_wider_than_students_and_around_the_mean(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(0.1, 1.0, count)
    found = mean_interval(values)
    assert found is not None
    half = 1.96 * values.std(ddof=1) / math.sqrt(count)
    assert found.low <= found.mean - half < found.mean + half <= found.high
    assert found == mean_interval(values.copy())


def test_skewed_trades_lean_to_the_side_of_the_rare_ones() -> None:
    values = np.array([5.0] * 8 + [-0.3] * 112)
    found = mean_interval(values)
    assert found is not None
    assert found.high - found.mean > 1.1 * (found.mean - found.low)


def test_overlapping_trades_count_less() -> None:
    shocks = np.repeat(np.random.default_rng(3).normal(0, 1, 60), 5)
    alone, together = mean_interval(shocks), mean_interval(shocks, at_once=5.0)
    assert alone is not None
    assert together is not None
    assert together.high - together.low > 1.7 * (alone.high - alone.low)


def test_trades_at_once_by_hand() -> None:
    # One after another, then all three together, then the middle one beside both others.
    assert trades_at_once(hours(0, 1, 2), hours(1, 2, 3)) == 1.0
    assert trades_at_once(hours(0, 0, 0), hours(9, 9, 9)) == 3.0
    assert trades_at_once(hours(0, 1, 3), hours(2, 4, 5)) == pytest.approx(7 / 3)
    assert trades_at_once(hours(4), hours(4)) == 1.0
    assert trades_at_once(hours(), hours()) == 1.0
