"""Value, compared figure, threshold and verdict of a reading agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from septet._host.monitoring import figures_text
from septet._learn.dataset import Dataset
from septet._learn.health import HealthRule, Reading, monitor_walk
from septet._learn.labels import LabelRule, Labels, make_labels
from septet._learn.walk_forward_models import OK, Walk, walk_forward
from tests.learn.sample import HOUR_NS, dataset, logistic, rule

LOW_IS_BAD = ("auc", "hit_rate")
HORIZON = 4


def _read(watched: HealthRule, rows: Dataset) -> tuple[Sequence[Reading], Walk, Labels]:
    labels = make_labels(rows, LabelRule(horizon=HORIZON))
    plan = rule(train_ns=300 * HOUR_NS, step_ns=100 * HOUR_NS)
    walk = walk_forward(rows, logistic(), labels, plan, seed=7)
    return monitor_walk(walk, rows, labels, watched).readings, walk, labels


@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_the_verdict_is_what_compared_and_threshold_state(strength: float) -> None:
    rows = dataset(1_800, 1, strength=strength)
    x = rows.x.copy()
    x[1_200:, 1] = -x[1_200:, 1] + 2.0  # a shift, and a sign that turns against the models
    watched = HealthRule(
        auc_window=300, auc_floor=0.45, auc_warn=0.75, psi_window=200, psi_warn=0.05
    )
    readings, _, _ = _read(watched, replace(rows, x=x))
    seen = set()
    for each in readings:
        assert each.compared is not None
        seen.add((each.metric.partition(":")[0], each.verdict != "ok"))
        if math.isnan(each.threshold):
            assert each.verdict == "ok"
            assert each.window < watched.auc_window
            continue
        low = each.metric in LOW_IS_BAD
        beyond = each.compared < each.threshold if low else each.compared > each.threshold
        assert beyond == (each.verdict != "ok"), each
    assert {("auc", True), ("psi", True), ("psi", False), ("hit_rate", False)} <= seen


def test_the_auc_acts_by_the_upper_end_for_labels_that_overlap() -> None:
    """Hanley and McNeil's deviation by hand, with one row in four: labels over four bars."""
    rows = dataset(1_500, 1, strength=0.0)
    readings, walk, labels = _read(HealthRule(auc_window=200, auc_floor=0.6), rows)
    found = [each for each in readings if each.metric == "auc" and each.window == 200]
    assert found
    for each in found[::7]:
        known = (walk.row_state == OK) & (labels.known_ns <= each.time_ns)
        last = np.flatnonzero(known & np.isfinite(labels.value))
        last = last[np.argsort(labels.known_ns[last], kind="stable")][-200:]
        up, label = walk.row_up[last], labels.value[last]
        apart = up[label == 1][:, None] - up[label == 0][None, :]
        area = float((apart > 0).mean() + (apart == 0).mean() / 2)
        ups, downs = float((label == 1).sum()) / HORIZON, float((label == 0).sum()) / HORIZON
        one, two = area / (2 - area), 2 * area**2 / (1 + area)
        spread = area * (1 - area) + (ups - 1) * (one - area**2) + (downs - 1) * (two - area**2)
        upper = area + 1.959963984540054 * math.sqrt(spread / (ups * downs))
        assert each.value == pytest.approx(area)
        assert each.compared == pytest.approx(upper)
    below = [each for each in found if each.value < 0.6 and each.verdict == "ok"]
    assert below, "an AUC below the floor is fine while its upper end is above it"
    assert all(each.compared is not None and each.compared >= 0.6 for each in below)


def test_figures_in_words() -> None:
    assert figures_text("auc", 0.42, 0.5, 0.48) == "0.42, its upper 95 % end 0.48, the bound 0.5"
    assert figures_text("psi:x", 0.3, 0.25, 0.3) == "0.3, the bound 0.25"
    assert figures_text("auc", 0.42, math.nan, 0.61) == "0.42, its upper 95 % end 0.61"
    assert figures_text("churn", 3.0, None) == "3"
    assert figures_text("churn", None, 2.0) == "unknown, the bound 2"
