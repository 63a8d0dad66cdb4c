"""A contest: every contestant a process of its own, started once, then asked for runs in turn."""

from __future__ import annotations

import contextlib
import json
import os
import select
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["OWN", "Contestant", "Result", "compete"]

WORKERS = Path(__file__).resolve().parent / "peers"
OWN = "septet"
"""The environment that septet itself lives in."""
LIMIT_S = 900.0
"""Seconds after which a silent worker is given up."""
GRACE_S = 5.0
"""Seconds in which a worker whose input has ended may leave by itself."""


@dataclass(frozen=True)
class Contestant:
    """Who takes part: a name, a worker script, what it is asked to do and the Python it needs."""

    key: str
    label: str
    environment: str
    script: str
    work: str
    note: str = ""


@dataclass
class Result:
    """What a contestant did; `missing` is the reason if it did nothing."""

    contestant: Contestant
    seconds: list[float] = field(default_factory=list)
    trades: int = 0
    final_equity: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    detail: Path | None = None
    peak_bytes: int = 0
    version: str = ""
    missing: str = ""
    same: str = ""

    @property
    def median(self) -> float:
        """Median seconds of the counted runs."""
        return statistics.median(self.seconds)

    @property
    def there(self) -> bool:
        """Whether it has a time."""
        return bool(self.seconds) and not self.missing


class _Gone(Exception):
    """A worker that answers no more; the text is the reason."""


class _Worker:
    """The driver's end of the conversation written down in `peers/protocol.py`."""

    def __init__(self, contestant: Contestant, python: Path, folder: Path) -> None:
        self._log = folder / f"{contestant.key}.log"
        foreign = contestant.environment != OWN
        clean = {k: v for k, v in os.environ.items() if not (foreign and k == "PYTHONPATH")}
        with self._log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [str(python), str(WORKERS / contestant.script), contestant.work, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=clean, cwd=WORKERS,
            )  # fmt: skip

    def hear(self) -> dict[str, Any]:
        """Wait for one line."""
        out = self._process.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], LIMIT_S)
        if not ready:
            self.end()
            raise _Gone(f"no word within {LIMIT_S:.0f} s")
        line = out.readline()
        if not line:
            self.end()
            raise _Gone(f"left with status {self._process.returncode}")
        found: dict[str, Any] = json.loads(line)
        if "missing" in found or "problem" in found:
            self.end()
            raise _Gone(str(found.get("missing") or found["problem"]))
        return found

    def ask(self, words: str) -> dict[str, Any]:
        """Send one line and wait for the answer."""
        into = self._process.stdin
        assert into is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone; hear() finds out why
            into.write(words + "\n")
            into.flush()
        return self.hear()

    def end(self) -> None:
        """Leave nothing running; a worker that has sent its last line ends by itself."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what was not sent yet need not be
                    pipe.close()
        try:
            self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def compete(
    contestants: Sequence[Contestant],
    pythons: dict[str, Path | None],
    folder: Path,
    rounds: int,
    log: Callable[[str], None],
) -> list[Result]:
    """Start all, let each run once a round, look at their trades, close them.

    Parameters
    ----------
    pythons
        The interpreter of each environment; None where there is none.
    folder
        Where `setup.json` and the bars are.
    rounds
        Counted runs of each contestant; its first run, uncounted, has warmed it up.
    """
    results = [Result(each) for each in contestants]
    workers: dict[str, _Worker] = {}
    try:
        for result in results:
            _start(result, pythons, folder, workers, log)
        for number in range(rounds):
            log(f"  round {number + 1} of {rounds}")
            for result in results:
                _step(result, workers, _run)
        for result in results:
            _step(result, workers, lambda result, worker: _finish(result, worker, folder))
    finally:
        for worker in workers.values():
            worker.end()
    return results


def _start(
    result: Result,
    pythons: dict[str, Path | None],
    folder: Path,
    workers: dict[str, _Worker],
    log: Callable[[str], None],
) -> None:
    who = result.contestant
    python = pythons.get(who.environment)
    if python is None:
        result.missing = "its environment could not be made"
        return
    log(f"  {who.label} warms up")
    worker = workers[who.key] = _Worker(who, python, folder)
    try:
        result.version = worker.hear()["version"]
    except _Gone as problem:
        result.missing = str(problem)


def _step(
    result: Result, workers: dict[str, _Worker], act: Callable[[Result, _Worker], None]
) -> None:
    """Do something with a contestant that still takes part."""
    if result.missing:
        return
    try:
        act(result, workers[result.contestant.key])
    except _Gone as problem:
        result.missing = str(problem)


def _run(result: Result, worker: _Worker) -> None:
    found = worker.ask("run")
    result.seconds.append(found["seconds"])
    result.trades, result.final_equity = found["trades"], found["final_equity"]
    for name, seconds in found["parts"].items():
        result.parts[name] = min(seconds, result.parts.get(name, seconds))


def _finish(result: Result, worker: _Worker, folder: Path) -> None:
    name = f"{result.contestant.key}.npy"
    if worker.ask(f"trades {name}")["written"]:
        result.detail = folder / name
    result.peak_bytes = worker.ask("close")["peak_bytes"]
