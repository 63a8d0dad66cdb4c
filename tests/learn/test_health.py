"""Health: predicted with what was known, patient before it acts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._learn.column_references import reference_of
from septet._learn.dataset import Dataset
from septet._learn.health import (
    DAY_NS,
    DriftWatch,
    Health,
    HealthRule,
    Reading,
    monitor_walk,
)
from septet._learn.labels import LabelRule, Labels, make_labels
from septet._learn.scores import auc, brier
from septet._learn.stored import StoredModel
from septet._learn.walk_forward_models import OK, Walk, stored_walk, walk_forward
from tests.learn.sample import HOUR_NS, dataset, in_sessions, logistic, rule, trainer
from tests.scale import examples

RULE = HealthRule(auc_window=150, psi_window=150)


def _run(rows: Dataset, horizon: int = 1, **changes: Any) -> tuple[Walk, Labels]:
    labels = make_labels(rows, LabelRule(horizon=horizon))
    watch = DriftWatch(rows, labels, RULE)
    plan = rule(**changes)
    return walk_forward(rows, logistic(), labels, plan, seed=7, drift=watch), labels


def _reversed_hint(rows: Dataset, after: int) -> Dataset:
    """From one bar on the hint points the wrong way: the model works no longer."""
    x = rows.x.copy()
    late = rows.row >= after
    x[late, 1] = -x[late, 1]
    return replace(rows, x=x)


def _shifted(rows: Dataset, after: int, by: float = 3.0) -> Dataset:
    x = rows.x.copy()
    x[rows.row >= after, 2] += by
    return replace(rows, x=x)


def _of(readings: tuple[Reading, ...], metric: str) -> list[Reading]:
    return [each for each in readings if each.metric == metric]


@pytest.fixture(scope="module")
def plain() -> tuple[Dataset, Walk, Labels, Health]:
    rows = dataset(2_300)
    walk, labels = _run(rows, train_ns=800 * HOUR_NS)
    return rows, walk, labels, monitor_walk(walk, rows, labels, RULE)


def test_readings_are_the_scores_of_the_last_known_labels(
    plain: tuple[Dataset, Walk, Labels, Health],
) -> None:
    _rows, walk, labels, health = plain
    for each in _of(health.readings, "auc")[::5]:
        known = (walk.row_state == OK) & (labels.known_ns <= each.time_ns)
        known &= np.isfinite(labels.value)
        last = np.flatnonzero(known)[np.argsort(labels.known_ns[known], kind="stable")]
        last = last[-RULE.auc_window :]
        up, label = walk.row_up[last], labels.value[last]
        assert each.window == len(last)
        assert each.value == auc(up, label)
        at_once = {r.metric: r for r in health.readings if r.time_ns == each.time_ns}
        assert at_once["brier"].value == pytest.approx(brier(up, label), abs=1e-15)
        assert at_once["hit_rate"].value == np.mean((up > 0.5) == (label == 1.0))


def test_a_model_that_works_is_left_alone(plain: tuple[Dataset, Walk, Labels, Health]) -> None:
    health = plain[3]
    assert health.worst in ("ok", "warn")
    assert health.scores["auc"] > 0.55
    assert {"auc", "brier", "hit_rate", "calibration", "psi:noise", "psi:prediction"} <= {
        each.metric for each in health.readings
    }
    assert health.importance.permutation["hint"] > 0.05
    assert abs(health.importance.permutation["noise"]) < 0.02
    assert not health.importance.impurity


@given(cut=st.integers(700, 1_400), seed=st.integers(0, 100))
@settings(max_examples=examples(6))
def test_what_comes_later_changes_no_reading(cut: int, seed: int) -> None:
    rows = dataset(1_500)
    moment = int(rows.time_ns[0]) + cut * HOUR_NS
    x = rows.x.copy()
    later = rows.time_ns > moment
    x[later] = np.random.default_rng(seed).normal(5.0, 3.0, x[later].shape)
    found = []
    for each in (rows, replace(rows, x=x)):
        walk, labels = _run(each)
        health = monitor_walk(walk, each, labels, RULE)
        found.append([r for r in health.readings if r.time_ns <= moment])
    assert found[0] == found[1]
    assert found[0]


def test_a_model_that_fails_is_retrained_only_after_three_verdicts() -> None:
    rows = _reversed_hint(dataset(1_500, strength=80.0), 900)
    walk, labels = _run(rows)
    readings = _of(monitor_walk(walk, rows, labels, RULE).readings, "auc")
    verdicts = [each.verdict for each in readings]
    first = next(k for k, v in enumerate(verdicts) if v in ("retrain", "halt"))
    assert verdicts[first] == "retrain"
    assert verdicts[first - 2 : first] == ["warn", "warn"]
    assert readings[first].time_ns - readings[first - 2].time_ns == 2 * DAY_NS
    assert readings[first].value < 0.5


def test_a_retrain_that_does_not_help_ends_in_halt() -> None:
    """The hint turns against every model anew, so that training again cannot help."""
    rows = dataset(2_000, 1, strength=80.0)
    plan = rule(train_ns=300 * HOUR_NS, step_ns=100 * HOUR_NS)
    labels = make_labels(rows, LabelRule())
    honest = walk_forward(rows, logistic(), labels, plan, seed=7)
    late = rows.time_ns > rows.time_ns[900]
    up = np.where(late, 1.0 - honest.row_up, honest.row_up)
    wrong = replace(honest, row_up=up)
    readings = _of(monitor_walk(wrong, rows, labels, RULE).readings, "auc")
    verdicts = [each.verdict for each in readings]
    assert "halt" in verdicts
    assert verdicts.index("retrain") < verdicts.index("halt")
    assert "retrain" not in verdicts[verdicts.index("halt") :]


def test_a_model_that_is_not_trained_again_halts_at_the_third_bad_reading() -> None:
    rows = _reversed_hint(dataset(1_500, strength=80.0), 900)
    walk, labels = _run(rows)
    again, once = (
        _of(monitor_walk(walk, rows, labels, each).readings, "auc")
        for each in (RULE, msgspec.structs.replace(RULE, retrains=False))
    )
    assert next(e.verdict for e in again if e.verdict in ("retrain", "halt")) == "retrain"
    for one, other in zip(again, once, strict=True):
        wanted = "halt" if one.verdict == "retrain" else one.verdict
        assert other == replace(one, verdict=wanted)
    assert "halt" in [each.verdict for each in once]


def test_readings_are_at_the_first_decision_time_of_a_day() -> None:
    """In sessions midnight is no decision time; of bars a day long, one in five days is read."""
    rows = in_sessions(dataset(1_500))
    walk, labels = _run(rows)
    found = {each.time_ns for each in monitor_walk(walk, rows, labels, RULE).readings}
    first: dict[int, int] = {}
    for each in rows.time_ns.tolist():
        first.setdefault(each // DAY_NS, each)
    assert len(found) > 100
    assert found <= set(first.values())
    days = replace(rows, bar_ns=DAY_NS)
    found = {
        each.time_ns // (5 * DAY_NS) for each in monitor_walk(walk, days, labels, RULE).readings
    }
    read = sorted({each.time_ns for each in monitor_walk(walk, days, labels, RULE).readings})
    assert len(found) == len(read) > 20


def test_a_shifted_feature_is_named() -> None:
    rows = _shifted(dataset(1_500), 1_000)
    walk, labels = _run(rows)
    health = monitor_walk(walk, rows, labels, RULE)
    moved = {each.metric for each in health.readings if each.verdict == "retrain"}
    assert moved >= {"psi:noise"}
    assert "psi:hint" not in moved
    shift = next(e for e in _of(health.readings, "psi:noise") if e.verdict == "retrain")
    assert shift.value > shift.threshold >= RULE.psi_retrain


def test_the_bound_of_a_psi_is_what_chance_does() -> None:
    """A column that wanders inside training needs more than the setting to be drift."""
    rows = dataset(1_900, 1)
    x = rows.x.copy()
    x[:, 2] = np.cumsum(np.random.default_rng(5).normal(size=len(rows)))
    rows = replace(rows, x=x)
    walk, labels = _run(rows, train_ns=400 * HOUR_NS)
    found = _of(monitor_walk(walk, rows, labels, RULE).readings, "psi:noise")
    bounds = [each.threshold for each in found]
    assert min(bounds) > RULE.psi_retrain
    assert np.median(bounds) > 1.0


def test_drift_retrains_run_in_the_backtest_and_are_read_the_same_way() -> None:
    rows = _shifted(dataset(1_500), 1_000)
    off, _ = _run(rows)
    walk, labels = _run(rows, on_drift=True)
    extra = [each for each in walk.models if each.cause == "drift"]
    assert len(off.models) < len(walk.models)
    assert extra
    verdicts = {
        each.time_ns
        for each in monitor_walk(walk, rows, labels, RULE).readings
        if each.verdict in ("retrain", "halt")
    }
    assert {each.trained_to_ns for each in extra} <= verdicts
    before = rows.time_ns < extra[0].ready_ns
    assert np.array_equal(walk.row_up[before], off.row_up[before], equal_nan=True)
    gaps = np.diff([each.trained_to_ns for each in extra])
    assert (gaps >= 75 * HOUR_NS).all()


def test_the_tables_have_the_columns_of_the_run_folder(
    plain: tuple[Dataset, Walk, Labels, Health],
) -> None:
    _rows, walk, _labels, health = plain
    table = health.monitoring()
    figures = ["time", "symbol", "metric", "value", "threshold", "verdict", "window", "compared"]
    assert table.columns == figures
    assert table.schema["time"] == pl.Datetime("ns", "UTC")
    assert table["time"].is_sorted()
    given = health.predictions()
    assert given.columns == ["time", "symbol", "probability_up", "label", "known_ns"]
    assert len(given) == int((walk.row_state == OK).sum())
    assert given["symbol"].unique().sort().to_list() == ["S0", "S1"]
    assert given["label"].null_count() == given["known_ns"].null_count() == 2
    assert given["probability_up"].null_count() == 0


def test_no_prediction_at_all_is_an_empty_table() -> None:
    rows = dataset(600)
    walk, labels = _run(rows)
    nothing = replace(walk, row_state=np.ones_like(walk.row_state))
    health = monitor_walk(nothing, rows, labels, RULE)
    assert health.readings == ()
    assert health.worst == "ok"
    assert len(health.monitoring()) == len(health.predictions()) == 0
    assert health.monitoring().schema["value"] == pl.Float64()
    assert math.isnan(health.scores["auc"])


def test_a_stored_model_brings_its_training_window_on_its_card() -> None:
    rows = dataset(1_500)
    labels = make_labels(rows, LabelRule())
    walk = walk_forward(rows, logistic(), labels, rule(), seed=7)
    each = walk.models[3]
    assert each.train_rows is not None
    assert each.model is not None
    reference = reference_of(rows.x[each.train_rows], rows.feature_names, RULE.psi_window)
    from pathlib import Path

    stored = StoredModel(each.model, {**each.card, "reference": reference}, Path("m"))
    predicted = stored_walk(rows, stored)
    found = monitor_walk(predicted, rows, labels, RULE).readings
    same = monitor_walk(walk, rows, labels, RULE).readings
    wanted = {(e.time_ns, e.metric): e for e in same if e.metric == "psi:hint"}
    pairs = [
        (e, wanted[e.time_ns, e.metric])
        for e in _of(found, "psi:hint")
        if e.time_ns <= each.until_ns
    ]
    inside = [(a, b) for a, b in pairs if b.time_ns > each.ready_ns + 150 * HOUR_NS]
    assert inside
    assert all(a.value == b.value and a.threshold == b.threshold for a, b in inside)


def test_impurity_importance_comes_from_the_estimator() -> None:
    from sklearn.ensemble import RandomForestClassifier

    rows = dataset(1_000)
    labels = make_labels(rows, LabelRule())
    made = trainer(RandomForestClassifier, "none", "sigmoid", n_estimators=5, max_depth=3)
    walk = walk_forward(rows, made, labels, rule(), seed=7)
    found = monitor_walk(walk, rows, labels, RULE).importance
    assert sum(found.impurity.values()) == pytest.approx(1.0)
    assert max(found.impurity, key=lambda name: found.impurity[name]) == "hint"
    assert set(found.permutation) == set(found.spread) == {"ret", "hint", "noise"}
