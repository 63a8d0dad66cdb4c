"""Steps 3 to 5 of a rebalance by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.fidelity.positions.selection import Choice, Row
from tests.fidelity.positions.settings import Limits, Net, Portfolio
from tests.fidelity.positions.weighting import (
    budgets,
    cap_weights,
    drifted,
    limit_turnover,
    limit_weights,
    neutralise,
    scale_to_gross,
    weigh,
)

NONE: frozenset[str] = frozenset()


def near(**weights: float) -> Any:
    return pytest.approx(weights, abs=1e-12)


def weighed(portfolio: Portfolio, choice: Choice, **rows: Row) -> dict[str, float]:
    return weigh(portfolio, choice, rows)


# ------------------------------------------------------------------------------ 3 weights


def test_a_budget_is_the_slots_part_of_gross() -> None:
    assert budgets(Portfolio(long=3, short=1, gross=1.2)) == pytest.approx({1: 0.9, -1: 0.3})


def test_with_a_net_target_it_is_half_of_gross_and_target() -> None:
    portfolio = Portfolio(long=3, short=1, gross=1.2, net=Net(0.2))
    assert budgets(portfolio) == pytest.approx({1: 0.7, -1: 0.5})


def test_equal_weights_and_empty_slots_stay_cash() -> None:
    portfolio = Portfolio(long=4, gross=0.8)
    found = weighed(portfolio, Choice(long=["a", "b", "c"]), a=Row(), b=Row(), c=Row())
    assert found == near(a=0.2, b=0.2, c=0.2)  # 0.8 * 3/4, in three parts


def test_inverse_volatility() -> None:
    portfolio = Portfolio(long=2, weight={"inverse_volatility": "vol"})
    rows = {"a": Row(volatility=0.1), "b": Row(volatility=0.3)}
    assert weighed(portfolio, Choice(long=["a", "b"]), **rows) == near(a=0.75, b=0.25)


def test_score_and_a_score_of_the_wrong_sign_has_none() -> None:
    portfolio = Portfolio(long=3, short=1, weight="score", gross=1.0)
    rows = {"a": Row(by=3.0), "b": Row(by=1.0), "c": Row(by=-1.0), "d": Row(by=-2.0)}
    choice = Choice(long=["a", "b", "c"], short=["d"])
    # The long side has 0.75 for three slots, two are filled: 0.5, in parts of 3 and 1.
    assert weighed(portfolio, choice, **rows) == near(a=0.375, b=0.125, d=-0.25)
    assert choice.reasons == {"c": "wrong_sign"}


def test_rank_weights_are_n_plus_one_less_the_rank() -> None:
    portfolio = Portfolio(long=3, weight="rank", gross=0.6)
    rows = {"a": Row(by=9), "b": Row(by=8), "c": Row(by=1)}
    assert weighed(portfolio, Choice(long=["a", "b", "c"]), **rows) == near(a=0.3, b=0.2, c=0.1)


def test_a_kept_name_has_its_weight_and_the_others_their_slots() -> None:
    portfolio = Portfolio(long=2)
    found = weighed(portfolio, Choice(long=["a"], kept={"b": 0.3}), a=Row(), b=Row())
    assert found == near(a=0.5, b=0.3)


# ------------------------------------------------------------------------------ 4 caps


def test_what_is_above_the_cap_goes_to_the_others_in_proportion() -> None:
    # 0.1 too much: b and c have 0.3 and 0.2 and get 0.06 and 0.04.
    found = cap_weights({"a": 0.5, "b": 0.3, "c": 0.2}, 0.4, NONE)
    assert found == near(a=0.4, b=0.36, c=0.24)


def test_repeatedly_until_none_is_above() -> None:
    # a gives 0.3: b 0.35 * 0.3/0.4 more = 0.575 is above in turn and gives 0.175 to c.
    found = cap_weights({"a": 0.6, "b": 0.35, "c": 0.05}, 0.4, NONE)
    assert found == near(a=0.4, b=0.4, c=0.2)


def test_what_nobody_can_take_is_cash() -> None:
    assert cap_weights({"a": 0.6, "b": 0.4}, 0.4, NONE) == near(a=0.4, b=0.4)


def test_each_side_shares_its_own_excess() -> None:
    found = cap_weights({"a": 0.5, "b": 0.1, "c": -0.3, "d": -0.1}, 0.25, NONE)
    assert found == near(a=0.25, b=0.25, c=-0.25, d=-0.15)


def test_limits_act_over_all_weights() -> None:
    limits = Limits(position=0.4, groups={"x": (("a", "b"), 0.5)}, gross=0.6)
    # a to 0.4; a and b to 0.5 together (a 1/3, b 1/6); all to 0.6 of 0.8: times 3/4.
    found = limit_weights({"a": 0.6, "b": 0.2, "c": -0.3}, limits, NONE)
    assert found == near(a=0.25, b=0.125, c=-0.225)


def test_names_whose_units_stay_are_counted_and_not_scaled() -> None:
    found = limit_weights({"a": 0.6, "b": 0.6}, Limits(), frozenset({"a"}))
    assert found == near(a=0.6, b=0.4)


def test_the_larger_side_is_scaled_to_the_net_target() -> None:
    found = neutralise({"a": 0.4, "b": 0.2, "c": -0.3}, Net(0.0), {}, NONE)
    assert found == near(a=0.2, b=0.1, c=-0.3)
    found = neutralise({"a": 0.4, "c": -0.3}, Net(0.2), {}, NONE)
    assert found == near(a=0.4, c=-0.2)


def test_with_beta_the_sides_are_sums_of_weight_times_beta() -> None:
    betas = {"a": 2.0, "b": 0.5}
    # 0.4 * 2 = 0.8 against 0.4 * 0.5 = 0.2: the long side to a quarter.
    assert neutralise({"a": 0.4, "b": -0.4}, Net(0.0, "beta"), betas, NONE) == near(a=0.1, b=-0.4)


def test_without_a_net_target_nothing_is_scaled() -> None:
    assert neutralise({"a": 0.4}, None, {}, NONE) == near(a=0.4)


def test_a_sum_above_gross_is_scaled_down() -> None:
    weights = {"a": 0.9, "b": -0.6}
    assert scale_to_gross(weights, 1.0, NONE)
    assert weights == near(a=0.6, b=-0.4)
    assert not scale_to_gross(weights, 1.0, NONE)


# ------------------------------------------------------------------------------ 5 turnover


def test_previous_targets_drift_with_prices() -> None:
    # 0.5 doubles, 0.3 falls by half, 0.2 is cash: 1.0 + 0.15 + 0.2 = 1.35.
    found = drifted({"a": 0.5, "b": 0.3}, {"a": 10.0, "b": 10.0}, {"a": 20.0, "b": 5.0})
    assert found == near(a=1.0 / 1.35, b=0.15 / 1.35)


def test_a_short_target_drifts_against_its_price() -> None:
    # Equity 1 - 0.5 * 0.2 = 0.9; the short is 0.6 of it.
    found = drifted({"a": -0.5}, {"a": 10.0}, {"a": 12.0})
    assert found == near(a=-0.6 / 0.9)


def test_turnover_counts_buys_and_sells_and_one_factor_scales_every_change() -> None:
    start = {"a": 0.5, "b": 0.5}
    turned = limit_turnover({"b": 0.5, "c": 0.5}, start, 0.4)
    assert turned.asked == pytest.approx(1.0)
    assert turned.factor == pytest.approx(0.4)
    assert turned.weights == near(a=0.3, b=0.5, c=0.2)


def test_turnover_within_the_maximum_is_left_alone() -> None:
    turned = limit_turnover({"a": 0.3}, {"b": 0.2}, 0.5)
    assert (turned.factor, turned.weights) == (1.0, near(a=0.3, b=0.0))
    assert math.isclose(turned.asked, 0.5)
