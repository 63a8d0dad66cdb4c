"""Health read row by row while a run goes on is the health of the whole walk, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from septet._learn.column_references import reference_of
from septet._learn.dataset import Dataset
from septet._learn.health import DriftWatch, HealthRule, Reading, monitor_walk
from septet._learn.labels import LabelRule, Labels, make_labels
from septet._learn.running_health import ModelFacts, RunningHealth
from septet._learn.walk_forward_models import OK, Walk, walk_forward
from tests.learn.sample import HOUR_NS, dataset, in_sessions, logistic, rule

RULE = HealthRule(auc_window=150, psi_window=150)


def _facts(walk: Walk, rows: Dataset) -> list[ModelFacts]:
    found = []
    for place, each in enumerate(walk.models):
        reference: dict[str, Any] = {}
        first = None
        if each.model is not None and each.train_rows is not None:
            reference = reference_of(rows.x[each.train_rows], rows.feature_names, RULE.psi_window)
            first = int(rows.time_ns[each.train_rows[0]])
        found.append(
            ModelFacts(
                place, each.trained_to_ns, each.ready_ns, each.cause, each.card.get("rows", 0),
                each.card.get("rows_up", 0), first, reference,
            )
        )  # fmt: skip
    return found


def _running(rows: Dataset, label: LabelRule, keep_ns: int) -> RunningHealth:
    return RunningHealth(rows.symbols, rows.feature_names, rows.bar_ns, label, RULE, keep_ns)


def _fed(
    rows: Dataset, walk: Walk, label: LabelRule, *, snapshots: int = 0, keep_ns: int = 2**60
) -> tuple[list[Reading], int]:
    """Give every row as it becomes known; now and then go on from a snapshot."""
    health, found, most = _running(rows, label, keep_ns), list[Reading](), 0
    models = _facts(walk, rows)
    for step, time_ns in enumerate(np.unique(rows.time_ns).tolist()):
        while models and models[0].trained_to_ns <= time_ns:
            health.model(models.pop(0))
        for place in np.flatnonzero(rows.time_ns == time_ns).tolist():
            k, i = int(rows.symbol[place]), int(rows.row[place])
            bars = rows.bars[k]
            age = 0 if i == 0 or bars.segment[i] != bars.segment[i - 1] else 1
            prices = [float(getattr(bars, name)[i]) for name in ("open", "high", "low", "close")]
            health.bar(k, time_ns, age, prices)
            if walk.row_state[place] == OK:
                number = int(walk.row_model[place])
                health.row(k, time_ns, rows.x[place].tolist(), float(walk.row_up[place]), number)
        found += health.read(time_ns)
        if snapshots and step % snapshots == snapshots - 1:
            kept = health.snapshot()
            most = max(most, len(kept))
            health = _running(rows, label, keep_ns)
            health.restore(kept)
    return found, most


def _walked(
    n: int, label: LabelRule, *, sessions: bool = False, **changes: Any
) -> tuple[Dataset, Walk, Labels]:
    rows = in_sessions(dataset(n)) if sessions else dataset(n)
    x = rows.x.copy()
    x[rows.row >= n * 2 // 3, 2] += 3.0  # what it learned from has moved: readings that act
    x[rows.row >= n * 2 // 3, 1] *= -1.0
    rows = replace(rows, x=x)
    labels = make_labels(rows, label)
    watch = DriftWatch(rows, labels, RULE)
    walk = walk_forward(rows, logistic(), labels, rule(**changes), seed=7, drift=watch)
    return rows, walk, labels


@pytest.mark.parametrize("sessions", [False, True])
@pytest.mark.parametrize(
    "label",
    [
        LabelRule(horizon=1),
        LabelRule("threshold", horizon=5, threshold=0.001),
        LabelRule("triple_barrier", horizon=12, upper=0.01, lower=0.01),
    ],
    ids=lambda each: each.use,
)
def test_row_by_row_reads_what_the_whole_walk_reads(label: LabelRule, sessions: bool) -> None:
    train_ns = 400 * HOUR_NS * (4 if sessions else 1)
    rows, walk, labels = _walked(2_000, label, sessions=sessions, train_ns=train_ns, on_drift=True)
    whole = list(monitor_walk(walk, rows, labels, RULE).readings)
    assert {"auc", "brier", "hit_rate", "calibration", "psi:prediction"} <= {
        each.metric for each in whole
    }
    assert any(each.verdict == "retrain" for each in whole)
    found, _ = _fed(rows, walk, label)
    assert found == whole
    again, most = _fed(rows, walk, label, snapshots=37, keep_ns=train_ns + 500 * HOUR_NS)
    assert again == whole
    assert most < 1_000_000


def test_memory_stays_bounded() -> None:
    label = LabelRule(horizon=1)
    sizes = []
    for n in (1_500, 3_000):
        rows, walk, _ = _walked(n, label, train_ns=300 * HOUR_NS)
        sizes.append(_fed(rows, walk, label, snapshots=101, keep_ns=300 * HOUR_NS)[1])
    assert sizes[1] < 1.5 * sizes[0]
