"""`septet run`: what --fast leaves out, and what it does not change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from septet.cli import main

STRATEGY = """\
version: 1
name: fast
universe: {symbols: [AAA/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 1500, seed: 4}}
features:
  fast: {use: sma, period: 5}
  slow: {use: sma, period: 20}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def _run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    file = folder / "fast.yaml"
    file.write_text(STRATEGY, encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["run", str(file), "--out", str(folder / "runs"), "--json", *words])
    assert left.value.code == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_fast_leaves_the_decisions_out_and_changes_no_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, fast = _run(tmp_path, capsys, "--no-report"), _run(tmp_path, capsys, "--fast")
    assert whole["exposure"] > 0.0
    changed = {name for name in whole if whole[name] != fast[name]}
    times = {"seconds", "seconds_total", "bars_per_second"}
    assert changed <= {"run_id", "folder", "rejections", *times}
    assert whole["excess"] == fast["excess"] != None  # noqa: E711 - it is measured in both
    assert fast["rejections"] is None
    runs: list[Run] = [open_run(each["folder"]) for each in (whole, fast)]
    assert [each.has("decisions") for each in runs] == [True, False]
    for name in ("orders", "fills", "trades", "monitoring"):
        assert runs[0].table(name).equals(runs[1].table(name))
    curves = [each.table("equity", ["time", "equity", "drawdown"]) for each in runs]
    assert curves[0].equals(curves[1])
    assert runs[1].manifest["left_out"] == ["decisions"]
    assert any("--fast" in note for note in runs[1].manifest["notes"])
    assert fast["report"] is None


def test_the_help_shows_what_fast_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    output = " ".join(capsys.readouterr().out.split())
    assert "--fast" in output
    assert "no decision table" in output


def test_where_no_terminal_shows_a_bar_progress_comes_in_lines() -> None:
    from septet._cli.run import Paced

    reported: list[str] = []
    now_s = [100.0]
    paced = Paced(reported.append, lambda: now_s[0])
    for done in range(8):
        paced("training", done, 8, "training x")
        paced("run", done, 8, "events")
        paced("data", 0, None, "reading the data")
        now_s[0] += 6.0
    assert reported == [f"training x: {done} of 8 done" for done in (0, 3, 6)]
