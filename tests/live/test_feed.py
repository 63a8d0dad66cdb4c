"""Bars and decision times together, through losses and crashes at any row of the journal."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._host.venues import BarSeen
from septet._live.clock import ManualClock
from septet._live.market_data.bars import BarAssembler
from septet._live.market_data.decision_times import DecisionTimes, Standing
from septet._live.market_data.feed_grid import Grid
from tests.live.assemblers import MINUTE, SECOND, START, assembler, at
from tests.live.test_bars import World
from tests.scale import examples


class Process:
    """One life of a run: what it gives is journalled in order, until it is killed."""

    def __init__(self, names: Sequence[str], clock: ManualClock, journal: list[m.Event]) -> None:
        self.clock, self.journal = clock, journal
        self.bars: BarAssembler = assembler(*names)
        standing = Standing([Grid("24x7", MINUTE) for _ in names], time_ns=at(0)).fold(journal)
        last = {name: (at(-1), 100.0) for name in names}
        for each in journal:
            if isinstance(each, m.BarClosed):
                last[names[each.symbol]] = (each.open_ns, each.close)
            elif isinstance(each, m.Gapped):
                last[names[each.symbol]] = (each.last_ns, last[names[each.symbol]][1])
        for name, (open_ns, close) in last.items():
            self.bars.resume(name, open_ns, close)
        self.decision_times = DecisionTimes(
            standing, clock, grace_ns=2 * SECOND, decide_within_ns=15 * SECOND
        )
        self.decision_times.begin(catch_up_ns=20 * SECOND, fresh=False)

    def give(self, events: list[m.Event]) -> list[m.Event]:
        """Let bars and gaps in; return them and the decision times that are reached."""
        for each in events:
            self.decision_times.take(each)
        return [*events, *self.decision_times.advance()]


def live(world: World, killing: float) -> list[m.Event]:
    """Run through a world, killed between any two rows; return the journal."""
    clock, journal = ManualClock(at(0.5)), list[m.Event]()
    due = sorted(
        (each for name in world.names for each in world.stream(name)), key=lambda each: each[0]
    )
    draw = random.Random(world.draw.random())
    process = Process(world.names, clock, journal)

    def store(events: list[m.Event]) -> bool:
        for each in events:
            journal.append(each)
            if draw.random() < killing:
                return False
        return True

    while clock.now_ns() < at(world.count + 12):
        alive, now = True, clock.now_ns()
        received: list[BarSeen] = []
        while due and due[0][0] <= now:
            received.append(due.pop(0)[1])
        for seen in received:
            alive = alive and store(process.give(process.bars.take(seen, now, now)))
        if alive:
            for wanted in process.bars.wanted(now, now):
                rows = world.rest(wanted, now)
                alive = alive and store(process.give(process.bars.answer(wanted, rows, now, now)))
        alive = alive and store(process.give(process.bars.poll(now, now)))
        clock.advance(SECOND)
        if not alive:
            clock.advance(draw.randrange(100) * SECOND)
            process = Process(world.names, clock, journal)
    return journal


@settings(max_examples=examples(60), deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 3), st.integers(3, 20), st.sampled_from([0.0, 0.05, 0.3])
)
def test_every_bar_enters_once_and_every_time_is_reached_once(
    seed: int, symbols: int, count: int, killing: float
) -> None:
    world = World(seed, symbols, count)
    journal = live(world, killing)
    given_bars: dict[int, list[int]] = {k: [] for k in range(symbols)}
    entered: dict[int, list[int]] = {k: [] for k in range(symbols)}
    waiting: Counter[int] = Counter()
    text: Counter[tuple[int, int]] = Counter()
    newest = START
    for each in journal:
        if isinstance(each, m.BarClosed):
            given_bars[each.symbol].append((each.open_ns - START) // MINUTE)
            waiting[each.symbol] += 1
        elif isinstance(each, m.Gapped):
            first, last = ((ns - START) // MINUTE for ns in (each.first_ns, each.last_ns))
            assert not set(range(first, last + 1)) & set(world.has[world.names[each.symbol]])
        elif isinstance(each, m.DecisionTimeReached):
            for k in each.present:
                waiting[k] -= 1
                assert waiting[k] >= 0
                entered[k].append(each.time_ns)
                if each.decides:  # nothing newer of this symbol was there to decide
                    assert waiting[k] == 0
            for k in each.missing:
                text[k, each.time_ns] += 1
                assert each.time_ns not in {at(number + 1) for number in given_bars[k]}
            assert each.decides or not each.late
            if each.time_ns > newest:  # no time is left out, and none is reached a second time
                assert each.time_ns == newest + MINUTE
                newest = each.time_ns
    assert max(text.values(), default=0) <= 1
    for k, name in enumerate(world.names):
        assert given_bars[k] == world.has[name]
        assert entered[k] == [at(number + 1) for number in given_bars[k]]
        times = {at(number) for number in range(1, (newest - START) // MINUTE + 1)}
        assert times == set(entered[k]) | {time_ns for j, time_ns in text if j == k}
