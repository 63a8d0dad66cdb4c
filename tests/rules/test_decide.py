"""Signals that act: exits, flips, entries in the order of confidence."""

from __future__ import annotations

import math
from typing import Any

import pytest

from septet._kernel import layout
from septet._rules import decide
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from septet._rules.settings import (
    R_AFTER,
    R_BELOW,
    R_CASH,
    R_EXIT,
    R_LOT,
    R_OPPOSITE,
    R_TOO_SMALL,
)
from tests.rules.small_run import Below, fill_of, kept, order_of, run_of, set_to, signal, status

NAN = math.nan


def judged(run: Run, *sides: float, **given: Any) -> int:
    """Keep signals of symbol 0 and decide the bar of the last."""
    signal(run, 0, *sides)
    with set_to(signal_at=kept, **given):
        return decide.decide_symbol(0, len(sides) - 1, 60, run)


def holding(units: float) -> Run:
    run = run_of()
    book_fill(0, fill_of(units, 100.0), 0.0, 0, run)
    return run


def test_a_signal_is_kept_as_it_was():
    run = run_of()
    for i, (side, confidence) in enumerate(((1.0, 0.3), (-1.0, 1.0), (0.0, 0.0), (NAN, 0.2))):
        decide.note(0, i, side, confidence, 7, run)
        assert run.rejected_code[0, i] == 8
    assert list(run.signal_code[0]) == [3, 1 + layout.CERTAIN, 2, 0]
    assert list(run.confidence[0]) == [0.3, 0.0, 0.0, 0.2]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_signal_without_a_position_is_a_candidate(side: float):
    run = run_of()
    assert judged(run, side) == 1
    assert (run.target_side[0], run.target_confidence[0]) == (side, 1.0)
    assert judged(run_of(), 0.0) == judged(run_of(), NAN) == 0


@pytest.mark.parametrize(
    ("side", "given", "reason"),
    [
        (0.0, {}, R_EXIT),
        (-1.0, {}, R_OPPOSITE),
        (-1.0, {"OPPOSITE_EXITS": False}, None),
        (1.0, {}, None),
        (NAN, {}, None),
        (NAN, {"HELD_SIGNAL_IS_IDLE": False, "EXIT_AFTER": True, "EXIT_AFTER_BARS": 4}, None),
        (NAN, {"HELD_SIGNAL_IS_IDLE": False, "EXIT_AFTER": True, "EXIT_AFTER_BARS": 3}, R_AFTER),
        (NAN, {"HELD_SIGNAL_IS_IDLE": False, "BELOW": True, "CONFIDENCE_FLOOR": 0.2,
               "probability_up": lambda *_: 0.59}, R_BELOW),
        (NAN, {"HELD_SIGNAL_IS_IDLE": False, "BELOW": True, "CONFIDENCE_FLOOR": 0.2,
               "probability_up": lambda *_: 0.61}, None),
        (1.0, {"HELD_SIGNAL_IS_IDLE": False, "EXITS": (Below(101.0),)}, 40),
        (1.0, {"HELD_SIGNAL_IS_IDLE": False, "EXITS": (Below(99.0),)}, None),
    ],
)  # fmt: skip
def test_what_is_held_is_left_for_a_reason(side: float, given: dict[str, Any], reason: int | None):
    run = holding(2.0)
    run.held_bars[0] = 3
    assert judged(run, side, **given) == 0
    if reason is None:
        assert run.working[0] == 0
    else:
        assert (run.order_units[0], run.order_reason[0]) == (-2.0, reason)


def test_where_shorts_are_allowed_an_opposite_signal_turns_the_position():
    run = holding(2.0)
    assert judged(run, -1.0, SPOT=False) == 1
    assert (run.target_side[0], run.working[0]) == (-1.0, 0)


def test_an_entry_that_works_counts_as_held_and_is_taken_back():
    run = run_of()
    place_order(0, order_of(layout.LIMIT, 1.0, limit=90.0), 0, 3, 0, 0, run)
    assert judged(run, 1.0) == 0
    assert run.working[0] == 1
    assert judged(run, 0.0) == 0
    assert run.working[0] == 0


def test_a_signal_for_the_side_that_is_held_renews_its_time():
    run = holding(2.0)
    run.held_bars[0] = 9
    judged(run, 1.0, RENEWS=True, HELD_SIGNAL_IS_IDLE=False)
    assert run.held_bars[0] == 0


@pytest.mark.parametrize(("side", "resizes"), [(1.0, 1), (NAN, 0)])
def test_what_is_held_is_resized_by_a_signal_of_its_side_alone(side: float, resizes: int):
    given = {"REBALANCES": True, "HELD_SIGNAL_IS_IDLE": False}
    assert judged(holding(2.0), side, **given) == resizes


def test_a_side_that_was_stopped_waits_until_the_signal_has_differed():
    run = run_of()
    run.blocked_long[0] = run.blocked_short[0] = 1
    judged(run, 1.0, REENTRY="rearm")
    assert (run.blocked_long[0], run.blocked_short[0]) == (1, 0)
    judged(run, NAN, REENTRY="rearm")
    assert (run.blocked_long[0], run.blocked_short[0]) == (0, 0)


def test_an_exit_that_is_too_small_waits_and_is_reported():
    run = holding(2.0)
    run.min_notional[0] = 300.0
    assert judged(run, 0.0) == 0
    assert (run.working[0], run.exit_to_retry[0]) == (0, R_EXIT + 1)
    assert run.rejected_code[0, 0] == R_TOO_SMALL + 1
    run.mark[0] = 150.0
    assert judged(run, NAN) == 0
    assert run.order_reason[0] == R_EXIT


def test_what_is_below_the_minimum_blocks_no_entry():
    run = holding(2.0)
    run.min_notional[0] = 300.0
    assert judged(run, NAN, 1.0) == 1
    run.target_side[0] = 0.0
    assert judged(run, 1.0, 1.0) == 0, "the same signal as one bar before is no new one"


def test_entries_go_by_confidence_and_ties_by_the_universe():
    run = run_of(symbols=3)
    for k, confidence in enumerate((0.2, 0.9, 0.9)):
        signal(run, k, 1.0, confidence=confidence)
    run.active_symbol[:] = range(3)
    given = {"ONE_SYMBOL": False, "SYMBOLS": 3, "size": lambda *_: 4.0, "signal_at": kept}
    with set_to(**given):
        decide.decide(0, 60, 3, run)
    orders = [int(row[2]) for row in run.LI[: int(run.log_rows)] if row[0] == layout.ORDER]
    assert orders == [1, 2, 0]
    assert list(run.granted[:, 0]) == [2.0, 4.0, 4.0]  # the last gets what cash is left


def test_pro_rata_scales_all_alike():
    run = run_of(symbols=2)
    for k in range(2):
        signal(run, k, 1.0)
    run.active_symbol[:] = range(2)
    given: dict[str, Any] = {
        "ONE_SYMBOL": False, "SYMBOLS": 2, "PRO_RATA": True, "size": lambda *_: 10.0,
        "signal_at": kept,
    }  # fmt: skip
    with set_to(**given):
        decide.decide(0, 60, 2, run)
    assert list(run.granted[:, 0]) == [5.0, 5.0]


@pytest.mark.parametrize(("lot", "reason"), [(8.0, R_CASH), (12.0, R_LOT)])
def test_pro_rata_names_the_cash_that_is_short_and_the_lot_where_it_is_that(
    lot: float, reason: int
):
    """Ten are asked for, and cash leaves five of each: with lots of 8 it is cash that lacks."""
    run = run_of(symbols=2)
    run.lot[:] = lot
    for k in range(2):
        signal(run, k, 1.0)
    run.active_symbol[:] = range(2)
    given: dict[str, Any] = {
        "ONE_SYMBOL": False, "SYMBOLS": 2, "PRO_RATA": True, "size": lambda *_: 10.0,
        "signal_at": kept,
    }  # fmt: skip
    with set_to(**given):
        decide.decide(0, 60, 2, run)
    assert list(run.rejected_code[:, 0]) == [reason + 1] * 2


def test_a_late_decision_is_marked():
    run = run_of()
    run.is_late = 1
    signal(run, 0, NAN)
    with set_to(signal_at=kept):
        decide.decide(0, 60, 1, run)
    assert run.is_late_decision[0, 0] == 1


@pytest.mark.parametrize("held", [2.0, -2.0])
@pytest.mark.parametrize(
    ("side", "given"), [(0.0, {}), (NAN, {"EXIT_AFTER": True, "EXIT_AFTER_BARS": 0})]
)
def test_an_exit_drops_only_what_a_flip_would_have_opened(
    held: float, side: float, given: dict[str, Any]
):
    """What the flip closes fills when the flip was due."""
    run = holding(held)
    given = {**given, "LATENCY_NS": 500}
    place_order(0, order_of(layout.MARKET, -3.0 * held, reason=11), 70, 1, 0, 0, run)
    assert judged(run, side, SPOT=False, HELD_SIGNAL_IS_IDLE=False, **given) == 0
    assert (run.working[0], run.reduces[0], run.order_units[0]) == (1, 1, -held)
    assert run.active_ns[0] == 70
    assert status(run) == [(layout.STATUS_CANCELLED, R_EXIT if side == 0.0 else R_AFTER)]


def flipping(**given: Any) -> Run:
    """Return a long position whose flip is on its way, and whose signal is long again."""
    run = holding(2.0)
    run.held_bars[0] = 5
    place_order(0, order_of(layout.MARKET, -4.0), 180, 1, 0, 0, run)
    assert judged(run, 1.0, SPOT=False, HELD_SIGNAL_IS_IDLE=False, **given) == 0
    return run


def test_a_flip_that_is_taken_back_leaves_what_is_held():
    run = flipping()
    assert run.working[0] == 0
    assert run.units[0] == 2.0


def test_an_exit_that_is_due_when_a_flip_is_taken_back_is_sent_at_once():
    run = flipping(EXIT_AFTER=True, EXIT_AFTER_BARS=5)
    assert (run.order_units[0], run.order_reason[0]) == (-2.0, R_AFTER)
    assert run.active_ns[0] == 60, "and fills no later than the flip would have"
    assert flipping(EXIT_AFTER=True, EXIT_AFTER_BARS=5, RENEWS=True).working[0] == 0


def test_a_flip_that_is_rejected_whatever_its_size_closes_before_others_enter():
    """Exits come before entries: what is closed leaves its room to those who enter."""
    run = run_of(symbols=2)
    book_fill(1, fill_of(4.0, 100.0), 0.0, 0, run)
    run.bars_since_entry[1] = 0
    signal(run, 0, 1.0)
    signal(run, 1, -1.0)
    run.active_symbol[:] = range(2)
    order: list[int] = []

    def size(k: int, *_: Any) -> float:
        order.append(int(run.working[1]))
        return 1.0

    given = {"ONE_SYMBOL": False, "SYMBOLS": 2, "signal_at": kept, "SPOT": False, "MIN_INTERVAL": 5}
    with set_to(size=size, **given):
        decide.decide(0, 60, 2, run)
    assert (run.order_units[1], run.order_reason[1]) == (-4.0, R_OPPOSITE)
    assert order == [1], "the exit was sent before the entry was sized"


def test_a_short_remainder_on_spot_blocks_no_entry():
    """Only a fault of a venue leaves one: the entry buys it back."""
    run = holding(-2.0)
    run.min_notional[0] = 300.0
    assert judged(run, 1.0, SPOT=True) == 1
    assert (run.target_side[0], run.exit_to_retry[0]) == (1.0, 0)
