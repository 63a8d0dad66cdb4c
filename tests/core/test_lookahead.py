"""Nothing up to a time depends on what comes after it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._data.bars import SeriesTable
from tests.core import drawn_cases
from tests.core.compare import tables_of
from tests.core.markets import made_series, two_markets
from tests.core.settings import HOUR, START
from tests.core.shapes import body_of, plainest, written
from tests.core.table_comparison import same_bits
from tests.core.world import Ran, run_core, session_of, session_of_text
from tests.scale import examples

FEATURES = written(plainest(body_of("everywhere")), "features")


def head_of(series: SeriesTable, until_ns: int) -> SeriesTable:
    n = int(np.searchsorted(series.known_ns, until_ns, side="right"))
    return SeriesTable(
        series.name, series.stamp_ns[:n], series.known_ns[:n], series.value[:n], series.max_age_ns
    )


def assert_same_past(whole: Ran, part: Ran, until_ns: int) -> None:
    """Features, decisions, orders, fills, trades and equity up to a time are those of the whole."""
    for k, n in enumerate(part.session.aligned.lengths):
        for row in range(part.session.plan.assembly.decision_row):
            a, b = whole.batch.F[k, row, :n].copy(), part.batch.F[k, row, :n].copy()
            assert same_bits(a, b).all(), f"row {row} of symbol {k} saw the future"
    theirs, ours = tables_of(part), tables_of(whole)
    for name in ("decisions", "curve", "halts"):
        past = [row for row in ours[name] if row[0] <= until_ns]
        assert repr(past) == repr(theirs[name]), f"{name} depend on what came after"
    for name, at in (("orders", 0), ("ended", 0), ("fills", 0), ("trades", 4)):
        # what happens at the instant itself may belong to the bar that opens there
        past, rows = ([r for r in each[name] if r[at] < until_ns] for each in (ours, theirs))
        assert repr(past) == repr(rows), f"{name} depend on what came after"


@given(st.data())
@settings(max_examples=examples(24))
def test_truncating_the_data_changes_no_decision_before(data):
    s = data.draw(drawn_cases.settings())
    bars = data.draw(drawn_cases.markets(s))
    until = START + HOUR * data.draw(st.integers(30, 100))
    whole = run_core(session_of(s, bars))
    part = run_core(session_of(s, [each.head(until) for each in bars]))
    assert_same_past(whole, part, until)


@given(st.integers(0, 2**20), st.integers(60, 170))
@settings(max_examples=examples(16))
def test_truncating_the_data_changes_no_feature_before(seed, hours):
    until = START + HOUR * hours
    bars, series = two_markets(seed, 180), made_series()
    whole = run_core(session_of_text(FEATURES, bars, 40, series))
    head = {"mood": head_of(series["mood"], until)}
    part = run_core(session_of_text(FEATURES, [b.head(until) for b in bars], 40, head))
    assert_same_past(whole, part, until)


def test_the_check_itself_sees_a_feature_that_looks_ahead():
    bars = two_markets(1, 120)
    whole = run_core(session_of_text(FEATURES, bars, 40, made_series()))
    part = run_core(session_of_text(FEATURES, [b.head(START + 80 * HOUR) for b in bars], 40,
                                    made_series()))  # fmt: skip
    part.batch.F[0, 0, 60] = 0.0
    with pytest.raises(AssertionError, match="saw the future"):
        assert_same_past(whole, part, START + 80 * HOUR)
