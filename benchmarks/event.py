"""The event path: one bar at a time through the engine that live runs use, beside the arrays."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import Row, arguments, bars_text, emit, septet, w1_strategy


def _same(batch: dict[str, Any], event: dict[str, Any]) -> None:
    for key in ("trades", "final_equity", "max_drawdown", "fees"):
        if batch[key] != event[key]:
            raise SystemExit(f"the engines differ: {key} {batch[key]} and {event[key]}")


def measure(bars: int, runs: int) -> list[Row]:
    """Run W1 by both engines until compiled, then `runs` times, in turn."""
    found: dict[str, list[dict[str, Any]]] = {"batch": [], "event": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = str(w1_strategy(folder, bars))
        for number in range(runs + 1):
            for engine, summaries in found.items():
                out = folder / f"{engine}{number}"
                septet("run", file, "--engine", engine, "--out", str(out), "--no-report")
                (summary,) = out.glob("w1/*/summary.json")
                summaries.append(json.loads(summary.read_text(encoding="utf-8")))
    _same(found["batch"][-1], found["event"][-1])
    rate = {
        engine: statistics.median(bars / each["seconds"] for each in summaries[1:])
        for engine, summaries in found.items()
    }
    return [
        Row("event", f"bars a second, W1, {bars_text(bars)}", f"{rate['event'] / 1e3:.0f} k", ""),
        Row("event", "one bar, features to orders", f"{1e6 / rate['event']:.1f} µs", ""),
        Row("event", "the same bits by arrays, bars a second", f"{rate['batch'] / 1e6:.1f} M", ""),
    ]


if __name__ == "__main__":
    asked = arguments(__doc__)
    emit(measure(20_000, 1) if asked.quick else measure(200_000, 5), asked.json)
