"""Takes and resting adds where a venue fills orders: what sends one, and what its fills do."""

from __future__ import annotations

from typing import Any

import pytest

from septet._kernel import layout
from septet._rules import by_hand, levels, resting, venue_fills, venue_steps
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from tests.rules.small_run import Fixed, fill_of, order_of, rows, set_to, status
from tests.rules.test_position_steps import ORDER, PRICE, SENT, UNITS, Rung, Take, run_with_room

BREAK_EVEN, ADD, TAKE = 25, 23, 24


class SentRung(Rung):
    """A resting add with the column that counts its fills."""

    filled = SENT


def a_run() -> Run:
    """Return a run with room for a resting add, and its only symbol marked."""
    run = run_with_room()
    run.cash = 100_000.0
    run.mark[0] = 100.0
    return run


def settings(**more: Any) -> Any:
    """Return the settings of a position in steps whose orders a venue fills."""
    return set_to(
        STEPS=True, TRACKS_POSITION=True, VENUE_FILLS=True, TOUCHES=True, SENDS_TAKES=True,
        R_ADD=ADD, R_TAKE=TAKE, R_BREAK_EVEN=BREAK_EVEN, **more,
    )  # fmt: skip


def enter(run: Run, side: float = 1.0) -> None:
    """Book ten units at 100."""
    book_fill(0, fill_of(10.0 * side, 100.0), 0.0, 0, run)
    venue_fills.follow_fill(0, 0, 0, 1, 0, run)


def order_ids(run: Run, reason: int) -> list[int]:
    """Return the numbers of the orders that were made for a reason."""
    return [int(n[3]) for n in run.LI[: run.log_rows] if n[0] == layout.ORDER and n[5] == reason]


class Distance:
    """A stop so far from the average cost."""

    code, checked, rule, reads = 30, False, 0, False

    def __init__(self, share: float) -> None:
        self.share = share

    def level(self, k: int, side: float, average_price: float, *_: Any) -> float:
        """Return its price."""
        return average_price * (1.0 - side * self.share)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("order", ["that entry", "another"])
def test_an_entry_into_what_is_too_small_to_be_sold_has_a_stop_of_its_own(
    side: float, order: str
) -> None:
    """The stop, at which nothing could be sold, is passed by far when the entry is decided."""
    run = a_run()
    run.min_notional[0] = 2_000.0
    price = 100.0 - 20.0 * side
    with settings(PROTECTIVE=(Distance(0.03),)):
        enter(run, side)
        stop = 100.0 - 3.0 * side
        assert run.stop_price[0] == stop
        run.mark[0] = run.close[0, 1] = price
        venue_fills.touch_levels(0, price, price, 60, run)
        assert (run.exit_to_retry[0], run.working[0]) == (31, 0)
        row = place_order(
            0,
            order_of(layout.MARKET, 990.0 * side, reason=2, decision_price=price),
            60,
            1,
            0,
            60,
            run,
        )
        number = int(run.LI[row, 3])
        levels.restart_counts(0, 1, 60, run)
        if order == "another":
            run.begins_again[0] = number + 9
        units = 400.0 * side
        venue_fills.book_venue_fill(
            0, fill_of(units, price, time_ns=90, order_id=number, reason=2), units, 0.0, 0, run
        )
        average = (10.0 * 100.0 + 400.0 * price) / 410.0
        begun = order == "that entry"
        expected = average * (1.0 - 0.03 * side) if begun else stop
        assert run.stop_price[0] == pytest.approx(expected)
        assert run.entry_ns[0] == (90 if begun else 60)
        if begun:  # the rest of the same order belongs to the position that it has begun
            run.stop_price[0] = price + 0.5 * side
            units = 590.0 * side
            venue_fills.book_venue_fill(
                0, fill_of(units, price, time_ns=120, order_id=number, reason=2), units, 0.0, 0, run
            )
            assert (run.stop_price[0], run.entry_ns[0]) == (price + 0.5 * side, 90)
            assert run.blocked_long[0] + run.blocked_short[0] == 0


def test_a_fill_of_no_order_begins_no_position_again() -> None:
    run = a_run()
    with settings(PROTECTIVE=(Distance(0.03),)):
        enter(run)
        venue_fills.book_venue_fill(
            0, fill_of(5.0, 90.0, time_ns=90, order_id=-1, reason=2), 5.0, 0.0, 0, run
        )
        assert (run.stop_price[0], run.entry_ns[0]) == (97.0, 0)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_price_beyond_the_level_sends_a_take_once(side: float) -> None:
    run = a_run()
    with settings(TAKES_AT=(Take(0, 0.4, 100.0 + 4.0 * side, moves_stop=True),)):
        enter(run, side)
        for price in (100.0 + 4.0 * side, float("nan")):
            venue_steps.touch_takes(0, price, 60, run)
            assert run.take_units[0] == 0.0, "a level that is met is not passed"
        venue_steps.touch_takes(0, 100.0 + 4.1 * side, 60, run)
        assert (run.take_units[0], run.break_even[0]) == (-4.0 * side, layout.AFTER_FILL)
        venue_steps.touch_takes(0, 100.0 + 9.0 * side, 120, run)
        assert len(order_ids(run, TAKE)) == 1


def test_takes_that_one_price_has_passed_are_one_order_and_the_next_waits_for_its_end() -> None:
    run = a_run()
    takes = (Take(0, 0.3, 102.0), Take(1, 0.3, 104.0), Take(2, 0.4, 106.0))
    with settings(TAKES_AT=takes):
        enter(run)
        venue_steps.touch_takes(0, 105.0, 60, run)
        assert (run.take_units[0], run.takes_done[0]) == (-6.0, 0b11)
        venue_steps.touch_takes(0, 107.0, 120, run)
        assert (run.take_units[0], run.takes_done[0]) == (-6.0, 0b11)
        (first,) = order_ids(run, TAKE)
        venue_fills.book_venue_fill(
            0, fill_of(-6.0, 105.0, time_ns=180, order_id=first, reason=TAKE), -6.0, 0.0, 0, run
        )
        assert status(run)[-1] == (layout.STATUS_FILLED, TAKE)
        venue_steps.touch_takes(0, 107.0, 240, run)
        assert run.take_units[0] == -4.0


def test_a_part_of_a_take_moves_the_stop_and_the_rest_goes_on() -> None:
    run = a_run()
    takes = (Take(0, 0.5, 102.0, moves_stop=True), Take(1, 0.5, 104.0))
    with settings(TAKES_AT=takes, PROTECTIVE=(Fixed(95.0),)):
        enter(run)
        assert venue_steps.stop_with_fills(0, run)[0] == 95.0
        venue_steps.touch_takes(0, 103.0, 60, run)
        (first,) = order_ids(run, TAKE)
        venue_fills.book_venue_fill(
            0, fill_of(-2.0, 103.0, time_ns=120, order_id=first, reason=TAKE), -2.0, 0.0, 0, run
        )
        assert (run.take_units[0], run.break_even[0], run.stop_price[0]) == (-3.0, 1, 95.0)
        assert venue_steps.stop_with_fills(0, run) == (100.0, BREAK_EVEN)
        venue_steps.move_stop(0, 0, run)
        assert (run.stop_price[0], run.moved_ns[0]) == (100.0, 0)
        venue_fills.venue_ended(0, first, layout.STATUS_CANCELLED, 180, run)
        assert (run.take_units[0], run.break_even[0], run.exit_to_retry[0]) == (0.0, 1, 0)
        venue_steps.touch_takes(0, 105.0, 240, run)  # the next makes up for what is left
        assert run.take_units[0] == -8.0


def test_a_take_that_sold_nothing_moves_no_stop() -> None:
    run = a_run()
    with settings(TAKES_AT=(Take(0, 0.5, 102.0, moves_stop=True),), PROTECTIVE=(Fixed(95.0),)):
        enter(run)
        venue_steps.touch_takes(0, 103.0, 60, run)
        (first,) = order_ids(run, TAKE)
        venue_fills.venue_ended(0, first, layout.STATUS_CANCELLED, 120, run)
        assert (run.break_even[0], run.takes_done[0]) == (0, 1)
        assert status(run)[-1] == (layout.STATUS_CANCELLED, TAKE)


@pytest.mark.parametrize("sold", [0.0, 2.0])
def test_what_a_persons_halt_cancelled_of_a_take_is_sent_again(sold: float) -> None:
    run = a_run()
    takes = (Take(0, 0.3, 102.0, moves_stop=True), Take(1, 0.2, 103.0), Take(2, 0.5, 110.0))
    with settings(TAKES_AT=takes, PROTECTIVE=(Fixed(95.0),)):
        enter(run)
        venue_steps.touch_takes(0, 104.0, 60, run)
        (first,) = order_ids(run, TAKE)
        if sold:
            venue_fills.book_venue_fill(
                0,
                fill_of(-sold, 104.0, time_ns=90, order_id=first, reason=TAKE),
                -sold,
                0.0,
                0,
                run,
            )
        by_hand.halt_by_hand(9, 100, 0, run)
        venue_fills.venue_ended(0, first, layout.STATUS_CANCELLED, 120, run)
        assert (run.takes_done[0], run.taken_share[0]) == (0, pytest.approx(0.0))
        venue_steps.touch_takes(0, 101.0, 180, run)
        assert run.take_units[0] == 0.0, "its level is watched again"
        venue_steps.touch_takes(0, 104.0, 240, run)
        assert (run.take_units[0], run.takes_done[0]) == (-(5.0 - sold), 0b11)
        last = order_ids(run, TAKE)[-1]
        venue_fills.venue_ended(0, last, layout.STATUS_CANCELLED, 300, run)
        assert run.takes_done[0] == 0b11, "the halt has not ended that one"


def test_a_stop_that_the_venue_triggers_ends_the_take_that_works() -> None:
    run = a_run()
    with settings(TAKES_AT=(Take(0, 0.5, 102.0),), PROTECTIVE=(Fixed(95.0),)):
        enter(run)
        venue_steps.touch_takes(0, 103.0, 60, run)
        venue_fills.venue_triggered(0, 7, 120, run)
        assert (run.take_units[0], run.order_units[0]) == (0.0, -10.0)
        assert (layout.STATUS_CANCELLED, 7) in status(run)


@pytest.mark.parametrize(("level", "before", "beyond"), [(-0.02, 98.0, 97.9), (0.02, 101.9, 102.0)])
def test_a_resting_add_is_sent_when_it_is_passed_and_counted_with_its_first_fill(
    level: float, before: float, beyond: float
) -> None:
    run = a_run()
    rung = SentRung(0, level)
    with settings(RUNGS=(rung,)):
        enter(run)
        run.ladder[0] = 1
        run.B[0, PRICE], run.B[0, UNITS], run.B[0, ORDER] = 100.0 * (1 + level), 5.0, -1.0
        venue_steps.touch_adds(0, before, 60, run)
        assert order_ids(run, ADD) == []
        run.blocked = 1
        venue_steps.touch_adds(0, beyond, 60, run)
        assert order_ids(run, ADD) == [], "a block ends none, and sends none"
        run.blocked = 0
        for _ in range(2):
            venue_steps.touch_adds(0, beyond, 120, run)
        (sent,) = order_ids(run, ADD)
        assert (run.adds[0], run.working[0]) == (0, 0)
        for now_ns, units in ((180, 2.0), (240, 3.0)):
            venue_fills.book_venue_fill(
                0,
                fill_of(units, 98.0, time_ns=now_ns, order_id=sent, reason=ADD),
                units,
                0.0,
                0,
                run,
            )
            assert run.adds[0] == 1
        assert (run.units[0], run.B[0, UNITS]) == (15.0, 0.0)
        assert status(run)[-1] == (layout.STATUS_FILLED, ADD)
        assert len(rows(run, layout.FILL)) == 3


def test_a_fill_of_no_order_of_ours_is_of_no_add_that_is_watched() -> None:
    run = a_run()
    with settings(RUNGS=(SentRung(0, -0.02),)):
        enter(run)
        run.ladder[0] = 1
        run.B[0, PRICE], run.B[0, UNITS], run.B[0, ORDER] = 98.0, 5.0, -1.0
        venue_fills.book_venue_fill(
            0, fill_of(5.0, 98.0, time_ns=60, order_id=-1, reason=ADD), 5.0, 0.0, 0, run
        )
        assert (run.units[0], run.B[0, UNITS], run.adds[0]) == (15.0, 5.0, 0)


def test_only_a_resting_add_that_was_sent_is_cancelled_at_the_venue() -> None:
    for order, ended in ((-1.0, []), (7.0, [(layout.STATUS_CANCELLED, 12)])):
        run = a_run()
        with settings(RUNGS=(SentRung(0, -0.02),)):
            enter(run)
            run.B[0, PRICE], run.B[0, UNITS], run.B[0, ORDER] = 98.0, 5.0, order
            resting.end_rungs(0, 12, 60, run)
            assert (run.B[0, UNITS], status(run)) == (0.0, ended)


def test_adds_count_with_the_first_fill_of_their_order() -> None:
    run = a_run()
    run.adds[0], run.adds_working[0] = 1, 2
    for _ in range(2):
        venue_steps.count_add(0, run)
        assert (run.adds[0], run.adds_working[0]) == (3, 0)


@pytest.mark.parametrize("status_at_venue", [layout.STATUS_CANCELLED, layout.STATUS_EXPIRED])
def test_a_resting_add_that_the_venue_ends_is_gone_and_no_other(status_at_venue: int) -> None:
    run = a_run()
    rung = SentRung(0, -0.02)
    with settings(RUNGS=(rung,)):
        enter(run)
        run.B[0, UNITS], run.B[0, ORDER] = 5.0, 7.0
        assert venue_steps.end_sent_add(0, 8, status_at_venue, 60, run) == 0
        assert (run.B[0, UNITS], status(run)) == (5.0, [])
        assert venue_steps.end_sent_add(0, 7, status_at_venue, 60, run) == 1
        assert (run.B[0, UNITS], status(run)) == (0.0, [(status_at_venue, ADD)])
        assert venue_steps.end_sent_add(0, 7, status_at_venue, 60, run) == 0


@pytest.mark.parametrize(("units", "everything"), [(-10.0, True), (-4.0, False)])
def test_a_reduction_of_all_that_is_held_closes(units: float, *, everything: bool) -> None:
    run = a_run()
    with settings():
        enter(run)
        place_order(0, order_of(layout.MARKET, units, reason=1), 0, 0, 1, 0, run)
        assert bool(venue_fills.closes_all(0, run)) == everything
