"""Bars, decision times and the market-data handler together, on a loop whose time is made up.

A venue with holes, calendars and a late listing tells of its bars by a stream that loses, repeats
and delays, and by answers that are late, old, or none. Whatever it does: each bar once and whole,
each decision time once, and nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._data.stamps import iso
from septet._host.venues import BarSeen, FeedFacts, FeedRequest
from septet._live.clock import ManualClock
from septet._live.market_data import handler as handler_module
from septet._live.market_data.bars import BarAssembler, BarRules
from septet._live.market_data.decision_times import (
    DecisionTimes,
    Standing,
    default_decide_within_ns,
    default_grace_ns,
)
from septet._live.market_data.feed_grid import Gate, Grid, Slot
from septet._live.market_data.handler import MarketDataHandler
from septet._live.market_data.watchdog import Watchdog
from septet.errors import RunError
from septet_schemas.data import CandlesConfig
from tests.live.virtual_time import VirtualTimeLoop, run
from tests.scale import examples

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR, DAY = 60 * MINUTE, 1_440 * MINUTE
LAG_NS = 2 * SECOND
AHEAD_NS = SECOND // 2
CATCH_UP_NS = 20 * SECOND
BARS = {DAY: 12}

STARTS = {
    "an ordinary day": 1_700_000_040 * SECOND,  # Tuesday, 2023-11-14, 22:14 UTC
    "clocks go forward": 1_710_000_000 * SECOND,  # Saturday, 2024-03-09, before a Sunday's change
    "clocks go back": 1_699_100_000 * SECOND,  # Saturday, 2023-11-04
    "a short session": 1_700_830_000 * SECOND,  # Friday, 2023-11-24, before an early close
}


# ---------------------------------------------------------------- a venue


@lru_cache(maxsize=64)
def grid_of(calendar: str, bar_ns: int) -> Grid:
    return Grid(calendar, bar_ns)


class Venue:
    """Bars of some symbols: all of them are whole at their close, by the venue's clock."""

    def __init__(self, draw: random.Random, grids: Sequence[Grid], start_ns: int) -> None:
        self.draw, self.grids, self.start_ns = draw, grids, start_ns
        self.names = [f"S{k}" for k in range(len(grids))]
        first = grids[0].following(start_ns)
        self.begin_ns = first.open_ns
        self.end_ns = grids[0].due(first.open_ns, 2**62, BARS.get(grids[0].bar_ns, 40))[-1].known_ns
        self.slots: dict[str, list[Slot]] = {}
        for name, grid in zip(self.names, grids, strict=True):
            slots = grid.due(self.begin_ns - 12 * grid.bar_ns, self.end_ns, 10_000)
            listed = draw.choice((0, 0, 0, len(slots) // 2))  # one may be listed later
            keep = slots[listed:]
            last = len(keep) - 3
            self.slots[name] = [
                slot for j, slot in enumerate(keep) if j >= last or draw.random() > 0.06
            ]
        self.opens = {name: [each.open_ns for each in rows] for name, rows in self.slots.items()}

    def bar(self, name: str, slot: Slot, at_ns: int, closed: bool | None) -> BarSeen:
        """Return a bar as it is at a time of the venue: its volume grows until it closes."""
        share = min(1.0, (at_ns - slot.open_ns) / (slot.known_ns - slot.open_ns))
        base = 100.0 + slot.open_ns // self.grids[0].bar_ns % 7
        return BarSeen(
            name, slot.open_ns, base, base + 2, base - 2, base + share, 5.0 * share + 1e-9,
            closed=closed, source="poll",
        )  # fmt: skip

    def rows(self, name: str, since_ns: int, until_ns: int, at_ns: int) -> list[BarSeen]:
        """Return what a list shows that is as old as `at_ns`, the unfinished bar with it."""
        first = bisect_left(self.opens[name], since_ns)
        stop = bisect_left(self.opens[name], min(until_ns, at_ns))
        slots = self.slots[name][first:stop]
        followed = stop < len(self.opens[name]) and self.opens[name][stop] <= at_ns
        return [
            self.bar(name, slot, at_ns, True if slot is not slots[-1] or followed else None)
            for slot in slots
        ]


class Feed:
    """A stream that loses and delays, and answers that are late, old or none."""

    def __init__(self, venue: Venue, clock: ManualClock) -> None:
        self.venue, self.clock, self.draw = venue, clock, venue.draw
        self.sink: Callable[[Any], None] = lambda message: None
        self.tasks: list[asyncio.Task[None]] = []
        self.flagged = {name: self.draw.random() > 0.3 for name in venue.names}
        self.failing, self.losing = self.draw.random() * 0.5, self.draw.choice((0.0, 0.1, 0.5))
        self.dark_until_ns = 0
        self.asked = 0

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        self.sink = sink
        for name in self.venue.names:
            self.tasks.append(asyncio.get_running_loop().create_task(self._notify(name)))
        return FeedFacts("made up", {"bars": "stream"}, {})

    async def _until(self, at_ns: int) -> None:
        while (wait_ns := at_ns - self.clock.now_ns()) > 0:
            await asyncio.sleep(wait_ns / SECOND)

    async def _notify(self, name: str) -> None:
        """Report bars as they grow and close; connections end, and some messages never come."""
        draw, venue, flagged = self.draw, self.venue, self.flagged[name]
        for slot in venue.slots[name]:
            span = slot.known_ns - slot.open_ns
            if slot.known_ns <= self.clock.now_ns():
                continue
            partial = False if flagged else None
            for part in (0.01, draw.random()):
                await self._until(slot.open_ns + int(part * span))
                self._log(venue.bar(name, slot, self.clock.now_ns(), partial), partial)
            await self._until(slot.known_ns + draw.choice((-AHEAD_NS // 4, 0, AHEAD_NS, SECOND)))
            if flagged:
                for _ in range(draw.choice((1, 1, 2))):
                    self._log(venue.bar(name, slot, slot.known_ns, True), True)
            else:
                # Where nothing states that a bar is final its last state comes before the next one.
                self.sink(self._streamed(venue.bar(name, slot, slot.known_ns, None), None))

    def _log(self, seen: BarSeen, closed: bool | None) -> None:
        if self.draw.random() >= self.losing and self.clock.now_ns() >= self.dark_until_ns:
            self.sink(self._streamed(seen, closed))

    @staticmethod
    def _streamed(seen: BarSeen, closed: bool | None) -> BarSeen:
        prices = (seen.open, seen.high, seen.low, seen.close, seen.volume)
        return BarSeen(seen.symbol, seen.open_ns, *prices, closed=closed)

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        self.asked += 1
        passed_ns = self.clock.now_ns()
        await asyncio.sleep(self.draw.choice((0.01, 0.05, 0.3, 2.0)))
        if self.draw.random() < self.failing or self.clock.now_ns() < self.dark_until_ns:
            raise RunError("connection refused")
        at_ns = self.clock.now_ns() - self.draw.choice((0, 0, LAG_NS // 10, LAG_NS))
        await asyncio.sleep(self.draw.choice((0.01, 0.05, 1.0)))
        rows = self.venue.rows(symbol, since_ns, until_ns, at_ns)
        grid = self.venue.grids[self.venue.names.index(symbol)]
        found = []
        for each in rows:
            slot = grid.slot(each.open_ns)
            assert slot is not None
            if slot.known_ns <= passed_ns:
                found.append(each)
        if self.draw.random() < 0.2:  # pages that overlap
            found = found[-3:] + found
        return found

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []


# ---------------------------------------------------------------- a run of it


class Scene:
    """One run: the handler, what it has put and when, and what was done to it."""

    def __init__(self, seed: int, calendars: Sequence[str], bar_ns: int, start_ns: int) -> None:
        self.draw = random.Random(seed)
        grids = [grid_of(each, bar_ns) for each in calendars]
        self.venue, self.bar_ns = Venue(self.draw, grids, start_ns), bar_ns
        self.clock = ManualClock(self.venue.begin_ns + int(self.draw.random() * bar_ns * 3))
        self.feed, self.events = Feed(self.venue, self.clock), list[m.Event]()
        self.grace_ns = default_grace_ns(bar_ns, 1.0)
        self.within_ns = default_decide_within_ns(bar_ns, 1.0)
        self.held: list[int] = []
        self.reported: list[tuple[Any, ...]] = []
        self.most_waiting = 0

    def handler(self) -> MarketDataHandler:
        names, grids = self.venue.names, self.venue.grids
        gates = [Gate(n, g, CandlesConfig(), "x") for n, g in zip(names, grids, strict=True)]
        bars = BarAssembler(names, grids, gates, BarRules.of(self.bar_ns, 1.0, self.grace_ns))
        decision_times = DecisionTimes(
            Standing(grids), self.clock, grace_ns=self.grace_ns, decide_within_ns=self.within_ns
        )
        watchdog = Watchdog(
            self.clock, behind=lambda k: bars.behind(names[k], self.clock.market_ns())
        )
        request = FeedRequest(tuple(names), self.bar_ns, frozenset({"bars"}))
        return MarketDataHandler(
            self.feed, request, bars, decision_times, clock=self.clock, put=self.events.append,
            notify=lambda *reported: self.reported.append(reported), watchdog=watchdog,
        )  # fmt: skip

    async def live(self, loop: VirtualTimeLoop) -> None:
        handler = self.handler()
        await handler.open()
        since = self.venue.begin_ns - 10 * self.bar_ns
        while True:
            try:
                history = await handler.history(since)
                break
            except RunError:
                await asyncio.sleep(1.0)
        self.begun_ns = self.clock.now_ns()
        handler.give(history, catch_up_ns=CATCH_UP_NS, fresh=True)
        self.held.append(self.clock.now_ns())
        handler.start()
        while self.clock.now_ns() < self.venue.end_ns + 3 * MINUTE:
            await asyncio.sleep(self.bar_ns / SECOND / 7)
            self.most_waiting = max(self.most_waiting, len(handler._asking))
            self.disturb(handler, loop)
        self.standing = handler.decision_times.standing
        await handler.close()

    def disturb(self, handler: MarketDataHandler, loop: VirtualTimeLoop) -> None:
        dice, now = self.draw.random(), self.clock.now_ns()
        if now > self.venue.end_ns - 6 * self.bar_ns:
            return
        if dice < 0.01:
            self.feed.dark_until_ns = now + int(self.draw.random() * min(20 * SECOND, self.bar_ns))
        elif dice < 0.02:
            loop.suspend(int(self.draw.random() * 4 * self.bar_ns))
            handler.stood_still("the machine slept", CATCH_UP_NS)
            self.held.append(self.clock.now_ns())


def check(scene: Scene) -> None:
    for k in range(len(scene.venue.names)):
        _check_bars(scene, k)
    _check_times(scene)
    assert not any(scene.standing.waiting), "no bar waits for a time of its own"
    assert scene.most_waiting <= len(scene.venue.names) + 2


def _check_bars(scene: Scene, k: int) -> None:
    """Each bar once, whole, in order; what is missing is declared, and is missing."""
    name, grid = scene.venue.names[k], scene.venue.grids[k]
    has = {slot.open_ns: slot for slot in scene.venue.slots[name]}
    covered: list[int] = []
    for each in scene.events:
        if isinstance(each, m.BarClosed) and each.symbol == k:
            slot = has[each.open_ns]
            whole = scene.venue.bar(name, slot, slot.known_ns, True)
            assert (each.known_ns, each.close, each.volume) == (
                slot.known_ns, whole.close, whole.volume,
            ), f"{name} {iso(each.open_ns)} of {each.source}"  # fmt: skip
            assert each.at_ns >= slot.known_ns - AHEAD_NS
            covered.append(each.open_ns)
        elif isinstance(each, m.Gapped) and each.symbol == k:
            slot_ns = each.first_ns
            while slot_ns <= each.last_ns:
                assert slot_ns not in has or "time" in each.reason or "whole" in each.reason, (
                    f"{name} {iso(slot_ns)} {each.reason}"
                )
                covered.append(slot_ns)
                slot_ns = grid.following(slot_ns).open_ns
    for before, after in pairwise(covered):
        assert grid.following(before).open_ns == after
    assert covered
    assert grid.following(covered[-1]).known_ns > scene.venue.end_ns - 2 * scene.bar_ns


def _check_times(scene: Scene) -> None:
    """Each time once and in order, nobody later than declared, every bar in one decision_time."""
    decision_times = [each for each in scene.events if isinstance(each, m.DecisionTimeReached)]
    entered: Counter[tuple[int, int]] = Counter()
    first: dict[int, m.DecisionTimeReached] = {}
    missing: Counter[tuple[int, int]] = Counter()
    newest = -1
    for each in decision_times:
        assert not set(each.present) & set(each.missing)
        assert each.present or each.missing
        entered.update((each.time_ns, k) for k in each.present)
        missing.update((each.time_ns, k) for k in each.missing)
        if each.time_ns > newest and each.time_ns > scene.begun_ns:
            first[each.time_ns] = each
            newest = each.time_ns
        if each.decides:
            assert each.present
            assert each.time_ns > scene.begun_ns, "a fresh run decides nothing it knew before"
            assert each.late == (each.at_ns - each.time_ns > scene.within_ns)
    given = {(each.known_ns, each.symbol) for each in scene.events if isinstance(each, m.BarClosed)}
    assert entered == dict.fromkeys(given, 1)
    assert set(missing.values()) <= {1}
    due: dict[int, set[int]] = {}
    for k, grid in enumerate(scene.venue.grids):
        slot = grid.known_after(scene.begun_ns)
        while slot.known_ns <= scene.venue.end_ns:
            due.setdefault(slot.known_ns, set()).add(k)
            slot = grid.known_after(slot.known_ns)
    assert sorted(due) == [each for each in first if each <= scene.venue.end_ns]
    for time_ns, symbols in due.items():
        assert symbols == {
            k for k in range(len(scene.venue.grids))
            if missing[time_ns, k] or _in_time(decision_times, time_ns, k)
        }  # fmt: skip
        bound = time_ns + scene.grace_ns
        for held in scene.held:
            if time_ns <= held + CATCH_UP_NS:  # those before it wait so long for what was missed
                bound = max(bound, held + CATCH_UP_NS)
        at_ns = first[time_ns].at_ns
        assert at_ns <= bound + 2 * int(handler_module._LONGEST_S * SECOND), (
            f"{iso(time_ns)} {iso(at_ns)}"
        )


def _in_time(decision_times: Sequence[m.DecisionTimeReached], time_ns: int, k: int) -> bool:
    """Whether a symbol was there before it had been reported missing."""
    for each in decision_times:
        if each.time_ns == time_ns and k in each.missing:
            return False
        if each.time_ns == time_ns and k in each.present:
            return True
    return False


def play(
    monkeypatch: pytest.MonkeyPatch, seed: int, calendars: Sequence[str], bar_ns: int, when: str
) -> Scene:
    monkeypatch.setattr(handler_module, "_LONGEST_S", max(1.0, bar_ns / SECOND / 20))
    scene = Scene(seed, calendars, bar_ns, STARTS[when])
    loop = VirtualTimeLoop(scene.clock)
    run(loop, scene.live(loop))
    check(scene)
    return scene


@pytest.mark.parametrize("bar_ns", [SECOND, MINUTE, 15 * MINUTE, HOUR, DAY])
@settings(max_examples=examples(6), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_round_the_clock(bar_ns: int, seed: int, symbols: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        play(monkeypatch, seed, ["24x7"] * symbols, bar_ns, "an ordinary day")


@pytest.mark.parametrize("bar_ns", [5 * MINUTE, HOUR, DAY])
@pytest.mark.parametrize("when", sorted(STARTS))
@settings(max_examples=examples(2), deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_sessions(bar_ns: int, when: str, seed: int, mixed: bool) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        calendars = ["XNYS", "24x7"] if mixed else ["XNYS", "XNYS"]
        play(monkeypatch, seed, calendars, bar_ns, when)
