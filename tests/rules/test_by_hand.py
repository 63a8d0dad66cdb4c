"""What a person or a monitor does is what the rules do."""

from __future__ import annotations

import math

import pytest

from septet._kernel import layout
from septet._rules import by_hand, halts
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from tests.rules.small_run import Below, fill_of, order_of, rows, run_of, set_to, status

NAN = math.nan
PERSON = 60


def trading() -> Run:
    """A position of one symbol, and an entry of another that works."""
    run = run_of(symbols=2)
    book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    place_order(1, order_of(layout.MARKET, 1.0), 0, 3, 0, 0, run)
    return run


@pytest.mark.parametrize("flatten", [0, 1])
def test_a_person_halts_once_and_may_flatten_after(flatten: int) -> None:
    run = trading()
    with set_to(SYMBOLS=2, REENTRY="after", COOLDOWN_BARS=3):
        assert by_hand.halt_by_hand(PERSON, 120, flatten, run) == 1
        assert by_hand.halt_by_hand(PERSON, 120, flatten, run) == 0
    assert (run.blocked, run.halted_by_hand) == (1, 1)
    assert status(run) == [(layout.STATUS_CANCELLED, PERSON)]
    assert (run.working[0], run.blocked_long[0]) == ((1, 4) if flatten else (0, 0))
    if flatten:
        assert (run.order_units[0], run.order_reason[0]) == (-2.0, PERSON)


def test_a_monitor_cancels_entries_alone() -> None:
    run = trading()
    with set_to(SYMBOLS=2):
        by_hand.cancel_by_hand(PERSON, 120, run)
    assert status(run) == [(layout.STATUS_CANCELLED, PERSON)]
    assert (run.working[0], run.units[0], run.blocked) == (0, 2.0, 0)


def test_a_person_clears_what_waits_for_one_and_no_other_halt() -> None:
    run = trading()
    run.equity = 800.0
    waits, passes = Below(900.0, then=1, code=40), Below(900.0, then=1, code=41, number=1,
                                                       resumes="next_day")  # fmt: skip
    with set_to(HALTS=(waits, passes), SYMBOLS=2):
        halts.check_halts(1, 120, run)
        assert by_hand.halt_by_hand(PERSON, 130, 0, run) == 1
        assert run.blocked == 3
        assert by_hand.resume_by_hand(140, run) == 1
        assert by_hand.resume_by_hand(150, run) == 0
    assert (run.blocked, list(run.halt_is_active[:2])) == (1, [0, 1])
    assert rows(run, layout.CLEAR) == [(-1, 40, 0)]
    assert run.peak == 800.0


def test_a_shutdown_closes_everything_and_blocks_nothing() -> None:
    run = trading()
    with set_to(SYMBOLS=2):
        by_hand.close_by_hand(PERSON, 120, run)
    assert status(run) == [(layout.STATUS_CANCELLED, PERSON)]
    assert (run.order_units[0], run.order_reason[0], run.reduces[0]) == (-2.0, PERSON, 1)
    assert (run.working[1], run.blocked, run.halted_by_hand) == (0, 0, 0)
