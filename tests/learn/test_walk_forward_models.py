"""The walk: nothing known later trains a model, and every reason for none is reported."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._learn.dataset import Dataset, SymbolBars, pool
from septet._learn.labels import LabelRule, make_labels
from septet._learn.schedule import TrainingRule, model_seed, training_rows, training_times
from septet._learn.walk_forward_models import (
    EXPIRED,
    NO_MODEL,
    NOT_FINITE,
    OK,
    Walk,
    fit_window,
    walk_forward,
)
from septet.errors import RunError
from septet_schemas.cron import Cron
from septet_schemas.times import format_moment, parse_moment
from tests.learn.sample import HOUR_NS, ORIGIN_NS, bars, dataset, features, logistic, rule, trainer
from tests.scale import examples


def _walk(rows: Dataset, plan: TrainingRule | None = None, **options: Any) -> Walk:
    labels = make_labels(rows, LabelRule(horizon=options.pop("horizon", 1)))
    return walk_forward(rows, logistic(), labels, plan or rule(), seed=7, **options)


@given(
    train=st.integers(5, 80), purge=st.integers(0, 6), horizon=st.integers(1, 5),
    expanding=st.booleans(), at=st.integers(10, 110), gap_at=st.integers(5, 110),
    written=st.sampled_from(["time", "bars", "none"]), half_hour=st.booleans(),
)  # fmt: skip
@settings(max_examples=examples(60))
def test_training_rows_are_those_of_the_rule(
    train: int,
    purge: int,
    horizon: int,
    expanding: bool,
    at: int,
    gap_at: int,
    written: str,
    half_hour: bool,
) -> None:
    table = [bars("A", 120, 1, gap_at), bars("B", 100, 2)]
    rows = pool(table, [features(b, 3) for b in table], list("abc"), HOUR_NS)
    labels = make_labels(rows, LabelRule(horizon=horizon))
    window = "expanding" if expanding else "rolling"
    length = {"time": {"purge_ns": purge * HOUR_NS}, "bars": {"purge_bars": purge}, "none": {}}
    plan = rule(train_ns=train * HOUR_NS, window=window, **length[written])
    moment = int(rows.time_ns[0]) + at * HOUR_NS + half_hour * HOUR_NS // 2
    left_out = {"time": 0, "bars": purge, "none": horizon}[written]
    known = [int((each.known_ns <= moment).sum()) for each in table]
    wanted = [
        r
        for r in range(len(rows))
        if (expanding or moment - plan.train_ns < rows.time_ns[r])
        and rows.time_ns[r] <= moment - (purge * HOUR_NS if written == "time" else 0)
        and rows.row[r] < known[rows.symbol[r]] - left_out
        and np.isfinite(rows.x[r]).all()
        and not math.isnan(labels.value[r])
        and labels.known_ns[r] <= moment
    ]
    assert training_rows(rows, labels, plan, moment).tolist() == wanted


def test_purge_defaults_to_the_horizon() -> None:
    rows = dataset(300, 1)
    labels = make_labels(rows, LabelRule("triple_barrier", 24, upper=0.001, lower=0.001))
    moment = int(rows.time_ns[200])
    last = training_rows(rows, labels, rule(), moment)[-1]
    assert rows.time_ns[last] == moment - 24 * HOUR_NS


@given(seed=st.integers(0, 500), cut=st.integers(520, 900), damage=st.sampled_from(["x", "close"]))
@settings(max_examples=examples(8))
def test_what_comes_later_changes_no_model_and_no_prediction(
    seed: int, cut: int, damage: str
) -> None:
    rows = dataset(1_000, 1, seed)
    moment = int(rows.time_ns[cut])
    later = rows.time_ns > moment
    x = rows.x.copy()
    table = rows.bars[0]
    if damage == "x":
        x[later] = np.random.default_rng(seed).normal(size=x[later].shape) * 50.0
        other = table
    else:
        close = np.where(table.known_ns > moment, table.close[::-1], table.close)
        other = replace(table, close=close)
    changed = Dataset(
        x, rows.feature_names, rows.time_ns, rows.symbol, rows.row, (other,), rows.bar_ns
    )
    one, two = _walk(rows, horizon=3), _walk(changed, horizon=3)
    before = [m for m in one.models if m.trained_to_ns <= moment]
    again = [m for m in two.models if m.trained_to_ns <= moment]
    assert before
    assert [(m.trained_to_ns, m.fingerprint, m.reason) for m in before] == [
        (m.trained_to_ns, m.fingerprint, m.reason) for m in again
    ]
    known = ~later
    assert np.array_equal(one.row_up[known], two.row_up[known], equal_nan=True)
    assert np.array_equal(one.row_state[known], two.row_state[known])


def test_every_prediction_is_out_of_sample_and_equal_for_one_row() -> None:
    rows = dataset()
    walk = _walk(rows)
    decided = np.flatnonzero(walk.row_state == OK)
    assert len(decided) > 1_000
    for row in decided[::97]:
        made_by = walk.models[int(walk.row_model[row])]
        assert made_by.trained_to_ns + HOUR_NS == made_by.ready_ns <= rows.time_ns[row]
        assert made_by.train_rows is not None
        assert rows.time_ns[made_by.train_rows].max() < rows.time_ns[row]
        up, state = walk.predict_row(int(rows.time_ns[row]), rows.x[row])
        assert (up, state) == (walk.row_up[row], OK)
    first = rows.symbol == 0
    assert np.array_equal(walk.up[0], walk.row_up[first], equal_nan=True)


def test_the_schedule_is_anchored_at_the_epoch() -> None:
    plan = rule(step_ns=10, ready_after_ns=3)
    assert training_times(plan, 21, 60) == [30, 40, 50]
    assert training_times(plan, 1, 60, start_ns=33) == [30, 40, 50]
    assert training_times(plan, 1, 60, start_ns=32) == [20, 30, 40, 50]
    assert training_times(plan, 1, 63) == [10, 20, 30, 40, 50, 60]


def test_the_first_window_begins_with_the_open_of_the_first_bar() -> None:
    """Rows after T_k - train train: all of them are there where the data begins at that time."""
    rows = dataset()
    assert int(rows.time_ns[0]) == ORIGIN_NS + HOUR_NS
    for late, first in ((0, 200), (1, 400)):
        part = dataset() if not late else _without_first(rows)
        models = _walk(part).models
        assert models[0].trained_to_ns == ORIGIN_NS + first * HOUR_NS
        assert models[0].train_rows is not None


def _without_first(rows: Dataset) -> Dataset:
    """Return the rows whose first bar is an hour later."""
    later = rows.time_ns > rows.time_ns[0]
    return replace(
        rows, x=rows.x[later], time_ns=rows.time_ns[later], symbol=rows.symbol[later],
        row=rows.row[later],
    )  # fmt: skip


def _cron(text: str, ready_ns: int = HOUR_NS) -> TrainingRule:
    cron = Cron.parse(text)
    return rule(step_ns=cron.longest_ns, ready_after_ns=ready_ns, cron=cron)


def test_a_daily_cron_is_a_step_of_a_day() -> None:
    daily, step = _cron("0 0 * * *"), rule(step_ns=24 * HOUR_NS)
    first, last = ORIGIN_NS, ORIGIN_NS + 900 * HOUR_NS
    for begin in (None, 0, 1, 23, 24, 25, 26, 300, 899, 900, 901, 2_000):
        start = None if begin is None else first + begin * HOUR_NS
        wanted = training_times(step, first, last, start)
        assert training_times(daily, first, last, start) == wanted, begin
    rows = dataset()
    one, other = _walk(rows, daily), _walk(rows, step)
    assert [m.fingerprint for m in one.models] == [m.fingerprint for m in other.models]
    assert np.array_equal(one.row_up, other.row_up, equal_nan=True)


def test_weekly_and_monthly_times() -> None:
    def days(text: str, start: str | None = None) -> list[str]:
        first, last = parse_moment("2024-01-10"), parse_moment("2024-04-01")
        begin = None if start is None else parse_moment(start)
        found = training_times(_cron(text), first, last, begin)
        return [format_moment(each)[5:10] for each in found]

    # One hour until a model is ready: that of April the first is not in time.
    assert days("0 0 1 * *") == ["02-01", "03-01"]
    assert days("0 0 1 * *", "2024-03-01") == ["02-01", "03-01"]
    assert days("0 0 1 * *", "2024-03-01T01:00") == ["03-01"]
    mondays = ["01-15", "01-22", "01-29", "02-05", "02-12", "02-19", "02-26", "03-04", "03-11"]
    assert days("0 0 * * 1") == [*mondays, "03-18", "03-25"]
    assert days("0 0 * * 1", "2024-03-14") == ["03-11", "03-18", "03-25"]


def test_a_start_later_fits_the_same_models_and_no_others() -> None:
    rows = dataset()
    whole = _walk(rows)
    start = int(rows.time_ns[0]) + 700 * HOUR_NS
    part = _walk(rows, start_ns=start)
    prints = {m.trained_to_ns: m.fingerprint for m in whole.models}
    assert len(part.models) < len(whole.models)
    assert all(prints[m.trained_to_ns] == m.fingerprint for m in part.models)
    assert part.first_decision_ns == start
    assert part.models[0].ready_ns <= start < part.models[0].until_ns


def test_seeds_are_stable_and_differ_by_time() -> None:
    assert model_seed(7, 1_600_000_000_000_000_000) == 1_762_836_286
    assert len({model_seed(7, k) for k in range(50)} | {model_seed(8, 0)}) == 51
    assert all(0 <= model_seed(k, k) < 2**31 for k in range(50))


def test_a_window_of_one_class_has_no_model_and_the_walk_goes_on() -> None:
    each = bars("A", 1_200, 1)
    each.close[:500] = np.linspace(100.0, 200.0, 500)
    rows = pool([each], [features(each, 2)], list("abc"), HOUR_NS)
    walk = _walk(rows)
    reasons = [m.reason for m in walk.models]
    assert "0 rows labelled down, fewer than 20" in reasons
    assert reasons[-1] == ""
    none = walk.models[reasons.index("0 rows labelled down, fewer than 20")]
    assert walk.at(none.ready_ns) == "no_model"
    span = (rows.time_ns >= none.ready_ns) & (rows.time_ns < none.until_ns)
    assert (walk.row_state[span] == NO_MODEL).all()
    assert np.isnan(walk.row_up[span]).all()


def test_no_window_at_all_is_an_error_that_states_why() -> None:
    rows = dataset(800)
    blind = replace(rows, x=np.full_like(rows.x, math.nan))
    with pytest.raises(
        RunError, match=r"none of the .* windows could be trained: .* finite in no row"
    ):
        _walk(blind)
    with pytest.raises(RunError, match="shorter than one training window"):
        _walk(rows, rule(step_ns=10_000_000 * HOUR_NS))
    empty = pool([bars("A", 0, 1)], [np.zeros((0, 1))], ["f"], HOUR_NS)
    with pytest.raises(RunError, match="no rows"):
        _walk(empty)


def test_rows_that_are_not_finite_are_refused_one_by_one() -> None:
    rows = dataset()
    x = rows.x.copy()
    x[1_900, 0], x[1_901, 2] = math.nan, math.inf
    walk = _walk(replace(rows, x=x))
    assert walk.row_state[1_900:1_902].tolist() == [NOT_FINITE] * 2
    assert np.isnan(walk.row_up[1_900:1_902]).all()
    up, state = walk.predict_row(int(rows.time_ns[1_900]), x[1_900])
    assert math.isnan(up)
    assert state == NOT_FINITE


def test_a_model_expires() -> None:
    rows = dataset()
    walk = _walk(rows, rule(expire_after_ns=50 * HOUR_NS))
    each = walk.models[-1]
    span = (rows.time_ns >= each.ready_ns) & (rows.time_ns < each.until_ns)
    old = rows.time_ns > each.trained_to_ns + 50 * HOUR_NS
    assert (walk.row_state[span & old] == EXPIRED).all()
    assert (walk.row_state[span & ~old] == OK).all()
    assert walk.at(each.trained_to_ns + 51 * HOUR_NS) == "expired"
    assert walk.predict_row(each.trained_to_ns + 51 * HOUR_NS, rows.x[-1])[1] == EXPIRED


def test_calibration_that_finds_no_fold_is_a_reason_not_an_error() -> None:
    from sklearn.linear_model import LogisticRegression

    each = bars("A", 700, 1)
    each.close[:] = np.concatenate([np.linspace(100, 50, 200), np.linspace(50, 90, 500)])
    rows = pool([each], [features(each, 2)], list("abc"), HOUR_NS)
    labels = make_labels(rows, LabelRule())
    made = trainer(LogisticRegression, "none", "sigmoid")
    plan, moment = rule(train_ns=900 * HOUR_NS), int(rows.time_ns[-1])
    found = fit_window(rows, made, labels, plan, seed=1, trained_to_ns=moment)
    assert found.model is None
    assert found.reason == "no calibration fold inside the window has both classes"


class _Watch:
    """Asks once for a model out of schedule."""

    def __init__(self, moment: int) -> None:
        self.moment = moment

    def first_retrain(self, walk: Walk, from_ns: int, until_ns: int) -> int | None:
        return self.moment if from_ns < self.moment < until_ns else None


def test_a_retrain_for_drift_takes_over_until_the_schedule_does() -> None:
    rows = dataset(1_500)
    plain = _walk(rows)
    between = plain.models[3].ready_ns + 40 * HOUR_NS
    walk = _walk(rows, rule(on_drift=True), drift=_Watch(between))
    extra = [m for m in walk.models if m.cause == "drift"]
    assert [m.trained_to_ns for m in extra] == [between]
    assert extra[0].until_ns == plain.models[4].ready_ns
    number = walk.models.index(extra[0])
    assert walk.models[number - 1].until_ns == extra[0].ready_ns
    span = (rows.time_ns >= extra[0].ready_ns) & (rows.time_ns < extra[0].until_ns)
    assert (walk.row_model[span] == number).all()
    assert np.array_equal(walk.row_up[~span], plain.row_up[~span], equal_nan=True)
    assert not np.array_equal(walk.row_up[span], plain.row_up[span])
    off = _walk(rows, rule(on_drift=False), drift=_Watch(between))
    assert len(off.models) == len(plain.models)


def test_progress_counts_windows() -> None:
    seen: list[tuple[int, int]] = []
    walk = _walk(
        dataset(), progress=lambda stage, done, total, text: seen.append((done, total or 0))
    )
    total = len(walk.models)
    assert seen == [(k, total) for k in range(total + 1)]


def test_a_label_of_the_future_row_is_never_used(bars_of_one: SymbolBars) -> None:
    rows = pool([bars_of_one], [features(bars_of_one, 1)], list("abc"), HOUR_NS)
    labels = make_labels(rows, LabelRule(horizon=10))
    moment = int(rows.time_ns[300])
    chosen = training_rows(rows, labels, rule(purge_ns=0), moment)
    assert labels.known_ns[chosen].max() == moment


@pytest.fixture
def bars_of_one() -> SymbolBars:
    return bars("A", 400, 9)
