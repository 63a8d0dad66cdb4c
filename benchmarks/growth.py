"""How the cost of a run grows: time a bar from 1 M to 10 M bars, and a symbol from 1 to 200.

Random walks by `use: synthetic`, an SMA 20/100 cross each, one account, no pairwise limit. Sessions
are opened once and run in turn; the least of several runs counts, since growth is a property of the
program and not of what else the machine does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import Row, arguments, bars_text, emit

WITHIN = 1.10
CROSS = "{use: rules, long_if: 'crosses_above(fast, slow)', exit_if: 'crosses_below(fast, slow)'}"


def strategy(folder: Path, bars: int, symbols: int) -> Path:
    """Write the cross over random walks of so many symbols."""
    names = ", ".join(f"S{number:03d}/USDT" for number in range(symbols))
    path = folder / f"growth-{bars}-{symbols}.yaml"
    path.write_text(
        "version: 1\nname: growth\naccount: {capital: 1000000000}\n"
        f"universe: {{symbols: [{names}], bar: 1m}}\n"
        f"data: {{candles: {{use: synthetic, bars: {bars}, start: 1990-01-01}}}}\n"
        "features:\n  fast: {use: sma, period: 20}\n  slow: {use: sma, period: 100}\n"
        f"signal: {CROSS}\n"
        "risk:\n  sizing: {use: fixed_quantity, quantity: 1}\n"
        "execution: {simulation: {fee: 10bps, slippage: 0bps}}\n",
        encoding="utf-8",
    )
    return path


def _session(folder: Path, bars: int, symbols: int) -> Any:
    from septet._config import load
    from septet._shell.session import open_session

    return open_session(load(str(strategy(folder, bars, symbols))), tables=False)


def _least(sessions: dict[tuple[int, int], Any], times: int) -> dict[tuple[int, int], float]:
    """Nanoseconds a bar and symbol of the quickest of `times` runs of each."""
    from septet._shell.backtest import run_batch

    found: dict[tuple[int, int], list[float]] = {size: [] for size in sessions}
    for number in range(times + 1):
        for (bars, symbols), session in sessions.items():
            began = time.perf_counter()
            run_batch(session)
            if number:
                spent = time.perf_counter() - began
                found[bars, symbols].append(1e9 * spent / (bars * symbols))
    return {size: min(each) for size, each in found.items()}


def measure(lengths: Sequence[int], many: Sequence[int], bars: int, times: int) -> list[Row]:
    """Measure lengths with one symbol, then numbers of symbols with `bars` bars each."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        by_length = _least({(n, 1): _session(folder, n, 1) for n in lengths}, times)
        by_symbols = _least({(bars, n): _session(folder, bars, n) for n in many}, times)
    base = by_length[lengths[0], 1]
    for size, spent in by_length.items():
        last = size[0] == lengths[-1]
        grown = spent / base
        rows.append(
            Row("growth", f"one bar of {bars_text(size[0])}", f"{spent:.1f} ns",
                f"{grown:.2f} times that of {bars_text(lengths[0])}; at most {WITHIN:g}",
                WITHIN / grown, must=last)
        )  # fmt: skip
    base = by_symbols[bars, many[0]]
    for (_, symbols), spent in by_symbols.items():
        last = symbols == many[-1]
        grown = spent / base
        rows.append(
            Row("growth", f"one bar and symbol of {symbols}", f"{spent:.1f} ns",
                f"{grown:.2f} times that of {many[0]}; at most 1", 1.0 / grown, must=last)
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    asked = arguments(__doc__)
    if asked.quick:
        rows = measure((20_000, 100_000), (1, 10), 5_000, 2)
    else:
        rows = measure((1_000_000, 3_000_000, 10_000_000), (1, 10, 50, 200), 50_000, 5)
    emit(rows, asked.json)
