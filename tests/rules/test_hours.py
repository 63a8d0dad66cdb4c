"""Trading hours and the bound on positions, rule by rule on small numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from septet._kernel import layout
from septet._kernel.layout import (
    HOURS_CLOSED,
    HOURS_FLAT,
    HOURS_HELD_OVER,
    HOURS_LAST,
    LIMIT,
    MARKET,
    STATUS_CANCELLED,
)
from septet._rules import decide, enter, hours, idle, position_count, rebalance, settings
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from tests.rules.small_run import fill_of, kept, order_of, run_of, set_to, signal, status
from tests.rules.test_grid import ONE, laid, level, meet
from tests.rules.test_position_steps import Rung, run_with_room
from tests.rules.test_position_steps import enter as enter_steps

NAN = math.nan
LAST = HOURS_LAST | HOURS_FLAT
CLOSED = HOURS_CLOSED | HOURS_FLAT


def run_with(*flags: int, symbols: int = 1) -> Run:
    """Return a run whose times have these flags."""
    run = run_of(bars=max(4, len(flags)), symbols=symbols)
    rows = np.zeros((symbols, run.T.shape[1]), np.int64)
    rows[:, : len(flags)] = flags
    run.arrays["T"] = np.concatenate((run.T, rows))
    run.active_symbol[:] = np.arange(symbols)
    return run


@contextmanager
def in_hours(symbols: int = 1, **more: Any) -> Iterator[None]:
    """Let the rules have hours; C has a slot for their flags behind all others."""
    with set_to(
        HOURS=True, FLAT_AT_CLOSE=True, HOURS_ROW=layout.ROW + symbols,
        HOURS_SLOT=layout.C_SLOTS, ONE_SYMBOL=symbols == 1,
    ), set_to(**more):  # fmt: skip
        yield


def hold(run: Run, units: float = 2.0, k: int = 0) -> None:
    """Hold so many units at 100."""
    book_fill(k, fill_of(units, 100.0), 0.0, 0, run)


def rest(run: Run, kind: int = LIMIT, units: float = 1.0, active_ns: int = 0, k: int = 0) -> None:
    """Let an entry work."""
    limit = 90.0 if kind == LIMIT else NAN
    place_order(k, order_of(kind, units, limit=limit), active_ns, 3, 0, 0, run)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (0, -1), (HOURS_CLOSED, settings.R_CLOSED_HOURS), (LAST, settings.R_FLAT_AT_CLOSE),
        (HOURS_CLOSED | LAST, settings.R_CLOSED_HOURS), (HOURS_HELD_OVER, -1),
    ],
)  # fmt: skip
def test_what_the_flags_state_of_an_entry(flags: int, reason: int) -> None:
    run = run_with(flags)
    with in_hours():
        hours.keep_hours(0, run)
        assert hours.rejection_of_hours(0, run) == reason
        assert enter.rejection_before_size(0, 0, 60, 1.0, run) == reason


def test_hours_come_after_the_state_of_the_run_and_before_the_rest() -> None:
    run = run_with(HOURS_CLOSED)
    run.bars_since_entry[0] = 0
    with in_hours(MIN_INTERVAL=5):
        hours.keep_hours(0, run)
        assert enter.rejection_before_size(0, 0, 60, 1.0, run) == settings.R_CLOSED_HOURS
        run.is_late = 1
        assert enter.rejection_before_size(0, 0, 60, 1.0, run) == settings.R_LATE
        run.blocked = 1
        assert enter.rejection_before_size(0, 0, 60, 1.0, run) == settings.R_HALTED


def test_the_last_fill_closes_what_is_held_and_cancels_what_is_on_its_way() -> None:
    run = run_with(LAST)
    hold(run)
    with in_hours():
        hours.read_hours(0, 60, 1, run)
    assert (run.order_units[0], run.order_reason[0]) == (-2.0, settings.R_FLAT_AT_CLOSE)
    assert run.reduces[0] == 1
    run = run_with(LAST)
    rest(run, MARKET)
    with in_hours():
        hours.read_hours(0, 60, 1, run)
    assert status(run) == [(STATUS_CANCELLED, settings.R_FLAT_AT_CLOSE)]
    assert run.working[0] == 0


def test_a_position_held_over_a_close_is_closed_and_an_entry_on_its_way_is_kept() -> None:
    run = run_with(HOURS_HELD_OVER)
    rest(run, MARKET)
    with in_hours():
        hours.read_hours(0, 60, 1, run)
    assert run.working[0] == 1
    hold(run)
    with in_hours():
        hours.read_hours(0, 60, 1, run)
    assert (run.order_units[0], run.order_reason[0]) == (-2.0, settings.R_FLAT_AT_CLOSE)


def test_an_exit_that_waits_goes_first_and_keeps_its_reason() -> None:
    run = run_with(LAST)
    hold(run)
    run.exit_to_retry[0] = settings.R_OPPOSITE + 1
    with in_hours():
        hours.read_hours(0, 60, 1, run)
    assert (run.order_units[0], run.order_reason[0]) == (-2.0, settings.R_OPPOSITE)


def test_a_symbol_without_a_bar_is_closed_as_well() -> None:
    run = run_with(LAST, symbols=2)
    hold(run, k=1)
    run.bar[1, 0] = -1
    with in_hours(2, SYMBOLS=2):
        hours.read_hours(0, 60, 2, run)
    assert run.order_units[1] == -2.0


@pytest.mark.parametrize(
    ("kind", "active_ns", "ends"),
    [(LIMIT, 0, True), (LIMIT, 60, True), (MARKET, 60, False), (MARKET, 0, True)],
)
def test_what_rests_is_cancelled_outside(kind: int, active_ns: int, ends: bool) -> None:
    """A market order that has not met its open yet fills inside."""
    run = run_with(HOURS_CLOSED)
    rest(run, kind, active_ns=active_ns)
    with in_hours():
        hours.keep_hours(0, run)
        hours.cancel_outside(0, 60, 1, run)
    assert status(run) == ([(STATUS_CANCELLED, settings.R_CLOSED_HOURS)] if ends else [])


def test_an_exit_is_never_cancelled() -> None:
    run = run_with(HOURS_CLOSED)
    hold(run)
    place_order(0, order_of(LIMIT, -2.0, reason=30, limit=110.0), 0, 0, 1, 0, run)
    with in_hours():
        hours.keep_hours(0, run)
        hours.cancel_outside(0, 60, 1, run)
    assert run.working[0] == 1


def test_what_a_cancelled_flip_would_have_closed_is_closed() -> None:
    run = run_with(HOURS_CLOSED)
    hold(run)
    rest(run, LIMIT, units=-5.0)
    with in_hours(SPOT=False):
        hours.keep_hours(0, run)
        hours.cancel_outside(0, 60, 1, run)
    assert (run.order_units[0], run.reduces[0]) == (-2.0, 1)


def test_an_exit_acts_outside() -> None:
    run = run_with(*[HOURS_CLOSED] * 4)
    hold(run)
    signal(run, 0, 1.0, 0.0, 1.0)
    with in_hours(signal_at=kept):
        decide.decide(0, 60, 1, run)
        assert run.working[0] == 0
        decide.decide(1, 120, 1, run)
    assert (run.order_units[0], run.order_reason[0]) == (-2.0, settings.R_EXIT)


def test_a_rejected_entry_states_why() -> None:
    run = run_with(HOURS_CLOSED)
    signal(run, 0, 1.0)
    with in_hours(signal_at=kept):
        decide.decide(0, 60, 1, run)
    assert run.rejected_code[0, 0] == settings.R_CLOSED_HOURS + 1
    assert run.working[0] == 0


def test_an_idle_span_ends_where_what_is_held_is_closed() -> None:
    run = run_with(0, 0, 0, LAST, CLOSED, 0)
    signal(run, 0, *[1.0] * 6)
    with in_hours(signal_at=kept):
        assert idle.find_idle_span(1, 0, 6, run)[0] == 1, "flat, with a signal to enter"
        hold(run)
        assert idle.find_idle_span(1, 0, 6, run)[0] == 3
        assert idle.find_idle_span(3, 3, 6, run)[0] == 3
        idle.mark_idle_span(1, 3, run)
        assert run.C[layout.C_SLOTS] == 0
        assert idle.find_active_time(0, 1, 6, run) == 3


def test_flat_spans_are_crossed_whatever_the_hours() -> None:
    run = run_with(0, LAST, CLOSED, CLOSED, 0, 0)
    signal(run, 0, *[0.0] * 6)
    with in_hours(signal_at=kept):
        assert idle.find_idle_span(0, 0, 6, run)[0] == 6
        idle.mark_idle_span(0, 4, run)
        assert run.C[layout.C_SLOTS] == CLOSED
        assert idle.find_active_time(0, 0, 6, run) == 6


# ---------------------------------------------------------------- how many are held


def test_what_is_held_or_being_entered_is_counted_and_what_leaves_is_not() -> None:
    run = run_of(symbols=4)
    hold(run, k=0)
    rest(run, MARKET, k=1)
    hold(run, k=2)
    place_order(2, order_of(MARKET, -2.0, reason=1), 0, 0, 1, 0, run)
    with set_to(SYMBOLS=4, MAX_POSITIONS=2):
        taken = [position_count.is_held_or_entered(k, run) for k in range(4)]
        assert taken == [True, True, False, False]
        assert position_count.positions_now(run) == 2
        assert [position_count.has_place(k, run) for k in range(4)] == [True, True, False, False]
    with set_to(SYMBOLS=4, MAX_POSITIONS=3):
        assert position_count.has_place(3, run)


def test_a_part_that_is_sold_keeps_its_place() -> None:
    run = run_of()
    hold(run, 5.0)
    place_order(0, order_of(MARKET, -2.0, reason=5), 0, 0, 1, 0, run)
    assert position_count.is_held_or_entered(0, run)


def test_an_entry_queued_behind_an_exit_keeps_its_place() -> None:
    run = run_of()
    hold(run)
    place_order(0, order_of(MARKET, -2.0, reason=2), 0, 0, 1, 0, run)
    with set_to(QUEUES=True):
        assert not position_count.is_held_or_entered(0, run)
        run.queued_id[0] = 9
        assert position_count.is_held_or_entered(0, run)


def test_the_bound_is_a_reason_of_its_own() -> None:
    run = run_of(symbols=2)
    hold(run, k=0)
    with set_to(SYMBOLS=2, LIMITS_POSITIONS=True, MAX_POSITIONS=1, ONE_SYMBOL=False):
        assert enter.rejection_before_size(1, 0, 60, 1.0, run) == settings.R_MAX_POSITIONS
        assert enter.rejection_before_size(0, 0, 60, 1.0, run) == -1


def test_resting_adds_are_cancelled_outside() -> None:
    run = run_with_room()
    rung = Rung(0, -0.02)
    with set_to(STEPS=True, TRACKS_POSITION=True, RUNGS=(rung,)):
        enter_steps(run)
        run.B[0, rung.units], run.B[0, rung.order] = 5.0, 7.0
        hours.end_resting(0, settings.R_CLOSED_HOURS, 60, run)
    assert (run.B[0, rung.units], run.units[0]) == (0.0, 10.0)
    assert status(run) == [(STATUS_CANCELLED, settings.R_CLOSED_HOURS)]


@pytest.mark.parametrize(("bars_left", "active_ns", "venue", "stays"), [
    (2, 40, False, True),  # its bar has opened and has not ended
    (1, 40, False, False),  # what the volume of its bar has left
    (2, 40, True, False),  # a venue has had it since
    (2, 60, True, True),
])  # fmt: skip
def test_a_market_entry_outside_is_cancelled_once_it_has_met_a_bar(
    bars_left: int, active_ns: int, venue: bool, stays: bool
) -> None:
    run = run_of()
    with set_to(TIME_IN_FORCE=2, VENUE_FILLS=venue):
        place_order(0, order_of(MARKET, 3.0, reason=1), active_ns, 2, 0, 0, run)
        run.bars_left[0] = bars_left
        hours.end_resting(0, settings.R_CLOSED_HOURS, 60, run)
    assert bool(run.working[0]) == stays


def test_entries_of_a_grid_are_cancelled_outside_and_its_exits_rest_on() -> None:
    run = laid(ONE)
    meet(run, 1, ONE, 95.0, 95.0, 88.0, 95.0)
    meet(run, 2, ONE, 95.0, 95.0, 95.0, 95.0)
    held, ended = level(run, 0, layout.GRID_EXIT), len(status(run))
    assert held != 0.0
    with set_to(**ONE):
        hours.end_resting(0, settings.R_CLOSED_HOURS, 120, run)
    assert level(run, 1, layout.GRID_ENTRY) == 0.0
    assert level(run, 0, layout.GRID_EXIT) == held
    assert status(run)[ended:] == [(STATUS_CANCELLED, settings.R_CLOSED_HOURS)]


def test_each_symbol_has_its_own_flags() -> None:
    run = run_with(0, symbols=2)
    run.T[layout.ROW + 3, 0] = CLOSED
    hold(run, k=0)
    hold(run, k=1)
    with in_hours(2, SYMBOLS=2):
        hours.read_hours(0, 60, 2, run)
        found = [hours.rejection_of_hours(k, run) for k in range(2)]
    assert found == [-1, settings.R_CLOSED_HOURS]
    assert run.order_units[:2].tolist() == [0.0, -2.0]


def test_a_rebalance_waits_until_the_hours_of_every_symbol_with_a_bar_are_open() -> None:
    run = run_with(0, symbols=2)
    run.equity = 100.0
    run.T[layout.ROW + 3, 0] = CLOSED
    with in_hours(2, SYMBOLS=2, QUORUM=0.0):
        hours.keep_hours(0, run)
        assert rebalance.reason_to_wait(0, run) == settings.R_CLOSED_HOURS
        run.bar[1, 0] = -1
        assert rebalance.reason_to_wait(0, run) == -1


@pytest.mark.parametrize(
    ("before", "cell", "venue", "here"),
    [
        (0, 1, False, True), (0, -1, False, False), (-1, -1, False, False),
        (0, layout.NO_BAR + 60, False, True),  # its bar should have ended
        (layout.NO_BAR + 60, layout.NO_BAR + 60, False, False),  # and the next is open
        (0, -1, True, True),
    ],
)  # fmt: skip
def test_simulated_orders_end_with_bars_of_their_symbol(
    before: int, cell: int, venue: bool, here: bool
) -> None:
    run = run_with(0, 0, symbols=2)
    run.bar[1, :2] = before, cell
    with in_hours(2, SYMBOLS=2, VENUE_FILLS=venue):
        assert hours.decides_here(1, 1, run) == here
    with in_hours():
        assert hours.decides_here(0, 1, run)
