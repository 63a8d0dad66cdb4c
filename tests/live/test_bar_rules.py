"""When an answer is accepted: rows that may be too early, and bars that are not there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._host.venues import BarSeen
from septet._live.market_data.bars import BarAssembler, BarRequest, BarRules
from tests.live.assemblers import SECOND, ask, assembler, at, opens, seen, started


def newest(k: int, volume: float = 5.0) -> BarSeen:
    """A row that nothing follows: its last trades may be missing."""
    return msgspec.structs.replace(seen(k, closed=None, volume=volume), source="poll")


def asked(one: BarAssembler, at_ns: int, row: BarSeen) -> list[Any]:
    """Ask at a time, and let the answer be there a tenth of a second later."""
    later = at_ns + SECOND // 10
    return opens(one.answer(ask(one, at_ns), [row], later, later))


def test_the_newest_row_of_an_answer_is_requested_again() -> None:
    one = started()
    assert asked(one, at(1) + SECOND, newest(0, volume=1.0)) == []
    again = at(1) + SECOND + SECOND // 10 + one.rules.again_ns
    assert one.next_wall_ns(lambda ns: ns) == again
    assert one.wanted(again - 1, again - 1) == []
    assert asked(one, again, newest(0)) == []  # it went on: the first was too early
    again += one.rules.again_ns + SECOND // 10
    assert asked(one, again, newest(0)) == [0]  # and now it does not
    assert one.counts["A", "revision"] == 0


def test_an_early_answer_that_came_late_is_not_accepted() -> None:
    one = started()
    one.take(newest(0, volume=1.0), at(1) + SECOND, at(1) + SECOND)
    wanted = ask(one, at(1) + SECOND)  # left before the row above had stood for a while
    now = at(1) + 20 * SECOND
    assert one.answer(wanted, [newest(0, volume=1.0)], now, now) == []
    assert asked(one, now + SECOND, newest(0)) == [0]  # long after the close


def test_a_later_bar_in_the_same_answer_shows_that_one_is_over() -> None:
    one = started()
    now = at(1) + SECOND
    rows = [newest(0), seen(1, closed=False)]
    assert opens(one.answer(ask(one, now), rows, now, now)) == [0]


def test_a_later_bar_of_the_stream_shows_nothing_of_an_answer() -> None:
    one = started()
    one.take(seen(1, closed=False), at(1) + 1, at(1) + 1)
    assert asked(one, at(1) + SECOND, newest(0, volume=1.0)) == []
    assert asked(one, at(1) + 2 * SECOND, newest(0)) == []
    assert asked(one, at(1) + 3 * SECOND, newest(0)) == [0]


def test_a_row_that_is_behind_the_stream_is_not_accepted() -> None:
    one = started()
    one.take(seen(0, closed=False, volume=4.0), at(0.9), at(0.9))
    one.take(seen(1, closed=False), at(1.01), at(1.01))
    assert asked(one, at(1) + SECOND, newest(0, volume=3.0)) == []
    assert asked(one, at(1) + 2 * SECOND, newest(0, volume=3.0)) == []  # the same, but old
    assert asked(one, at(1) + 3 * SECOND, newest(0)) == []
    assert asked(one, at(1) + 4 * SECOND, newest(0)) == [0]


def test_a_polled_row_waits_for_a_question_and_the_stream_may_be_first() -> None:
    one = started()
    early = newest(0, volume=1.0)
    assert one.take(early, at(1) + SECOND // 2, at(1) + SECOND // 2) == []
    assert asked(one, at(1) + SECOND, early) == [0]
    one = started()
    one.take(early, at(1) + SECOND // 2, at(1) + SECOND // 2)
    assert opens(one.take(seen(0), at(1) + SECOND, at(1) + SECOND)) == [0]
    one.take(early, at(1) + 2 * SECOND, at(1) + 2 * SECOND)
    assert one.counts["A", "revision"] == 0  # an early row is no other version


def test_a_polled_row_may_be_the_first_bar_of_all() -> None:
    one = assembler("A")
    one.take(newest(0), at(1) + SECOND // 2, at(1) + SECOND // 2)
    assert asked(one, at(1) + SECOND, newest(0)) == [0]


def test_a_bar_of_an_unknown_state_is_forgotten_when_its_stream_ends() -> None:
    one = started()
    one.take(seen(0, closed=None, volume=1.0), at(0.2), at(0.2))
    one.lost("A")  # it is dialled again after the bar's end
    assert one.take(seen(2, closed=None), at(2.1), at(2.1)) == []
    assert ask(one, at(2.1)) == BarRequest("A", at(0), at(2))


def test_a_bar_given_up_before_two_reports_of_the_venue_is_reported() -> None:
    one = started(rules=BarRules(give_up_ns=30 * SECOND))
    now = at(1) + SECOND
    one.answer(ask(one, now), [], now, now)
    one.take(seen(1), at(2), at(2))
    (gap, _) = one.poll(at(2) + 30 * SECOND, at(2) + 30 * SECOND)
    assert isinstance(gap, m.Gapped)
    assert gap.reason == "not to be had in time"


def test_answers_about_a_missing_bar_must_lie_apart() -> None:
    one = started()
    now = at(1) + SECOND
    for _ in range(2):
        one.answer(ask(one, now), [], now, now)
        now += SECOND
    later = now + 60 * SECOND  # nobody could be asked since
    assert one.take(seen(1, closed=None), later, later) == []
    assert one.poll(later, later) == []
    assert opens(one.answer(ask(one, later), [], later, later)) == [(0, 0)]


def test_a_row_that_keeps_changing_is_requested_ever_less_often_and_then_accepted() -> None:
    one = started()
    now, asks = at(1) + SECOND, 0
    while not one.answer(ask(one, now), [newest(0, volume=1.0 + asks)], now, now):
        then = one.next_wall_ns(lambda ns: ns)
        assert then is not None
        now, asks = then, asks + 1
    assert asks < 10
    assert now - at(1) < 30 * SECOND


def test_a_row_nobody_confirmed_is_declared_missing() -> None:
    one = started(rules=BarRules(give_up_ns=30 * SECOND))
    one.take(newest(0), at(1) + SECOND, at(1) + SECOND)
    one.take(seen(1), at(2), at(2))
    (gap, _) = one.poll(at(2) + 30 * SECOND, at(2) + 30 * SECOND)
    assert isinstance(gap, m.Gapped)
    assert gap.reason == "nothing showed that the row was the whole bar"


@pytest.mark.parametrize("ahead_s", [2, 90, 600])
def test_a9_a_bar_that_still_forms_is_not_taken_by_a_clock_that_ran_ahead(ahead_s: int) -> None:
    """By the clock the bar is long over; the venue lists it with what it has so far."""
    one = started()
    uncertainty_ns = ahead_s * SECOND
    true_ns = at(1) - SECOND
    for number in range(8):
        now = true_ns + number * SECOND // 10 + uncertainty_ns
        for wanted in one.wanted(now, now, 1.0, uncertainty_ns):
            assert one.answer(wanted, [newest(0, volume=1.0)], now, now) == []
    rows = [newest(0), seen(1, closed=False)]
    now += 30 * SECOND
    (wanted,) = one.wanted(now, now, 1.0, uncertainty_ns)
    assert opens(one.answer(wanted, rows, now, now)) == [0]  # a later bar follows it there


def test_a_bar_is_taken_by_a_clock_that_jumped_once_as_much_time_has_passed() -> None:
    one = started()
    now = at(1) + 20 * SECOND
    (wanted,) = one.wanted(now, now, 1.0, 9 * SECOND)
    assert opens(one.answer(wanted, [newest(0)], now, now)) == [0]


def test_a9_a_row_has_not_stood_for_longer_because_the_clock_jumped() -> None:
    one, uncertainty_ns = started(), 4 * SECOND
    before = at(1) + SECOND
    assert one.answer(ask(one, before), [newest(0, volume=1.0)], before, before) == []
    one.lost()  # the clock jumps: see MarketDataHandler.stood_still
    now = before + SECOND // 5 + uncertainty_ns
    (wanted,) = one.wanted(now, now, 1.0, uncertainty_ns)
    assert one.answer(wanted, [newest(0, volume=1.0)], now, now) == []
    now += SECOND
    (wanted,) = one.wanted(now, now, 1.0, uncertainty_ns)
    assert one.answer(wanted, [newest(0)], now, now) == []
