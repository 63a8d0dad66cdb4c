"""septet itself, under the same protocol: its own environment, its own data source, no report.

`w1` keeps the whole decision table, `w1-fast` leaves it out as `--fast` does; both give trades and
equity. A session is opened once, and a run is what lies between its arrays and those of the result.
The event path is timed by the runner's own clock (`seconds` of the summary), which has the same
ends; each run opens the file anew.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from protocol import Answer, Market, Setup, Unavailable, Work, serve

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import w1_strategy

__all__: list[str] = []

MINUTE_NS = 60_000_000_000


def _load(setup: Setup, bars: int) -> Any:
    """The strategy of W1 over its first bars, as `septet run` loads it."""
    from septet._config import load

    with tempfile.TemporaryDirectory(dir=setup.folder) as place:
        return load(str(w1_strategy(Path(place), bars)))


def _signal_bars(trades: Any, market: Market) -> Any:
    """Bars at whose close the fills of each closed round trip were decided."""
    closed = np.array([str(reason) != "open" for reason in trades["exit_reason"]], np.bool_)
    sides = (np.asarray(trades[name])[closed] for name in ("entry_time", "exit_time"))
    start = int(market.time[0])
    columns = [(each.astype(np.int64) - start) // MINUTE_NS - 1 for each in sides]
    return np.column_stack(columns)


def _w1(tables: bool) -> Callable[[Setup, Market], Work]:
    def make(setup: Setup, market: Market) -> Work:
        from septet._shell import project
        from septet._shell.backtest import run_batch
        from septet._shell.session import open_session

        session = open_session(_load(setup, setup.bars), tables=tables)

        def run() -> Any:
            return run_batch(session)[0]

        def look(outcome: Any) -> Answer:
            trades = project.trades_of(session, outcome)
            pairs = _signal_bars(trades, market)
            equity = float(project.equity_of(session, outcome)["equity"][-1])
            return Answer(len(pairs), equity, lambda: pairs)

        return Work(run, look)

    return make


def _inner(folder: Path) -> Path:
    inner = folder / "short"
    inner.mkdir(exist_ok=True)
    return inner


def _event(setup: Setup, market: Market) -> Work:
    from septet._config import load
    from septet._shell.backtest import backtest

    path = w1_strategy(setup.folder, setup.bars)
    short = w1_strategy(_inner(setup.folder), max(setup.bars // 100, 1_000))

    def run(file: Path = path) -> Any:
        return backtest(load(str(file)), engine="event")

    def look(result: Any) -> Answer:
        trades, equity = result.trades, float(result.equity["equity"][-1])
        pairs = _signal_bars(trades, market)
        return Answer(len(pairs), equity, lambda: pairs, seconds=result.facts.seconds)

    return Work(run, look, warm=lambda: run(short))


def _w2(setup: Setup, market: Market) -> Work:
    if not all(map(importlib.util.find_spec, ("septet._sweep", "septet._sweep.compiled"))):
        raise Unavailable("the compiled sweep (septet._sweep.compiled) is not there yet")
    raise Unavailable("the compiled sweep is there; its worker is to be written in with_septet.py")


if __name__ == "__main__":
    serve("septet", {"w1": _w1(True), "w1-fast": _w1(False), "event": _event, "w2": _w2})
