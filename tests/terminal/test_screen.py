"""The real screen over the folder of a real run: what it shows, its keys, and bad folders."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, DataTable, Input, Static

from septet._journal.lease import Holder, Lease
from septet._live.kill_switch import ask_halt, read_halt, read_resume
from septet._terminal.dialogs import ActDialog, TextDialog
from septet._terminal.screen import TopScreen
from tests.dashboard.conftest import stored
from tests.live.test_open_state import stopped
from tests.live.test_start import Stage

HOSTILE = "<b>x</b>[red]y[/]\x1b[31m\u202ez\nq septet resume"
Steps = Callable[[TopScreen, Pilot[int]], Awaitable[None]]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def on_screen(folder: Path, steps: Steps, size: tuple[int, int] = (80, 24), **given: Any) -> None:
    """Run the app without a terminal, and do `steps` to it."""

    async def run() -> None:
        app = TopScreen(folder, login="ann", look_s=None, wait_s=0.0, **given)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await steps(app, pilot)
            await app.workers.wait_for_complete()

    asyncio.run(run())


def text_of(app: TopScreen) -> str:
    """Return what the lines of the screen hold, as a terminal would draw them."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def rows_of(app: TopScreen, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    return [[str(each) for each in table.get_row_at(n)] for n in range(table.row_count)]


async def typed(pilot: Pilot[int], app: TopScreen, name: str, text: str) -> None:
    app.screen.query_one(f"#{name}", Input).value = text
    await pilot.pause()


async def wait_until_shown(app: TopScreen, pilot: Pilot[int]) -> None:
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_one_screen_shows_everything_of_a_run(stage: Stage, size: tuple[int, int]) -> None:
    folder = stopped(stage)

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        text = text_of(app)
        for shown in (
            folder.name, "not running: as far as it was asked", "none: no process runs it",
            "10,000.00 USDT", "Drawdown 0.0 %", "Day 0.00", "Exposure 10.0 %", "Data", "Written",
            "POSITION", "0.02", "TARGET", "OPEN ORDER", "protective stop", "DECISION",
            "HALT OR ALERT", "LOG", "stop by septet", "Halt", "Resume", "Why", "Help", "Quit",
        ):  # fmt: skip
            assert shown in text, shown
        assert rows_of(app, "positions")[0][:3] == ["BTC/USDT", "long", "0.02"]
        assert rows_of(app, "positions")[0][6] == "80"
        assert not app.query_one("#stale", Static).display

    on_screen(folder, steps, size)


def test_it_is_read_again_as_it_changes_and_keeps_the_cursor(stage: Stage) -> None:
    folder = stopped(stage)

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        await pilot.press("down")
        assert app.query_one("#orders", DataTable).cursor_row == 1
        ask_halt(folder, flatten=False, name="Ann", reason="news", now_ns=1)
        holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
        with Lease.take(holder):
            await app.look()
            await pilot.pause()
            text = text_of(app)
        assert "BLOCKED: halted by Ann: news" in text
        assert "State    halted by Ann: news; septet resume clears it (running: proc" in text
        assert app.query_one("#orders", DataTable).cursor_row == 1

    on_screen(folder, steps)


def test_a_folder_deleted_while_it_is_shown_is_reported_with_the_age(stage: Stage) -> None:
    folder, now = stopped(stage), [1_800_000_000 * 10**9]

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        shutil.rmtree(folder)
        now[0] += 90 * 10**9
        await app.look()
        await pilot.pause()
        text = text_of(app)
        assert "STALE, 1.5 min old: its folder is gone" in text
        assert "10,000.00 USDT" in text
        await pilot.press("down", "w")
        await wait_until_shown(app, pilot)
        assert isinstance(app.screen, TextDialog)
        assert "no run in" in text_of(app)

    on_screen(folder, steps, now_ns=lambda: now[0])


def test_a_locked_journal_is_reported_and_shown_again_afterwards(stage: Stage) -> None:
    folder = stopped(stage)

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        db = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        (folder / "log.jsonl").write_text("{}\n")
        await app.look()
        await pilot.pause()
        assert "STALE, " in text_of(app)
        assert "locked" in text_of(app)
        db.execute("ROLLBACK")
        db.close()
        await app.look()
        await pilot.pause()
        assert "STALE" not in text_of(app)

    on_screen(folder, steps)


def test_halt_asks_who_and_why_and_acts_on_the_last_button_only(stage: Stage) -> None:
    folder = stopped(stage)

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        await pilot.press("h")
        await pilot.pause()
        assert isinstance(app.screen, ActDialog)
        assert app.screen.query_one("#name", Input).value == "ann"
        await pilot.press(*"news", "enter", "enter")
        assert read_halt(folder) is None
        await pilot.press("escape")
        await wait_until_shown(app, pilot)
        assert read_halt(folder) is None
        await pilot.press("h")
        await pilot.pause()
        await pilot.press(*"news", "tab", "enter")
        await pilot.pause()
        assert "CLOSE ALL AT MARKET" in text_of(app)
        await pilot.click("#act")
        await wait_until_shown(app, pilot)
        asked = read_halt(folder)
        assert asked is not None
        assert (asked.action, asked.name, asked.reason) == ("flatten", "ann (top)", "news")
        assert isinstance(app.screen, TextDialog)
        assert "the halt takes effect at its next start" in app.screen.lines[0]

    on_screen(folder, steps)


def test_resume_needs_a_reason_and_the_beginning_of_the_id(stage: Stage) -> None:
    folder = stopped(stage)
    ask_halt(folder, flatten=False, name="Ann", reason="news", now_ns=1)

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        await pilot.press("r")
        await pilot.pause()
        for reason, begins, problem_text in (
            ("", folder.name, "The reason is missing"),
            ("over", folder.name[:4], "the run's id begins with"),
            ("over", "20990101", "the run's id begins with"),
        ):
            await typed(pilot, app, "reason", reason)
            await typed(pilot, app, "typed", begins)
            app.screen.query_one("#act", Button).press()
            await pilot.pause()
            assert problem_text in str(app.screen.query_one("#wrong", Static).content)
            assert read_halt(folder) is not None
        await typed(pilot, app, "typed", folder.name[:9])
        await pilot.click("#act")
        await wait_until_shown(app, pilot)
        assert read_halt(folder) is None
        resumed = read_resume(folder)
        assert resumed is not None
        assert (resumed.name, resumed.reason) == ("ann (top)", "over")

    on_screen(folder, steps)


def test_a_backtest_shows_why_and_has_nothing_to_halt(tmp_path: Path) -> None:
    run = stored(tmp_path / "runs")

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        assert "finished" in text_of(app)
        app.query_one("#decisions").focus()
        await pilot.press("w")
        await wait_until_shown(app, pilot)
        assert isinstance(app.screen, TextDialog)
        assert any("decided at" in line for line in app.screen.lines)
        assert "Features" in app.screen.lines
        await pilot.press("escape", "h")
        await pilot.pause()
        assert not isinstance(app.screen, ActDialog)
        await pilot.press("question_mark")
        await pilot.pause()
        assert "the next table" in text_of(app)
        await pilot.press("escape", "q")

    on_screen(run.folder, steps)


@pytest.mark.parametrize("name", [HOSTILE, "x" * 10_000])
def test_a_hostile_name_is_text_within_its_line(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    run = stored(tmp_path / "runs")
    summary = json.loads((run.folder / "summary.json").read_text())
    (run.folder / "summary.json").write_text(json.dumps(summary | {"strategy": name}))

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        text = text_of(app)
        lines = text.splitlines()
        assert len(lines) == 24
        assert all(len(line) == 80 for line in lines)
        assert not {"\x1b", "\u202e"} & set(text)
        assert lines[0].strip().startswith(run.run_id)
        assert lines[1].strip().startswith("State")
        if name == HOSTILE:
            assert "<b>x</b>[red]y[/... (" in lines[0]
        else:
            assert "(10,000 characters)" in lines[0]

    on_screen(run.folder, steps)


def test_no_colour_is_drawn_where_colours_are_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    folder = stopped(stage)

    async def steps(app: TopScreen, pilot: Pilot[int]) -> None:
        assert app.no_color
        assert "10,000.00 USDT" in text_of(app)
        for strip in app.screen._compositor.render_strips():
            for segment in strip.apply_filter(app._filters[0], app.background_colors[0]):
                for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    if colour is not None and colour.triplet is not None:
                        assert len(set(colour.triplet)) == 1

    on_screen(folder, steps)
