"""Scores against scikit-learn and against sums written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from septet._learn.scores import (
    Bins,
    auc,
    auc_deviation,
    block_psi,
    brier,
    calibration_table,
    psi,
    spiegelhalter,
)
from tests.scale import examples

_UP = arrays(np.float64, 40, elements=st.floats(0.0, 1.0))
_LABEL = arrays(np.float64, 40, elements=st.sampled_from([0.0, 1.0]))


@given(up=_UP, label=_LABEL)
def test_auc_and_brier_are_those_of_scikit_learn(up: np.ndarray, label: np.ndarray) -> None:
    from sklearn.metrics import brier_score_loss, roc_auc_score

    if len(np.unique(label)) < 2:
        assert math.isnan(auc(up, label))
        return
    assert auc(up, label) == pytest.approx(roc_auc_score(label, up), abs=1e-12)
    assert brier(up, label) == pytest.approx(brier_score_loss(label, up), abs=1e-12)


def test_the_deviation_of_an_auc_of_thirty_rows() -> None:
    assert auc_deviation(0.5, 15, 15) == pytest.approx(0.107, abs=1e-3)
    assert auc_deviation(0.5, 250, 250) == pytest.approx(0.0258, abs=1e-4)
    assert math.isnan(auc_deviation(math.nan, 5, 5))


def test_the_deviation_is_what_chance_does() -> None:
    chance = np.random.default_rng(1)
    label = (np.arange(200) < 90).astype(np.float64)
    found = [auc(chance.random(200), label) for _ in range(2_000)]
    assert np.std(found) == pytest.approx(auc_deviation(0.5, 90, 110), rel=0.05)


def test_spiegelhalters_z_is_standard_normal_for_honest_probabilities() -> None:
    chance = np.random.default_rng(2)
    up = chance.uniform(0.2, 0.8, (2_000, 300))
    label = (chance.random(up.shape) < up).astype(np.float64)
    z = np.array([spiegelhalter(u, y) for u, y in zip(up, label, strict=True)])
    assert abs(z.mean()) < 0.08
    assert z.std() == pytest.approx(1.0, abs=0.06)
    assert math.isnan(spiegelhalter(np.full(5, 0.5), np.ones(5)))


@given(seed=st.integers(0, 200), shift=st.floats(-2.0, 2.0))
@settings(max_examples=examples(40))
def test_psi_is_the_sum_written_out(seed: int, shift: float) -> None:
    chance = np.random.default_rng(seed)
    reference, sample = chance.normal(size=400), chance.normal(shift, 1.0, 150)
    bins = Bins.of(reference)
    edges = [-math.inf, *bins.edges.tolist(), math.inf]
    total = 0.0
    for low, high in itertools.pairwise(edges):
        counts = [int(((s > low) & (s <= high)).sum()) for s in (reference, sample)]
        e, a = ((c + 0.5) / (n + 5.0) for c, n in zip(counts, (400, 150), strict=True))
        total += (a - e) * math.log(a / e)
    assert psi(bins, sample) == pytest.approx(total, abs=1e-12)
    assert psi(bins, reference) == pytest.approx(0.0, abs=1e-12)


def test_a_constant_column_is_compared_too() -> None:
    bins = Bins.of(np.ones(100))
    assert psi(bins, np.ones(50)) < 1e-2
    assert psi(bins, np.full(50, 2.0)) > 1.0


def test_block_psi_is_the_quantile_over_blocks() -> None:
    reference = np.random.default_rng(3).normal(size=600)
    bins = Bins.of(reference)
    found = [psi(bins, reference[k : k + 100]) for k in range(0, 501, 10)]
    assert block_psi(bins, reference, 100) == pytest.approx(np.quantile(found, 0.99), abs=1e-12)
    assert math.isnan(block_psi(bins, reference, 600))


def test_the_calibration_table_counts_every_row_once() -> None:
    up = np.array([0.05, 0.05, 0.55, 0.95, 1.0])
    table = calibration_table(up, np.array([0.0, 1.0, 1.0, 1.0, 1.0]))
    assert [(row.low, row.count) for row in table] == [(0.0, 2), (0.5, 1), (0.9, 2)]
    assert table[0].observed == 0.5
    assert table[2].mean_probability == pytest.approx(0.975)
