"""The comparison itself: whatever differs is found, and named with its field, place and time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from septet._kernel import layout
from tests.core.paths import Left, by_batch, plainly
from tests.core.properties import session_of_body
from tests.core.table_comparison import assert_same, first_difference, same_bits


def _left() -> Left:
    return by_batch(plainly(session_of_body("pair")))


@pytest.fixture(scope="module")
def whole() -> Left:
    return _left()


def _row(left: Left, kind: int) -> int:
    return int(left.outcome.rows(kind)[2])


def test_equal_runs_are_equal(whole):
    assert first_difference(whole, _left()) is None


def test_the_last_bit_of_a_fill_is_seen(whole):
    other = _left()
    row = _row(other, layout.FILL)
    other.outcome.LF[row, 1] = math.nextafter(other.outcome.LF[row, 1], math.inf)
    reported = first_difference(whole, other)
    assert reported is not None
    assert reported.startswith(f"price of log row {row}, a fill at 2021-01-")


def test_minus_zero_is_not_zero():
    assert not same_bits(np.array([0.0]), np.array([-0.0])).any()
    assert same_bits(np.array([math.nan]), np.array([-math.nan])).all()


def test_another_reason_is_reported_by_its_name(whole):
    other = _left()
    row = _row(other, layout.STATUS)
    reasons = list(other.session.plan.assembly.reasons)
    other.outcome.LI[row, 5] = reasons.index("no_market")
    reported = first_difference(whole, other)
    assert reported is not None
    assert "'no_market'" in reported
    assert reported.startswith(f"reason of log row {row}, a status")


def test_a_row_that_is_missing_is_reported(whole):
    other = _left()
    other.path = "the shorter"
    other.outcome.LI, other.outcome.LF = other.outcome.LI[:-1], other.outcome.LF[:-1]
    reported = first_difference(whole, other)
    assert reported is not None
    assert "is only in batch" in reported


@pytest.mark.parametrize("field", ["equity", "cash", "exposure"])
def test_the_curve_is_compared(whole, field):
    other = _left()
    row = {"equity": layout.G_EQUITY, "cash": layout.G_CASH, "exposure": layout.G_EXPOSURE}[field]
    other.outcome.G[row, 123] += 1.0
    reported = first_difference(whole, other)
    assert reported is not None
    assert reported.startswith(f"{field} of the curve at 2021-01-06T04:00")


def test_the_earliest_difference_is_reported(whole):
    other = _left()
    other.outcome.G[layout.G_CASH, 200] += 1.0
    other.outcome.F[1, other.session.plan.assembly.features["mean"], 90] += 1.0
    reported = first_difference(whole, other)
    assert reported is not None
    assert reported.startswith("mean of BBB/USDT at 2021-01-04T19:00")


def test_what_only_the_state_shows_is_compared(whole):
    other = _left()
    other.outcome.state.I[1, layout.SINCE_ENTRY] += 1
    with pytest.raises(AssertionError, match=r"state I\[1, 5\]"):
        assert_same(whole, other)
