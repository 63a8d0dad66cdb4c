"""A live run is listed, shown, exported and explained: while it goes on, killed, and stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from septet._journal.fold import Block
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.lease import RUN_LOCK, Holder, Lease
from septet._store.find_runs import open_run
from septet._store.journal_view import LiveRun
from septet._store.projections import write_projections
from septet._store.run_folder import Run
from septet.cli import cli
from septet.errors import InputError
from tests.journal.drawn import spoil
from tests.journal.lived import HEAD, HOUR, MS, NAME, T0, live_run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a run that goes on: its journal is open."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    place = tmp_path / "runs" / "demo" / "live-1"
    with live_run(place) as journal:
        journal.move()
        journal.begin(pid=os.getpid(), host="here", boot="b", now_ns=T0)
        holder = Holder.this_process(run_id="live-1", strategy="demo", folder=place, now_ns=T0)
        with Lease.take(holder):
            yield place


def _at(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)


def _septet(*arguments: str, root: Path, status: int = 0) -> Any:
    done = CliRunner().invoke(cli, [*arguments, "--runs", str(root), "--json"])
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def test_the_tables_are_those_worked_out_by_hand(folder: Path) -> None:
    run = open_run(folder)
    assert isinstance(run, LiveRun)
    fills = run.table("fills")
    assert fills["quantity"].to_list() == [0.2, 0.3, 0.499]
    assert fills["fee"].to_list() == [0.02, 0.001, 0.05]
    assert fills["fee_currency"].to_list() == ["USDT", "BTC", "USDT"]
    assert fills["venue"].to_list() == ["binance"] * 3
    assert fills["trade_id"].to_list() == ["t1", "t2", "t3"]
    assert fills["order_id"].to_list() == ["o1", "o1", "o2"]
    assert fills["liquidity"].to_list() == ["maker", "maker", "taker"]

    orders = run.table("orders")
    assert orders["order_id"].to_list() == ["o1", "o2", "o3"]
    assert orders["status"].to_list() == ["filled", "filled", "rejected"]
    assert orders["reason"].to_list() == ["entry", "signal", "entry"]
    assert orders["ended_by"].to_list() == ["", "", "funds"]
    assert orders["filled"].to_list() == [0.5, 0.499, 0.0]
    assert orders["quantity"].to_list() == [0.5, 0.499, 0.4]
    assert orders["decision_price"].to_list() == [100.0, 110.0, 90.0]
    assert orders["time"].to_list() == [_at(T0 + n * HOUR) for n in (1, 2, 3)]

    (trade,) = run.table("trades").rows(named=True)
    average = (100.0 * 0.2 + 101.0 * 0.299) / 0.499
    fees = 0.02 + 0.001 * 101.0 + 0.05
    assert (trade["side"], trade["exit_reason"]) == ("long", "signal")
    assert trade["entry_price"] == pytest.approx(average, rel=1e-14)
    assert trade["exit_price"] == pytest.approx(110.0, rel=1e-14)
    assert trade["quantity"] == 0.499
    assert trade["fees"] == pytest.approx(fees, rel=1e-14)
    assert trade["pnl"] == pytest.approx((110.0 - average) * 0.499 - fees, rel=1e-12)
    assert trade["entry_time"] == _at(T0 + HOUR + 75 * MS)

    decisions = run.table("decisions")
    assert decisions.columns[:4] == ["time", "symbol", "fast", "slow"]
    assert decisions["slow"].to_list() == [0.5, 1.5, 2.5]
    assert decisions["rejected_by"].to_list() == ["", "", "cash"]
    equity = run.table("equity")
    assert equity["drawdown"].to_list() == [0.0, 0.0, 1.0 - 804.0 / 1_005.0]
    assert run.table("bars")["close"].to_list() == [100.0, 110.0, 90.0]


def test_the_summary_names_what_runs_and_for_whom(folder: Path) -> None:
    summary = open_run(folder).summary
    assert (summary["mode"], summary["run_id"], summary["state"]) == ("live", "live-1", "running")
    assert f"process {os.getpid()}" in summary["holder"]
    assert (summary["trades"], summary["final_equity"], summary["bars"]) == (1, 804.0, 3)
    (halt,) = open_run(folder).halts
    assert (halt.rule, halt.then, halt.threshold) == ("drawdown", "flatten", 0.1)
    assert halt.value == pytest.approx(1 - 900 / 1_005)
    blocks = open_run(folder).manifest["blocks"]
    assert [(each["rule"], each["by"]) for each in blocks] == [("feed", "data"), ("drawdown", "")]


def test_a_halt_by_a_person_is_one_of_the_run(folder: Path) -> None:
    run = LiveRun(folder)
    asked = Block(T0 + HOUR, "operator_halt", "block_entries", "a person", 900.0, "me: a test")
    run.fold.blocks.insert(0, asked)
    first = run.halts[0]
    assert (first.rule, first.time_ns) == ("operator_halt", T0 + HOUR)


@pytest.mark.parametrize(("last", "mark"), [(8, 110.0), (7, 100.0)])
def test_an_open_position_is_marked_as_the_last_row_of_the_curve(
    folder: Path, last: int, mark: float
) -> None:
    """A close that no decision time has taken in is in no equity yet."""
    spoil(folder / "journal.sqlite", f"DELETE FROM entries WHERE seq > {last}")
    (trade,) = LiveRun(folder).table("trades").rows(named=True)
    assert (trade["exit_reason"], trade["exit_price"]) == ("open", mark)


def test_the_commands_work_while_it_runs(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    (line,) = _septet("runs", "list", root=root)
    assert (line["run_id"], line["state"]) == ("live-1", "running")
    assert _septet("runs", "show", "live-1", root=root)["final_equity"] == 804.0
    out = tmp_path / "out"
    _septet("runs", "export", "live-1", "--to", str(out), root=root)
    assert pl.read_csv(out / "fills.csv").height == 3
    assert not list(folder.glob("*.parquet"))
    for arguments in (
        ["runs", "list"], ["runs", "show", "live-1"], ["why", "live-1", "o1"], ["report", "live-1"],
    ):  # fmt: skip
        done = CliRunner().invoke(cli, [*arguments, "--runs", str(root)])
        assert done.exit_code == 0, done.output


def test_why_follows_an_order_from_its_bar_to_its_fills(folder: Path, tmp_path: Path) -> None:
    found = _septet("why", "live-1", "o1", root=tmp_path / "runs")
    steps = [(step["step"], round(step["ms"], 6)) for step in found["trace"]]
    assert steps == [
        ("bar", 0.0), ("decision_time", 5.0), ("decision", 0.0), ("state", 0.0), ("submit", 0.0),
        ("acked", 40.0), ("state", 0.0), ("filled", 20.0), ("state", 0.0), ("booked", 0.0),
        ("filled", 5.0), ("state", 0.0), ("booked", 0.0),
    ]  # fmt: skip
    assert found["threshold"] == 0.3
    assert found["features"] == {"fast": 0.25, "slow": 0.5}
    assert [fill["trade_id"] for fill in found["fills"]] == ["t1", "t2"]
    assert _septet("why", "live-1", "atagtagx0-1", root=tmp_path / "runs") == found
    output = CliRunner().invoke(cli, ["why", "live-1", "o3", "--runs", str(tmp_path / "runs")])
    assert "funds: too little (by venue)" in output.output
    assert "+25.000 ms" in output.output
    unknown = CliRunner().invoke(cli, ["why", "live-1", "o9", "--runs", str(tmp_path / "runs")])
    assert isinstance(unknown.exception, InputError)
    assert "no order 'o9'" in unknown.exception.message


def test_projections_are_the_same_run_until_the_journal_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = {name: open_run(folder).table(name) for name in ("orders", "fills", "trades", "equity")}
    written = _septet("runs", "export", "live-1", root=tmp_path / "runs")["written"]
    assert str(folder / "trades.parquet") in written
    assert isinstance(open_run(folder), LiveRun)  # it goes on: the journal knows more
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "another"))
    assert open_run(folder).summary["state"] == "running"  # seen from every state folder
    (folder / RUN_LOCK).unlink()  # as if the process had been killed
    killed = open_run(folder)
    assert isinstance(killed, LiveRun)  # how it ended, its tables cannot know
    assert (killed.summary["state"], killed.folder) == ("killed", folder)
    spoil(folder / "journal.sqlite", "UPDATE starts SET clean = 1, ended_ns = began_ns")
    (folder / "journal.sqlite-reserve").unlink()  # goes with the end of a run, as its tail does
    _septet("runs", "export", "live-1", root=tmp_path / "runs")
    stored = open_run(folder)
    assert type(stored) is Run
    for name, frame in live.items():
        assert stored.table(name).equals(frame, null_equal=True)
    assert stored.strategy_text == "version: 1\n"
    assert stored.summary["state"] == "stopped"
    assert stored.summary["verdict"] == LiveRun(folder).summary["verdict"]
    assert _septet("why", "live-1", "o2", root=tmp_path / "runs")["trace"]
    assert stored.findings == LiveRun(folder).findings
    spoil(folder / "journal.sqlite", "DELETE FROM entries WHERE seq > 9")
    assert type(open_run(folder)) is Run, "the tables know of entries that the journal lacks"


def test_a_journal_that_lacks_its_end_does_not_state_what_is_held(
    folder: Path, tmp_path: Path
) -> None:
    """The mark of the machine is gone, as in a copy: the manifest beside it still counts."""
    _septet("runs", "export", "live-1", root=tmp_path / "runs")
    (folder / RUN_LOCK).unlink()
    for mark in (tmp_path / "state").rglob("*mark*"):
        mark.unlink()
    spoil(folder / "journal.sqlite", "DELETE FROM entries", "DELETE FROM starts")
    live = LiveRun(folder)
    assert "gone after entry 0" in live.doubt
    assert live.findings[0]["message"] == live.doubt
    assert "these figures do not know what it held" in live.summary["verdict"]
    shown = CliRunner().invoke(cli, ["runs", "show", "live-1", "--runs", str(tmp_path / "runs")])
    assert "not known" in shown.output
    assert "Held              nothing" not in shown.output
    assert "it never began" not in shown.output


def test_a_clean_stop_leaves_a_journal_that_is_whole_without_its_side_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    place = tmp_path / "runs" / "demo" / "live-1"
    with live_run(place) as journal:
        journal.move()
        last = journal.seq
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "journal.sqlite").write_bytes((place / "journal.sqlite").read_bytes())
    assert LiveRun(copy).fold.seq == last > 0


def test_a_journal_that_fails_verification_is_shown_and_reported(folder: Path) -> None:
    assert not LiveRun(folder).findings or LiveRun(folder).findings[0]["source"] == "run"
    spoil(folder / "journal.sqlite", "DELETE FROM entries WHERE seq = 3")
    doubt = LiveRun(folder).findings[0]
    assert (doubt["source"], doubt["count"]) == ("journal", 0)
    assert doubt["message"].endswith("entry 3 was removed: 4 follows 2")
    shown = _septet("runs", "show", "live-1", root=folder.parents[1], status=2)
    assert doubt in shown["findings"]


def test_a_run_that_has_decided_nothing_yet(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo" / "live-2"
    folder.mkdir(parents=True)
    facts = {key: value for key, value in HEAD.facts.items() if key != "instruments"}
    head = Head(
        run_id="live-2", strategy="demo", mode="paper", account="", created_ns=T0, origin_ns=T0,
        facts=facts,
    )  # fmt: skip
    with Journal.create(folder / "journal.sqlite", head):
        assert _septet("runs", "show", "live-2", root=tmp_path / "runs")["trades"] == 0
        write_projections(folder)
        (line,) = _septet("runs", "list", root=tmp_path / "runs")
        assert "damaged" not in line


def test_a_damaged_journal_is_listed_as_that(folder: Path, tmp_path: Path) -> None:
    spoil(folder / "journal.sqlite", "UPDATE head SET text = '{}'")
    (line,) = _septet("runs", "list", root=tmp_path / "runs")
    assert "head of the journal was changed" in line["damaged"]


def test_a_backtest_has_nothing_to_be_made_anew_from(tmp_path: Path) -> None:
    from septet._store.projections import project

    with pytest.raises(InputError, match="it is a backtest"):
        project(Run(tmp_path))


def test_symbols_are_named(folder: Path) -> None:
    assert set(open_run(folder).table("orders")["symbol"]) == {NAME}
