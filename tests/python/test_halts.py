"""Halting and resuming a paper run from Python: what the command line writes and finds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import septet
from septet._app.halt_texts import outcome_lines
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.lease import Holder, Lease
from septet._live.kill_switch import HALT, ask_halt, ask_resume, read_halt, read_resume
from tests.cli.conftest import Command

RUN_ID = "20260101T000000Z-abcdef"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    made = tmp_path / "runs" / "old" / RUN_ID
    made.mkdir(parents=True)
    head = Head(run_id=RUN_ID, strategy="old", mode="paper", account="", created_ns=0, origin_ns=0)
    Journal.create(made / "journal.sqlite", head).close()
    return made


@pytest.fixture
def run(folder: Path) -> septet.Run:
    (found,) = septet.runs(root=folder.parents[1])
    return found


@pytest.fixture
def held(folder: Path) -> Iterator[None]:
    holder = Holder.this_process(run_id=RUN_ID, strategy="old", folder=folder, now_ns=0)
    lease = Lease.take(holder)
    yield
    lease.release()


def test_a_halt_stands_in_the_folder(run: septet.Run, folder: Path) -> None:
    found = septet.halt(run, name="ann", reason="news", wait=0.0)
    standing = read_halt(folder)
    assert standing is not None
    assert (standing.action, standing.name, standing.reason) == ("halt", "ann", "news")
    assert (found.action, found.running, found.run_id) == ("halt", False, RUN_ID)
    assert septet.halt(run, name="ann", reason="more", flatten=True, wait=0.0).action == "flatten"
    assert septet.resume(run, name="bob", reason="seen", wait=0.0).action == "resume"
    assert read_halt(folder) is None
    taken = read_resume(folder)
    assert taken is not None
    assert (taken.name, taken.reason) == ("bob", "seen")


@pytest.mark.usefixtures("held")
def test_a_run_that_does_not_answer_is_reported(run: septet.Run) -> None:
    found = septet.halt(run, name="ann", reason="news", wait=0.0)
    assert (found.running, found.taken, found.acted) == (True, False, False)


@pytest.mark.usefixtures("held")
def test_a_request_that_the_opposite_has_replaced_is_reported_as_such(
    run: septet.Run, folder: Path
) -> None:
    """A resume that a later halt had replaced was reported as one that would still take effect."""
    asks_halt = partial(ask_halt, flatten=False)
    for action, other, words in (
        (septet.resume, asks_halt, "stays halted"),
        (septet.halt, ask_resume, "is not halted"),
    ):
        other(folder, name="ann", reason="news", now_ns=time.time_ns())
        stamp = (folder / HALT).exists()
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(action, run, name="bob", reason="seen", wait=60.0)
            while (folder / HALT).exists() == stamp:  # until what bob asks for is written
                assert not waiting.done()
            other(folder, name="eve", reason="wait", now_ns=time.time_ns())
            found = waiting.result()
        assert (found.replaced_by, found.taken, found.acted) == ("eve", False, False)
        assert found.document()["replaced_by"] == "eve"
        (line,) = outcome_lines(found, 60.0)
        assert words in line
        assert "eve asked for it" in line


def test_python_gives_what_the_command_line_gives(
    run: septet.Run, folder: Path, septet_command: Command
) -> None:
    here = septet.halt(run, name="ann", reason="news", wait=0.0)
    output = septet_command("halt", folder, "--name", "ann", "--reason", "news", "--json")
    assert json.loads(output.out) == json.loads(json.dumps(here.document()))


def test_a_name_and_a_reason_are_needed(run: septet.Run, folder: Path) -> None:
    for name, reason in (("", "news"), ("ann", " ")):
        for act in (septet.halt, septet.resume):
            with pytest.raises(septet.InputError, match="name and reason are needed"):
                act(run, name=name, reason=reason)
    assert read_halt(folder) is None


def test_a_run_with_a_damaged_journal_can_be_halted(run: septet.Run, folder: Path) -> None:
    (folder / "journal.sqlite").write_bytes(b"\xff" * 40_000)
    (damaged,) = septet.runs(root=folder.parents[1])
    assert damaged.problem
    found = septet.halt(damaged, name="ann", reason="news", wait=0.0)
    assert found.unread
    assert read_halt(folder) is not None
