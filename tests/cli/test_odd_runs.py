"""Folders of runs that are copies, lack a document or hold a halt that no run writes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
import warnings
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from septet._dashboard.listing import all_runs
from septet._drill.outcome import Outcome
from septet._journal.lease import RUN_LOCK
from septet._report.page import render
from septet._report.save import save_run
from septet._store.find_runs import find_folder, open_run
from septet._store.run_folder import Run
from tests.cli.conftest import Command
from tests.report.synthetic import make_result

HALT: Final = {
    "time_ns": 1, "rule": "drawdown", "value": 0.1, "threshold": 0.1, "then": "flatten",
    "resume": "manual",
}  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Run:
    result = make_result(symbols=("BTC/USDT",), bars=300, first=100, strategy="s")
    return save_run(result, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def folder(stored: Run, tmp_path: Path) -> Path:
    place = tmp_path / "runs" / "s" / stored.run_id
    shutil.copytree(stored.folder, place)
    return place


def test_copies_of_a_run_are_named_wherever_one_is_listed_or_opened_by_its_id(
    folder: Path, septet: Command
) -> None:
    root = folder.parents[1]
    assert "folders hold run" not in septet("runs", "list", "--runs", root).err
    shutil.copytree(folder, root / "t" / folder.name)
    for name in ("s", "t"):
        shutil.copytree(folder, root / name / "copy")
    words = f"4 folders hold run {folder.name}: "
    listed = json.loads(septet("runs", "list", "--runs", root, "--json").out)
    assert len(listed) == 4
    for each in (*listed, *all_runs(root)):
        assert words in each["problem"]
        for name in (f"s/{folder.name}", f"t/{folder.name}", "s/copy", "t/copy"):
            assert name in each["problem"]
    shown = septet("runs", "show", folder.name, "--runs", root)
    assert words in shown.err
    last = shown.err.partition("its id means ")[2].partition(", ")[0]
    assert json.loads(septet("runs", "show", folder.name, "--runs", root, "--json").out)[
        "folder"
    ] == str(root / last)
    assert "folders hold" not in septet("runs", "show", folder, "--runs", root).err


def test_of_copies_the_one_that_a_process_holds_is_meant_though_another_was_written_later(
    folder: Path, septet: Command
) -> None:
    """A list said that the id means the copy, while `halt ID` went to the one that runs."""
    root = folder.parents[1]
    (folder / "log.jsonl").touch()
    copy = root / folder.parent.name / "zz-copy"
    shutil.copytree(folder, copy)
    later = time.time() + 60
    os.utime(copy / "log.jsonl", (later, later))
    for holds, meant in ((False, copy), (True, folder)):
        with (folder / RUN_LOCK).open("w") as lock:
            if holds:
                fcntl.flock(lock, fcntl.LOCK_EX)
            listed = json.loads(septet("runs", "list", "--runs", root, "--json").out)
            for each in listed:
                assert f"its id means s/{meant.name}, " in each["problem"]
            assert find_folder(folder.name, root, live=True) == meant
            assert find_folder("latest", root) == meant
            assert find_folder("s", root) == meant


def test_a_run_without_manifest_gives_the_reason_once(folder: Path, septet: Command) -> None:
    (folder / "manifest.json").unlink()
    for words in (("runs", "show"), ("report",)):
        done = septet(*words, folder)
        for text in (done.err, done.out):
            assert text.count("manifest.json is missing") <= 1, done
            assert "more" not in text
        assert "manifest.json is missing" in done.err


@pytest.mark.parametrize(
    ("halts", "words"),
    [
        ([{**HALT, "extra": 1}], "in halt 1 the key 'extra'; a halt has time_ns, rule, value"),
        ([HALT, {"rule": "x"}], "in halt 2 no 'time_ns'; a halt has time_ns"),
        ([{**HALT, "time_ns": "x"}], "in halt 1 time_ns 'x', expected a whole number"),
        ([{**HALT, "value": float("1e400")}], "in halt 1 value inf, expected a number"),
        ([{**HALT, "resumed_ns": "now"}], "in halt 1 resumed_ns 'now', expected a whole number"),
        (["x"], "as halt 1 'x', expected keys with values"),
        ({"a": 1}, "halts {'a': 1}, expected a list"),
    ],
)
def test_a_halt_that_no_run_writes_is_refused_by_every_command(
    folder: Path, septet: Command, halts: Any, words: str
) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text("utf-8")) | {"halts": halts}
    path.write_text(json.dumps(document).replace("Infinity", "1e400"), "utf-8")
    for command in (("runs", "show"), ("report",)):
        done = septet(*command, folder)
        assert (done.code, words in done.err) == (2, True), done
        assert "__init__" not in done.err
    (listed,) = json.loads(septet("runs", "list", "--runs", folder.parents[1], "--json").out)
    assert words in listed["damaged"]


def test_an_equity_that_no_float32_holds_is_drawn_without_a_warning(folder: Path) -> None:
    path = folder / "equity.parquet"
    there = pl.int_range(pl.len()) == 50
    for value in (-1e300, 1e300):
        frame = pl.read_parquet(path)
        frame.with_columns(equity=pl.when(there).then(value).otherwise("equity")).write_parquet(
            path
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert "<html" in render(open_run(folder))


def test_rows_of_equity_out_of_order_are_named(folder: Path, septet: Command) -> None:
    path = folder / "equity.parquet"
    frame = pl.read_parquet(path)
    pl.concat([frame[10:], frame[:10]]).write_parquet(path)
    for command in (("runs", "show"), ("report",)):
        done = septet(*command, folder)
        words = "equity.parquet has rows that are not in the order of time"
        assert (done.code > 0, words in done.err + done.out) == (True, True), done


def test_halts_that_a_run_writes_are_read(folder: Path) -> None:
    path = folder / "manifest.json"
    halts = [HALT, {**HALT, "resumed_ns": None}, {**HALT, "resumed_ns": 5, "compared": 0.5}]
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"halts": halts}), "utf-8")
    assert [each.resumed_ns for each in Run(folder).halts] == [None, None, 5]


def test_a_drill_names_whose_orders_it_counts() -> None:
    for mode, words in (("paper", "local venue, paper fills by itself; "), ("live", "venue; ")):
        first = Outcome("s", mode, 1, "made up", "drill", []).summary()[0]
        assert first.startswith("0 orders and 0 fills at the local")
        assert words in first
