"""A halt while a run is starting reaches that run, whatever folder the words find."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._app.halt import halt_run
from septet._app.runs import list_stored
from septet._chat.command_answers import status
from septet._dashboard.listing import all_runs, named_folder
from septet._dashboard.run_actions import can_act
from septet._journal.lease import RUN_LOCK, Holder, Lease
from septet._live.kill_switch import HALT, ask_halt, ask_resume, read_halt
from septet._live.process import LiveResult
from septet._store.find_runs import find_folder, open_run
from septet._terminal.line_format import watch
from septet.errors import InputError
from tests.live.test_start import Stage, rows

PHASES = ("feed", "core", "reads of history")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    made = Stage(tmp_path)
    made.behaviour["live"] = {"buys": True}
    return made


def during(stage: Stage, phase: str, act: Callable[[], None], monkeypatch: Any) -> None:
    """Act once in a phase of the next start: before its folder is made, and after it."""
    owner, name = {
        "feed": (stage.world, "feed"),
        "core": (stage, "core"),
        "reads of history": (stage.venue, "open"),
    }[phase]
    call, waits = getattr(owner, name), [act]

    def acting(*args: Any, **options: Any) -> Any:
        while waits:
            waits.pop()()
        return call(*args, **options)

    monkeypatch.setattr(owner, name, acting)


def halted(stage: Stage, reference: str, *, flatten: bool = False) -> Path:
    """Halt as `septet halt REFERENCE` does; return the folder that was found."""
    folder = find_folder(reference, stage.world.folder / "runs", live=True, to_halt=True)
    halt_run(folder, name="ann", reason="news", wait_s=0.0, flatten=flatten, reference=reference)
    return folder


def requests(result: LiveResult) -> Iterator[tuple[str, str]]:
    for event, _ in rows(result):
        if isinstance(event, m.Operated) and event.name == "ann":
            yield event.action, event.reason


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("reference", ["latest", "live"])
@pytest.mark.parametrize("flatten", [False, True])
def test_a_halt_during_a_fresh_start_halts_the_run_that_starts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, phase: str, reference: str, flatten: bool
) -> None:
    before = stage.run(mode="live").ends[0][0].location.folder
    posted = len(stage.venue.named("submit"))
    found: list[Path] = []
    during(
        stage, phase, lambda: found.append(halted(stage, reference, flatten=flatten)), monkeypatch
    )
    result = stage.run(mode="live", fresh=True)
    [(run, end)] = result.ends
    assert run.location.folder != before
    assert found == [before if phase == "feed" else run.location.folder]
    assert (result.exit_code, end.how) == (3, "halted")
    assert read_halt(run.location.folder) is not None
    action, reason = next(requests(result))
    assert (action, reason[:4]) == ("halt", "news")
    if flatten:
        assert ("flatten", reason) in requests(result)
    assert len(stage.venue.named("submit")) == posted


def test_a_halt_that_names_a_run_by_its_id_halts_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stage.run(mode="live").ends[0][0].location.folder
    during(stage, "feed", lambda: (halted(stage, before.name), None)[1], monkeypatch)
    result = stage.run(mode="live", fresh=True)
    assert result.exit_code == 0
    assert list(requests(result)) == []


def test_a_halt_of_an_earlier_time_halts_no_later_start(stage: Stage) -> None:
    stage.run(mode="live")
    halted(stage, "latest")
    assert stage.run(mode="live", fresh=True).exit_code == 0


def test_the_halt_of_a_start_that_never_began_holds_for_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Path] = []

    def halt_and_fail() -> None:
        found.append(halted(stage, "latest"))
        raise InputError("the venue refuses")

    during(stage, "reads of history", halt_and_fail, monkeypatch)
    with pytest.raises(InputError, match="the venue refuses"):
        stage.run(mode="live")
    [unbegun] = found
    assert os.listdir(unbegun) == [HALT]
    assert find_folder("latest", stage.world.folder / "runs", live=True) == unbegun
    result = stage.run(mode="live")
    assert result.exit_code == 3
    assert not unbegun.exists()
    [(run, _)] = result.ends
    ask_resume(run.location.folder, name="ann", reason="read", now_ns=time.time_ns())
    assert stage.run(mode="live", bars=5).exit_code == 0


class Starting:
    """A process that holds the lease of a folder and has made no journal yet."""

    def __init__(self, root: Path, name: str = "20270101T000000Z-abcdef") -> None:
        self.folder = root / "live" / name
        self.folder.mkdir(parents=True)
        holder = Holder.this_process(
            run_id=name, strategy="live", folder=self.folder, now_ns=time.time_ns(), mode="live"
        )
        self.lease = Lease.take(holder)


def test_every_list_shows_a_run_that_is_starting(stage: Stage) -> None:
    before = stage.run(mode="live").ends[0][0].location.folder
    root = stage.world.folder / "runs"
    starting = Starting(root)
    folder = starting.folder
    listed = list_stored(root)
    assert [each.state for each in listed] == ["stopped", "starting"]
    assert "problem" in listed[-1].document()
    [row, _] = all_runs(root)
    assert (row["state"], row["damaged"]) == ("starting", "")
    assert named_folder(root, row["key"]) == folder
    assert can_act(folder)
    assert f"{folder.name}\n  starting: run {folder.name} is starting: process" in status("", root)
    for live in (False, True):
        assert find_folder("latest", root, live=live) == folder
        assert find_folder("live", root, live=live) == folder
        assert find_folder(str(folder), root, live=live) == folder
    with pytest.raises(InputError, match="has not made its journal yet"):
        open_run(folder)
    lines: list[str] = []
    watch(folder, lines.append, once=True)
    assert "state=starting" in lines[0]
    starting.lease.release()  # it ended, and left its folder behind
    assert find_folder("latest", root, live=True) == before
    assert [each.state for each in list_stored(root)] == ["stopped"]


def test_where_the_newest_has_no_process_a_halt_means_the_one_that_has(stage: Stage) -> None:
    first = stage.run(mode="live").ends[0][0].location.folder
    newest = stage.run(mode="live", fresh=True).ends[0][0].location.folder
    root = stage.world.folder / "runs"
    shutil.rmtree(first)
    starting = Starting(root, "20200101T000000Z-abcdef")
    for reference in ("latest", "live"):
        assert find_folder(reference, root, live=True, to_halt=True) == starting.folder
        assert find_folder(reference, root, live=True) == newest
    other = Starting(root, "20200102T000000Z-abcdef")
    with pytest.raises(InputError, match="may mean several runs, and nothing was halted") as error:
        find_folder("latest", root, live=True, to_halt=True)
    assert str(starting.folder) in error.value.message
    assert str(other.folder) in error.value.message
    (newest / RUN_LOCK).unlink(missing_ok=True)
    starting.lease.release()
    other.lease.release()
    assert find_folder("latest", root, live=True, to_halt=True) == newest


def test_a_halt_of_a_starting_run_says_so(stage: Stage) -> None:
    starting = Starting(stage.world.folder / "runs")
    outcome = halt_run(starting.folder, name="ann", reason="news", wait_s=0.2, reference="latest")
    assert (outcome.running, outcome.has_journal, outcome.acted) == (True, False, True)
    assert read_halt(starting.folder) is not None
    starting.lease.release()
    ask_halt(starting.folder, flatten=False, name="ann", reason="news", now_ns=time.time_ns())
    assert find_folder("latest", stage.world.folder / "runs", live=True) == starting.folder
