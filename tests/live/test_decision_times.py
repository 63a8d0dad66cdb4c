"""Every decision time is reached once; a late symbol enters by one of its own, in order."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._live.clock import ManualClock
from septet._live.market_data.decision_times import (
    DecisionTimes,
    Standing,
    default_decide_within_ns,
    default_grace_ns,
)
from septet._live.market_data.feed_grid import Grid
from tests.scale import examples

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_000_040 * SECOND // MINUTE * MINUTE


def at(k: float) -> int:
    return START + int(k * MINUTE)


def bar(symbol: int, k: int) -> m.BarClosed:
    """Bar k of a symbol: known at `at(k)`."""
    return m.BarClosed(
        at_ns=0, symbol=symbol, open_ns=at(k - 1), known_ns=at(k), open=1.0, high=1.0, low=1.0,
        close=1.0, volume=1.0,
    )  # fmt: skip


def gap(symbol: int, first: int, last: int) -> m.Gapped:
    return m.Gapped(at_ns=0, symbol=symbol, first_ns=at(first - 1), last_ns=at(last - 1), reason="")


def times_of(
    clock: ManualClock, symbols: int = 2, *, standing: Standing | None = None, fresh: bool = True
) -> DecisionTimes:
    standing = standing or Standing([Grid("24x7", MINUTE) for _ in range(symbols)])
    one = DecisionTimes(standing, clock, grace_ns=2 * SECOND, decide_within_ns=15 * SECOND)
    one.begin(catch_up_ns=20 * SECOND, fresh=fresh)
    return one


def reported(events: list[m.DecisionTimeReached]) -> list[tuple[Any, ...]]:
    return [
        ((e.time_ns - START) // MINUTE, e.present, e.missing, e.decides, e.late) for e in events
    ]


def feed(one: DecisionTimes, *events: m.Event) -> list[tuple[Any, ...]]:
    for each in events:
        one.take(each)
    return reported(one.advance())


def test_a_time_is_reached_when_all_have_delivered() -> None:
    clock = ManualClock(at(0.5))
    one = times_of(clock)
    clock.reach(at(1))
    assert feed(one, bar(1, 1)) == []
    assert one.next_wall_ns() == at(1) + 2 * SECOND
    assert feed(one, bar(0, 1)) == [(1, (0, 1), (), True, False)]
    assert one.next_wall_ns() == at(2) + 2 * SECOND


def test_a_time_does_not_wait_longer_than_grace() -> None:
    clock = ManualClock(at(0.5))
    one = times_of(clock)
    clock.reach(at(1) + 2 * SECOND - 1)
    assert feed(one, bar(0, 1)) == []
    clock.advance(1)
    assert feed(one) == [(1, (0,), (1,), True, False)]
    clock.advance(SECOND)
    assert feed(one, bar(1, 1)) == [(1, (1,), (), True, False)]


def test_a_bar_after_decide_within_is_late() -> None:
    clock = ManualClock(at(0.5))
    one = times_of(clock)
    clock.reach(at(1) + 16 * SECOND)
    assert feed(one, bar(0, 1)) == [(1, (0,), (1,), True, True)]
    assert feed(one, bar(1, 1)) == [(1, (1,), (), True, True)]


def test_a_time_missed_while_the_process_was_down_is_declared_and_decides_nothing() -> None:
    clock = ManualClock(at(0.5))
    one = times_of(clock)
    clock.reach(at(2))
    assert feed(one) == [(1, (), (0, 1), False, False)]
    assert feed(one, gap(0, 1, 1), bar(0, 2), gap(1, 1, 2)) == [(2, (0,), (1,), True, False)]


def test_only_the_newest_of_what_was_backfilled_decides() -> None:
    clock = ManualClock(at(0.5))
    one = times_of(clock)
    clock.reach(at(3) + 5 * SECOND)
    assert [each[1] for each in feed(one)] == [(), (), ()]
    found = feed(one, *(bar(0, k) for k in (1, 2, 3)), bar(1, 1), bar(1, 2))
    assert found == [
        (1, (0, 1), (), False, False),
        (2, (0,), (), False, False),
        (2, (1,), (), True, True),
        (3, (0,), (), True, False),
    ]


def test_bars_closed_before_a_fresh_start_do_not_decide() -> None:
    clock = ManualClock(at(2.1))
    standing = Standing([Grid("24x7", MINUTE)], time_ns=at(0))
    one = times_of(clock, standing=standing)
    assert feed(one, bar(0, 1)) == [(1, (0,), (), False, False)]
    assert feed(one, bar(0, 2)) == [(2, (0,), (), False, False)]
    clock.reach(at(3))
    assert feed(one, bar(0, 3)) == [(3, (0,), (), True, False)]


def test_a_step_reaches_one_time_and_leaves_the_rest_to_advance() -> None:
    clock = ManualClock(at(0.5))
    one = times_of(clock)
    clock.reach(at(3) + 2 * SECOND)
    for each in (bar(0, 1), bar(1, 1)):
        one.take(each)
    assert reported(one.step(clock.now_ns())) == [(1, (0, 1), (), True, True)]
    assert reported(one.advance()) == [(2, (), (0, 1), False, False), (3, (), (0, 1), False, False)]
    assert one.step(clock.now_ns()) == []


def test_a_restart_waits_for_what_it_missed_and_decides_the_newest() -> None:
    clock = ManualClock(at(3) + 5 * SECOND)
    journal: list[m.Event] = [
        bar(0, 1), bar(1, 1), m.DecisionTimeReached(at_ns=0, time_ns=at(1), present=(0, 1)),
        bar(0, 2),
    ]  # fmt: skip
    standing = Standing([Grid("24x7", MINUTE)] * 2).fold(journal)
    one = times_of(clock, standing=standing, fresh=False)
    assert feed(one) == []
    assert one.next_wall_ns() == at(3) + 25 * SECOND
    found = feed(one, bar(0, 3), bar(1, 2), bar(1, 3))
    assert found == [(2, (0, 1), (), False, False), (3, (0, 1), (), True, False)]


def test_a_restart_does_not_wait_for_ever() -> None:
    clock = ManualClock(at(3) + 5 * SECOND)
    standing = Standing([Grid("24x7", MINUTE)] * 2, time_ns=at(1))
    one = times_of(clock, standing=standing, fresh=False)
    clock.advance(20 * SECOND)
    assert [each[:3] for each in feed(one)] == [(2, (), (0, 1)), (3, (), (0, 1))]


def test_symbols_of_different_calendars_are_due_at_their_own_times() -> None:
    clock = ManualClock(at(0))
    grids = [Grid("24x7", 60 * MINUTE), Grid("XNYS", 60 * MINUTE)]
    one = DecisionTimes(Standing(grids), clock, grace_ns=SECOND, decide_within_ns=15 * SECOND)
    one.begin(catch_up_ns=0, fresh=True)
    due: dict[int, int] = defaultdict(int)
    for _ in range(48):
        following = one.next_wall_ns()
        assert following is not None
        clock.reach(following)
        for event in one.advance():
            due[len(event.missing)] += 1
    # a session of the exchange ends with a short bar, at a time that is one of the clock's
    assert due[2] == 2 * 7
    assert due[1] == 48 - 14


def test_the_usual_bounds_shrink_with_the_bar() -> None:
    assert default_grace_ns(60 * MINUTE, 1.0) == 2 * SECOND
    assert default_grace_ns(60 * MINUTE, 3_600.0) == SECOND // 8
    assert default_decide_within_ns(60 * MINUTE, 1.0) == 60 * SECOND
    assert default_decide_within_ns(60 * MINUTE, 3_600.0) == SECOND // 4
    assert default_decide_within_ns(60 * MINUTE, 1.0, 7) == 7


class Deliveries:
    """Bars of some symbols with the time each is given at: late, in batches, or never."""

    def __init__(self, seed: int, symbols: int, count: int) -> None:
        self.draw = random.Random(seed)
        self.symbols, self.count = symbols, count
        self.given: list[tuple[int, m.Event]] = []
        for k in range(symbols):
            now, number = 0, 1
            while number <= count:
                now = max(now, at(number) + int(self.draw.expovariate(0.5) * 4 * SECOND))
                if self.draw.random() < 0.05:
                    now += self.draw.randrange(5) * MINUTE
                until = min(count, number + self.draw.randrange(3))
                if self.draw.random() < 0.1:
                    self.given.append((max(now, at(until)), gap(k, number, until)))
                    number = until + 1
                else:
                    self.given.append((now, bar(k, number)))
                    number += 1
        self.given.sort(key=lambda each: each[0])


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 30), st.booleans())
def test_every_time_once_and_every_bar_once_in_order(
    seed: int, symbols: int, count: int, crash: bool
) -> None:
    world = Deliveries(seed, symbols, count)
    clock = ManualClock(at(0.5))
    one = times_of(clock, symbols)
    journal: list[m.Event] = []
    pending = list(world.given)
    while clock.now_ns() < at(count + 8):
        while pending and pending[0][0] <= clock.now_ns():
            event = pending.pop(0)[1]
            one.take(event)
            journal.append(event)
        if world.draw.random() < 0.5:
            journal += one.step(clock.now_ns())
        journal += one.advance()
        assert one.advance() == []
        if crash and world.draw.random() < 0.05:
            clock.advance(world.draw.randrange(30 * SECOND))
            standing = Standing(one.standing.grids, time_ns=at(0)).fold(journal)
            one = times_of(clock, standing=standing, fresh=False)
        following = one.next_wall_ns()
        assert following is not None
        clock.reach(min([following, *(each[0] for each in pending[:1])]))
    _check(world, journal)


def _check(world: Deliveries, journal: list[m.Event]) -> None:
    decision_times = [each for each in journal if isinstance(each, m.DecisionTimeReached)]
    regular = [each for each in decision_times if each.missing or each.present]
    assert regular == decision_times
    newest = START
    declared: dict[int, int] = defaultdict(int)
    for each in decision_times:
        assert not set(each.present) & set(each.missing)
        if (
            each.time_ns > newest
        ):  # the first decision time of a time; its next one is a minute later
            assert each.time_ns == newest + MINUTE
            newest = each.time_ns
        for k in each.missing:
            declared[k] += 1
    entered = {
        k: [e.time_ns for e in decision_times if k in e.present] for k in range(world.symbols)
    }
    delivered = {
        k: [e.known_ns for _, e in world.given if isinstance(e, m.BarClosed) and e.symbol == k]
        for k in range(world.symbols)
    }
    assert entered == delivered
    for k in range(world.symbols):
        assert all(before < after for before, after in pairwise(entered[k]))
        # a symbol is present in time, or reported missing, at each time exactly once
        late = 0
        newest = START
        for each in decision_times:
            late += (
                k in each.present and each.time_ns <= newest and _passed(decision_times, each, k)
            )
            newest = max(newest, each.time_ns)
        assert len(entered[k]) - late + declared[k] == (newest - START) // MINUTE
    for each in decision_times:
        if each.decides:
            assert each.present


def _passed(
    decision_times: list[m.DecisionTimeReached], late: m.DecisionTimeReached, k: int
) -> bool:
    """Whether a decision time at the same time had the symbol as missing."""
    return any(each.time_ns == late.time_ns and k in each.missing for each in decision_times)


def test_without_any_listed_symbol_the_time_itself_is_waited_for() -> None:
    """Else every decision time of the future is reached at once, and the loop stands still."""
    clock = ManualClock(at(0.5))
    one = times_of(clock)
    one.absent = {0, 1}
    assert feed(one) == []
    assert one.next_wall_ns() == at(1) + 2 * SECOND
    clock.reach(at(1) + 2 * SECOND)
    assert feed(one) == [(1, (), (0, 1), False, False)]
    one.absent = {0}
    clock.reach(at(2))
    assert feed(one, bar(1, 2)) == [(2, (1,), (0,), True, False)]
