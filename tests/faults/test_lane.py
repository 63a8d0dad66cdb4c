"""Whole runs in memory: what a start finds out before anything may trade."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from socket import gethostname

import pytest

from septet import messages as m
from septet._journal.journal_writer import Journal
from septet._journal.lease import Holder, Lease, boot_id, mark_path
from septet._live import start as begin
from septet._live.process import LiveResult
from septet._live.run_location import JOURNAL
from septet.errors import JournalError, RunError
from tests.faults.fault_checks import held
from tests.live.test_start import Stage, rows


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    made = Stage(tmp_path)
    made.behaviour["live"] = {"buys": True}
    return made


def safe_modes(result: LiveResult) -> list[str]:
    return [
        event.reason
        for event, _ in rows(result)
        if isinstance(event, m.Operated) and event.name == "safe_mode"
    ]


def test_p9_killed_processes_count_though_they_could_not_state_it(stage: Stage) -> None:
    folder = stage.run(mode="live").ends[0][0].location.folder
    for crashes in (begin.CRASHES, 1):
        for _ in range(crashes):
            with closing(Journal.open(folder / JOURNAL, mark=mark_path(folder.name))) as journal:
                now_ns = stage.world.clock.now_ns()
                journal.begin(pid=1, host=gethostname(), boot=boot_id(), now_ns=now_ns)
                journal.note_live()
        posted = len(stage.venue.named("submit"))
        result = stage.run(mode="live", bars=4 if crashes > 1 else 8)
        if crashes > 1:
            assert safe_modes(result) == []
        log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        ends = [each for each in map(json.loads, log) if each["event"] == "unrecorded_end"]
        assert [each["level"] for each in ends] == ["error"] * (1 if crashes > 1 else 2)
        assert f"the process before (pid 1 on {gethostname()}) was killed or" in ends[-1]["text"]
    assert safe_modes(result) == ["safe mode: 4 unclean ends within 10 minutes"]
    assert len(stage.venue.named("submit")) == posted
    held("P9")


def test_s4_an_old_copy_of_the_folder_is_refused(stage: Stage) -> None:
    """A live run would give ids anew that the venue has seen; paper only reports it."""
    for mode in ("live", "paper"):
        folder = stage.run(mode=mode).ends[0][0].location.folder
        backup = folder.parent.parent / f"backup-{mode}"
        shutil.copytree(folder, backup)
        stage.run(mode=mode, bars=6)
        shutil.rmtree(folder)
        backup.rename(folder)
        posted = len(stage.venue.named("submit"))
        if mode == "live":
            with pytest.raises(JournalError, match="is an old copy: good up to entry"):
                stage.run(mode=mode, bars=8)
            shutil.rmtree(folder)
        else:
            assert stage.run(mode=mode, bars=8).exit_code == 0
        assert len(stage.venue.named("submit")) == posted
        held("S4")


def test_a_run_whose_journal_was_deleted_sends_no_entry_and_has_failed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes is lost with it: a new start would know nothing of what was bought."""
    usual, posted = Journal.commit, 0

    def commit(journal: Journal, durable: bool = False, *, reduces: bool = False) -> int:
        nonlocal posted
        if journal.seq > 3 and journal.path.exists():
            shutil.rmtree(journal.path.parent)
            posted = len(stage.venue.named("submit"))
        return usual(journal, durable, reduces=reduces)

    monkeypatch.setattr(Journal, "commit", commit)
    result = stage.run(mode="live", bars=6)
    assert len(stage.venue.named("submit")) == posted
    [(_, end)] = result.ends
    assert result.exit_code == 1
    assert end.how == "failed"
    assert "the journal's files were deleted" in end.text


def test_p3_a_start_that_has_not_made_its_journal_yet_is_seen_by_the_next(
    stage: Stage, tmp_path: Path
) -> None:
    """Two starts at once would be two runs, and one of them would never be gone on with."""
    folder = stage.world.options().out / "live" / "20240101T000000Z-abcdef"
    folder.mkdir(parents=True)
    holder = Holder.this_process(
        run_id=folder.name, strategy="live", folder=folder, now_ns=0, mode="paper"
    )
    with Lease.take(holder):
        with pytest.raises(RunError, match="another start of live in paper mode begins its run"):
            stage.run()
        assert stage.run(mode="live").exit_code == 0
        assert stage.run(fresh=True).exit_code == 0
    assert stage.run(bars=6).exit_code == 0
    held("P3")
