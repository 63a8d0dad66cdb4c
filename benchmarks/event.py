"""The event path: one bar at a time through the engine that live runs use, beside the arrays.

W1 as it is; with a position in steps: resting adds, takes, break-even and a trailing stop; with a
grid of resting orders in place of its signal; and W7's portfolio, in bars of a symbol.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Row, arguments, bars_text, emit, septet, w1_strategy
from w7 import Portfolio, make_market, write_strategy

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
GRID = """\
risk:
  stops: {stop_loss: 3%}
  position:
    grid: {centre: slow, step: 0.4%, levels: 6, size: 5%}
"""
CAPITAL = 1_000_000.0


def _same(batch: dict[str, Any], event: dict[str, Any]) -> None:
    for key in ("trades", "final_equity", "max_drawdown", "fees"):
        if batch[key] != event[key]:
            raise SystemExit(f"the engines differ: {key} {batch[key]} and {event[key]}")


def _w1(bars: int, steps: str = "") -> Callable[[Path], Path]:
    """Return what writes W1 into a folder, with what its position does beside."""

    def write(folder: Path) -> Path:
        file = w1_strategy(folder, bars)
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("risk:\n", f"risk:\n{steps}", 1), encoding="utf-8")
        return file

    return write


def _grid(bars: int) -> Callable[[Path], Path]:
    """Return what writes W1 with a grid around its slow average in place of signal and size."""

    def write(folder: Path) -> Path:
        file = w1_strategy(folder, bars)
        text = re.sub(r"(?ms)^signal:.*?(?=^\S)", "", file.read_text(encoding="utf-8"))
        text = re.sub(r"(?ms)^risk:.*?(?=^\S)", GRID, text)
        file.write_text(text, encoding="utf-8")
        return file

    return write


def _w7(sizes: Portfolio) -> Callable[[Path], Path]:
    """Return what writes W7's bars and its file into a folder."""
    return lambda folder: write_strategy(folder, make_market(sizes), sizes, CAPITAL)


def _rates(write: Callable[[Path], Path], bars: int, runs: int) -> dict[str, float]:
    """Run a file by both engines until compiled, then `runs` times, in turn; return bars a second.

    `bars` are those of all symbols.
    """
    found: dict[str, list[dict[str, Any]]] = {"batch": [], "event": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = write(folder)
        for number in range(runs + 1):
            for engine, summaries in found.items():
                out = folder / f"{engine}{number}"
                septet("run", str(file), "--engine", engine, "--out", str(out), "--no-report")
                (summary,) = out.glob("*/*/summary.json")
                summaries.append(json.loads(summary.read_text(encoding="utf-8")))
    _same(found["batch"][-1], found["event"][-1])
    if not found["event"][-1]["trades"]:
        raise SystemExit(f"{file.name} has not traded")
    return {
        engine: statistics.median(bars / each["seconds"] for each in summaries[1:])
        for engine, summaries in found.items()
    }


def _rows(workload: str, title: str, rates: dict[str, float]) -> list[Row]:
    """Return the rows of a workload with a target."""
    return [
        Row(workload, f"bars a second, {title}", f"{rates['event'] / 1e3:.0f} k", "target 150 k",
            rates["event"] / LEAST),
        Row(workload, "the same bits by arrays, bars a second", f"{rates['batch'] / 1e6:.1f} M",
            ""),
    ]  # fmt: skip


def measure(bars: int, runs: int, portfolio: Portfolio) -> list[Row]:
    """Measure W1 as it is, in steps and as a grid, and W7."""
    plain = _rates(_w1(bars), bars, runs)
    steps, grid = _rates(_w1(bars, STEPS), bars, runs), _rates(_grid(bars), bars, runs)
    symbol_bars, size = portfolio.symbols * portfolio.times, bars_text(bars)
    w7 = _rates(_w7(portfolio), symbol_bars, runs)
    shape = f"{portfolio.symbols} x {portfolio.times:,}"
    return [
        Row("event", f"bars a second, W1, {size}", f"{plain['event'] / 1e3:.0f} k", ""),
        Row("event", "one bar, features to orders", f"{1e6 / plain['event']:.1f} µs", ""),
        Row("event", "the same bits by arrays, bars a second", f"{plain['batch'] / 1e6:.1f} M", ""),
        *_rows("event steps", f"W1 in steps, {size}", steps),
        *_rows("event grid", f"W1 as a grid, {size}", grid),
        *_rows("event W7", f"W7, {shape}", w7),
    ]  # fmt: skip


if __name__ == "__main__":
    asked = arguments(__doc__)
    small = Portfolio(symbols=40, times=600, held=5)
    found = measure(20_000, 1, small) if asked.quick else measure(200_000, 5, Portfolio())
    emit(found, asked.json)
