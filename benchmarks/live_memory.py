"""Memory while a million events go through core and journal, and over a soak of minutes."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from functools import partial
from pathlib import Path

from live_common import Figure, Report, folder, resident
from live_latency import World, live, run, stop
from live_mill import BATCH, Mill
from live_world import fit

from septet import messages as m

EVENTS, WARM_EVENTS, STEP = 1_000_000, 200_000, 20_000
PER_BAR = 100
SOAK_WARM_S, SOAK_STEP_S, SOAK_RATE = 120.0, 5.0, 2_000


def _sample(world: World) -> int:
    """Look after the run as its process does, then read the memory it holds."""
    world.lane.tend()
    return resident()


async def _million(place: Path, ready: m.ModelReady, warm: int, count: int) -> list[int]:
    world = await live(place, ready, "process")
    mill, found = Mill(world, PER_BAR), []
    try:
        mill.run(warm)
        done = 0
        while done < count:
            done += mill.run(min(STEP, count // 5))
            found.append(_sample(world))
    finally:
        await stop(world)
    return found


async def _soak(place: Path, ready: m.ModelReady, minutes: float) -> list[int]:
    """Let events come evenly for so long; return the memory after the warm-up."""
    world = await live(place, ready, "process")
    mill, found = Mill(world, PER_BAR), []
    began = time.monotonic()
    try:
        step_s, sampled_s = BATCH / SOAK_RATE, began
        while (now_s := time.monotonic()) - began < minutes * 60.0:
            mill.run(BATCH)
            if now_s - sampled_s >= SOAK_STEP_S:
                sampled_s, size = now_s, _sample(world)
                if now_s - began >= min(SOAK_WARM_S, minutes * 15.0):
                    found.append(size)
            await asyncio.sleep(max(0.0, step_s - (time.monotonic() - now_s)))
    finally:
        await stop(world)
    return found


def swing(sizes: list[int]) -> float:
    """Return the largest distance from the first size, as a share of it, in percent."""
    return max(abs(each - sizes[0]) for each in sizes) / sizes[0] * 100.0


def figure(name: str, sizes: list[int]) -> Figure:
    """Say how flat memory was."""
    note = f"{len(sizes)} looks, {min(sizes) / 1e6:.0f} to {max(sizes) / 1e6:.0f} MB"
    return Figure("memory", name, swing(sizes), "%", 5.0, note=note)


def measure(quick: bool, soak_minutes: float = 0.0) -> Report:
    """Measure both, the soak only when asked for."""
    warm, count = (2_000, 10_000) if quick else (WARM_EVENTS, EVENTS)
    report = Report()
    with folder() as place:
        os.environ["SEPTET_STATE_DIR"] = str(place / "state")
        ready = fit(place)
        gc.collect()
        sizes = run(partial(_million, place, ready, warm, count))
        report.figures.append(figure(f"change of memory over {count:,} events", sizes))
        if soak_minutes > 0.0:
            sizes = run(partial(_soak, place, ready, soak_minutes))
            name = f"change of memory over a soak of {soak_minutes:g} minutes"
            report.figures.append(figure(name, sizes))
    return report
