"""The kill switch as files: durable, idempotent, the later word counts (O1, O2)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._live.kill_switch import HALT, RESUME, Switch, ask_halt, ask_resume, read_halt
from septet.errors import InputError, RunError
from tests.live.test_start import Stage, rows


class Run:
    """A run's folder and the process that looks into it, which may be killed and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ns = 1_000
        self.acts: list[m.Operated] = []
        self.start()

    def start(self) -> None:
        self.switch = Switch(self.folder, now_ns=lambda: self.now_ns, act=self.acts.append)

    def look(self, stored: bool = True) -> list[str]:
        self.acts.clear()
        self.switch.look()
        if stored:
            for each in self.acts:
                self.switch.stored(each)
        return [each.action for each in self.acts]

    def halt(self, flatten: bool = False) -> None:
        self.now_ns += 1
        ask_halt(self.folder, flatten=flatten, name="ann", reason="news", now_ns=self.now_ns)

    def resume(self) -> None:
        self.now_ns += 1
        ask_resume(self.folder, name="ben", reason="read it", now_ns=self.now_ns)


def test_a_halt_is_taken_once_and_again_after_a_restart(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.look() == []
    run.halt()
    assert run.look() == ["halt"]
    assert (run.acts[0].name, run.acts[0].reason) == ("ann", "news")
    assert run.look() == []
    assert run.switch.halted
    run.start()
    assert run.look() == ["halt"]


def test_a_flatten_halts_at_once_and_closes_what_the_venue_has_confirmed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.halt(flatten=True)
    run.switch.agreed = False
    for _ in range(2):
        run.switch.look()
        assert [(each.action, each.name) for each in run.acts] == [("halt", "ann")]
    assert run.switch.halted
    run.switch.agreed = True
    assert run.look() == ["flatten"]
    assert run.look() == []


def test_a_flatten_that_stands_at_a_start_waits_for_what_the_account_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    stage = Stage(tmp_path)
    [(strategy_run, _)] = stage.run(mode="live").ends
    ask_halt(strategy_run.location.folder, flatten=True, name="ann", reason="news", now_ns=1)
    found = [event for event, _ in rows(stage.run(mode="live", bars=5))]
    asked = [(each.action, k) for k, each in enumerate(found) if isinstance(each, m.Operated)]
    assert [action for action, _ in asked] == ["stop", "halt", "flatten", "stop"]
    _, (_, halt), (_, flatten), _ = asked
    assert isinstance(found[halt + 1], m.Started)
    assert any(isinstance(each, m.Holdings) for each in found[halt:flatten])


@pytest.mark.parametrize("how", ["septet halt", "SIGUSR1", "by hand"])
def test_a8_a_halt_does_not_weaken_a_flatten_that_waits(tmp_path: Path, how: str) -> None:
    run = Run(tmp_path)
    run.halt(flatten=True)
    run.switch.agreed = False
    run.switch.look()
    if how == "septet halt":
        run.halt()
    elif how == "SIGUSR1":
        run.switch.signal("SIGUSR1")
    else:
        (tmp_path / HALT).write_text("stop")
    run.switch.look()
    assert {each.action for each in run.acts} == {"halt"}
    run.switch.agreed = True
    assert run.look() == ["flatten"]
    assert run.look() == []


def test_a8_a_flatten_stays_one_through_restarts_until_a_person_resumes(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.halt(flatten=True)
    run.halt()
    run.start()
    assert run.look() == ["flatten"]
    run.resume()
    assert run.look() == ["resume"]
    run.halt()
    assert run.look() == ["halt"]


def test_a8_a_signal_before_the_account_is_read_closes_nothing_yet(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.halt(flatten=True)
    run.switch.agreed = False
    run.switch.signal("SIGUSR1")
    assert [each.action for each in run.acts] == ["halt"]


def made(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
        (path / "inside").write_text("kept")
    elif kind == "link":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"[" * 100_000)


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "deep"])
def test_a13_whatever_is_called_halt_is_one_until_it_is_resumed(tmp_path: Path, kind: str) -> None:
    made(tmp_path / HALT, kind)
    run = Run(tmp_path)
    assert run.look() == ["halt"]
    assert run.look() == []
    run.start()
    assert run.look() == ["halt"]
    run.now_ns = 1 << 62
    run.resume()
    assert run.look() == ["resume"]
    assert read_halt(tmp_path) is None
    assert not (tmp_path / RESUME).exists()
    kept = list(tmp_path.glob("HALT.folder-1/inside"))
    assert bool(kept) == (kind == "folder")


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "deep"])
def test_a13_a_halt_can_be_asked_for_where_something_has_its_name(
    tmp_path: Path, kind: str
) -> None:
    made(tmp_path / HALT, kind)
    run = Run(tmp_path)
    run.halt(flatten=True)
    assert run.look() == ["flatten"]


@pytest.mark.parametrize("text", ["", "{}", '{"action":"resume","name":"","reason":"x"}'])
def test_a_resume_that_nobody_signed_clears_nothing(tmp_path: Path, text: str) -> None:
    run = Run(tmp_path)
    run.halt()
    (tmp_path / RESUME).write_text(text)
    assert run.look() == ["halt"]
    assert run.look() == []
    assert run.switch.halted


def test_asking_again_to_flatten_is_taken(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.halt()
    assert run.look() == ["halt"]
    run.halt(flatten=True)
    assert run.look() == ["flatten"]


def test_a_resume_clears_and_clears_both_files(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.halt()
    run.look()
    run.resume()
    assert read_halt(tmp_path) is None
    assert run.look() == ["resume"]
    assert (run.acts[0].name, run.acts[0].reason) == ("ben", "read it")
    assert not run.switch.halted
    assert not (tmp_path / RESUME).exists()
    assert run.look() == []


def test_a_resume_stays_until_the_journal_has_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.halt()
    run.look()
    run.resume()
    assert run.look(stored=False) == ["resume"]
    assert run.look(stored=False) == []
    run.start()  # killed before it was stored
    assert run.look() == ["resume"]


def test_a_halt_after_a_resume_counts(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.resume()
    run.halt()
    assert run.look() == ["halt"]
    assert not (tmp_path / RESUME).exists()


def test_a_resume_that_was_cut_short_still_counts_when_later(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.halt()
    kept = (tmp_path / HALT).read_bytes()
    run.resume()
    (tmp_path / HALT).write_bytes(kept)  # as if it had died between the two
    assert run.look() == ["resume"]
    assert read_halt(tmp_path) is None


@pytest.mark.parametrize("text", [b"", b"stop it\n", b"{", b"\xff\xfe"])
def test_a_halt_file_made_by_hand_halts_the_run(tmp_path: Path, text: bytes) -> None:
    (tmp_path / HALT).write_bytes(text)
    run = Run(tmp_path)
    assert run.look() == ["halt"]
    assert run.acts[0].name == "file"
    assert run.acts[0].reason


def test_a_signal_writes_the_file_first(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.switch.signal("SIGUSR1")
    assert [each.action for each in run.acts] == ["halt"]
    standing = read_halt(tmp_path)
    assert standing is not None
    assert standing.reason == "SIGUSR1"


def test_a_signal_halts_when_the_folder_cannot_be_written(tmp_path: Path) -> None:
    run = Run(tmp_path / "gone")
    run.switch.signal("SIGUSR1")
    assert [each.action for each in run.acts] == ["halt"]
    assert run.switch.halted


def test_a_halt_that_cannot_be_written_shows_what_else_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="could not be written"):
        ask_halt(tmp_path / "gone", flatten=False, name="a", reason="b", now_ns=1)


@pytest.mark.parametrize(("name", "reason"), [("", "x"), ("x", " ")])
def test_a_resume_needs_a_name_and_a_reason(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match="a resume needs a"):
        ask_resume(tmp_path, name=name, reason=reason, now_ns=1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["halt", "flatten", "resume", "look", "restart"]), max_size=20))
def test_the_last_command_counts_whatever_happens_between(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    run = Run(tmp_path_factory.mktemp("run"))
    last = ""
    flattens = False
    for step in steps:
        if step in ("halt", "flatten"):
            run.halt(step == "flatten")
            last = step
            flattens |= step == "flatten"
        elif step == "resume":
            run.resume()
            last, flattens = step, False
        elif step == "look":
            run.look()
        else:
            run.start()
    run.look()
    assert run.switch.halted == (last in ("halt", "flatten"))
    assert (run.folder / HALT).exists() == (last in ("halt", "flatten"))
    assert not (run.folder / RESUME).exists()
    standing = read_halt(run.folder)
    assert (standing is not None and standing.action == "flatten") == flattens
