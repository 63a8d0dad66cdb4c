"""Quotes and prints through the core and the journal, in batches of 256, on one core."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from live_common import Figure, Report, folder
from live_latency import live, run, stop
from live_mill import BATCH, market_events
from live_world import BAR_NS, fit

from septet import messages as m


async def _measured(place: Path, ready: m.ModelReady, count: int) -> tuple[float, float]:
    """Return events a second by the wall and by the processor's time."""
    world = await live(place, ready, "process")
    core, journal = world.strategy_run.build.core, world.strategy_run.journal
    assert journal is not None
    first_ns = core.market_ns // BAR_NS * BAR_NS + BAR_NS
    events = market_events(world, first_ns, count + 10 * BATCH)
    handle, append, commit = core.handle, journal.append, journal.commit

    def through(some: list[m.Event]) -> None:
        for first in range(0, len(some), BATCH):
            for event in some[first : first + BATCH]:
                append(event, handle(event))
            commit()

    try:
        through(events[: 10 * BATCH])
        began, spent = time.perf_counter(), time.thread_time()
        through(events[10 * BATCH :])
        seconds, busy = time.perf_counter() - began, time.thread_time() - spent
    finally:
        await stop(world)
    return count / seconds, count / busy


def measure(quick: bool) -> Report:
    """Measure on the first core this process may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    count = 20_000 if quick else 400_000
    with folder() as place:
        os.environ["SEPTET_STATE_DIR"] = str(place / "state")
        rate, busy = run(partial(_measured, place, fit(place), count))
    note = f"{count:,} quotes and prints, batches of {BATCH}, a journal on disk"
    return Report(
        [
            Figure("events", "market events a second, core and journal, one core", rate, "/s",
                   100_000.0, most=False, note=note),
            Figure("events", "the same by the processor's time of the thread", busy, "/s"),
        ]
    )  # fmt: skip
