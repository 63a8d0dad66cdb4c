"""Every command that reads a journal reports first, in the same words, what is wrong with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from septet._data.stamps import iso
from septet._store.damage_messages import journal_finding
from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from septet.cli import cli
from septet.errors import InputError
from tests.journal.drawn import spoil
from tests.journal.lived import HOUR, NAME, T0, stopped_run

JOURNAL = "journal.sqlite"


def _spoiled(statement: str) -> Callable[[Path], None]:
    return lambda folder: spoil(folder / JOURNAL, *statement.split(";"))


def _cut_pages(folder: Path) -> None:
    """Cut the file off in the middle of its entries."""
    data = (folder / JOURNAL).read_bytes()
    (folder / JOURNAL).write_bytes(data[: len(data) - 4096])


def _copied_running(folder: Path) -> None:
    """Leave what a copy holds that was made on another machine, without the tail."""
    spoil(folder / JOURNAL, "UPDATE starts SET clean = NULL, ended_ns = NULL, how = 'live'")


def _copied_at_once(folder: Path) -> None:
    """As `_copied_running`, without what the database's own log held: nothing but the head."""
    spoil(folder / JOURNAL, "DELETE FROM starts", "DELETE FROM entries")
    (folder / f"{JOURNAL}-reserve").write_bytes(b"reserved")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "journal_seq": 0}))


def _cut_early(folder: Path) -> None:
    (folder / JOURNAL).write_bytes((folder / JOURNAL).read_bytes()[:80])


def _remove(folder: Path) -> None:
    for path in folder.glob(f"{JOURNAL}*"):
        path.unlink()


EDIT = "UPDATE entries SET event = replace(event, '100.0', '100.5') WHERE seq = 2"
SWAP = (
    "UPDATE entries SET seq = -1 WHERE seq = 4; UPDATE entries SET seq = 4 WHERE seq = 5;"
    "UPDATE entries SET seq = 5 WHERE seq = -1"
)
DAMAGES: Final[dict[str, tuple[Callable[[Path], None], str, int, str, str]]] = {
    # what is done, the kind of the finding, the status, words of the message, and of the hint
    "edited": (_spoiled(EDIT), "changed", 2, "was changed: entry 2 was changed", "--fresh"),
    "no JSON": (
        _spoiled("UPDATE entries SET commands = '[' WHERE seq = 5"),
        "changed", 2, "was changed: entry 5 was changed", "put journal.sqlite back",
    ),
    "removed": (
        _spoiled("DELETE FROM entries WHERE seq = 4"),
        "changed", 2, "was changed: entry 4 was removed: 5 follows 3", "put journal.sqlite back",
    ),
    "reordered": (_spoiled(SWAP), "changed", 2, "was changed: entry 4 was changed", "look at the"),
    "last rows gone": (
        _spoiled("DELETE FROM entries WHERE seq > 11"),
        "short", 1, "lacks its end: 2 entries are gone after entry 11", "put a newer copy",
    ),
    "copied without its tail": (
        _copied_running, "short", 1,
        "lacks its end: how many entries are gone after entry 13 is not known: the run had not "
        "ended, and its journal.sqlite-tail is missing", "journal.sqlite-wal and",
    ),
    "copied without its tail and its log": (
        _copied_at_once, "short", 1, "lacks its end: how many entries are gone after entry 0 is",
        "put a newer copy",
    ),
    "end cut off": (
        _cut_pages, "torn", 2, "is damaged at its end: good up to entry", "the next start",
    ),
    "all cut off": (_cut_early, "unreadable", 2, "cannot be read: the file is empty or cut off",
                    "put journal.sqlite back"),
    "head changed": (
        _spoiled("UPDATE head SET text = '{}'"),
        "unreadable", 2, "cannot be read: the head of the journal was changed", "look at the venue",
    ),
    "missing": (_remove, "gone", 2, "has lost its journal: journal.sqlite is missing",
                "put journal.sqlite back from a backup"),
}  # fmt: skip
SHOWING: Final[dict[str, list[str]]] = {
    "show": ["runs", "show"],
    "why": ["why", "RUN", "o1"],
    "why not": ["why", "RUN", f"{NAME}@{iso(T0 + 2 * HOUR)}"],
    "report": ["report"],
    "export": ["runs", "export", "RUN", "--to", "OUT"],
}
JUDGING: Final[dict[str, list[str]]] = {
    "replay": ["replay"],
    "shadow": ["replay", "RUN", "--shadow"],
    "diff": ["runs", "diff", "RUN", "RUN"],
    "export in place": ["runs", "export"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live run that was stopped; tests are given copies of it."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_STATE_DIR", str(root / "state"))
        return stopped_run(root / "runs" / "demo" / "live-1")


@pytest.fixture
def stopped(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a live run that was stopped, with its tables."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    place = tmp_path / "runs" / "demo" / "live-1"
    shutil.copytree(made, place)
    assert type(open_run(place)) is Run
    return place


def _called(words: list[str], folder: Path, *more: str) -> Any:
    named = [*words, "RUN"] if "RUN" not in words else words
    values = {"RUN": str(folder), "OUT": str(folder.parents[2] / "out")}
    return CliRunner().invoke(cli, [*(values.get(each, each) for each in named), *more])


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", SHOWING)
def test_a_command_that_shows_reports_it_first_and_shows_what_can_be_read(
    stopped: Path, command: str, damage: str
) -> None:
    spoilt, kind, status, words, hint = DAMAGES[damage]
    spoilt(stopped)
    finding = journal_finding(stopped)
    assert finding is not None
    assert finding.kind == kind
    assert f"the live run in {stopped} " in finding.message
    assert words in finding.message
    assert hint in finding.hint
    done = _called(SHOWING[command], stopped)
    assert done.exit_code == status, done.output
    on_stderr = command in ("report", "export")
    first, second, *_ = (done.stderr if on_stderr else done.stdout).splitlines()
    assert first.startswith(finding.message)
    assert second.strip() == finding.hint
    assert len(done.stdout.splitlines()) > (0 if on_stderr else 4)
    if command == "report":
        text = (stopped / "report.html").read_text(encoding="utf-8")
        assert words.split(": ")[0] in text


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", SHOWING)
def test_its_document_has_the_finding(stopped: Path, command: str, damage: str) -> None:
    spoilt, _, status, words, _ = DAMAGES[damage]
    spoilt(stopped)
    done = _called(SHOWING[command], stopped, "--json")
    assert done.exit_code == status, done.output
    assert words in json.loads(done.stdout)["problem"]
    assert words in done.stderr


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", JUDGING)
def test_a_command_that_needs_all_of_it_refuses_in_the_same_words(
    stopped: Path, command: str, damage: str
) -> None:
    spoilt, kind, _, words, hint = DAMAGES[damage]
    spoilt(stopped)
    finding = journal_finding(stopped)
    assert finding is not None
    done = _called(JUDGING[command], stopped)
    if kind == "short" and command != "export in place":  # what is there may be compared
        assert done.stdout.startswith(finding.message)
        return
    if kind == "gone" and command == "export in place":
        assert isinstance(done.exception, InputError)
        return
    assert isinstance(done.exception, InputError), done.output
    assert done.exception.exit_code == 2
    assert done.exception.message.startswith(finding.message)
    assert words in done.exception.message
    assert hint in done.exception.hint


@pytest.mark.parametrize("damage", ["edited", "last rows gone"])
def test_the_tables_of_a_run_are_kept_from_a_journal_that_knows_less(
    stopped: Path, damage: str
) -> None:
    DAMAGES[damage][0](stopped)
    before = (stopped / "manifest.json").read_bytes()
    done = _called(["runs", "export"], stopped)
    assert isinstance(done.exception, InputError)
    assert "--force replaces the tables all the same" in done.exception.hint
    assert (stopped / "manifest.json").read_bytes() == before
    done = _called(["runs", "export", "RUN", "--force"], stopped)
    assert done.exit_code == DAMAGES[damage][2]
    assert DAMAGES[damage][3] in done.stderr
    assert DAMAGES[damage][3] in (stopped / "findings.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", ["no JSON", "end cut off"])
def test_without_tables_the_good_entries_are_shown(stopped: Path, damage: str) -> None:
    for path in (*stopped.glob("*.parquet"), *stopped.glob("*.json")):
        path.unlink()
    DAMAGES[damage][0](stopped)
    finding = journal_finding(stopped)
    assert finding is not None
    done = _called(["runs", "show"], stopped, "--json")
    assert done.exit_code == 2, done.output
    assert json.loads(done.stdout)["open"]["journal_seq"] == finding.last > 0


def test_a_diff_names_which_run_lacks_its_journal_and_what_is_possible_without(
    stopped: Path,
) -> None:
    _remove(stopped)
    done = _called(["runs", "diff", "RUN", "RUN"], stopped)
    assert isinstance(done.exception, InputError)
    assert f"the live run in {stopped} has lost its journal" in done.exception.message
    assert "needs the bars, decisions and fills in it" in done.exception.message
    assert f"septet runs export {stopped} --to DIR" in done.exception.hint


def test_a_whole_journal_has_no_finding(stopped: Path) -> None:
    assert journal_finding(stopped) is None
    for words in SHOWING.values():
        done = _called(words, stopped)
        assert done.exit_code == 0, done.output
        assert "journal" not in done.stderr
