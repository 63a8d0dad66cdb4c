from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from septet._data.bars import Floats, Ints
from septet._learn.dataset import Dataset
from septet._learn.labels import LabelRule, make_labels
from septet._learn.uniqueness import uniqueness
from septet._learn.walk_forward_models import fit_window
from tests.learn.sample import dataset, rule, trainer


def slowly(data: Dataset, known_ns: Ints, rows: Ints) -> Floats:
    """Bar by bar, as the formula is written."""
    spans = []
    for row in rows:
        bars, own = data.bars[data.symbol[row]], int(data.row[row])
        ends = [bar for bar in range(own + 1, len(bars)) if bars.known_ns[bar] <= known_ns[row]]
        spans.append((int(data.symbol[row]), ends))
    weights = []
    for symbol, span in spans:
        shares = [1 / sum(bar in other for each, other in spans if each == symbol) for bar in span]
        weights.append(np.mean(shares))
    return np.array(weights) / np.mean(weights)


@settings(max_examples=25, deadline=None)
@given(draw.integers(0, 99), draw.integers(1, 9), draw.booleans())
def test_against_the_formula(seed: int, horizon: int, barrier: bool) -> None:
    data = dataset(60, 2, seed)
    asked = LabelRule("triple_barrier" if barrier else "direction", horizon)
    labels = make_labels(data, asked)
    rows = np.flatnonzero(np.isfinite(labels.value))
    rows = rows[np.random.default_rng(seed).random(len(rows)) < 0.7]
    found = uniqueness(data, labels.known_ns, rows)
    assert found.tolist() == slowly(data, labels.known_ns, rows).round(6).tolist()


@pytest.mark.parametrize("horizon", [3, 7, 24])
def test_the_stated_arithmetic_gives_the_same_bits_in_any_order(horizon: int) -> None:
    """Bar by bar, forwards and backwards, by pairs and exactly: trees are fitted on these bits."""
    data = dataset(1_500, 2, 5)
    labels = make_labels(data, LabelRule("triple_barrier", horizon))
    rows = np.flatnonzero(np.isfinite(labels.value))
    found = uniqueness(data, labels.known_ns, rows)
    count = [np.zeros(len(bars), np.int64) for bars in data.bars]
    spans = []
    for row in rows:
        number, first = int(data.symbol[row]), int(data.row[row]) + 1
        known_ns = data.bars[number].known_ns
        past = int(np.searchsorted(known_ns, labels.known_ns[row], side="right"))
        count[number][first:past] += 1
        spans.append((number, first, past))
    shares = [1.0 / np.maximum(each, 1) for each in count]
    sums: list[Callable[[Floats], float]] = [
        lambda each: sum(each.tolist()), lambda each: sum(each.tolist()[::-1]),
        lambda each: float(each.sum()), lambda each: math.fsum(each.tolist()),
    ]  # fmt: skip
    for add in sums:
        own = np.array([add(shares[n][a:b]) / (b - a) for n, a, b in spans])
        assert np.round(own / (add(own) / len(own)), 6).tobytes() == found.tobytes()


def test_labels_that_do_not_overlap_weigh_the_same() -> None:
    data = dataset(60, 1)
    labels = make_labels(data, LabelRule("direction", 5))
    apart = np.arange(5, 50, 5)
    assert uniqueness(data, labels.known_ns, apart).tolist() == [1.0] * len(apart)
    crowded = np.array([5, 6, 7, 20])
    found = uniqueness(data, labels.known_ns, crowded)
    assert found[3] > 2 * found[1]


@settings(max_examples=25, deadline=None)
@given(draw.integers(0, 99), draw.integers(2, 9), draw.integers(1, 150))
def test_no_bit_depends_on_where_the_history_begins(seed: int, horizon: int, cut: int) -> None:
    """A backtest reads more history than a live run, and fits the same weights."""
    whole = dataset(260, 2, seed)
    later = replace(
        whole,
        bars=tuple(
            replace(each, **{
                field.name: getattr(each, field.name)[cut:]
                for field in fields(each) if isinstance(getattr(each, field.name), np.ndarray)
            })
            for each in whole.bars
        ),
        row=whole.row - cut,
    )  # fmt: skip
    known_ns = make_labels(whole, LabelRule("triple_barrier", horizon)).known_ns
    rows = np.flatnonzero(whole.row >= cut)
    rows = rows[np.random.default_rng(seed).random(len(rows)) < 0.9]
    ends = [bars.known_ns[-1] for bars in whole.bars]
    rows = rows[[known_ns[row] <= ends[whole.symbol[row]] for row in rows]]
    found, wanted = (uniqueness(each, known_ns, rows) for each in (later, whole))
    assert found.tobytes() == wanted.tobytes()


def test_a_window_is_fitted_with_its_weights() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    data = dataset(900, 1)
    labels = make_labels(data, LabelRule("triple_barrier", 12))
    asked = replace(rule(), train_ns=10**18)
    to_ns = int(data.time_ns[-1])
    one = fit_window(data, trainer(LogisticRegression), labels, asked, seed=1, trained_to_ns=to_ns)
    assert one.card["weights"] == "uniqueness"
    assert one.train_rows is not None
    weight = uniqueness(data, labels.known_ns, one.train_rows)
    y = labels.value[one.train_rows].astype(np.int64)
    x = data.x[one.train_rows]
    wanted = LogisticRegression().fit(x, y, sample_weight=weight).predict_proba(x)[:, 1]
    assert one.model is not None
    assert np.abs(one.model.predict(x) - wanted).max() < 1e-6
    plain = LogisticRegression().fit(x, y).predict_proba(x)[:, 1]
    assert np.abs(plain - wanted).max() > 1e-4
    near = fit_window(
        data, trainer(KNeighborsClassifier), labels, asked, seed=1, trained_to_ns=to_ns
    )
    assert near.card["weights"] == "none"


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.filterwarnings("error")
def test_a_calibrated_window_is_fitted_with_its_weights(
    method: Literal["sigmoid", "isotonic"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """scikit-learn warned that they are used for the calibration alone; they are used for both."""
    from sklearn.linear_model import LogisticRegression

    data = dataset(900, 1)
    labels = make_labels(data, LabelRule("triple_barrier", 12))
    asked = replace(rule(), train_ns=10**18)
    to_ns = int(data.time_ns[-1])
    chosen = trainer(LogisticRegression, calibrate=method)
    one = fit_window(data, chosen, labels, asked, seed=1, trained_to_ns=to_ns)
    assert one.card["weights"] == "uniqueness"
    used: list[bool] = []
    fit = LogisticRegression.fit

    def noted(self: Any, x: Any, y: Any, sample_weight: Any = None) -> Any:
        used.append(sample_weight is not None)
        return fit(self, x, y, sample_weight)

    monkeypatch.setattr(LogisticRegression, "fit", noted)
    fit_window(data, chosen, labels, asked, seed=1, trained_to_ns=to_ns)
    assert used.count(True) == 4  # three folds and the whole window
    assert used.count(False) == 1  # what hands the calibration its responses, and learns nothing
    assert "sample weights" not in str(one.card)
