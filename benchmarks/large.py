"""A hundred million bars in a Parquet file through a rules strategy, in bounded memory.

One-second bars of a price that returns to its mean are written once, row group by row group. The
file is run with --chunk in a process of its own, whose peak memory the kernel reports. The trades
and the final equity are checked against a loop of its own over the same numbers: exact whole sums,
one block of bars at a time.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Row, bars_text, emit
from numba import njit

FOLDER = ROOT / ".cache" / "large"
START_NS, STEP_NS = 1_577_836_800_000_000_000, 1_000_000_000  # 2020-01-01, one second
BLOCK, GROUP = 1_000_000, 500_000
CAPITAL, FEE, FAST, SLOW = 10_000_000_000.0, 0.001, 20, 100
PRICE, SPREAD, RETURN = 30_000.0, 8e-4, 1e-5
NAMES = ("open", "high", "low", "close", "volume")
CHILD = """\
import sys
from pathlib import Path
from septet.cli import main
try:
    main(sys.argv[1:])
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


@njit
def walk(shocks: Any, level: float, back: float) -> Any:
    """Return log prices around zero, from one level on."""
    found = np.empty(len(shocks))
    for i in range(len(shocks)):
        level = (1.0 - back) * level + shocks[i]
        found[i] = level
    return found


def blocks(bars: int) -> Iterator[dict[str, Any]]:
    """Columns of the made bars, a million at a time; each block has draws of its own."""
    level, before = 0.0, PRICE
    for first in range(0, bars, BLOCK):
        draw = np.random.default_rng([7, first])
        count = min(BLOCK, bars - first)
        logs = walk(draw.normal(0.0, SPREAD, BLOCK), level, RETURN)[:count]
        close = PRICE * np.exp(logs)
        opened = np.concatenate(([before], close[:-1])) * np.exp(draw.normal(0.0, 5e-5, count))
        top, bottom = np.maximum(opened, close), np.minimum(opened, close)
        yield {
            "timestamp": START_NS + STEP_NS * np.arange(first, first + count, dtype=np.int64),
            "open": opened,
            "high": top * np.exp(np.abs(draw.normal(0.0, 3e-4, count))),
            "low": bottom * np.exp(-np.abs(draw.normal(0.0, 3e-4, count))),
            "close": close,
            "volume": np.exp(draw.normal(3.0, 1.0, count)),
        }
        level, before = float(logs[-1]), float(close[-1])


def write(path: Path, bars: int) -> None:
    """Write the bars as one file of many row groups."""
    import polars as pl
    from polars.io.plugins import register_io_source

    schema = {"timestamp": pl.Int64(), **dict.fromkeys(NAMES, pl.Float64())}

    def source(*_: Any) -> Iterator[pl.DataFrame]:
        return (pl.DataFrame(columns) for columns in blocks(bars))

    part = path.with_suffix(".partial")
    lazy = register_io_source(source, schema=schema, is_pure=True)
    lazy.sink_parquet(part, row_group_size=GROUP, compression="zstd", compression_level=1)
    part.replace(path)


@njit
def reference(opened: Any, close: Any, state: Any, scaled: Any) -> None:
    """Go on with the cross over a block: cash in `state`, whole numbers in `scaled`.

    `state` is cash; `scaled` the last `SLOW` prices as a ring, then fast sum, slow sum, bars, the
    spread before, whether there was one, order pending, held, round trips.
    """
    base = SLOW
    for i in range(len(close)):
        if scaled[base + 5] > 0 and scaled[base + 6] == 0:
            state[0] -= opened[i] * (1.0 + FEE)
            scaled[base + 6] = 1
        elif scaled[base + 5] < 0 and scaled[base + 6] == 1:
            state[0] += opened[i] * (1.0 - FEE)
            scaled[base + 6] = 0
            scaled[base + 7] += 1
        scaled[base + 5] = 0
        n = scaled[base + 2]
        price = int(np.rint(close[i] * 1_048_576.0))
        if n >= FAST:
            scaled[base] -= scaled[(n - FAST) % SLOW]
        if n >= SLOW:
            scaled[base + 1] -= scaled[n % SLOW]
        scaled[n % SLOW] = price
        scaled[base] += price
        scaled[base + 1] += price
        scaled[base + 2] = n + 1
        if n >= SLOW - 1:
            spread = scaled[base] * SLOW - scaled[base + 1] * FAST
            if scaled[base + 4] == 1:
                if spread > 0 and scaled[base + 3] <= 0:
                    scaled[base + 5] = 1
                elif spread < 0 and scaled[base + 3] >= 0:
                    scaled[base + 5] = -1
            scaled[base + 3], scaled[base + 4] = spread, 1


def expected(bars: int) -> tuple[int, float]:
    """Round trips and final equity by the loop."""
    state, scaled = np.array([CAPITAL]), np.zeros(SLOW + 8, np.int64)
    last = 0.0
    for block in blocks(bars):
        reference(block["open"], block["close"], state, scaled)
        last = float(block["close"][-1])
    return int(scaled[SLOW + 7]), float(state[0] + (last if scaled[SLOW + 6] else 0.0))


def strategy(folder: Path, data: Path) -> Path:
    """Write the strategy of workload W1 over the file."""
    path = folder / "large.yaml"
    path.write_text(
        f"version: 1\nname: large\naccount: {{capital: {CAPITAL:.0f}}}\n"
        "universe: {symbols: [LARGE/USDT], bar: 1s}\n"
        f"data: {{candles: {{use: parquet, path: {data.name}}}}}\n"
        f"features:\n  fast: {{use: sma, period: {FAST}}}\n  slow: {{use: sma, period: {SLOW}}}\n"
        "signal: {use: rules, long_if: 'crosses_above(fast, slow)', "
        "exit_if: 'crosses_below(fast, slow)'}\n"
        "risk:\n  sizing: {use: fixed_quantity, quantity: 1}\n"
        "execution: {simulation: {fee: 10bps, slippage: 0bps}}\n",
        encoding="utf-8",
    )
    return path


def run(path: Path, out: Path, chunk: int) -> tuple[float, float, int, dict[str, Any]]:
    """Run the file in stretches: seconds, those of processors, peak memory (bytes), summary."""
    began, used = time.perf_counter(), _processor_seconds()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "run", str(path), "--chunk", str(chunk), "--json",
         "--out", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(f"septet run left with {done.returncode}:\n{done.stderr}")
    memory = int(done.stderr.split()[-1]) * 1024
    return seconds, _processor_seconds() - used, memory, json.loads(done.stdout)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(bars: int, chunk: int, *, keep: bool) -> list[Row]:
    """Write the bars unless they are there, run them and compare."""
    data = FOLDER / f"LARGEUSDT-{bars}.parquet"
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not data.is_file():
        began = time.perf_counter()
        write(data, bars)
        print(f"wrote {data} in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    size = data.stat().st_size
    small = FOLDER / "LARGEUSDT-small.parquet"
    write(small, 20_000)
    try:
        run(strategy(FOLDER, small), FOLDER / "runs", chunk)  # the plan is compiled from here on
        seconds, used, memory, summary = run(strategy(FOLDER, data), FOLDER / "runs", chunk)
        trips, equity = expected(bars)
    finally:
        shutil.rmtree(FOLDER / "runs", ignore_errors=True)
        small.unlink(missing_ok=True)
        if not keep:
            data.unlink(missing_ok=True)
    if summary["trades"] != trips or not math.isclose(
        summary["final_equity"], equity, rel_tol=1e-9
    ):
        raise SystemExit(
            f"the run made {summary['trades']} round trips and {summary['final_equity']!r}, "
            f"the loop {trips} and {equity!r}"
        )
    name, pieces = bars_text(bars), f"in stretches of {bars_text(chunk)}"
    checked = f"{trips} round trips and final equity as by the loop"
    return [
        Row("large", f"{name} from Parquet, command to result", f"{seconds:.1f} s",
            f"{bars / seconds / 1e6:.1f} M bars/s, {used:.0f} s of processors; {checked}"),
        Row("large", f"{name}, arrays to arrays", f"{summary['seconds']:.1f} s",
            f"{summary['bars_per_second'] / 1e6:.1f} M bars/s"),
        Row("large", f"{name}, peak memory", f"{memory / 1e6:.0f} MB",
            f"{pieces}; the file has {size / 1e6:.0f} MB, its columns {48 * bars / 1e6:.0f} MB"),
    ]  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 M bars, to see that it works")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--keep", action="store_true", help="leave the Parquet file where it is")
    parser.add_argument("--bars", type=int, default=None, help="how many bars (100 M)")
    parser.add_argument("--chunk", type=int, default=None, help="bars of a stretch (1 M)")
    return parser.parse_args()


if __name__ == "__main__":
    asked = _arguments()
    many = asked.bars or (2_000_000 if asked.quick else 100_000_000)
    length = asked.chunk or (500_000 if asked.quick else 1_000_000)
    emit(measure(many, length, keep=asked.keep), asked.json)
