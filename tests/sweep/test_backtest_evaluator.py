"""Whole backtests as rows: the same figures as a run, in one process or several."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet._config.load import Loaded
from septet._data.stamps import iso
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._store.tables import frames_of
from septet._sweep import backtest_evaluator
from septet._sweep.backtest_evaluator import BacktestEvaluator, first_line
from septet._sweep.first_decision import begin_sweep
from septet._sweep.setting_row import COUNTS, FIGURES
from septet._sweep.space import Setting, Space, space_of
from septet._sweep.swept_parameters import numbers_of
from septet.errors import InputError, RunError
from tests.sweep.files import BASE, swept

pytestmark = pytest.mark.compiled

SECTION = (
    "{over: {features.fast.period: [10, 30], features.slow.period: [50, 150], "
    "risk.stops.stop_loss: [2%, 8%], account.capital: [5000, 10000]}}"
)


def opened(
    loaded: Loaded, *, threads: int = 1, logged: list[str] | None = None
) -> tuple[Space, BacktestEvaluator, int]:
    space = space_of(loaded)
    notify = (logged if logged is not None else []).append
    beginning = begin_sweep(loaded, space, numbers_of(loaded, space), print)
    evaluator = BacktestEvaluator(loaded, space, beginning.first_ns, threads, notify)
    return space, evaluator, beginning.first_ns


def rows_of(evaluator: BacktestEvaluator, block: Sequence[Setting]) -> list[dict[str, Any]]:
    try:
        return evaluator.evaluate(block)
    finally:
        evaluator.close()


def test_rows_are_what_run_gives(tmp_path: Path) -> None:
    """`septet run --set ...` from the sweep's first decision writes the same figures."""
    loaded = swept(tmp_path, SECTION)
    space, evaluator, first_ns = opened(loaded)
    block = [space.setting(number) for number in (0, 6, 9, 15)]
    for setting, row in zip(block, rows_of(evaluator, block), strict=True):
        assert row["status"] == "done"
        sets = [*space.sets(setting), f"universe.start={iso(first_ns)}"]
        result = backtest(load(loaded.path, sets=sets))
        assert result.facts.first_decision_ns == first_ns
        summary = summarise(result, frames_of(result), run_id="")
        summary["excess_sharpe"] = summary["excess"]["sharpe"]
        assert {name: row[name] for name in (*COUNTS, *FIGURES)} == {
            name: summary[name] for name in (*COUNTS, *FIGURES)
        }
        assert row["setting"] == setting.number
        assert len(row["block_sums"]) == len(row["block_squares"]) == 16


def test_all_begin_when_the_slowest_can(tmp_path: Path) -> None:
    loaded = swept(tmp_path, SECTION)
    space, _, first_ns = opened(loaded)
    firsts = [
        backtest(load(loaded.path, sets=space.sets(space.setting(number)))).facts.first_decision_ns
        for number in (0, 4, 15)
    ]
    assert firsts[0] < firsts[1] == firsts[2] == first_ns


def test_a_setting_that_fails_is_a_row(tmp_path: Path) -> None:
    """Purge and horizon are each fine alone; together training would see the future."""
    base = BASE.replace(
        "signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}",
        "signal: {use: confidence, threshold: 0.01}\n"
        "model:\n"
        "  use: sklearn\n"
        "  estimator: LogisticRegression\n"
        "  label: {use: direction, horizon: 5 bars}\n"
        "  training: {train: 30d, step: 30d, purge: 20 bars}",
    )
    section = "{over: {model.label.horizon: [5 bars, 9 bars], model.training.purge: [8, 20]}}"
    space, evaluator, _ = opened(swept(tmp_path, section, base=base))
    rows = rows_of(evaluator, list(space.settings()))
    assert [row["status"] for row in rows] == ["done", "done", "failed", "done"]
    assert rows[2]["problem"] == (
        "model.training.purge: purge is shorter than the label looks ahead: training would see the "
        "test's future"
    )
    assert rows[2]["sharpe"] is None
    assert rows[2]["block_sums"] is None
    assert len({row["bars"] for row in rows if row["bars"]}) == 1, "all from one first decision"


def test_a_plugin_may_raise_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import septet._shell.backtest as shell

    space, evaluator, _ = opened(swept(tmp_path, SECTION))

    def broken(*given: object, **more: object) -> None:
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr(shell, "backtest", broken)
    (row,) = rows_of(evaluator, [space.setting(3)])
    assert (row["status"], row["problem"]) == ("failed", "ZeroDivisionError: division by zero")


def test_a_setting_that_begins_later_is_not_compared(tmp_path: Path) -> None:
    loaded = swept(tmp_path, SECTION)
    space, _, first_ns = opened(loaded)
    early = BacktestEvaluator(loaded, space, first_ns - 40 * 900 * 10**9, 1, print)
    rows = rows_of(early, [space.setting(0), space.setting(4)])
    assert [row["status"] for row in rows] == ["done", "failed"]
    assert rows[1]["problem"].startswith("its first decision is at 2021-")


def test_a_sweep_that_cannot_begin(tmp_path: Path) -> None:
    loaded = swept(tmp_path, "{over: {features.slow.period: [50, 90000]}}")
    with pytest.raises(InputError, match=r"with features\.slow\.period=90000, .* bars are too few"):
        opened(loaded)


def test_a_sweep_over_sessions(tmp_path: Path) -> None:
    base = (
        BASE.replace("[BTC/USD], bar: 15m", "[AAPL], bar: 1d")
        .replace("use: sample", "use: sample, adjust: total")
        .replace("name: cross", "name: stock")
    )
    loaded = swept(tmp_path, "{over: {features.fast.period: [10, 20]}}", base=base)
    space = space_of(loaded)
    beginning = begin_sweep(loaded, space, numbers_of(loaded, space), print)
    assert beginning.calendar == "XNYS"
    assert set(beginning.data_hashes) == {"AAPL"}
    evaluator = BacktestEvaluator(loaded, space, beginning.first_ns, 1, print)
    assert [row["status"] for row in rows_of(evaluator, list(space.settings()))] == ["done"] * 2


def test_several_processes_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest_evaluator, "_START_SECONDS", 0.0)
    loaded = swept(tmp_path, SECTION)
    logged: list[str] = []
    space, several, first_ns = opened(loaded, threads=2, logged=logged)
    block = list(space.settings())[:6]
    alone = rows_of(BacktestEvaluator(loaded, space, first_ns, 1, print), block)
    loaded.path.write_text("the file is edited meanwhile", encoding="utf-8")
    try:
        assert several.evaluate(block[:1]) == alone[:1]
        assert several._pool is None
        assert several.evaluate(block) == alone
        pool = several._pool
        assert pool is not None
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert several.evaluate(block) == alone, "a killed process loses nothing"
        assert logged == ["a process of the sweep was ended from outside; going on with one"]
    finally:
        several.close()


def test_errors_in_one_line() -> None:
    assert first_line(RunError("no\nnot at all", hint="h")) == "no"
    assert first_line(ValueError()) == "ValueError"
