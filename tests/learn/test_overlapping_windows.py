"""Many windows at once give what each gives alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._learn.overlapping_windows import count_windows, window_psi
from septet._learn.scores import Bins, psi
from tests.scale import examples


@given(data=st.data(), seed=st.integers(0, 10_000), size=st.integers(1, 40))
@settings(max_examples=examples(60))
def test_every_window_is_the_window_alone(data: st.DataObject, seed: int, size: int) -> None:
    chance = np.random.default_rng(seed)
    values = np.round(chance.normal(size=120), 1)  # ties, and values on edges
    bins = Bins.of(np.round(chance.normal(size=300), 1))
    ends = np.array(sorted(data.draw(st.lists(st.integers(size, 120), min_size=1, max_size=12))))
    alone = [psi(bins, values[end - size : end]) for end in ends]
    assert window_psi(bins, values, ends, size).tolist() == alone
    counts = np.empty((len(ends), len(bins.share)))
    count_windows(values, bins.edges, ends, size, counts)
    assert (counts.sum(axis=1) == size).all()
    apart = [np.bincount(bins.place(values[e - size : e]), minlength=len(bins.share)) for e in ends]
    assert np.array_equal(counts, np.array(apart))


def test_a_flat_reference_has_one_edge() -> None:
    bins = Bins.of(np.ones(50))
    found = window_psi(bins, np.array([0.0, 1.0, 2.0, 3.0]), np.array([2, 4]), 2)
    assert found[0] == psi(bins, np.array([0.0, 1.0]))
    assert found[1] > found[0]
