"""What the benchmarks share: a row of the table, medians, the machine, processes of their own."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ROOT",
    "Row",
    "arguments",
    "bars_text",
    "emit",
    "fastest",
    "machine",
    "medians",
    "septet",
    "software",
    "w1_strategy",
]

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("numpy", "numba", "polars", "pandas", "scikit-learn", "pydantic")


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` states how many times better than `against` it is (below 1: worse)."""

    workload: str
    figure: str
    measured: str
    against: str
    ratio: float | None = None
    must: bool = True

    @property
    def verdict(self) -> str:
        """Whether the target is met; nothing where there is none."""
        if self.ratio is None:
            return ""
        if not self.must:
            return "-"
        return "met" if self.ratio >= 1.0 else "**missed**"


def arguments(text: str | None) -> argparse.Namespace:
    """Read the options every benchmark takes."""
    parser = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    return parser.parse_args()


def emit(rows: Sequence[Row], as_json: bool) -> None:
    """Print rows for people, or for the runner."""
    if as_json:
        json.dump([asdict(row) for row in rows], sys.stdout)
        return
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:6.2f}x"
        print(f"{row.workload:<12} {row.figure:<44} {row.measured:>16} {ratio:>8}  {row.against}")


def fastest(calls: dict[str, Callable[[], Any]], times: int) -> dict[str, float]:
    """Least seconds of each call, taken in turn: what it costs when nothing else runs."""
    least = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    for _ in range(times):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            least[name] = min(least[name], time.perf_counter() - began)
    return least


def medians(calls: dict[str, Callable[[], Any]], times: int) -> dict[str, float]:
    """Median seconds of each call, taken in turn so that a busy moment hits all alike."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(times):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in spent.items()}


def septet(*words: str, cache: Path | None = None) -> tuple[float, int, str]:
    """Run a command in a process of its own: seconds, largest memory (bytes), stdout."""
    code = (
        "import resource, sys\n"
        "from septet.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    place = {} if cache is None else {"SEPTET_CACHE": str(cache)}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT, env={**os.environ, **place}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(f"septet {' '.join(words)} left with {done.returncode}:\n{done.stderr}")
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, int(done.stderr.split()[-1]) * unit, done.stdout


def w1_strategy(folder: Path, bars: int, features: str = "", *, rules: bool = True) -> Path:
    """Write the strategy of workload W1 over its first `bars` bars."""
    cross = "long_if: 'crosses_above(fast, slow)', exit_if: 'crosses_below(fast, slow)'"
    rules_text = cross if rules else "long_if: rsi_14 > 99.99"  # no bar of the walk comes near
    averages = "  fast: {use: sma, period: 20}\n  slow: {use: sma, period: 100}\n"
    path = folder / "w1.yaml"
    path.write_text(
        "version: 1\nname: w1\naccount: {capital: 10000000}\n"
        "universe: {symbols: [W1/USDT], bar: 1m}\n"
        f"data: {{candles: {{use: synthetic, series: w1, bars: {bars}}}}}\n"
        f"features:\n{averages if rules else ''}{features}"
        f"signal: {{use: rules, {rules_text}}}\n"
        "risk:\n  sizing: {use: fixed_quantity, quantity: 1}\n"
        "execution: {simulation: {fee: 10bps, slippage: 0bps}}\n",
        encoding="utf-8",
    )
    return path


def bars_text(count: int) -> str:
    """Write a number of bars short."""
    return f"{count // 1_000_000} M bars" if count >= 1_000_000 else f"{count // 1_000} k bars"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def machine() -> str:
    """One line on the machine: processor, cores, system, how busy it is."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}{load}"


def software() -> str:
    """Versions of what took part."""
    from importlib.metadata import PackageNotFoundError, version

    found = [f"septet {version('septet')}", f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} missing")
    return ", ".join(found)
