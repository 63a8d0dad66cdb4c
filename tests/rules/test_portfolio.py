"""A rebalance step by step, in numbers small enough to check by head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._kernel import layout
from septet._kernel.layout import BELOW_RANK, KEEPS_UNITS, KEEPS_WEIGHT
from septet._rules import bars, ranking, rebalance, step, weighting
from septet._rules.run_state import Run
from septet._rules.settings import (
    R_BELOW_RANK,
    R_CASH,
    R_DRIFT,
    R_HALTED,
    R_INCREASE,
    R_LATE,
    R_NET_TARGET,
    R_QUORUM,
    R_REBALANCE,
    R_TOO_SMALL,
    R_WRONG_SIGN,
)
from tests.rules.small_run import rows, run_of, set_to, values

NAN = math.nan


def weighed(symbols: int) -> Run:
    """Return a run of several symbols at a price of 100, with 1,000 of cash."""
    return run_of(symbols=symbols, weighs=1)


def settings(run: Run, by: Sequence[float], **more: Any) -> dict[str, Any]:
    row = layout.ROW + len(run.units)
    base = {"PORTFOLIO": True, "ONE_SYMBOL": False, "SYMBOLS": len(by), "MEMBERS_ROW": row}
    return {**base, "value_of_rank": values(*by), **more}


def chosen(run: Run, by: Sequence[float], **more: Any) -> list[int]:
    """Choose at bar 1; return the role of each symbol."""
    with set_to(**settings(run, by, **more)):
        ranking.choose(1, run)
    return [int(each) for each in run.role]


# ---------------------------------------------------------------- 1 and 2


def test_the_best_are_chosen_and_ties_stand_in_universe_order() -> None:
    assert chosen(weighed(4), (1.0, 3.0, 2.0, 3.0), LONG_SLOTS=2) == [4, 1, 4, 1]
    assert chosen(weighed(3), (2.0, 2.0, 2.0), LONG_SLOTS=1) == [1, 4, 4]


def test_shorts_count_from_the_other_end() -> None:
    roles = chosen(weighed(4), (1.0, 3.0, 2.0, 1.0), SHORTS=True, SHORT_SLOTS=1, SPOT=False)
    assert roles == [4, 1, 4, -1]  # of two equal ones the last is the worst


@pytest.mark.parametrize(("hold_rank", "roles"), [(0, [1, 4, 4]), (2, [1, 4, 4]), (3, [4, 4, 1])])
def test_a_held_name_stays_while_its_rank_is_good_enough(hold_rank: int, roles: list[int]) -> None:
    run = weighed(3)
    run.target_weight[2] = 0.5
    assert chosen(run, (3.0, 2.0, 1.0), LONG_SLOTS=1, HOLD_RANK=hold_rank) == roles


def test_a_held_name_without_a_rank_or_a_bar_keeps_weight_and_slot() -> None:
    run = weighed(3)
    run.target_weight[:2] = 0.4, 0.3
    run.bar[1, 1] = -1
    assert chosen(run, (NAN, 5.0, 9.0), LONG_SLOTS=2) == [KEEPS_WEIGHT, KEEPS_WEIGHT, BELOW_RANK]
    assert list(run.new_weight) == [0.4, 0.3, 0.0]


@pytest.mark.parametrize(("where", "held", "role"), [(0.0, 0.5, 0), (NAN, 0.5, 1), (NAN, 0.0, 0)])
def test_an_unknown_condition_ranks_only_what_is_held(where: float, held: float, role: int) -> None:
    run = weighed(1)
    run.target_weight[0] = held
    assert chosen(run, (1.0,), may_be_long=values(where)) == [role]


TWO_SIDES: dict[str, Any] = {"SHORT_SLOTS": 1, "SHORTS": True, "SPOT": False}


@pytest.mark.parametrize(
    ("where", "held", "roles"),
    [
        (NAN, 0.5, [1, -1]),
        (NAN, -0.5, [-1, 1]),
        (NAN, 0.0, [0, BELOW_RANK]),  # one is ranked, which is too few for two sides
        (0.0, 0.5, [0, BELOW_RANK]),
    ],
)
def test_an_unknown_condition_of_either_side_ranks_what_is_held_on_it(
    where: float, held: float, roles: list[int]
) -> None:
    run = weighed(2)
    run.target_weight[0] = held
    conditions = {"may_be_long": values(where, 1.0), "may_be_short": values(where, 1.0)}
    assert chosen(run, (3.0, 2.0), LONG_SLOTS=1, **TWO_SIDES, **conditions) == roles


@pytest.mark.parametrize(("where", "role"), [(NAN, KEEPS_WEIGHT), (1.0, KEEPS_WEIGHT), (0.0, 0)])
def test_a_false_condition_alone_ends_what_a_missing_rank_would_keep(
    where: float, role: int
) -> None:
    run = weighed(1)
    run.target_weight[0] = 0.5
    assert chosen(run, (NAN,), may_be_long=values(where)) == [role]


@pytest.mark.parametrize(("hold_rank", "roles"), [(2, [1, -1, 1]), (0, [1, 1, -1])])
def test_held_names_of_both_sides_come_before_others_of_either(
    hold_rank: int, roles: list[int]
) -> None:
    run = weighed(3)
    run.target_weight[1] = -0.5
    more = {"LONG_SLOTS": 2, "HOLD_RANK": hold_rank, **TWO_SIDES}
    assert chosen(run, (3.0, 2.0, 1.0), **more) == roles


def test_held_means_held_on_that_side() -> None:
    run = weighed(3)
    run.target_weight[:] = -0.5, 0.0, 0.5
    roles = chosen(run, (3.0, 2.0, 1.0), LONG_SLOTS=1, HOLD_RANK=3, **TWO_SIDES)
    assert roles == [-1, BELOW_RANK, 1]


def test_of_equal_names_the_later_one_is_shorted_first_unless_one_is_held() -> None:
    more = {"LONG_SLOTS": 0, "HOLD_RANK": 2, **TWO_SIDES}
    assert chosen(weighed(3), (1.0, 1.0, 2.0), **more) == [BELOW_RANK, -1, BELOW_RANK]
    run = weighed(3)
    run.target_weight[0] = -0.5
    assert chosen(run, (1.0, 1.0, 2.0), **more) == [-1, BELOW_RANK, BELOW_RANK]


def test_fewer_ranked_than_both_sides_need_shrink_both() -> None:
    more = {"LONG_SLOTS": 2, "SHORT_SLOTS": 2, "SHORTS": True, "SPOT": False}
    assert chosen(weighed(3), (3.0, 2.0, 1.0), **more) == [1, 4, -1]


def _by_hand(by: list[int], held: list[int], slots: tuple[int, int], hold_rank: int) -> list[int]:
    """Choose from lists of all names, without a bound on how many ranks are looked at."""
    best = sorted(range(len(by)), key=lambda k: (-by[k], k))
    lists, roles = {1: best, -1: best[::-1]}, [int(BELOW_RANK)] * len(by)
    need = sum(slots)
    room = [each * min(len(by), need) // need for each in slots]
    free = dict(zip((1, -1), room, strict=True))
    for side, names in lists.items():
        for k in names[:hold_rank]:
            if free[side] and roles[k] == BELOW_RANK and held[k] == side:
                roles[k], free[side] = side, free[side] - 1
    for side, names in lists.items():
        for k in names:
            if free[side] and roles[k] == BELOW_RANK:
                roles[k], free[side] = side, free[side] - 1
    return roles


@given(st.data())
def test_as_many_ranks_are_kept_as_a_choice_looks_at(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 14))
    by = data.draw(st.lists(st.integers(-3, 3), min_size=count, max_size=count))
    held = data.draw(st.lists(st.sampled_from((-1, 0, 1)), min_size=count, max_size=count))
    slots = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    hold_rank = data.draw(st.integers(0, 8))
    run = weighed(count)
    run.target_weight[:] = [0.1 * each for each in held]
    roles = chosen(
        run, [float(each) for each in by], LONG_SLOTS=slots[0], SHORT_SLOTS=slots[1],
        HOLD_RANK=hold_rank, SHORTS=True, SPOT=False,
    )  # fmt: skip
    assert roles == _by_hand(by, held, slots, hold_rank)


# ---------------------------------------------------------------- 3 to 5


def found(run: Run, by: Sequence[float], **more: Any) -> list[float]:
    """Find the weights at bar 1."""
    run.mark[:] = 100.0
    run.target_close[:] = 100.0
    with set_to(**settings(run, by, **more)):
        weighting.find_weights(1, run)
    return [round(float(each), 12) for each in run.new_weight]


@pytest.mark.parametrize(
    ("weight_by", "weights"),
    [
        ("equal", [0.5, 0.5, 0.0]),
        ("score", [0.75, 0.25, 0.0]),
        ("rank", [0.666666666667, 0.333333333333, 0.0]),
        ("inverse_volatility", [0.2, 0.8, 0.0]),
    ],
)
def test_weights_within_a_side(weight_by: str, weights: list[float]) -> None:
    more = {"LONG_SLOTS": 2, "WEIGHT_BY": weight_by, "volatility_at": values(0.4, 0.1, 0.1)}
    assert found(weighed(3), (3.0, 1.0, 0.5), **more) == weights


def test_a_score_of_the_wrong_sign_leaves_its_slot_empty() -> None:
    run = weighed(3)
    more = {"LONG_SLOTS": 2, "WEIGHT_BY": "score", "TABLES": True, "PORTFOLIO_USE": "top"}
    assert found(run, (2.0, -1.0, -2.0), **more) == [0.5, 0.0, 0.0]
    with set_to(**settings(run, (2.0, -1.0, -2.0), **more)):
        for k in range(3):
            rebalance.explain_weight(k, 1, 1.0, run)
    assert [int(each) for each in run.rejected_code[:, 1]] == [0, R_WRONG_SIGN + 1, 0]


def test_a_weight_that_the_net_target_scales_to_zero_is_named_so() -> None:
    """The long side is limited to 15 %, and the target is 20 %: nothing of the shorts is left."""
    run = weighed(3)
    more = {
        "LONG_SLOTS": 1, "SHORT_SLOTS": 2, "SHORTS": True, "SPOT": False, "WEIGHT_BY": "score",
        "TABLES": True, "PORTFOLIO_USE": "top", "HAS_NET": True, "NET_TARGET": 0.2, "GROSS": 0.6,
        "LIMITS_POSITION": True, "POSITION_LIMIT": 0.15,
    }  # fmt: skip
    assert found(run, (3.0, -1.0, -3.0), **more) == [0.15, 0.0, 0.0]
    with set_to(**settings(run, (3.0, -1.0, -3.0), **more)):
        for k in range(3):
            rebalance.explain_weight(k, 1, 1.0, run)
    assert [int(each) for each in run.rejected_code[:, 1]] == [0, *[R_NET_TARGET + 1] * 2]


def test_a_net_target_divides_the_budget() -> None:
    more = {"SHORTS": True, "SHORT_SLOTS": 1, "SPOT": False, "HAS_NET": True, "NET_TARGET": 0.2}
    assert found(weighed(2), (2.0, 1.0), **more) == [0.6, -0.4]


def test_the_excess_above_the_cap_goes_to_the_others_and_the_rest_is_cash() -> None:
    more = {"LONG_SLOTS": 3, "WEIGHT_BY": "score", "CAPS_WEIGHT": True}
    assert found(weighed(3), (8.0, 1.0, 1.0), MAX_WEIGHT=0.4, **more) == [0.4, 0.3, 0.3]
    assert found(weighed(3), (8.0, 1.0, 1.0), MAX_WEIGHT=0.2, **more) == [0.2, 0.2, 0.2]


def test_limits_hold_over_all_weights() -> None:
    more = {"LONG_SLOTS": 2, "LIMITS_POSITION": True, "LIMITS_GROSS": True}
    assert found(weighed(2), (2.0, 1.0), POSITION_LIMIT=0.4, GROSS_LIMIT=2.0, **more) == [0.4, 0.4]
    assert found(weighed(2), (2.0, 1.0), POSITION_LIMIT=2.0, GROSS_LIMIT=0.5, **more) == [
        0.25, 0.25,
    ]  # fmt: skip


def test_one_factor_scales_every_change_beyond_the_turnover() -> None:
    run = weighed(2)
    run.target_weight[:] = 0.0, 1.0
    # From (0, 1) to (1, 0) is 2; half of it is let through.
    assert found(run, (2.0, 1.0), CAPS_TURNOVER=True, MAX_TURNOVER=1.0) == [0.5, 0.5]


def test_given_weights_keep_units_close_and_are_scaled_to_gross() -> None:
    run = weighed(3)
    run.target_weight[:] = 0.5, 0.2, 0.0
    more = {"PORTFOLIO_USE": "weights", "given_weight": values(NAN, 0.0, 1.0), "GROSS": 0.8}
    assert found(run, (0.0, 0.0, 0.0), **more) == [0.5, 0.0, 0.3]
    assert [int(each) for each in run.role] == [KEEPS_UNITS, 0, 1]


def test_previous_weights_drift_with_prices() -> None:
    run = weighed(2)
    run.target_weight[:], run.target_close[:], run.mark[:] = (0.5, 0.25), 100.0, (120.0, 100.0)
    with set_to(SYMBOLS=2):
        weighting.drift_weights(run)
    assert list(run.drifted_weight) == pytest.approx([0.6 / 1.1, 0.25 / 1.1])


def test_what_is_kept_counts_with_its_last_known_beta() -> None:
    run = weighed(2)
    more = {
        "PORTFOLIO_USE": "weights", "HAS_NET": True, "HAS_BETA": True, "NET_TARGET": 0.0,
        "GROSS": 2.0, "SPOT": False,
    }  # fmt: skip
    first = more | {"given_weight": values(0.5, -0.5), "beta_at": values(1.0, 1.0)}
    assert found(run, (0.0, 0.0), **first) == [0.5, -0.5]
    run.target_weight[:] = 0.5, -0.5
    # The short side has no beta now: it keeps its units and counts with the beta of before.
    again = more | {"given_weight": values(0.8, -0.8), "beta_at": values(1.0, NAN)}
    assert found(run, (0.0, 0.0), **again) == [0.5, -0.5]
    assert int(run.role[1]) == KEEPS_UNITS


# ---------------------------------------------------------------- 6 to 8, and when


def made(run: Run, weights: Sequence[float], **more: Any) -> list[tuple[int, float, int]]:
    """Rebalance to given weights at bar 1; return symbol, units and reason of the orders."""
    given = {
        "PORTFOLIO_USE": "weights", "given_weight": values(*weights), "GROSS": 9.0,
        "PORTFOLIO_SLOT": layout.C_SLOTS,
    }  # fmt: skip
    first = int(run.log_rows)
    with set_to(**settings(run, weights, **{**given, **more})):
        rebalance.rebalance(1, 120, run)
    log = range(first, int(run.log_rows))
    return [
        (int(run.LI[row, 2]), float(run.LF[row, 0]), int(run.LI[row, 5]))
        for row in log
        if run.LI[row, 0] == layout.ORDER
    ]


def held(run: Run, *units: float) -> None:
    """Let the run hold so many units of each symbol at 100, paid from its 1,000."""
    run.units[:] = units
    run.open_side[:] = np.sign(units)
    run.average_price[:] = 100.0
    run.cash = 1_000.0 - 100.0 * sum(units)


def test_reductions_go_before_increases_and_these_from_the_largest_gap() -> None:
    run = weighed(3)
    held(run, 0.0, 0.0, 8.0)
    assert made(run, (0.2, 0.5, 0.3)) == [
        (2, -5.0, R_REBALANCE), (1, 5.0, R_INCREASE), (0, 2.0, R_INCREASE),
    ]  # fmt: skip
    assert list(run.target_weight) == [0.2, 0.5, 0.3]
    assert [int(each) for each in run.increased[:2]] == [1, 0]


@pytest.mark.parametrize("in_steps", [False, True], ids=["whole", "in steps"])
def test_the_largest_increase_fills_first_where_cash_falls_short(in_steps: bool) -> None:
    run = weighed(2)
    made(run, (0.2, 0.7))
    run.cash = 750.0
    run.bar[:] = np.arange(4)
    run.active_symbol[:] = (0, 1)
    several = {"PORTFOLIO": True, "PORTFOLIO_SLOT": layout.C_SLOTS, "ONE_SYMBOL": False}
    with set_to(**several, SYMBOLS=2, STEPS=in_steps):
        bars.match_bar(2, 180, 2, run)
    assert list(run.units) == [0.0, 7.0]


def test_smaller_differences_than_the_drift_are_not_traded() -> None:
    run = weighed(2)
    held(run, 5.0, 0.0)
    assert made(run, (0.52, 0.01), DRIFT=0.03) == []  # an opening of less than a lot is too small
    assert run.rejected_code[0, 1] == R_DRIFT + 1
    assert made(run, (0.53, 0.0), DRIFT=0.03, TO_EDGE=True) == []
    assert made(run, (0.65, 0.0), DRIFT=0.03, TO_EDGE=True) == [(0, 1.0, R_INCREASE)]


def test_a_weight_of_zero_sells_all_and_what_is_too_small_is_tried_again() -> None:
    run = weighed(2)
    held(run, 5.0, 2.0)
    run.min_notional[1] = 300.0
    assert made(run, (0.0, 0.0)) == [(0, -5.0, R_REBALANCE)]
    assert list(run.exit_to_retry) == [0, R_REBALANCE + 1]


def test_a_reduction_below_the_minimum_notional_is_not_remembered() -> None:
    run = weighed(1)
    held(run, 5.0)
    run.min_notional[0] = 300.0
    with set_to(ONE_SYMBOL=True):
        assert made(run, (0.3,)) == []
    assert (run.rejected_code[0, 1], run.exit_to_retry[0]) == (R_TOO_SMALL + 1, 0)


@pytest.mark.parametrize("weight", [0.45, 0.55], ids=["reduction", "increase"])
@pytest.mark.parametrize(
    ("lot", "least", "fewest"), [(1.0, 0.0, 0.0), (0.01, 60.0, 0.0), (0.01, 0.0, 0.6)],
    ids=["lot", "notional", "quantity"],
)  # fmt: skip
def test_a_change_below_a_minimum_is_too_small(
    weight: float, lot: float, least: float, fewest: float
) -> None:
    run = weighed(1)
    held(run, 5.0)
    run.lot[0], run.min_notional[0] = lot * run.scale[0], least
    run.min_units[0] = fewest * run.scale[0]
    with set_to(ONE_SYMBOL=True):
        assert made(run, (weight,)) == []
    assert run.rejected_code[0, 1] == R_TOO_SMALL + 1


def test_an_increase_of_an_earlier_rebalance_is_replaced() -> None:
    run = weighed(2)
    made(run, (0.5, 0.0))
    assert made(run, (0.0, 0.5)) == [(1, 5.0, R_INCREASE)]
    assert rows(run, layout.STATUS) == [(0, layout.STATUS_CANCELLED, R_INCREASE)]


def test_a_part_of_an_earlier_reduction_is_made_up_for_when_it_was_due() -> None:
    run = weighed(1)
    held(run, 8.0)
    made(run, (0.5,), LATENCY_NS=500)
    run.active_ns[0] = 130
    assert made(run, (0.4,), LATENCY_NS=500) == [(0, -4.0, R_REBALANCE)]
    assert run.active_ns[0] == 130


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"blocked": 1}, R_HALTED),
        ({"is_late": 1}, R_LATE),
        ({"equity": 0.0}, R_CASH),
        ({}, R_QUORUM),
    ],
)
def test_what_cannot_act_whole_waits(state: dict[str, Any], reason: int) -> None:
    run = weighed(2)
    run.mark[:] = 100.0
    run.bar[1, 1] = -1 if reason == R_QUORUM else 1
    run.C[layout.C_SLOTS + layout.REBALANCE_DUE] = 1
    for name, value in state.items():
        setattr(run, name, value)
    assert made(run, (0.5, 0.5)) == []
    assert rows(run, layout.REBALANCE) == [(-1, reason, 0)]
    assert run.C[layout.C_SLOTS + layout.REBALANCE_DUE] == 1


def test_a_symbol_that_is_no_member_is_not_missing() -> None:
    run = weighed(2)
    run.mark[1] = 0.0
    run.bar[1, 1] = -1
    run.T[layout.ROW + 2, 1] = 1
    assert made(run, (0.5, 0.0)) == [(0, 5.0, R_INCREASE)]


def test_a_name_that_is_dropped_states_why() -> None:
    run = weighed(2)
    held(run, 5.0, 0.0)
    run.target_weight[0], run.target_close[0] = 0.5, 100.0
    by = {"PORTFOLIO_USE": "top", "value_of_rank": values(1.0, 2.0)}
    assert made(run, (0.0, 0.0), GROSS=0.5, **by) == [
        (0, -5.0, R_REBALANCE), (1, 5.0, R_INCREASE),
    ]  # fmt: skip
    assert run.rejected_code[0, 1] == R_BELOW_RANK + 1
    assert list(run.weight[:, 1]) == [0.0, 0.5]


def test_a_step_rebalances_once_when_it_is_due() -> None:
    run = weighed(2)
    run.DUE[1] = 1
    base = settings(run, (2.0, 1.0), PORTFOLIO_SLOT=layout.C_SLOTS, GROSS=0.5)
    with set_to(**base):
        for t in range(3):
            step.step(t, run)
    made_at = [int(row[1]) for row in run.LI[: int(run.log_rows)] if row[0] == layout.REBALANCE]
    assert made_at == [120]
    assert run.units[0] == 5.0


class Step:
    """A take that no price reaches."""

    number, size, moves_stop = 0, 0.5, False


def test_a_take_lowers_the_weight_of_the_side_that_is_held_and_goes_before_the_rebalance() -> None:
    sells = {"TAKES_AT": (Step(),), "SENDS_TAKES": True}
    run = run_of(bars=2, symbols=1, weighs=1)
    held(run, 5.0)
    run.taken_share[0] = 0.5
    assert made(run, [0.6], **sells) == [(0, -2.0, R_REBALANCE)]  # to 3 of 10
    run = run_of(bars=2, symbols=1, weighs=1)
    held(run, 5.0)
    run.taken_share[0], run.take_units[0] = 0.5, -1.0
    assert made(run, [0.6], **sells) == [(0, -1.0, R_REBALANCE)]  # one of the two is being sold
    run = run_of(bars=2, symbols=1, weighs=1)
    held(run, 5.0)
    run.taken_share[0], run.take_units[0] = 1.0, -5.0
    assert made(run, [0.6], **sells) == []  # all of it is
