"""Every way to run a strategy refuses, or logs, a ledger that lost something."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet._config import load
from septet._kernel import layout
from septet._live.process import run_live
from septet._live.stop import RunEnd, StopBound
from septet._live.strategy_run import StrategyRun
from septet._shell import result_tables
from septet._shell.backtest import backtest
from septet._shell.stretch_backtest import run_by_stretches
from septet._sweep.backtest_evaluator import BacktestEvaluator
from septet._sweep.metrics_of_rows import Measured
from septet._sweep.space import space_of
from septet.errors import RunError
from tests.core.settings import Settings, walk
from tests.core.world import run_core, session_of
from tests.live.feeds import World

LOST = 1e-3
"""A ten-millionth of the capital, in the account's currency."""
WORDS = "the books do not add up"
FILE = """\
version: 1
name: books
account: {capital: 10000, currency: USDT}
universe: {symbols: [AAA/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 300, seed: 4}}
features: {fast: {use: sma, period: 4}, slow: {use: sma, period: 12}}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
sweep: {over: {features.slow.period: [12, 20]}}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    path = tmp_path / "books.yaml"
    path.write_text(FILE, encoding="utf-8")
    return load(path)


@pytest.fixture
def lossy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the table of trades lose a little of the last result."""
    made = result_tables.trades_of

    def losing(*given: Any, **keys: Any) -> dict[str, Any]:
        trades = made(*given, **keys)
        if len(trades["pnl"]):
            trades["pnl"] = np.append(trades["pnl"][:-1], trades["pnl"][-1] - LOST)
        return trades

    monkeypatch.setattr(result_tables, "trades_of", losing)


@pytest.mark.usefixtures("lossy")
@pytest.mark.parametrize("engine", ["batch", "event"])
def test_a_backtest_is_refused(loaded: Any, engine: Any) -> None:
    with pytest.raises(RunError, match=WORDS):
        backtest(loaded, engine=engine)


@pytest.mark.usefixtures("lossy")
def test_a_backtest_in_stretches_is_refused(loaded: Any) -> None:
    with pytest.raises(RunError, match=WORDS):
        run_by_stretches(loaded, 100)


@pytest.mark.usefixtures("lossy")
def test_a_setting_that_runs_as_a_backtest_fails(loaded: Any) -> None:
    space = space_of(loaded)
    evaluator = BacktestEvaluator(loaded, space, 0, 1, lambda text: None)
    try:
        [row] = evaluator.evaluate([space.setting(0)])
    finally:
        evaluator.close()
    assert row["status"] == "failed"
    assert WORDS in row["problem"]


def test_a_setting_among_many_is_refused() -> None:
    session = session_of(Settings(), [walk(3)])
    state, capital = run_core(session).batch.state, session.strategy.account.capital
    measured = Measured.room(1, 2, session)
    measured.keep(0, capital, state, np.ones(2), session.aligned.times)
    assert measured.A[0, layout.CASH] == state.A[layout.CASH]
    state.A[layout.CASH] -= LOST
    with pytest.raises(RunError, match=WORDS):
        measured.keep(0, capital, state, np.ones(2), session.aligned.times)


@pytest.mark.parametrize("lost", [0.0, LOST])
def test_a_run_over_time_logs_an_error(
    lost: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    end = StrategyRun.end

    async def losing(run: StrategyRun, reason: str, bound: StopBound) -> RunEnd:
        ended = await end(run, reason, bound)
        core: Any = run.build.core if run.build is not None else None
        core.engine.state.A[layout.CASH] -= lost
        await asyncio.sleep(0)
        return ended

    monkeypatch.setattr(StrategyRun, "end", losing)
    world = World(tmp_path)
    result = run_live(
        [world.load()], world.options(bars=2), clock=world.clock, wiring=world.wiring,
        signals=False,
    )  # fmt: skip
    folder = result.ends[0][0].location.folder
    lines = [json.loads(each) for each in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    reported = [each for each in lines if each["event"] == "books"]
    assert len(reported) == (1 if lost else 0)
    for each in reported:
        assert each["level"] == "error"
        assert WORDS in each["text"]
