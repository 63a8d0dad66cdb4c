"""From a journal of a million events to a state that can trade, as a start after a crash does it.

The run is made with the product's own core and journal and left as `kill -9` leaves it. With a
snapshot the newest one is as old as it can be: `SNAPSHOT_ENTRIES` before the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from live_common import Figure, Report, folder
from live_latency import live, run
from live_mill import BATCH, Mill
from live_world import ORIGIN_NS, BenchRun, LeapClock, MemoryFeed, demo, fit, prices, supervisor

from septet import messages as m
from septet._live import start as begin
from septet._live.run_location import JOURNAL, RunLocation
from septet._live.shared_account import AccountGate
from septet._live.strategy_run import SNAPSHOT_ENTRIES
from septet._live.wiring import Wiring, core_of

EVENTS = 1_000_000
PER_BAR = 200
"""Quotes and prints of a bar: so a million events hold some five thousand decisions."""
TARGETS_S = {"with a snapshot": 5.0, "without": 60.0}


async def _make(place: Path, ready: m.ModelReady, count: int, after: int) -> Path:
    """Write a run of so many events with one snapshot `after` events before its end; leave it."""
    world = await live(place, ready, "process")
    strategy_run, mill = world.strategy_run, Mill(world, PER_BAR)
    assert strategy_run.journal is not None
    mill.run(count - after - strategy_run.journal.seq)
    strategy_run.snapshot()
    mill.run(count - strategy_run.journal.seq - BATCH)
    strategy_run.journal.close()  # as good as killed: no end is noted, no snapshot made
    if strategy_run.lease is not None:
        strategy_run.lease.release()
    if strategy_run.market is not None:
        await strategy_run.market.close()
    return strategy_run.location.folder


def recover(run_folder: Path) -> dict[str, float]:
    """Start a run again up to where it would connect; return seconds and entries folded."""
    clock = LeapClock(ORIGIN_NS + 400 * 86_400 * 1_000_000_000)
    loaded, feed = demo(), MemoryFeed(prices())
    wiring = Wiring(core_of, lambda *given: None, lambda *given: feed)
    options = begin.Options(run_folder.parents[1], durability="process", quiet=True)
    place = RunLocation(run_folder, run_folder.name, fresh=False)
    strategy_run = BenchRun(
        loaded, place, options, wiring=wiring, clock=clock, gate=AccountGate(now_ns=clock.now_ns),
        stopping=asyncio.Event(), supervisor=supervisor(clock),
    )  # fmt: skip
    began, spent = time.perf_counter(), time.thread_time()
    strategy_run.prepare()
    seconds, busy = time.perf_counter() - began, time.thread_time() - spent
    assert strategy_run.journal is not None
    found = {
        "seconds": seconds, "busy": busy, "entries": float(strategy_run.journal.last_seq),
        "equity": float(strategy_run.build.core.engine.equity),
    }  # fmt: skip
    strategy_run.journal.close()
    if strategy_run.lease is not None:
        strategy_run.lease.release()
    strategy_run.log.close()
    return found


def _apart(run_folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, str(run_folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(quick: bool) -> Report:
    """Make the journal, recover it twice, each time in a process of its own."""
    count, after = (20_000, 1_000) if quick else (EVENTS, SNAPSHOT_ENTRIES)
    report, found = Report(), {}
    with folder() as place:
        os.environ["SEPTET_STATE_DIR"] = str(place / "state")
        made = run(partial(_make, place, fit(place), count, after))
        kept = place / "kept.sqlite"
        size = (made / JOURNAL).stat().st_size
        for name, target in TARGETS_S.items():
            if name == "without":
                shutil.copyfile(made / JOURNAL, kept)
                with sqlite3.connect(made / JOURNAL) as journal:
                    journal.execute("DELETE FROM snapshots")
            found[name] = _apart(made)
            note = f"{found[name]['entries']:,.0f} entries, {size / 1e6:.0f} MB"
            if name == "with a snapshot":
                note += f"; the snapshot is {after:,} entries old"
            figure = Figure(
                "recovery", f"a journal to trading state, {name}", found[name]["seconds"], "s",
                target, note=note,
            )  # fmt: skip
            report.figures.append(figure)
            report.notes.append(
                f"recovery {name}: {found[name]['busy']:.1f} s of the processor's time"
            )
    if len({each["equity"] for each in found.values()}) != 1:
        raise SystemExit(f"both ways must end in the same state: {found}")
    return report


if __name__ == "__main__":
    print(json.dumps(recover(Path(sys.argv[1]))))
