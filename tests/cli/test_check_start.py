"""Where the first decision is later than `universe.start`, ``check`` and the run report it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.data.helpers import clean

RULES = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h, start: START}
data: {candles: {use: parquet, path: "{symbol}.parquet"}}
features: {fast: {use: sma, period: 20}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
MODEL = """\
model:
  use: sklearn
  estimator: LogisticRegression
  label: {use: direction, horizon: 2 bars}
  training: {train: 5d, step: 1d, min_rows: ROWS, min_class: 20}
signal: {use: confidence, threshold: 0%}
"""


def strategy(folder: Path, start: str, rows: int = 0) -> Path:
    """Write 300 hours from 2020-01-01 on, and a file that asks for a start in them."""
    lines = RULES.replace("START", start).splitlines(keepends=True)
    if rows:
        lines = [MODEL.replace("ROWS", str(rows)) if "signal" in line else line for line in lines]
    path = folder / "x.yaml"
    path.write_text("".join(lines), encoding="utf-8")
    clean(300).write_parquet(folder / "BTCUSDT.parquet")
    return path


def check_and_run(septet: Command, path: Path) -> tuple[str, str, dict[str, object]]:
    """Return what check warned of, the verdict, and the summary."""
    check = septet("check", path)
    assert check.code == 0, check.err
    run = septet("run", path, "--out", path.parent / "runs", "--json")
    assert run.code == 0, run.err
    summary = json.loads(run.out)
    return " ".join(check.err.split()), summary["verdict"], summary


def test_a_warm_up_longer_than_what_lies_before_the_start(septet: Command, tmp_path: Path) -> None:
    path = strategy(tmp_path, "2020-01-01")
    warning, verdict, summary = check_and_run(septet, path)
    why = "the data begins 2020-01-01 00:00, and the features need 19 bars before they have a value"
    text = f"he first decision is 2020-01-01 20:00, not universe.start (2020-01-01 00:00): {why}"
    assert f"{path}:3:49: warning: universe.start: t{text}" in warning
    assert "hint bring 19 bars from before the start, or shorten the features" in warning
    assert f"T{text}" in verdict
    assert summary["first_decision"] == "2020-01-01T20:00:00Z"
    assert f"T{text}" in str(summary["late_start"])


def test_a_run_in_stretches_gives_the_same(septet: Command, tmp_path: Path) -> None:
    path = strategy(tmp_path, "2020-01-01")
    found = []
    for words in ((), ("--chunk", "10"), ("--chunk", "100")):
        run = septet("run", path, "--out", tmp_path / "runs", "--json", *words)
        assert run.code == 0, run.err
        found.append(json.loads(run.out)["late_start"])
    assert found == [found[0]] * 3
    assert "19 bars" in found[0]


def test_a_first_window_longer_than_what_lies_before_the_start(
    septet: Command, tmp_path: Path
) -> None:
    warning, verdict, summary = check_and_run(septet, strategy(tmp_path, "2020-01-03", rows=60))
    why = "the data begins 2020-01-01 00:00, and the first whole training window (train: 5d) serves"
    text = f"he first decision is 2020-01-06 01:00, not universe.start (2020-01-03 00:00): {why}"
    assert f"t{text} from 2020-01-06 01:00" in warning
    assert "bring data from 2019-12-28 00:00 on, shorten training.train, or write start" in warning
    assert f"T{text}" in verdict
    assert summary["first_decision"] == "2020-01-06T01:00:00Z"


def test_first_windows_without_enough_rows(septet: Command, tmp_path: Path) -> None:
    path = strategy(tmp_path, "2020-01-05", rows=100)
    path.write_text(path.read_text(encoding="utf-8").replace("period: 20", "period: 60"))
    warning, verdict, _ = check_and_run(septet, path)
    text = "2 training windows before it gave no model: 59 rows to train on, fewer than 100"
    assert text in warning
    assert text in verdict


@pytest.mark.parametrize(("start", "rows"), [("2020-01-02", 0), ("2020-01-08", 60)])
def test_a_start_that_is_the_first_decision(
    septet: Command, tmp_path: Path, start: str, rows: int
) -> None:
    warning, verdict, summary = check_and_run(septet, strategy(tmp_path, start, rows))
    assert "first decision" not in warning + verdict
    assert summary["late_start"] is None


def test_data_that_begins_after_the_start(septet: Command, tmp_path: Path) -> None:
    path = strategy(tmp_path, "2019-06-01")
    path.write_text(path.read_text(encoding="utf-8").replace("close > fast", "close > open"))
    text = path.read_text(encoding="utf-8").replace("close < fast", "close < open")
    path.write_text(text, encoding="utf-8")
    warning, verdict, _ = check_and_run(septet, path)
    assert "not universe.start (2019-06-01 00:00): the data begins 2020-01-01 00:00" in warning
    assert "not universe.start (2019-06-01 00:00)" in verdict
