"""septet itself, under the same protocol: its own environment, its own data source, no report.

`w1` keeps the whole decision table, `w1-fast` leaves it out as `--fast` does; both give trades and
equity. A session is opened once, and a run is what lies between its arrays and those of the result.
A sweep's settings are given to a new evaluator each time, since one keeps its features; a run ends
with a row of figures for each. The event path is timed by the runner's own clock (`seconds` of the
summary), which has the same ends; each run opens the file anew. W7 reads its bars from Parquet
before the clock starts, and leaves the decision table out.
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
FAST, SLOW = "features.fast.period", "features.slow.period"


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
        from septet._shell import result_tables
        from septet._shell.backtest import run_batch
        from septet._shell.session import open_session

        session = open_session(_load(setup, setup.bars), tables=tables)

        def run() -> Any:
            return run_batch(session)[0]

        def look(outcome: Any) -> Answer:
            trades = result_tables.trades_of(session, outcome)
            pairs = _signal_bars(trades, market)
            equity = float(result_tables.equity_of(session, outcome)["equity"][-1])
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
    if importlib.util.find_spec("septet._sweep") is None:
        raise Unavailable("this septet has no sweep")
    from septet._config import load
    from septet._sweep.first_decision import begin_sweep
    from septet._sweep.open_evaluator import open_evaluator
    from septet._sweep.space import space_of
    from septet._sweep.swept_parameters import numbers_of

    path = w1_strategy(setup.folder, setup.bars)
    with path.open("a", encoding="utf-8") as out:
        out.write(f"sweep: {{over: {{{FAST}: {setup.fasts}, {SLOW}: {setup.slows}}}}}\n")
    loaded = load(str(path))
    space = space_of(loaded)
    numbers = numbers_of(loaded, space)
    first_ns = begin_sweep(loaded, space, numbers, _silent).first_ns
    settings = list(space.settings())
    ready: list[Any] = []

    def prepare() -> None:
        """A new evaluator: one that has run keeps the features, and would not compute them."""
        while ready:
            ready.pop().close()
        ready.append(open_evaluator(loaded, space, first_ns, setup.threads, _silent, numbers))

    def run() -> Any:
        return ready[0].evaluate(settings)

    def look(rows: Any) -> Answer:
        failed = [row["problem"] for row in rows if row["status"] != "done"]
        if failed:
            raise RuntimeError(f"{len(failed)} settings failed, the first: {failed[0]}")
        found = {(int(row[FAST]), int(row[SLOW])): row for row in rows}
        table = np.array(
            [(found[pair]["trades"], found[pair]["final_equity"]) for pair in setup.pairs]
        )
        return Answer(int(table[:, 0].sum()), None, lambda: table)

    return Work(run, look, prepare=prepare)


def _w7(setup: Setup, market: Market) -> Work:
    from septet._config import load
    from septet._shell import result_tables
    from septet._shell.backtest import run_batch
    from septet._shell.session import open_session

    session = open_session(load(str(setup.folder / "w7.yaml")), tables=False)
    places = {symbol: number for number, symbol in enumerate(session.market.symbols)}

    def run() -> Any:
        return run_batch(session)[0]

    def look(outcome: Any) -> Answer:
        fills = result_tables.fills_of(session, outcome, "simulated")
        row = np.searchsorted(market.time, np.asarray(fills["time"]).astype(np.int64)) - 1
        symbol = np.array([places[str(each)] for each in fills["symbol"]])
        sign = np.where(np.array([str(each) == "buy" for each in fills["side"]]), 1.0, -1.0)
        orders = np.column_stack((row, symbol, sign * np.asarray(fills["quantity"])))
        equity = float(result_tables.equity_of(session, outcome)["equity"][-1])
        return Answer(len(orders), equity, lambda: orders)

    return Work(run, look)


def _silent(message: str) -> None:
    """Take a message nobody reads."""


if __name__ == "__main__":
    serve("septet", {"w1": _w1(True), "w1-fast": _w1(False), "event": _event, "w2": _w2,
                     "w7": _w7})  # fmt: skip
