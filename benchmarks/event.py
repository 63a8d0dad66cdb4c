"""The event path: one bar at a time through the engine that live runs use, beside the arrays.

W1 as it is, and with a position in steps: resting adds, takes, break-even and a trailing stop.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import Row, arguments, bars_text, emit, septet, w1_strategy

LEAST = 150_000.0
STEPS = """\
  stops:
    stop_loss: 0.5%
    trailing: {distance: 0.4%, after: 1R}
  position:
    add:
      - {at: [-0.1%, -0.2%], size: 50%}
      - {when: close > last_price * 1.001, size: 30%, times: 2}
    take:
      - {at: 1R, size: 30%, then: {stop: break_even}}
      - {at: 2R, size: 30%}
"""


def _same(batch: dict[str, Any], event: dict[str, Any]) -> None:
    for key in ("trades", "final_equity", "max_drawdown", "fees"):
        if batch[key] != event[key]:
            raise SystemExit(f"the engines differ: {key} {batch[key]} and {event[key]}")


def _rates(bars: int, runs: int, steps: str = "") -> dict[str, float]:
    """Run W1 by both engines until compiled, then `runs` times, in turn; return bars a second."""
    found: dict[str, list[dict[str, Any]]] = {"batch": [], "event": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = w1_strategy(folder, bars)
        if steps:
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace("risk:\n", f"risk:\n{steps}", 1), encoding="utf-8")
        for number in range(runs + 1):
            for engine, summaries in found.items():
                out = folder / f"{engine}{number}"
                septet("run", str(file), "--engine", engine, "--out", str(out), "--no-report")
                (summary,) = out.glob("w1/*/summary.json")
                summaries.append(json.loads(summary.read_text(encoding="utf-8")))
    _same(found["batch"][-1], found["event"][-1])
    return {
        engine: statistics.median(bars / each["seconds"] for each in summaries[1:])
        for engine, summaries in found.items()
    }


def measure(bars: int, runs: int) -> list[Row]:
    """Measure W1 as it is, and in steps."""
    plain, steps = _rates(bars, runs), _rates(bars, runs, STEPS)
    size = bars_text(bars)
    return [
        Row("event", f"bars a second, W1, {size}", f"{plain['event'] / 1e3:.0f} k", ""),
        Row("event", "one bar, features to orders", f"{1e6 / plain['event']:.1f} µs", ""),
        Row("event", "the same bits by arrays, bars a second", f"{plain['batch'] / 1e6:.1f} M", ""),
        Row("event steps", f"bars a second, W1 in steps, {size}", f"{steps['event'] / 1e3:.0f} k",
            "target 150 k", steps["event"] / LEAST),
        Row("event steps", "the same bits by arrays, bars a second",
            f"{steps['batch'] / 1e6:.1f} M", ""),
    ]  # fmt: skip


if __name__ == "__main__":
    asked = arguments(__doc__)
    emit(measure(20_000, 1) if asked.quick else measure(200_000, 5), asked.json)
