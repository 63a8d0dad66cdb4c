"""Labels against a plain twin, one row at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._learn.dataset import Dataset, SymbolBars, pool, segments
from septet._learn.labels import NEVER_NS, LabelRule, make_labels
from tests.learn.sample import HOUR_NS, bars, dataset, features
from tests.scale import examples


def _twin(each: SymbolBars, t: int, rule: LabelRule, width: float) -> tuple[float, int]:
    """Label of bar t and when it is known, straight from the words of the rule."""
    n, h = len(each), rule.horizon
    if rule.use == "triple_barrier":
        return _barriers(each, t, rule, width)
    if t + h >= n or each.segment[t + h] != each.segment[t]:
        return math.nan, NEVER_NS
    if rule.use == "direction":
        up = each.close[t + h] > each.close[t]
    else:
        up = each.close[t + h] / each.close[t] - 1.0 > rule.threshold
    return float(up), int(each.known_ns[t + h])


def _barriers(each: SymbolBars, t: int, rule: LabelRule, width: float) -> tuple[float, int]:
    n, h = len(each), rule.horizon
    top = each.close[t] * (1.0 + rule.upper * width)
    bottom = each.close[t] * (1.0 - rule.lower * width)
    if not top > bottom:
        return math.nan, NEVER_NS
    for j in range(t + 1, min(t + h, n - 1) + 1):
        if each.segment[j] != each.segment[t]:
            return math.nan, NEVER_NS
        when = int(each.known_ns[j])
        if each.open[j] >= top:
            return 1.0, when
        if each.low[j] <= bottom:
            return 0.0, when
        if each.high[j] >= top:
            return 1.0, when
        if j == t + h:
            return float(each.close[j] > each.close[t]), when
    return math.nan, NEVER_NS


_RULES = st.one_of(
    st.builds(LabelRule, use=st.just("direction"), horizon=st.integers(1, 7)),
    st.builds(
        LabelRule, use=st.just("threshold"), horizon=st.integers(1, 4),
        threshold=st.floats(0.0, 0.03),
    ),
    st.builds(
        LabelRule, use=st.just("triple_barrier"), horizon=st.integers(1, 12),
        upper=st.floats(0.001, 0.05), lower=st.floats(0.001, 0.05),
        volatility=st.sampled_from([None, "width"]),
    ),
)  # fmt: skip


def _wide(seed: int, gap_at: int) -> tuple[Dataset, list[np.ndarray]]:
    tables = [bars("A", 60, seed, gap_at), bars("B", 50, seed + 1)]
    chance = np.random.default_rng(seed)
    widths = np.array([0.5, 1.0, 2.0, 0.0, math.nan])
    columns = [chance.choice(widths, size=(len(t), 1)) for t in tables]
    return pool(tables, columns, ["width"], HOUR_NS), columns


@given(rule=_RULES, seed=st.integers(0, 1_000), gap_at=st.integers(1, 59))
@settings(max_examples=examples(60))
def test_labels_are_the_plain_twin(rule: LabelRule, seed: int, gap_at: int) -> None:
    rows, columns = _wide(seed, gap_at)
    labels = make_labels(rows, rule)
    for number in range(len(rows)):
        which, t = int(rows.symbol[number]), int(rows.row[number])
        width = columns[which][t, 0] if rule.volatility else 1.0
        value, known = _twin(rows.bars[which], t, rule, width)
        assert labels.known_ns[number] == known
        assert labels.value[number] == value or math.isnan(value)
        assert math.isnan(value) == math.isnan(labels.value[number])
        assert known > rows.time_ns[number]


def test_a_tie_is_down() -> None:
    flat = bars("A", 10, 1)
    flat.close[:] = 100.0
    rows = pool([flat], [np.zeros((10, 1))], ["f"], HOUR_NS)
    assert make_labels(rows, LabelRule()).value[:-1].tolist() == [0.0] * 9


def test_a_bar_that_touches_both_barriers_is_down() -> None:
    each = bars("A", 4, 1)
    each.open[:], each.close[:], each.high[:], each.low[:] = 100.0, 100.0, 104.0, 96.0
    rows = pool([each], [np.zeros((4, 1))], ["f"], HOUR_NS)
    labels = make_labels(rows, LabelRule("triple_barrier", 2, upper=0.03, lower=0.03))
    assert labels.value[0] == 0.0
    each.open[1] = 103.5
    labels = make_labels(rows, LabelRule("triple_barrier", 2, upper=0.03, lower=0.03))
    assert labels.value[0] == 1.0


def test_rows_are_in_order_of_time_then_universe() -> None:
    first, second = bars("A", 5, 1), bars("B", 5, 2)
    rows = pool([first, second], [features(first, 1), features(second, 2)], list("abc"), HOUR_NS)
    assert rows.symbol.tolist() == [0, 1] * 5
    assert (np.diff(rows.time_ns) >= 0).all()
    assert rows.x.flags.c_contiguous
    back = rows.scatter(rows.time_ns)
    assert back[1].tolist() == second.known_ns.tolist()


def test_a_gap_starts_a_segment_only_beyond_reset_after() -> None:
    open_ns = np.array([0, 1, 2, 27, 53, 54], dtype=np.int64) * HOUR_NS
    assert segments(open_ns, HOUR_NS).tolist() == [0, 0, 0, 0, 1, 1]
    assert segments(open_ns, HOUR_NS, reset_after=25).tolist() == [0] * 6


def test_what_cannot_be_labelled_is_reported() -> None:
    with pytest.raises(ValueError, match="horizon is 1 bar or more, found 0"):
        make_labels(dataset(50), LabelRule(horizon=0))
    with pytest.raises(ValueError, match="'vol' is none of the features: ret, hint, noise"):
        make_labels(dataset(50), LabelRule("triple_barrier", volatility="vol"))
    one = bars("A", 5, 1)
    with pytest.raises(ValueError, match=r"expected features of shape \(5, 2\)"):
        pool([one], [np.zeros((5, 3))], ["a", "b"], HOUR_NS)
