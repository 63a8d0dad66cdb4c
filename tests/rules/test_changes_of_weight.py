"""What a rebalance sends for a gap: the edge of the drift, changes of side, order and cash."""

from __future__ import annotations

import pytest

from septet._kernel import layout
from septet._rules import rebalance
from septet._rules.ledger import place_order
from septet._rules.run_state import Run
from septet._rules.settings import R_DRIFT, R_EXIT, R_INCREASE, R_REBALANCE, R_REVERSAL
from tests.rules.small_run import order_of, set_to
from tests.rules.test_portfolio import held, made, weighed

PERPETUAL = {"SPOT": False, "SHORTS": True, "GROSS": 9.0}


def closing(reason: int, weight: float) -> Run:
    """Return a run that holds five units of a symbol, whose exit works, and has a new weight."""
    run = weighed(2)
    held(run, 5.0, 0.0)
    place_order(0, order_of(layout.MARKET, -5.0, reason=reason), 0, 0, 1, 0, run)
    run.new_weight[0] = weight
    return run


@pytest.mark.parametrize(
    ("weight", "sent"),
    [(0.75, 2.0), (0.25, -2.0), (0.625, 1.0), (0.375, -1.0), (0.6, 0.0), (0.4, 0.0)],
)
def test_a_difference_as_large_as_the_drift_is_traded(weight: float, sent: float) -> None:
    """Numbers that a float64 holds: the drift is an eighth."""
    run = weighed(1)
    held(run, 5.0)
    with set_to(ONE_SYMBOL=True):
        orders = made(run, (weight,), DRIFT=0.125)
    assert [units for _, units, _ in orders] == ([sent] if sent else [])
    if not sent:
        assert run.rejected_code[0, 1] == R_DRIFT + 1


@pytest.mark.parametrize(("weight", "units"), [(0.75, 1.0), (0.25, -1.0), (1.0, 3.0), (0.0, -5.0)])
def test_a_change_to_the_edge_stops_a_drift_before_the_weight(weight: float, units: float) -> None:
    """A closing sells all."""
    run = weighed(1)
    held(run, 5.0)
    with set_to(ONE_SYMBOL=True):
        orders = made(run, (weight,), DRIFT=0.125, TO_EDGE=True)
    assert [each for _, each, _ in orders] == [units]


def test_equal_gaps_are_traded_in_universe_order() -> None:
    assert [k for k, _, _ in made(weighed(4), (0.2, 0.3, 0.2, 0.3))] == [1, 3, 0, 2]


def test_each_increase_sees_the_cash_that_those_before_it_take() -> None:
    run = weighed(3)
    assert made(run, (0.5, 0.4, 0.3), TAKER_FEE=0.0) == [
        (0, 5.0, R_INCREASE), (1, 4.0, R_INCREASE), (2, 1.0, R_INCREASE),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "weight", "changes"),
    [
        (R_REBALANCE, -0.5, True), (R_REVERSAL, -0.5, True), (R_EXIT, -0.5, False),
        (R_REBALANCE, 0.5, False), (R_REBALANCE, 0.0, False),
    ],
)  # fmt: skip
def test_an_exit_of_a_rebalance_may_be_followed_by_the_other_side(
    reason: int, weight: float, *, changes: bool
) -> None:
    run = closing(reason, weight)
    assert bool(rebalance.changes_side(0, run)) == changes
    run.working[0] = 0
    assert not rebalance.changes_side(0, run), "nothing is being closed"


@pytest.mark.parametrize(
    ("gap", "working", "closes"), [(-300.0, 0, True), (300.0, 0, False), (-300.0, 1, False)]
)
def test_an_increase_closes_what_is_left_of_the_other_side(
    gap: float, working: int, *, closes: bool
) -> None:
    run = weighed(2)
    held(run, 1.0, 0.0)
    run.proportion[0], run.working[0] = gap, working
    assert bool(rebalance.closes_remainder(0, run)) == closes


def test_a_remainder_of_the_other_side_is_closed_by_the_order_that_opens() -> None:
    run = weighed(1)
    held(run, 1.0)
    run.min_notional[0] = 150.0
    with set_to(ONE_SYMBOL=True):
        orders = made(run, (-0.5,), **PERPETUAL)
    assert orders == [(0, -6.0, R_INCREASE)]
