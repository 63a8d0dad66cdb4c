"""Entries that find no open in time, and what a bar counts: towards them, and of a trade."""

from __future__ import annotations

import math

import pytest

from septet._kernel.layout import LIMIT, MARKET, NO_BAR, STATUS_EXPIRED
from septet._rules import bars, fills, missing_bars
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from septet._rules.settings import R_NO_MARKET, R_REVERSAL, R_UNFILLED
from tests.rules.small_run import fill_of, order_of, run_of, set_to, status
from tests.rules.test_position_steps import SINCE, AtPrice, Rung, When, enter, run_with_room

NAN = math.nan
BAR = 60


def waiting(kind: int, units: float = 2.0, in_force: int = 2, active_ns: int = 60) -> Run:
    """Return a run with an entry that works from bar 1 on, for so many bars."""
    run = run_of(6)
    limit = 90.0 if kind == LIMIT else NAN
    place_order(0, order_of(kind, units, limit=limit), active_ns, in_force, 0, 60, run)
    return run


def without_bars(run: Run, *times: int) -> None:
    """Let bars be due at these times that did not come."""
    for t in times:
        run.bar[0, t] = NO_BAR + t * BAR


@pytest.mark.parametrize(
    ("kind", "in_force", "at"), [(MARKET, 2, 1), (MARKET, 1, 1), (LIMIT, 1, 1), (LIMIT, 3, 3)]
)
def test_an_entry_whose_symbol_has_no_bar_expires_after_its_time(
    kind: int, in_force: int, at: int
) -> None:
    """A market order is given one bar, a resting one its time in force."""
    run = waiting(kind, in_force=in_force)
    without_bars(run, 1, 2, 3, 4)
    ended: list[int] = []
    with set_to(BAR_NS=BAR, TIME_IN_FORCE=in_force, ONE_SYMBOL=False):
        for t in range(1, 5):
            missing_bars.expire_without_open(0, t, (t + 1) * BAR, run)
            if run.working[0] == 0 and not ended:
                ended.append(t)
    assert (ended, status(run)) == ([at], [(STATUS_EXPIRED, R_NO_MARKET)])


def test_the_same_missing_bar_counts_once_and_none_before_the_order_works() -> None:
    run = waiting(LIMIT, in_force=2, active_ns=120)
    without_bars(run, 1, 2)
    run.bar[0, 3] = run.bar[0, 2]
    with set_to(BAR_NS=BAR, TIME_IN_FORCE=2, ONE_SYMBOL=False):
        for t, missed in ((1, 0), (2, 1), (3, 1)):
            missing_bars.expire_without_open(0, t, (t + 1) * BAR, run)
            assert run.bars_missed[0] == missed
    assert run.working[0] == 1


def test_an_exit_waits_for_its_open() -> None:
    run = run_of(4)
    book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    place_order(0, order_of(MARKET, -2.0, reason=1), 60, 0, 1, 60, run)
    without_bars(run, 1, 2)
    with set_to(BAR_NS=BAR, ONE_SYMBOL=False):
        for t in (1, 2):
            missing_bars.expire_without_open(0, t, (t + 1) * BAR, run)
    assert run.working[0] == 1


def test_a_queued_entry_expires_as_one_that_works() -> None:
    run = run_of(4)
    run.queued_id[0], run.queued_active_ns[0], run.queued_bars[0] = 7, 60, 1
    without_bars(run, 1)
    with set_to(BAR_NS=BAR, QUEUES=True, ONE_SYMBOL=False):
        missing_bars.expire_without_open(0, 1, 120, run)
    assert (int(run.queued_id[0]), status(run)) == (0, [(STATUS_EXPIRED, R_NO_MARKET)])


@pytest.mark.parametrize(
    ("missing", "synthetic", "reason"),
    [(0, 0, None), (2, 0, R_NO_MARKET), (0, 1, R_NO_MARKET)],
    ids=["a bar", "missing bars", "a bar made up to fill a gap"],
)
def test_a_bar_counts_towards_the_time_in_force(
    missing: int, synthetic: int, reason: int | None
) -> None:
    run = waiting(MARKET)
    run.missing_bars[0, 1], run.is_synthetic[0, 1] = missing, synthetic
    run.open_ns[0, 1] += missing * BAR
    with set_to(BAR_NS=BAR):
        bars.count_down(0, 1, 120, run)
    assert status(run) == ([] if reason is None else [(STATUS_EXPIRED, reason)])
    assert run.working[0] == (reason is None)


def test_a_resting_entry_ends_unfilled_with_its_last_bar() -> None:
    run = waiting(LIMIT, in_force=1)
    bars.count_down(0, 0, 60, run)
    assert run.working[0] == 1, "bar 0 opened before it worked"
    bars.count_down(0, 1, 120, run)
    assert status(run) == [(STATUS_EXPIRED, R_UNFILLED)]


@pytest.mark.parametrize(("missing", "closed"), [(0, False), (2, True)])
def test_a_flip_without_an_open_in_time_still_closes(missing: int, *, closed: bool) -> None:
    run = run_of(6)
    book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    place_order(0, order_of(MARKET, -5.0, reason=R_REVERSAL), 60, 1, 0, 60, run)
    run.missing_bars[0, 1] = missing
    run.open_ns[0, 1] += missing * BAR
    with set_to(BAR_NS=BAR, SPOT=False, ONE_SYMBOL=False):
        fills.replace_expired_flip(0, 1, run)
    assert (run.units[0], run.open_side[0]) == ((0.0, 0) if closed else (2.0, 1))
    assert ((STATUS_EXPIRED, R_NO_MARKET) in status(run)) == closed


def test_a_bar_that_was_held_is_counted_and_its_stop_may_only_tighten() -> None:
    run = run_with_room()
    stop = AtPrice(95.0)
    more = {"RUNGS": (Rung(0, -0.02),), "ADDS_WHEN": (When(),)}
    with set_to(STEPS=True, TRACKS_POSITION=True, PROTECTIVE=(stop,), **more):
        enter(run)
        run.ladder[0], run.B[0, SINCE] = 1, 0.0
        for price, level, count in ((97.0, 97.0, 1), (90.0, 97.0, 2)):
            stop.price = price
            bars.age_trade(0, 1, 120, run)
            assert (run.stop_price[0], run.trade_bars[0], run.B[0, SINCE]) == (level, count, count)
        assert run.ladder[0] == 2, "its adds have rested for a whole bar"
