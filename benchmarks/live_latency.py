"""From a closed bar to the order at the client: the demo strategy with its forest, one symbol.

The clock starts when the client has given its message to the feed's sink
(`MarketDataHandler.receive`, the first of our code) and stops when the venue's `submit` is entered.
Measured in ways that differ in what came before the bar alone: bars back to back, a market that
speaks all the time, and one that was silent. In the last two the processor's caches hold other
things when the bar comes, and the disk has rested. The targets name no way: the first and the
second are held against them. A second pass of each, whose timers cost a little themselves, says
where the time goes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from live_common import Figure, Report, folder, median, quantile, sleep_until, sync_times_ns
from live_world import (
    BAR_NS,
    ORIGIN_NS,
    BenchRun,
    LeapClock,
    MemoryFeed,
    MemoryVenue,
    demo,
    fit,
    prices,
    supervisor,
)

from septet import messages as m
from septet._live import start as begin
from septet._live.process import keep_apart, new_loop, tidy
from septet._live.run_location import find_run_location
from septet._live.shared_account import AccountGate
from septet._live.stop import StopBound
from septet._live.wiring import Wiring, core_of

TARGETS_US = {"process": (150.0, 1_000.0), "power": (215.0, None)}
"""p50 and p99; a sync of this disk, as often as the run's orders, is added to what power takes."""
WARM_BARS = 200
TEND_S = 0.5
PAUSE_S = 0.001
QUOTES, EVERY_NS = 10, 200_000


@dataclass
class World:
    """A strategy run that is live, and the two ends of its way."""

    strategy_run: BenchRun
    feed: MemoryFeed
    venue: MemoryVenue
    clock: LeapClock


class Stages:
    """Time spent in parts of the way, summed within a bar."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self.bars: dict[str, list[int]] = {}

    def around(self, owner: Any, name: str, stage: str) -> None:
        """Let every call of a method count for a stage."""
        call: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            began = time.perf_counter_ns()
            try:
                return call(*args, **named)
            finally:
                spent = time.perf_counter_ns() - began
                self.spent[stage] = self.spent.get(stage, 0) + spent

        setattr(owner, name, timed)

    def keep(self) -> None:
        """End a bar that counts."""
        for stage, spent in self.spent.items():
            self.bars.setdefault(stage, []).append(spent)


async def live(place: Path, ready: m.ModelReady, durability: Any) -> World:
    """Begin a run of the demo, as `septet run --mode live` does."""
    loaded, clock = demo(), LeapClock(ORIGIN_NS)
    feed = MemoryFeed(prices())
    venue = MemoryVenue(clock, lambda: feed.bar(clock.now_ns() // BAR_NS * BAR_NS - BAR_NS).close)
    options = begin.Options(place / "runs", fresh=True, durability=durability, quiet=True)
    found = find_run_location(options.out, "demo", "live", fresh=True, now_ns=clock.now_ns())
    wiring = Wiring(core_of, lambda *given: venue, lambda *given: feed)
    strategy_run = BenchRun(
        loaded, found, options, wiring=wiring, clock=clock, gate=AccountGate(now_ns=clock.now_ns),
        stopping=asyncio.Event(), supervisor=supervisor(clock),
    )  # fmt: skip
    strategy_run.ready_model = ready
    (found.folder / "models").symlink_to(place / "models")
    strategy_run.take_lease()
    strategy_run.prepare()
    for step in (strategy_run.connect(feed, venue), strategy_run.wake(), strategy_run.agree()):
        await step
    await strategy_run.go_live()
    keep_apart()
    return World(strategy_run, feed, venue, clock)


async def stop(world: World) -> None:
    """End the run as its process would."""
    await world.strategy_run.end("the benchmark is over", StopBound())
    world.strategy_run.log.close()


Before = Callable[[World, int], Awaitable[None]]
"""What happens before a bar closes at a time."""


async def nothing(world: World, closes_ns: int) -> None:
    """Go on at once: the code of the way is still in the caches."""


async def pause(world: World, closes_ns: int) -> None:
    """Sleep: the loop has nothing to do, and what else runs on the machine fills the caches."""
    await asyncio.sleep(PAUSE_S)


async def flow(world: World, closes_ns: int) -> None:
    """Handle quotes of the symbol, one each 200 µs; the thread sleeps between them.

    Each has moved far enough to be passed on: market data, shell, core and journal have just run.
    """
    due_ns = time.perf_counter_ns()
    for number in range(1, QUOTES + 1):
        world.feed.receive(world.feed.quote(closes_ns, number))
        await world.strategy_run.shell.drain()
        due_ns += EVERY_NS
        sleep_until(due_ns)


WAYS: dict[str, Before] = {
    "back to back": nothing, "amid quotes": flow, "after 1 ms of silence": pause,
}  # fmt: skip
WITH_TARGETS = ("back to back", "amid quotes")


async def bars(
    world: World, count: int, stages: Stages | None = None, before: Before = pause
) -> list[int]:
    """Let bars close, one after the other; return how long each order took to its client, ns."""
    strategy_run, feed, venue, clock = world.strategy_run, world.feed, world.venue, world.clock
    found: list[int] = []
    for _ in range(count):
        open_ns = clock.now_ns() // BAR_NS * BAR_NS
        clock.reach(open_ns + BAR_NS - 5_000_000_000)  # while no bar is due yet
        feed.receive(feed.quote(open_ns + BAR_NS))
        await strategy_run.shell.drain()
        await before(world, open_ns + BAR_NS)
        clock.reach(open_ns + BAR_NS + 1_000_000)
        seen, orders = feed.bar(open_ns), venue.orders
        if stages is not None:
            stages.spent.clear()
        began = time.perf_counter_ns()
        feed.receive(seen)
        while venue.orders == orders and (
            strategy_run.shell._vital or not strategy_run.shell._waiter
        ):
            await asyncio.sleep(0)
        if venue.orders > orders:
            found.append(venue.reached_ns - began)
            if stages is not None:
                stages.keep()
        await asyncio.sleep(0)
        await strategy_run.shell.drain()
    return found


async def tend(world: World) -> None:
    """Look after the run as often as its process does."""
    while True:
        await asyncio.sleep(TEND_S)
        world.strategy_run.tend()
        tidy()


def watch(world: World, stages: Stages) -> None:
    """Put timers around the parts of the way."""
    core = world.strategy_run.build.core
    for owner, name, stage in (
        (world.strategy_run.market, "receive", "market data"),
        (core, "handle", "core"),
        (core.models, "predict_row", "core: forest"),
        (core.engine, "handle", "core: engine"),
        (core.orders, "proceed", "core: orders"),
        (world.strategy_run.journal, "append", "append"),
        (world.strategy_run.journal, "commit", "commit"),
        (world.strategy_run.dispatcher, "dispatch", "dispatch"),
    ):
        stages.around(owner, name, stage)
    core.engine._predict_row = core.models.predict_row
    world.feed.receive = world.strategy_run.market.receive  # type: ignore[union-attr]


@dataclass
class Ways:
    """How long each order took, how long one came after the other (mean), and parts of it, ns."""

    took_ns: list[int]
    every_ns: int
    parts: dict[str, list[int]]


async def measured(
    place: Path, ready: m.ModelReady, durability: str, count: int, before: Before, parts: bool
) -> Ways:
    """Let bars close, after some that do not count, and time the way; with `parts`, its parts."""
    world = await live(place, ready, durability)
    tending = asyncio.create_task(tend(world))
    try:
        await bars(world, WARM_BARS, before=before)
        stages = None
        if parts:
            stages = Stages()
            watch(world, stages)
        began_ns = time.perf_counter_ns()
        found = await bars(world, count, stages, before)
        every_ns = (time.perf_counter_ns() - began_ns) // max(1, len(found))
    finally:
        tending.cancel()
        await stop(world)
    return Ways(found, every_ns, stages.bars if stages is not None else {})


def run(call: Callable[[], Any]) -> Any:
    """Run a coroutine on the loop that live runs have."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(call())


def measure(quick: bool) -> Report:
    """Measure both ways with both durabilities, then the parts of each way."""
    report, count = Report(), 300 if quick else 8_000
    with folder() as place:
        os.environ["SEPTET_STATE_DIR"] = str(place / "state")
        ready = fit(place)
        for way, before in WAYS.items():
            for durability in TARGETS_US:
                found = run(partial(measured, place, ready, durability, count, before, False))
                syncs = (
                    sync_times_ns(place, every_ns=found.every_ns) if durability == "power" else [0]
                )
                report.figures += _figures(
                    way, durability, found.took_ns, count, median(syncs) / 1e3
                )
        for way, before in WAYS.items():
            timed = run(partial(measured, place, ready, "process", count, before, True))
            split = ", ".join(
                f"{stage} {median(spent) / 1e3:.1f}" for stage, spent in timed.parts.items()
            )
            report.notes.append(f"where the time goes {way}, median µs of a bar (process): {split}")
    report.notes += [
        "from MarketDataHandler.receive (the message has left the client) to venue.submit; "
        "`core: ...` are within `core`",
        f"amid quotes: {QUOTES} quotes of the symbol before the bar, {EVERY_NS // 1_000} µs "
        "apart, each moved by 6 bps and so handled by market data, core and journal; the thread "
        "sleeps between them",
        "after 1 ms of silence: the same code, and the loop slept before the bar; caches are cold",
        "back to back: one quote and no time at all between two bars; caches are warm",
        "the target with `power` is 215 µs + a sync: of a page in a file of its own, as often as "
        "the run had orders, since a disk that rested takes longer",
    ]
    return report


def _figures(
    way: str, durability: str, found: list[int], count: int, more_us: float
) -> list[Figure]:
    half, tail = TARGETS_US[durability] if way in WITH_TARGETS else (None, None)
    note = f"{len(found)} orders of {count} bars"
    if more_us:
        note += f"; this disk's fdatasync, as often as these orders, p50 {more_us:.0f} µs"
    microseconds = [each / 1e3 for each in found]
    name = f"bar in to order at the client, {durability}, {way}"
    bound = None if half is None else half + more_us
    return [
        Figure("latency", f"{name}, p50", median(microseconds), "µs", bound, note=note),
        Figure("latency", f"{name}, p99", quantile(microseconds, 0.99), "µs", tail),
    ]
