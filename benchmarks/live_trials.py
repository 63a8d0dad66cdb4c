"""What the write-ahead tail saves between a bar and its order.

    python benchmarks/live.py --only trials

The way of `live_latency` twice, in processes that take turns: as it is, and with a journal that
commits into its database (in place of `septet._journal.write_ahead_tail`). Nothing in septet turns
it off: what stands for its absence is put into the process here. It stays in septet if it saves
100 µs at p99, and the figure stands in its module.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from live_common import Figure, Report, folder, median, quantile
from live_latency import TARGETS_US, WAYS, WITH_TARGETS, measured, run
from live_world import fit

from septet._journal.journal_writer import Journal

LEAST_US: Final = 100.0
"""What it has to save at p99."""
ROUNDS: Final = 6
BARS: Final = 2_000


def _commit_into_the_database(journal: Any, reduces: bool) -> None:
    length = journal._waiting_bytes
    journal._store(len(journal._rows), f"storing {journal.waiting:,} entries")
    journal._log_bytes += length
    journal._unsynced = True


def _sync_the_database(journal: Any) -> None:
    if journal._unsynced and journal._synced(journal._wal):
        journal._unsynced = False


def leave_out_tail() -> None:
    """Let every commit be a transaction of the database, and a sync one of its log."""
    Journal._keep = _commit_into_the_database  # type: ignore[method-assign]
    Journal._require_sync = _sync_the_database  # type: ignore[method-assign]


WITHOUT: Final[Mapping[str, Callable[[], None]]] = {
    "nothing": lambda: None,
    "the tail": leave_out_tail,
}


def orders(without: str, bars: int) -> dict[str, list[int]]:
    """Return how long the orders of each way and durability took in this process, ns."""
    WITHOUT[without]()
    found = {}
    with folder() as place:
        os.environ["SEPTET_STATE_DIR"] = str(place / "state")
        ready = fit(place)
        for way in WITH_TARGETS:
            for durability in TARGETS_US:
                made = run(partial(measured, place, ready, durability, bars, WAYS[way], False))
                found[f"{durability}, {way}"] = made.took_ns
    return found


def _apart(without: str, bars: int) -> dict[str, list[int]]:
    words = [sys.executable, str(Path(__file__).resolve()), without, str(bars)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(quick: bool) -> Report:
    """Let the two take turns, and report what the tail saves at p99."""
    rounds, bars = (1, 300) if quick else (ROUNDS, BARS)
    turns = [{name: _apart(name, bars) for name in WITHOUT} for _ in range(rounds)]
    report = Report()
    for case in turns[0]["nothing"]:
        with_all = [_p99_us(turn["nothing"][case]) for turn in turns]
        for name in list(WITHOUT)[1:]:
            without = [_p99_us(turn[name][case]) for turn in turns]
            saved = [more - less for more, less in zip(without, with_all, strict=True)]
            note = (
                f"median of {rounds} turns, which differ from {min(saved):.0f} to {max(saved):.0f} "
                f"µs; p99 {median(with_all):.0f} µs with, {median(without):.0f} µs without"
            )
            report.figures.append(
                Figure(
                    "trials", f"{name}: saved at p99, {case}", median(saved), "µs", LEAST_US,
                    most=False, note=note,
                )
            )  # fmt: skip
    report.notes.append(
        f"{bars:,} bars in each turn of each way; with the tail and without it in processes of "
        "their own, one after the other; 100 µs is what it has to save to stay"
    )
    return report


def _p99_us(took_ns: list[int]) -> float:
    return quantile([each / 1e3 for each in took_ns], 0.99)


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        answer = orders(sys.argv[1], int(sys.argv[2]))
    print(json.dumps(answer))
