"""Edits that are measured: each changes a shipped strategy, and what it makes is a strategy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet.errors import SeptetError

from . import conftest  # noqa: F401 - puts the folder of the scripts on the path

NAMES = (
    "new feature", "feature of another column", "rule", "stop", "sizing", "halt", "limit",
    "second symbol", "higher time frame", "model trained less often",
)  # fmt: skip


def _edits() -> Any:
    return __import__("edits")


def test_shipped_backtests_are_edited_and_live_runs_are_not() -> None:
    names = {file.stem for file in _edits().strategies([])}
    assert {"demo", "sma-cross", "us-stocks-forecasts"} <= names
    assert [file.stem for file in _edits().strategies(["demo"])] == ["demo"]


@pytest.mark.parametrize("name", NAMES)
def test_each_edit_makes_another_strategy_of_some_file(name: str, tmp_path: Path) -> None:
    edits = _edits()
    accepted = 0
    for file in edits.strategies([]):
        text = file.read_text(encoding="utf-8")
        changed = edits.edited(text, edits.EDITS[name])
        if changed is None:
            continue
        assert changed != text
        path = tmp_path / file.name
        path.write_text(changed, encoding="utf-8")
        try:
            load(str(path))
        except SeptetError:
            continue  # an edit that the file refuses is left out
        accepted += 1
    assert accepted > 0


def test_every_edit_is_tried() -> None:
    assert tuple(_edits().EDITS) == NAMES


def test_a_ratio_tells_how_many_times_the_target_is_kept() -> None:
    edits = _edits()
    row = edits.row_of("demo", "stop", edits.Cost(3.0, 0.5), 1.5, False)
    assert (row.measured, row.ratio, row.verdict) == (
        "+3.00 s, processor +0.50 s", 0.5, "**missed**",
    )  # fmt: skip
    assert edits.row_of("demo", "stop", edits.Cost(3.0, 0.5), 1.5, True).ratio == 3.0
    assert edits.row_of("demo", "stop", edits.Cost(-0.1, 0.0), 1.5, False).verdict == "met"


def test_seconds_of_processors_are_those_of_ended_processes() -> None:
    edits = _edits()
    before = edits._processor_of_ended()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert edits._processor_of_ended() > before


def test_the_benchmark_of_everything_has_the_edits() -> None:
    assert "edits" in __import__("bench_all").options(["--only", "edits"]).sections
