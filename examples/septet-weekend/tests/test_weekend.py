"""The package's own tests: the rules as plain functions, then septet's conformance checks."""

import math

import numpy as np
import pytest

from septet.testing import check_component, check_rule
from septet_weekend.features import WeekToDate, week_to_date
from septet_weekend.limits import WeekendCap, is_weekend, weekend_cap

HOUR_NS = 3_600_000_000_000
MONDAY_NS = 4 * 24 * HOUR_NS  # 1970-01-05, the first Monday


def follow(prices: list[float], week: list[float]) -> list[float]:
    """Feed bars one by one, as septet does."""
    of, state = np.array(prices), np.zeros(2)
    numbers = np.array(week)
    return [week_to_date(i, of, numbers, state) for i in range(len(of))]


def test_a_week_begins_at_zero() -> None:
    answers = follow([100.0, 102.0, 99.0, 200.0, 210.0], [1.0, 1.0, 1.0, 2.0, 2.0])
    assert answers == pytest.approx([0.0, 0.02, -0.01, 0.0, 0.05])


def test_a_missing_price_is_missing_once() -> None:
    answers = follow([math.nan, 100.0, math.nan, 110.0], [1.0] * 4)
    assert math.isnan(answers[0])
    assert math.isnan(answers[2])
    assert [answers[1], answers[3]] == pytest.approx([0.0, 0.1])


def test_the_weekend_is_two_days() -> None:
    hours = [is_weekend(MONDAY_NS + hour * HOUR_NS) for hour in range(7 * 24)]
    assert hours == [False] * (5 * 24) + [True] * (2 * 24)


def allowed(day: int, *, requested: float = 10.0, notional: float = 0.0) -> float:
    """Ask the limit on a day of the week (0 is Monday): equity 1000, price 10, at most 5 %."""
    now_ns = MONDAY_NS + day * 24 * HOUR_NS
    answer: float = weekend_cap(requested, 10.0, 1_000.0, notional, now_ns, WeekendCap().max)
    return answer


def test_a_working_day_is_not_limited() -> None:
    assert allowed(4) == 10.0
    assert allowed(4, requested=-10.0) == 10.0


@pytest.mark.parametrize("day", [5, 6])
def test_a_weekend_allows_what_is_left_of_the_share(day: int) -> None:
    assert allowed(day) == pytest.approx(5.0)
    assert allowed(day, notional=20.0) == pytest.approx(3.0)
    assert allowed(day, notional=-20.0) == pytest.approx(3.0)
    assert allowed(day, notional=80.0) == 0.0


def test_settings_read_percent() -> None:
    assert WeekendCap(max="7%").max == pytest.approx(0.07)
    assert WeekToDate().of == "close"


def test_the_feature_conforms() -> None:
    check_component(week_to_date, WeekToDate())


def test_the_limit_conforms() -> None:
    check_rule(weekend_cap, WeekendCap())
