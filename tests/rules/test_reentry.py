"""A side is blocked by what has closed its position, and by nothing that was only asked for."""

from __future__ import annotations

import pytest

from septet._rules import fills, orders, venue_fills
from septet._rules.ledger import book_fill
from septet._rules.run_state import Run
from septet._rules.settings import R_EXIT
from tests.rules.small_run import Below, fill_of, run_of, set_to

TIME_LIMIT = Below(0.0, code=40)
DRAWDOWN = Below(0.0, code=41, then=0)
PAUSE = Below(0.0, code=42, then=1)
RULES = {"EXITS": (TIME_LIMIT,), "HALTS": (DRAWDOWN, PAUSE), "REENTRY": "after"}


def holding(units: float) -> Run:
    run = run_of()
    book_fill(0, fill_of(units, 100.0), 0.0, 0, run)
    return run


@pytest.mark.parametrize("units", [2.0, -2.0])
@pytest.mark.parametrize(("reason", "blocks"), [(40, 3), (41, 3), (42, 0), (R_EXIT, 0)])
def test_what_closed_a_position_blocks_its_side(units: float, reason: int, blocks: int) -> None:
    run = holding(units)
    with set_to(**RULES, COOLDOWN_BARS=2):
        closed = fills.book_matched(
            0, fill_of(-units, 100.0, time_ns=60, order_id=1, reason=reason), run
        )
    assert closed == 1
    long, short = run.blocked_long[0], run.blocked_short[0]
    assert (long, short) == ((blocks, 0) if units > 0.0 else (0, blocks))


def test_a_part_blocks_nothing() -> None:
    run = holding(2.0)
    with set_to(**RULES, COOLDOWN_BARS=2):
        assert (
            fills.book_matched(0, fill_of(-1.0, 100.0, time_ns=60, order_id=1, reason=40), run) == 0
        )
    assert run.blocked_long[0] == 0


def test_what_a_venue_reports_blocks_by_the_reason_of_the_order() -> None:
    run = holding(2.0)
    with set_to(**RULES, COOLDOWN_BARS=2, VENUE_FILLS=True):
        orders.send_exit(0, 40, 60, run)
        number = int(run.order_id[0])
        venue_fills.take_in_fill(
            0,
            fill_of(-2.0, 99.0, time_ns=70, order_id=number, reason=-1, decision_price=0.0),
            -2.0,
            0.0,
            0,
            run,
        )
    assert run.blocked_long[0] == 3


def test_an_exit_that_is_too_small_to_be_sent_blocks_at_once() -> None:
    """It may wait for long, and its side is not entered meanwhile."""
    run = holding(2.0)
    run.min_notional[0] = 1_000.0
    with set_to(**RULES, COOLDOWN_BARS=2):
        orders.send_exit(0, 40, 60, run)
    assert (run.exit_to_retry[0], run.blocked_long[0]) == (41, 3)
