"""`septet sweep` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._config.load import load
from septet._sweep import backtest_evaluator
from septet._sweep import run_sweep as sweep_run
from septet._sweep.flags import axis_setting, flag_settings
from septet._sweep.space import space_of
from septet.errors import ConfigError
from tests.cli.conftest import Command, septet
from tests.sweep.files import BASE

pytestmark = pytest.mark.compiled

__all__ = ["septet"]

SWEEP = ("--sweep", "features.fast.period=10,30", "--sweep", "features.slow.period=50..150:50")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cross.yaml").write_text(BASE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def whole_backtests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every setting as a whole backtest, whatever would be faster."""
    monkeypatch.setattr(
        sweep_run, "open_evaluator", lambda *given: backtest_evaluator.BacktestEvaluator(*given[:5])
    )


def tables(folder: Path) -> list[pl.DataFrame]:
    return [pl.read_parquet(path) for path in sorted(folder.glob("*/cross/*/settings.parquet"))]


def test_a_sweep_from_flags(septet: Command, folder: Path) -> None:
    done = septet("sweep", "cross.yaml", *SWEEP, "--threads", 1, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    (table,) = tables(folder)
    assert table.height == document["settings"] == document["done"] == 6
    assert document["failed"] == document["done_before"] == 0
    assert document["method"] == "grid"
    assert (folder / document["table"]).is_file()
    assert (folder / document["folder"] / "sweep.html").is_file()
    best = document["best"][0]
    assert best["sharpe"] == table["sharpe"].max()
    assert {"psr", "dsr", "features.fast.period"} <= set(best)
    assert document["verdict"]
    assert document["overfitting"]["settings"] <= 6


def test_the_table_of_the_best(
    septet: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = septet(
        "sweep", "cross.yaml", *SWEEP, "--goal", "max_drawdown", "--no-report", "--threads", 1
    )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == [
        "fast.period", "slow.period", "Sharpe", "return", "drawdown", "trades", "PSR", "DSR",
    ]  # fmt: skip
    (table,) = tables(folder)
    first = table.sort("max_drawdown").row(0, named=True)
    assert lines[1].split()[:2] == [
        f"{first['features.fast.period']:.0f}", f"{first['features.slow.period']:.0f}",
    ]  # fmt: skip
    assert "…" not in "".join(lines[:7]), "no figure is cut, however narrow the terminal"
    assert "Overfitting probability" in done.out
    assert not list(folder.glob("sweeps/*/*/sweep.html"))


def test_flags_lie_over_the_file(septet: Command, folder: Path) -> None:
    section = "sweep: {over: {features.fast.period: {from: 5, to: 50, step: 5}}, goal: sortino}\n"
    (folder / "cross.yaml").write_text(BASE + section, encoding="utf-8")
    done = septet(
        "sweep", "cross.yaml", "--sweep", "features.fast.period=20..40", "--sweep",
        "risk.stops.stop_loss=1%..10%:log", "--trials", 5, "--seed", 3, "--where",
        "fast.period > 25", "--json", "--threads", 1, "--out", "elsewhere",
    )  # fmt: skip
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert (document["goal"], document["method"], document["seed"]) == ("sortino", "random", 3)
    (table,) = tables(folder)
    assert table.height == 5
    assert table["features.fast.period"].is_between(26, 40).all()
    assert table["risk.stops.stop_loss.distance"].is_between(0.01, 0.1).all()


@pytest.mark.usefixtures("whole_backtests")
def test_no_setting_could_be_run(
    septet: Command, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(
        backtest_evaluator, "run_setting", lambda *given: ({}, "the wind was against it")
    )
    done = septet("sweep", "cross.yaml", *SWEEP, "--threads", 1, "--json")
    assert done.code == 1
    document = json.loads(done.out)
    assert document["failed"] == 6
    assert document["problems"] == [{"problem": "the wind was against it", "times": 6}]
    (table,) = tables(folder)
    assert table["problem"].unique().to_list() == ["the wind was against it"]


def test_a_cache_that_cannot_be_written(
    septet: Command, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / "cache").write_text("a file, where a folder should be")
    monkeypatch.setenv("SEPTET_CACHE", str(folder / "cache"))
    base = BASE.replace("fast > slow,", "fast > slow and fast > fast * 0.5,")  # a shape of its own
    (folder / "cross.yaml").write_text(base, encoding="utf-8")
    done = septet("sweep", "cross.yaml", *SWEEP, "--threads", 1)
    assert done.code == 0, done.err
    assert "cannot write compiled plans to" in done.err
    assert "using memory only" in done.err
    assert tables(folder)[0].filter(status="done").height == 6


@pytest.mark.usefixtures("whole_backtests")
def test_ctrl_c_and_resume(septet: Command, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    original, ran = backtest_evaluator.run_setting, list[object]()

    def stopped(*given: Any) -> Any:
        if len(ran) == 4:
            raise KeyboardInterrupt
        ran.append(given)
        return original(*given)

    monkeypatch.setattr(backtest_evaluator, "run_setting", stopped)
    monkeypatch.setattr(sweep_run, "next_size", lambda size, seconds, least: 1)
    done = septet("sweep", "cross.yaml", *SWEEP, "--threads", 1)
    assert done.code == 130
    assert "stopped: 4 of 6 settings are in" in done.err
    monkeypatch.setattr(backtest_evaluator, "run_setting", original)
    done = septet("sweep", "cross.yaml", *SWEEP, "--threads", 1, "--resume", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["done_before"] == 4
    septet("sweep", "cross.yaml", *SWEEP, "--threads", 1, "--out", "whole")
    first, whole = tables(folder)
    assert first.equals(whole, null_equal=True)


def test_resume_with_another_file(septet: Command, folder: Path) -> None:
    done = septet("sweep", "cross.yaml", *SWEEP, "--resume")
    assert done.code == 2
    assert "no sweep of cross is unfinished" in done.err


def test_a_large_grid_states_how_long(
    septet: Command, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(sweep_run, "ASK_ABOVE", 5)
    done = septet("sweep", "cross.yaml", *SWEEP, "--threads", 1)
    assert done.code == 2
    assert "this sweep has 6 settings and would take about" in done.err
    assert "as measured on 4 of them" in done.err
    assert not (folder / "sweeps").exists()
    assert septet("sweep", "cross.yaml", *SWEEP, "--threads", 1, "--yes").code == 0


def test_check_looks_at_the_values_too(septet: Command, folder: Path) -> None:
    section = "sweep: {over: {features.fast.period: {from: 5, to: 50, step: 5}}}\n"
    (folder / "cross.yaml").write_text(BASE + section, encoding="utf-8")
    done = septet("check", "cross.yaml")  # the sample has rows that were mended: one warning
    assert (done.code, done.out) == (0, "ok: cross.yaml, 1 warning, a sweep of 10 settings\n")
    assert json.loads(septet("check", "cross.yaml", "--json").out)["settings_of_sweep"] == 10
    (folder / "cross.yaml").write_text(BASE + section.replace("from: 5", "from: 0"), "utf-8")
    done = septet("check", "cross.yaml")
    assert done.code == 2
    assert "features.fast.period: this is out of range" in done.err


# ------------------------------------------------------------------ reading the flags


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a.b=5,10,20", [5, 10, 20]),
        ("a.b=1%", ["1%"]),
        ("a.b=5 bars, 10 bars", ["5 bars", "10 bars"]),
        ("a.b=5..50:5", {"from": 5, "to": 50, "step": 5}),
        ("a.b=12h..3d:12h", {"from": "12h", "to": "3d", "step": "12h"}),
        ("a.b=-5..5:0.5", {"from": -5, "to": 5, "step": 0.5}),
        ("a.b=1%..10%", {"low": "1%", "high": "10%"}),
        ("a.b=1%..10%:log", {"low": "1%", "high": "10%", "log": True}),
        ("a.b=0.5..1.5", {"low": 0.5, "high": 1.5}),
        ("a.b={low: 1, high: 5, step: 2}", {"low": 1, "high": 5, "step": 2}),
        ("a.b=[1, 2]", [1, 2]),
    ],
)
def test_short_forms(text: str, written: object) -> None:
    setting = axis_setting(text)
    assert setting.path == ("sweep", "over", "a.b")
    assert setting.node.plain() == written


def test_every_wrong_flag_is_reported(folder: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        flag_settings(("features.fast.period", "=5", "a=1", "a=2", "b=[1"), {})
    messages = [(each.file, each.message) for each in refused.value.problems]
    assert messages[:3] == [
        ("--sweep", "this key cannot be swept"),
        ("--sweep", "this key cannot be swept"),
        ("--sweep a", "this key is swept twice"),
    ]
    assert messages[3][0] == "--sweep b"


def test_what_a_flag_states_wrongly_is_reported_with_the_flag(septet: Command) -> None:
    done = septet(
        "sweep", "cross.yaml", "--sweep", "features.fats.period=5", "--sweep",
        "features.slow.period=0,5", "--method", "luck",
    )  # fmt: skip
    assert done.code == 2
    assert done.err == (
        '--sweep features.fats.period: error: sweep.over."features.fats.period": no key is called '
        "'features.fats.period'\n"
        "  hint      did you mean features.fast.period or features.slow.period?\n\n"
        "--method: error: sweep.method: this value is not one of those allowed\n"
        "  expected  grid, random or tpe\n"
        "  found     'luck'\n\n"
        "2 errors\n"
    )
    done = septet("sweep", "cross.yaml", "--sweep", "features.slow.period=0,5")
    assert done.code == 2
    assert done.err == (
        "--sweep features.slow.period: error: features.slow.period: this is out of range\n"
        "  expected  1 or more\n"
        "  found     0\n\n"
        "1 error\n"
    )


def test_keys_in_quotes_and_lists_of_the_file(folder: Path) -> None:
    loaded = load(
        "cross.yaml", sets=flag_settings(["features.fast.period=5,10"], {"goal": "sortino"})
    )
    space = space_of(loaded)
    assert (len(space), space.goal, space.method) == (2, "sortino", "grid")
