"""Lists verify the journals of their runs: what a run's own page reports, a list reports too."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import septet
from septet._agents.tools import Tools
from septet._app.workspace import Workspace
from septet._dashboard.listing import all_runs
from septet._store import listed_journals
from septet._store.find_runs import open_run
from septet._store.listed_journals import ListedJournals
from septet._store.run_condition import condition_of
from septet._store.run_folder import JOURNAL
from septet.cli import cli
from tests.journal.drawn import spoil
from tests.journal.test_changed_files import made

__all__ = ["made"]
"""A fixture: a live run that ended."""

CHANGED = "UPDATE entries SET event = replace(event, '1', '2') WHERE seq = 6"
REMOVED = "DELETE FROM entries WHERE seq = 6"
LAST = "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)"


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a live run that ended, whose tables and documents are those of its journal."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    place = tmp_path / "runs" / "demo" / "live-1"
    shutil.copytree(made, place)
    return place


def listed(folder: Path) -> dict[str, str]:
    """Return the problem of the one run, by the face that lists it."""
    root = folder.parents[1]
    lines = CliRunner().invoke(cli, ["runs", "list", "--runs", str(root), "--json"]).stdout
    (row,), (line,), (run,) = all_runs(root), json.loads(lines), septet.runs(root=root)
    (told,) = Tools(Workspace(root.parent)).runs(None, 5, 0)["runs"]
    return {
        "page": row["problem"] or row["damaged"], "terminal": line.get("problem", ""),
        "Python": run.doubt, "agents": told.get("problem", ""),
    }  # fmt: skip


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda path: spoil(path, CHANGED), "has a journal that was changed: entry 6"),
    "removed": (lambda path: spoil(path, REMOVED), "has a journal that was changed: entry 6"),
    "short": (lambda path: spoil(path, LAST), "has a journal that lacks its end"),
    "cut": (_cut, "has a journal that cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "has a journal that cannot be read"),
    "gone": (lambda path: path.unlink(), "has lost its journal"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_list_reports_what_the_run_itself_reports(folder: Path, damage: str) -> None:
    assert set(listed(folder).values()) == {""}  # what was verified is not taken for what is there
    spoilt, words = DAMAGES[damage]
    spoilt(folder / JOURNAL)
    found = listed(folder)
    whole = condition_of(open_run(folder)).problem
    assert words in whole
    for face in ("page", "terminal", "Python"):
        assert found[face] == whole, face
    assert found["agents"][:200] == whole[:200]


def test_a_journal_is_verified_once_for_as_long_as_it_is_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(folder / JOURNAL, CHANGED)
    lists = ListedJournals(lambda: 0.0)
    found = lists.finding_of(open_run(folder))
    assert found is not None

    def verifies(reader: object) -> None:
        raise AssertionError("it is verified again")

    monkeypatch.setattr("septet._journal.journal_check.check", verifies)
    assert lists.finding_of(open_run(folder)) == found
    os.utime(folder / JOURNAL)
    with pytest.raises(AssertionError, match="verified again"):
        lists.finding_of(open_run(folder))


def test_of_a_run_that_goes_on_it_is_verified_once_a_minute(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    lists = ListedJournals(lambda: now_s[0])
    assert lists.finding_of(open_run(folder)) is None
    monkeypatch.setattr("septet._journal.lease.holder_of", lambda place: os.getpid())
    spoil(folder / JOURNAL, CHANGED)
    for now_s[0] in (1.0, 59.0):
        assert lists.finding_of(open_run(folder)) is None
    now_s[0] = 61.0
    found = lists.finding_of(open_run(folder))
    assert found is not None
    assert "entry 6" in found.what


def test_a_very_large_journal_is_not_verified_for_a_list(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(folder / JOURNAL, CHANGED)
    monkeypatch.setattr(listed_journals, "MOST_BYTES", 1_000)
    assert ListedJournals().finding_of(open_run(folder)) is None
    assert "entry 6" in condition_of(open_run(folder)).problem
