"""The state of a run as a value, followed while it is written, locked, damaged and deleted."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from septet._app.run_follow import RunFollower
from septet._app.run_view import RunView, standing_words
from septet._app.runs import Block, Standing
from septet._chat.command_answers import status
from septet._dashboard.listing import all_runs
from septet._dashboard.run_page import run_view
from septet._journal.lease import Holder, Lease
from septet._live.kill_switch import ask_halt
from septet._store.find_runs import open_run
from septet._terminal.rows import head_lines
from tests.dashboard.conftest import stored
from tests.live.test_open_state import stopped
from tests.live.test_start import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def seen(follower: RunFollower) -> RunView:
    look = follower.look()
    assert (look.problem, look.gone) == ("", False)
    assert look.view is not None
    return look.view


def test_a_stopped_run_shows_what_it_holds_and_why_it_does_not_enter(stage: Stage) -> None:
    view = seen(RunFollower(stopped(stage)))
    assert (view.mode, view.state, view.strategy) == ("live", "stopped", "live")
    assert view.entries.startswith("none: no process runs it")
    assert (view.equity, view.initial_capital, view.exposure) == (10_000.0, 10_000.0, 0.1)
    assert (view.day_profit, view.drawdown, view.total_return) == (0.0, 0.0, 0.0)
    [position] = view.positions
    assert (position.symbol, position.side, position.quantity) == ("BTC/USDT", "long", 0.02)
    assert (position.stop_price, position.stop[:12]) == (80.0, "at the venue")
    assert {each.kind for each in view.orders} == {"limit", "protective stop"}
    assert view.last_data_ns > 0
    assert view.written_ns >= view.last_data_ns
    assert json.loads(json.dumps(view.document()))["positions"][0]["stop_price"] == 80.0


def test_a_halt_file_and_a_process_change_the_state_at_once(stage: Stage) -> None:
    folder = stopped(stage)
    follower = RunFollower(folder)
    assert not seen(follower).blocks
    ask_halt(folder, flatten=False, name="Ann", reason="news", now_ns=1)
    assert seen(follower).blocks == ("halted by Ann: news; septet resume clears it",)
    holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
    with Lease.take(holder):
        view = seen(follower)
        assert (view.state, view.is_running) == ("halted", True)
        assert view.entries == "halted by Ann: news; septet resume clears it"
    assert seen(follower).state == "stopped"


def test_incremental_reading_gives_what_a_fresh_read_gives(stage: Stage) -> None:
    result = stage.run(bars=2)
    folder = result.ends[0][0].location.folder
    follower = RunFollower(folder)
    before = seen(follower)
    stage.run(bars=3)
    after, fresh = seen(follower), seen(RunFollower(folder))
    assert after == fresh
    assert after.written_ns > before.written_ns
    assert after.market_time > before.market_time


def test_a_backtest_is_finished_and_has_its_figures(tmp_path: Path) -> None:
    run = stored(tmp_path / "runs")
    view = seen(RunFollower(run.folder))
    assert (view.state, view.entries) == ("finished", "none: a finished backtest")
    assert view.equity == run.summary["final_equity"]
    assert view.max_drawdown == pytest.approx(run.summary["max_drawdown"])
    assert view.decisions[0].reference == f"{view.decisions[0].symbol}@{view.decisions[0].time}"
    assert view.events[0].level == "halt"
    last = run.table("equity").tail(1).to_dicts()[0]
    same_day = run.table("equity").filter(
        run.table("equity")["time"] <= last["time"].replace(hour=0, minute=0, second=0)
    )
    assert view.day_profit == pytest.approx(last["equity"] - same_day["equity"][-1])


def test_a_deleted_folder_is_gone_and_keeps_what_was_seen_last(stage: Stage) -> None:
    folder = stopped(stage)
    now = [5]
    follower = RunFollower(folder, now_ns=lambda: now[0])
    view = seen(follower)
    shutil.rmtree(folder)
    now[0] = 3_000_000_005
    look = follower.look()
    assert (look.view, look.gone, look.is_current) == (view, True, False)
    assert look.age_s(now[0]) == 3.0
    never = RunFollower(folder).look()
    assert (never.view, never.gone) == (None, True)


def test_a_locked_and_a_damaged_journal_are_reported_and_read_again_later(
    stage: Stage,
) -> None:
    folder = stopped(stage)
    follower = RunFollower(folder)
    view = seen(follower)
    journal, whole = folder / "journal.sqlite", (folder / "journal.sqlite").read_bytes()
    db = sqlite3.connect(journal, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    (folder / "log.jsonl").write_text("{}\n")
    look = follower.look()
    assert (look.view, look.is_current) == (view, False)
    assert "locked" in look.problem
    db.execute("ROLLBACK")
    db.close()
    assert seen(follower) == view
    journal.write_bytes(b"\xff" * 5_000)
    look = follower.look()
    assert (look.view, look.is_current) == (view, False)
    journal.write_bytes(whole)
    assert seen(follower) == dataclasses.replace(view)


def test_a_link_in_the_folder_is_refused(stage: Stage) -> None:
    folder = stopped(stage)
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "card.json").symlink_to("/etc/hostname")
    look = RunFollower(folder).look()
    assert look.view is None
    assert "card.json" in look.problem


def test_viewing_writes_nothing(stage: Stage) -> None:
    folder = stopped(stage)

    def state() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}

    before = state()
    follower = RunFollower(folder)
    seen(follower)
    seen(follower)
    after = state()
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("given", "state", "words", "block"),
    [
        ({"ended": None}, "killed", "killed or crashed", ""),
        ({"ended": ""}, "unbegun", "never began", ""),
        ({"doubt": "3 entries are gone"}, "stopped", "3 entries are gone", ""),
        ({"holder": "process 4"}, "running", "running: process 4", ""),
        (
            {"halted": ("Ann", "news"), "holder": "process 4"}, "halted",
            "halted by Ann: news; septet resume clears it (running: process 4)",
            "halted by Ann: news; septet resume clears it",
        ),
        (  # no file: by a signal while the disk was full
            {"blocks": (Block("operator_halt", "septet resume", "signal: USR1"),), "holder": "p"},
            "halted", "halted by signal: USR1",
            "blocked by operator_halt until a person resumes the run (signal: USR1)",
        ),
        ({"halted": ("Ann", "news")}, "stopped", "not running",
         "halted by Ann: news; septet resume clears it"),
        (
            {"blocks": (Block("drawdown", "manual", "12 %"),)}, "stopped", "not running",
            "blocked by drawdown until a person resumes the run (12 %)",
        ),
        (
            {"resumed": ("Ann", "over"), "holder": "p"}, "running", "running",
            "resumed by Ann: over; it takes effect in a moment",
        ),
    ],
)  # fmt: skip
def test_the_text_of_each_state_of_a_run(
    given: dict[str, Any], state: str, words: str, block: str
) -> None:
    bare = Standing(holder=None, ended="a signal", halted=None, resumed=None, blocks=())
    found = standing_words(dataclasses.replace(bare, **given))
    assert found[0] == state
    assert words in found[1]
    assert found[2] == ((block,) if block else ())


def test_a_halted_run_is_named_the_same_in_every_view(stage: Stage) -> None:
    """Who, why and what clears it beside the state: in the screen, the chat, the page, the list."""
    folder = stopped(stage)
    ask_halt(folder, flatten=False, name="Ann", reason="news", now_ns=1)
    holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
    with Lease.take(holder):
        view = seen(RunFollower(folder))
        assert (view.state, view.is_running) == ("halted", True)
        says = "halted by Ann: news; septet resume clears it"
        assert f"State    {says}" in "\n".join(head_lines(view, 0, ""))
        assert says in status(folder.name, folder.parents[1])
        page = run_view(open_run(folder))["run"]
        assert (page.state, says in page.state_text) == ("halted", True)
        (row,) = all_runs(folder.parents[1])
        assert row["state"] == "halted"
    assert seen(RunFollower(folder)).state == "stopped"


def test_a_start_names_once_the_folder_that_was_called_halt(stage: Stage) -> None:
    folder = stage.run().ends[0][0].location.folder
    (folder / "HALT.folder-1").mkdir()
    stage.run(bars=5)
    assert (folder / "log.jsonl").read_text().count("HALT.folder-1 is a folder that was call") == 1
