"""Memory while a million events go through core and journal, and over a soak of minutes.

The million goes straight through core, journal and what a run keeps beside them, as fast as it
can. The soak goes the whole way, from the feed to the fill, at an even pace. Both have a warm-up,
in which windows, caches and memories of bounded size fill; the notes state what it added.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from live_common import Figure, Report, folder, median, resident
from live_latency import World, bars, live, run, stop, tend
from live_mill import Mill
from live_world import BAR_NS, SYMBOL, fit

from septet import messages as m
from septet._host.venues import QuoteSeen

EVENTS, WARM_EVENTS, STEP = 1_000_000, 200_000, 20_000
PER_BAR = 100
SOAK_WARM_S, SOAK_STEP_S, SOAK_BARS_S = 120.0, 5.0, 20.0
"""Twenty bars a second, with the quotes of each: some two thousand events."""


@dataclass
class Looks:
    """The memory a process held: when its run began, and at every look after the warm-up."""

    before: int
    sizes: list[int] = field(default_factory=list)
    events: int = 0


async def _million(place: Path, ready: m.ModelReady, warm: int, count: int) -> Looks:
    world = await live(place, ready, "process")
    mill, looks = Mill(world, PER_BAR), Looks(resident())
    try:
        mill.run(warm)
        while looks.events < count:
            looks.events += mill.run(min(STEP, count // 5))
            world.strategy_run.tend()
            looks.sizes.append(resident())
    finally:
        await stop(world)
    return looks


async def _quotes(world: World) -> None:
    """Let the quotes of a bar come through the feed, spread over its time."""
    clock, feed = world.clock, world.feed
    open_ns = clock.now_ns() // BAR_NS * BAR_NS
    close = feed.bar(open_ns - BAR_NS).close
    for number in range(PER_BAR):
        clock.reach(open_ns + (number + 1) * BAR_NS // (PER_BAR + 2))
        half = 0.01 * (1 + number % 7)
        feed.receive(QuoteSeen(SYMBOL, clock.now_ns(), close - half, 1.0, close + half, 1.0))
        if number % 10 == 9:
            await world.strategy_run.shell.drain()


async def _soak(place: Path, ready: m.ModelReady, minutes: float) -> Looks:
    """Let bars, quotes, orders and fills come evenly for so long."""
    world = await live(place, ready, "process")
    looks, tending = Looks(resident()), asyncio.create_task(tend(world))
    warm_s = min(SOAK_WARM_S, minutes * 15.0)
    began = sampled_s = time.monotonic()
    try:
        while (now_s := time.monotonic()) - began < minutes * 60.0:
            await _quotes(world)
            await bars(world, 1)
            if now_s - sampled_s >= SOAK_STEP_S:
                sampled_s = now_s
                if now_s - began >= warm_s:
                    looks.sizes.append(resident())
            await asyncio.sleep(max(0.0, 1.0 / SOAK_BARS_S - (time.monotonic() - now_s)))
        assert world.strategy_run.journal is not None
        looks.events = world.strategy_run.journal.seq
    finally:
        tending.cancel()
        await stop(world)
    return looks


def swing(sizes: list[int]) -> float:
    """Return the largest distance from the first size, as a share of it, in percent."""
    return max(abs(each - sizes[0]) for each in sizes) / sizes[0] * 100.0


def trend(sizes: list[int]) -> float:
    """Return by how much the last fifth lies above the first, in percent: what a leak shows."""
    fifth = max(1, len(sizes) // 5)
    return (median(sizes[-fifth:]) / median(sizes[:fifth]) - 1.0) * 100.0


def figure(name: str, looks: Looks) -> Figure:
    """Report how flat memory was after the warm-up, and what the warm-up added."""
    sizes = looks.sizes
    note = (
        f"{len(sizes)} looks, {min(sizes) / 1e6:.0f} to {max(sizes) / 1e6:.0f} MB; the last fifth "
        f"is {trend(sizes):+.1f} % from the first; the warm-up, not counted, went from "
        f"{looks.before / 1e6:.0f} to {sizes[0] / 1e6:.0f} MB"
    )
    return Figure("memory", name, swing(sizes), "%", 5.0, note=note)


def measure(quick: bool, soak_minutes: float = 0.0) -> Report:
    """Measure both, the soak only when asked for."""
    warm, count = (2_000, 10_000) if quick else (WARM_EVENTS, EVENTS)
    report = Report()
    with folder() as place:
        os.environ["SEPTET_STATE_DIR"] = str(place / "state")
        ready = fit(place)
        gc.collect()
        looks = run(partial(_million, place, ready, warm, count))
        name = f"change of memory over {count:,} events, after {warm:,} to warm up"
        report.figures.append(figure(name, looks))
        if soak_minutes > 0.0:
            looks = run(partial(_soak, place, ready, soak_minutes))
            name = f"change of memory over a soak of {soak_minutes:g} minutes"
            report.figures.append(figure(name, looks))
            report.notes.append(
                f"soak: {looks.events:,} journal entries from the feed to the fill, "
                f"about {SOAK_BARS_S:.0f} bars of {PER_BAR} quotes a second; the first "
                f"{min(SOAK_WARM_S, soak_minutes * 15.0):.0f} s are its warm-up"
            )
    return report
