"""Measure what the faces cost: importing, a run beside its engine, the ledger, tools for agents.

    python benchmarks/faces.py [--quick] [--runs N] [--only imports,runs,ledger,agents]

Medians of several turns. `--runs` is the number of runs of one process in which memory, open files
and threads may not grow. The table is printed, progress goes to stderr; nothing is written.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import ROOT, machine
from live import table
from live_common import Figure, median, resident

STRATEGY = ROOT / "strategies" / "sma-cross.yaml"
IMPORT = (
    "import time; began, used = time.perf_counter(), time.process_time(); import septet; "
    "print(time.perf_counter() - began, time.process_time() - used)"
)
PARTS = ("imports", "runs", "ledger", "agents")
DAY_NS = 86_400 * 10**9
GROWTH_BARS = 600


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


def imports(turns: int) -> Iterator[Figure]:
    """Import septet in new processes."""
    words = [sys.executable, "-c", IMPORT]
    found = [subprocess.check_output(words, text=True).split() for _ in range(turns + 1)][1:]
    took, used = ([1e3 * float(each[place]) for each in found] for place in (0, 1))
    note = f"least {min(took):.1f}; processor {median(used):.1f} ms"
    yield Figure("python", "import septet", median(took), "ms", 30.0, note=note)


def runs(turns: int, count: int) -> Iterator[Figure]:
    """Run sma-cross again and again in this process."""
    import septet

    strategy = septet.load(STRATEGY)
    over, used = [], []
    for _ in range(turns + 2):
        began, busy = time.perf_counter(), time.process_time()
        found = septet.run(strategy)
        used.append(1e3 * (time.process_time() - busy))
        over.append(1e3 * (time.perf_counter() - began - found.summary.seconds))
    yield Figure(
        "python", "run of sma-cross over its seconds", median(over[2:]), "ms", 50.0,
        note=f"least {min(over[2:]):.1f}; processor with its seconds {median(used[2:]):.1f} ms",
    )  # fmt: skip
    yield from _growth(strategy, count)


def _bars(count: int) -> pl.DataFrame:
    """Return a random walk of bars of 15 minutes."""
    close = np.round(2e4 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.003, count))), 2)
    start = np.concatenate([[2e4], close[:-1]])
    first = datetime(2026, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "time": [first + timedelta(minutes=15 * k) for k in range(count)], "open": start,
            "high": np.maximum(start, close) + 1.0, "low": np.minimum(start, close) - 1.0,
            "close": close, "volume": np.ones(count),
        }
    )  # fmt: skip


def _growth(strategy: Any, count: int) -> Iterator[Figure]:
    """Run 600 bars so many times in this process; compare what it holds after a tenth and later."""
    import septet

    bars = _bars(GROWTH_BARS)
    part, held, counted = max(1, count // 20), list[int](), list[tuple[int, int]]()
    for number in range(1, count + 1):
        septet.run(strategy, data=bars, tables=False).close()
        if number % part == 0:
            held.append(resident())
            counted.append((len(os.listdir("/proc/self/fd")), threading.active_count()))
            print(f"runs: {number:,} of {count:,}", file=sys.stderr, flush=True)
    early, late = held[min(1, len(held) - 1)], held[-1]
    yield Figure(
        "python", f"memory more after {count:,} runs than after a tenth of them",
        100.0 * (late / early - 1.0), "%", 1.0,
        note=f"{early / 1e6:.1f} and {late / 1e6:.1f} MB; at most {max(held) / 1e6:.1f}",
    )  # fmt: skip
    (files, threads), (files_late, threads_late) = counted[min(1, len(counted) - 1)], counted[-1]
    note = f"files {files} and {files_late}, threads {threads} and {threads_late}"
    more = max(files_late - files, threads_late - threads)
    yield Figure("python", "open files or threads after them", more, "more", 0.0, note=note)


def ledger(turns: int, settings: int) -> Iterator[Figure]:
    """Record runs one by one, then a sweep."""
    from septet._trials.ledger import BLOCKS, Ledger, Trial
    from septet._trials.months import months_of_closes

    draw = np.random.default_rng(3)
    known = (18_628 + np.arange(365)) * DAY_NS
    closes = 100.0 * np.exp(np.cumsum(draw.normal(0, 0.02, 365)))
    months = tuple(months_of_closes("BTC/USDT", known, closes))
    daily, blocks = draw.normal(0, 0.01, 365), draw.normal(0, 0.05, 16)

    def trial(number: int, first_day: int) -> Trial:
        plan = number.to_bytes(32, "little")
        return Trial(plan, b"file", "demo", first_day, daily if first_day >= 0 else blocks)

    with tempfile.TemporaryDirectory() as place, Ledger(Path(place) / "state" / "t.sqlite") as kept:
        took = [
            _timed(lambda n=n: kept.record(months, [trial(n, 18_628)], n)) for n in range(turns * 4)
        ]
        yield Figure("ledger", "record of a run", median(took), "ms", 3.0)
        many = (trial(10**6 + n, BLOCKS) for n in range(settings))
        seconds = _timed(lambda: kept.record(months, many, 1)) / 1e3
        yield Figure("ledger", f"record of a sweep of {settings:,}", seconds, "s", 2.0)
        yield Figure("ledger", "tries of a run after it", _timed(lambda: kept.known(months)), "ms")


async def _agent(folder: Path, turns: int) -> tuple[float, list[float]]:
    from mcp import Client, StdioServerParameters, stdio_client

    text = STRATEGY.read_text(encoding="utf-8")
    program = str(Path(sys.executable).parent / "septet")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    kept |= {"SEPTET_STATE_DIR": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    target = StdioServerParameters(command=program, args=["mcp", str(folder)], env=kept)
    began = time.perf_counter()
    async with Client(stdio_client(target)) as client:
        await client.list_tools()
        start = time.perf_counter() - began
        took = []
        for _ in range(turns + 2):
            began = time.perf_counter()
            assert not (await client.call_tool("check", {"text": text})).is_error
            took.append(1e3 * (time.perf_counter() - began))
    return start, took[2:]


def agents(turns: int, servers: int) -> Iterator[Figure]:
    """Start the server and list its tools; check a text again and again."""
    with tempfile.TemporaryDirectory() as place:
        found = [asyncio.run(_agent(Path(place), turns)) for _ in range(servers)]
    starts = [start for start, _ in found]
    yield Figure("agents", "start, until the tools are listed", median(starts), "s", 1.5)
    checks = [each for _, took in found for each in took]
    yield Figure(
        "agents", "check, warm", median(checks), "ms", 50.0, note=f"least {min(checks):.1f}"
    )


def measure(quick: bool, count: int, only: Sequence[str] = PARTS) -> list[Figure]:
    """Return the figures of the parts."""
    turns = 1 if quick else 15
    parts: dict[str, Callable[[], Iterator[Figure]]] = {
        "imports": lambda: imports(turns),
        "runs": lambda: runs(turns, 8 if quick else count),
        "ledger": lambda: ledger(turns, 500 if quick else 100_000),
        "agents": lambda: agents(turns, 1 if quick else 3),
    }
    return [each for name in only for each in parts[name]()]


def main(words: list[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--runs", type=int, default=10_000, help="runs in one process")
    parser.add_argument("--only", default=",".join(PARTS), help="parts by name")
    asked = parser.parse_args(words)
    only = asked.only.split(",")
    unknown = set(only) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as state:
        os.environ["SEPTET_STATE_DIR"] = state  # the ledger of trials of whoever measures stays
        print(f"{machine()}\n\n{table(measure(asked.quick, asked.runs, only))}")


if __name__ == "__main__":
    main()
