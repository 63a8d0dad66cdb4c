"""How a contestant talks to the driver: one process, timed runs on demand.

A worker is started with the name of a work and a folder. The folder holds `setup.json`, `bars.npy`
(float64, rows open, high, low, close, volume; of a portfolio each of them times by symbols) and
`time.npy` (int64, nanoseconds). It prints one
JSON line when it is ready, after one run that does not count, and one for each line it reads:

    run      seconds of this run, round trips, final equity
    trades   writes the round trips (or the results of all settings) into the folder
    close    the peak memory of the process, and the end

Only numpy is imported here: the file is run by the Python of every environment.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Answer", "Market", "Setup", "Unavailable", "Work", "crosses", "open_setup", "serve"]

OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)


class Unavailable(Exception):
    """A contestant that cannot take part, with the reason that the table prints."""


@dataclass(frozen=True)
class Setup:
    """What is asked of all contestants alike."""

    folder: Path
    bars: int
    capital: float
    fee: float
    fast: int
    slow: int
    fasts: list[int]
    slows: list[int]
    first: int
    threads: int
    portfolio: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Settings of the sweep, in the order of its results."""
        return [(fast, slow) for fast in self.fasts for slow in self.slows]


@dataclass(frozen=True)
class Market:
    """The bars as contiguous arrays."""

    time: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any

    @property
    def next_open(self) -> Any:
        """The price at which a decision of each bar is filled; the last bar repeats its open."""
        return np.append(self.open[1:], self.open[-1])


@dataclass(frozen=True)
class Answer:
    """Untimed look at a run: closed round trips, final equity, and what `trades` writes.

    `detail` holds signal-bar pairs (entry, exit) as int64 for one run, or round trips and final
    equity of every setting for a sweep. `parts` are seconds within the run worth reporting.
    """

    trades: int
    final_equity: float | None
    detail: Callable[[], Any] | None = None
    parts: dict[str, float] | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Work:
    """A timed call, the look at what it left, and what warms it up (itself, if nothing else).

    `prepare` comes before every run, untimed: it takes away what an earlier run has left that
    would save this one work.
    """

    run: Callable[[], Any]
    look: Callable[[Any], Answer]
    warm: Callable[[], Any] | None = None
    prepare: Callable[[], Any] | None = None


def open_setup(folder: Path) -> Setup:
    """Read what the driver wrote."""
    found = json.loads((folder / "setup.json").read_text(encoding="utf-8"))
    return Setup(folder=folder, **found)


def open_market(folder: Path) -> Market:
    """Load the bars into memory; those of many symbols are mapped, and come when they are read."""
    rows = np.load(folder / "bars.npy", mmap_mode="r")
    rows = rows if rows.ndim > 2 else np.array(rows)
    columns = (np.ascontiguousarray(rows[place]) for place in range(5))
    return Market(np.load(folder / "time.npy"), *columns)


def crosses(fast: Any, slow: Any, first: int) -> tuple[Any, Any]:
    """Bars at whose close `fast` crosses `slow` upwards, and downwards, from bar `first` on."""
    above, below = fast > slow, fast < slow
    up, down = np.zeros(len(fast), np.bool_), np.zeros(len(fast), np.bool_)
    known = fast[first - 1 : -1] == fast[first - 1 : -1]
    known &= slow[first - 1 : -1] == slow[first - 1 : -1]
    up[first:] = above[first:] & ~above[first - 1 : -1] & known
    down[first:] = below[first:] & ~below[first - 1 : -1] & known
    return up, down


def _peak_bytes() -> int:
    """Largest resident memory of this program.

    Linux counts what the parent held at the fork into `ru_maxrss`; `VmHWM` begins with the program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def _once(work: Work) -> tuple[Answer, float]:
    if work.prepare is not None:
        work.prepare()
    gc.collect()
    began = time.perf_counter()
    left = work.run()
    seconds = time.perf_counter() - began
    answer = work.look(left)
    return answer, seconds if answer.seconds is None else answer.seconds


def _listen(work: Work, folder: Path, tell: Callable[[dict[str, Any]], None]) -> None:
    answer: Answer | None = None
    for line in sys.stdin:
        word, _, name = line.strip().partition(" ")
        if word == "run":
            answer, seconds = _once(work)
            tell({"seconds": seconds, "trades": answer.trades,
                  "final_equity": answer.final_equity, "parts": answer.parts or {}})  # fmt: skip
        elif word == "trades":
            detail = None if answer is None or answer.detail is None else answer.detail()
            if detail is not None:
                np.save(folder / name, detail)
            tell({"written": detail is not None})
        elif word == "close":
            tell({"peak_bytes": _peak_bytes()})
            return
        else:
            tell({"problem": f"the word was {word!r}; expected run, trades or close"})


def serve(distribution: str, works: dict[str, Callable[[Setup, Market], Work]]) -> None:
    """Answer the driver until it closes the worker.

    What libraries print goes to standard error; the driver alone reads the true output.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    name, folder = sys.argv[1], Path(sys.argv[2])
    try:
        if name not in works:
            raise Unavailable(f"the work was {name}; expected one of {', '.join(works)}")
        began = time.perf_counter()
        work = works[name](open_setup(folder), open_market(folder))
        if work.prepare is not None:
            work.prepare()
        (work.warm or work.run)()
        cold = time.perf_counter() - began
    except Unavailable as problem:
        tell({"missing": str(problem)})
        return
    except ModuleNotFoundError as problem:
        tell({"missing": f"{problem.name} is not installed"})
        return
    except Exception as problem:  # the driver gets the reason, the log the traceback
        traceback.print_exc()
        tell({"problem": f"{type(problem).__name__}: {problem}"})
        return
    tell({"ready": True, "version": _version(distribution), "cold_seconds": cold})
    try:
        _listen(work, folder, tell)
    except Exception as problem:  # as above: one that breaks does not stop the others
        traceback.print_exc()
        tell({"problem": f"{type(problem).__name__}: {problem}"})
