"""W1: an SMA 20/100 cross over a million one-minute bars, through the whole runner.

Long only, quantity 1, capital 10,000,000, 10 bps a side, filled at the next open. The result is
checked against the exact reference before any time is believed. Each run is a process of its own.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import Row, arguments, bars_text, emit, septet, w1_strategy

EXACT = {1_000_000: (6_911, 9_482_113.8188), 100_000: (702, 9_959_067.8576)}
SECONDS, MEMORY = 0.10, 1e9


def _check(summary: dict[str, Any], bars: int) -> None:
    trades, equity = EXACT[bars]
    if summary["trades"] != trades or abs(summary["final_equity"] - equity) > 5e-5:
        raise SystemExit(
            f"W1 is wrong: {summary['trades']} trades and {summary['final_equity']:.4f}, "
            f"the reference has {trades} and {equity:.4f}"
        )


def measure(bars: int, runs: int) -> list[Row]:
    """Run W1 until its code is compiled, then `runs` times."""
    found, memory, walls = [], [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = str(w1_strategy(folder, bars))
        for number in range(runs + 1):
            wall, peak, _ = septet("run", file, "--out", str(folder / str(number)), "--no-report")
            (summary,) = (folder / str(number)).glob("w1/*/summary.json")
            found.append(json.loads(summary.read_text(encoding="utf-8")))
            _check(found[-1], bars)
            memory.append(peak)
            walls.append(wall)
    seconds = statistics.median(each["seconds"] for each in found[1:])
    total = statistics.median(each["seconds_total"] for each in found[1:])
    peak = max(memory[1:])
    size = bars_text(bars)
    return [
        Row("W1", f"simulation, {size}", f"{seconds * 1e3:.2f} ms", "target 100 ms a million bars",
            SECONDS * bars / 1e6 / seconds),
        Row("W1", "bars a second", f"{bars / seconds / 1e6:.1f} M", ""),
        Row("W1", "with loading and writing (seconds_total)", f"{total:.2f} s", ""),
        Row("W1", "the whole process", f"{statistics.median(walls[1:]):.2f} s", ""),
        Row("W1", "peak memory", f"{peak / 1e6:.0f} MB", "target 1 GB", MEMORY / peak),
        Row("W1", "trades, final equity",
            f"{found[-1]['trades']:,}, {found[-1]['final_equity']:,.4f}", "exact reference"),
    ]  # fmt: skip


if __name__ == "__main__":
    asked = arguments(__doc__)
    emit(measure(100_000, 2) if asked.quick else measure(1_000_000, 5), asked.json)
