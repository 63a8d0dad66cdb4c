"""How long one waits: `--help`, `check`, and the first run of W1 in a process of its own.

The run reads a million bars from Parquet. All is measured as a user has it: byte code on disk, the
plan compiled and the trial fit of the model made before. One more row has no compiled plan yet.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import ROOT, Row, arguments, emit, w1_strategy

COMMANDS = {
    "septet --help": (["--help"], 0.15),
    "septet check, a file with a model": (["check", "strategies/logistic.yaml"], 0.60),
}
RUNS = {
    "septet run, W1 from Parquet, warm cache": (["--no-report"], 1.2),
    "septet run --fast, W1 from Parquet": (["--fast"], 1.2),
    "septet run, W1 from Parquet, with the report": ([], 1.5),
}
BARS = 1_000_000
COLD_SECONDS = 15.0


def _environment(folder: Path) -> dict[str, str]:
    """Let byte code and plans be kept, apart from everybody else's."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    place = {"PYTHONPYCACHEPREFIX": str(folder / "bytes"), "SEPTET_CACHE": str(folder / "plans")}
    return {**kept, **place}


def w1_file(folder: Path, bars: int) -> Path:
    """Write W1 as a Parquet file and the strategy that reads it."""
    import polars as pl

    from septet_plugins.data.synthetic import w1_bars

    pl.DataFrame(w1_bars(bars)).write_parquet(folder / "w1.parquet")
    made = w1_strategy(folder, bars)
    text = made.read_text(encoding="utf-8")
    lines = [
        "data: {candles: {use: parquet, path: w1.parquet}}" if "use: synthetic" in line else line
        for line in text.splitlines()
    ]
    file = folder / "w1-parquet.yaml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _turns(calls: dict[str, Callable[[], Any]], times: int) -> dict[str, tuple[float, float]]:
    """Median and least seconds of each call, taken in turn."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(times):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - began)
    return {name: (statistics.median(each), min(each)) for name, each in spent.items()}


def measure(times: int, bars: int = BARS) -> list[Row]:
    """Start each command `times` times, in turn, after once unmeasured."""
    program = str(Path(sys.executable).with_name("septet"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        environment = _environment(folder)
        file = str(w1_file(folder, bars))

        def start(words: list[str]) -> None:
            subprocess.run(
                [program, *words], cwd=ROOT, env=environment, capture_output=True, check=True
            )

        asked = dict(COMMANDS)
        for name, (more, most) in RUNS.items():
            asked[name] = (["run", file, "--out", str(folder / "runs"), *more], most)
        start(["--help"])
        began = time.perf_counter()
        start(asked[next(iter(RUNS))][0])
        cold = time.perf_counter() - began
        calls = {name: lambda words=words: start(words) for name, (words, _) in asked.items()}
        _turns(calls, 1)
        found = _turns(calls, times)
    rows = [
        Row(
            "start", name, f"{found[name][0]:.3f} s (least {found[name][1]:.3f})",
            f"target {most:.2f} s", most / found[name][0],
        )
        for name, (_, most) in asked.items()
    ]  # fmt: skip
    name = "septet run, W1 from Parquet, nothing compiled"
    against = f"target {COLD_SECONDS:.0f} s"
    return [*rows, Row("start", name, f"{cold:.1f} s", against, COLD_SECONDS / cold)]


if __name__ == "__main__":
    asked_for = arguments(__doc__)
    emit(measure(3 if asked_for.quick else 15), asked_for.json)
