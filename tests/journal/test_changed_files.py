"""Tables and documents of a stopped run that its journal does not record: every face reports it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
from click.testing import CliRunner

import septet
from septet import messages as m
from septet._agents.tools import Tools
from septet._app.run_follow import RunFollower
from septet._app.workspace import Workspace
from septet._dashboard.listing import all_runs
from septet._dashboard.run_page import order_view, run_view
from septet._journal.files_record import read_files_record, write_files_record
from septet._journal.journal_writer import Journal
from septet._journal.lease import RUN_LOCK, Holder, Lease
from septet._journal.reader import Reader
from septet._store.files_check import FILES, files_finding
from septet._store.find_runs import open_run
from septet._store.journal_view import LiveRun
from septet._store.projections import write_projections
from septet._store.run_folder import Run
from septet._terminal.rows import head_lines
from septet.cli import cli
from septet.errors import InputError, RunError
from tests.journal.drawn import spoil
from tests.journal.lived import T0, live_run

JOURNAL: Final = "journal.sqlite"
NOT_MADE: Final = ("predictions.parquet",)
"""What no paper or live run has."""


def ended_run(place: Path) -> Path:
    """Make a live run that ended, with its tables."""
    with live_run(place) as journal:
        journal.move()
        journal.begin(pid=os.getpid(), host="here", boot="b", now_ns=T0)
        journal.end(clean=True, how="stopped", now_ns=T0 + 1)
    (place / RUN_LOCK).unlink(missing_ok=True)
    write_projections(place)
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live run that ended; tests are given copies of it."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_STATE_DIR", str(root / "state"))
        return ended_run(root / "runs" / "demo" / "live-1")


@pytest.fixture
def stopped(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a live run that ended, in a workspace of agents."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    place = tmp_path / "runs" / "demo" / "live-1"
    shutil.copytree(made, place)
    assert type(open_run(place)) is Run
    return place


def _other(value: Any) -> Any:
    """Return a value of the same kind that is another one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x"


def _change(path: Path) -> None:
    """Change one value of a file and give it its old time."""
    before = path.stat()
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        if frame.height:
            name = next(key for key, kind in frame.schema.items() if kind.is_float())
            first = frame.with_row_index("row").get_column("row") == 0
            frame = frame.with_columns(pl.when(first).then(pl.lit(7.5)).otherwise(name).alias(name))
        else:
            frame = frame.clear(1)
        frame.write_parquet(path)
    elif path.suffix == ".yaml":
        path.write_text(path.read_text() + "# changed\n")
    else:
        value = json.loads(path.read_text())
        if isinstance(value, dict):
            key = next(iter(value))
            value[key] = _other(value[key])
        else:
            value.append({})
        path.write_text(json.dumps(value))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _called(*words: str) -> Any:
    return CliRunner().invoke(cli, list(words))


def _command(*words: str) -> Callable[[Path], str]:
    """Return what a command reports about a run: its document, which its text repeats."""

    def ask(folder: Path) -> str:
        places = {
            "RUN": folder, "ROOT": folder.parents[1], "OUT": folder.parents[2] / "out"
        }  # fmt: skip
        given = [str(places.get(each, each)) for each in words]
        done, document = _called(*given), _called(*given, "--json")
        found = json.loads(document.stdout)
        found = found[0] if isinstance(found, list) else found
        problem = str(found.get("problem", ""))
        message, _, hint = problem.partition("; `")
        assert message in done.output
        assert hint in done.output
        status = 1 if problem and "list" not in words else 0
        assert (done.exit_code, document.exit_code) == (status, status), done.output
        return problem

    return ask


def _diff(folder: Path) -> str:
    return str(_called("runs", "diff", str(folder), str(folder)).stdout)


def _page(folder: Path) -> str:
    run = open_run(folder)
    view = run_view(run)["run"]
    (row,) = all_runs(folder.parents[1])
    assert order_view(run, "o1")["problem"] == view.problem == row["problem"]
    return str(view.problem)


def _followed(folder: Path) -> str:
    view = RunFollower(folder).look().view
    assert view is not None
    assert view.problem == "" or head_lines(view, T0, "demo")[-1].startswith("PROBLEM")
    return view.problem


def _report(folder: Path) -> str:
    _called("report", str(folder))
    return (folder / "report.html").read_text(encoding="utf-8")


def _agents(folder: Path) -> str:
    tools = Tools(Workspace(folder.parents[2]))
    (listed,) = tools.runs(None, 5, 0)["runs"]
    table = tools.table("live-1", "fills", None, 5, 0, start=None, end=None, every=None)
    others = (table, tools.why("live-1", "o1"), tools.diff("live-1", "live-1", 5, 0)["b"])
    (text,) = {str(each.get("problem", "")) for each in (listed, *others)}
    return text


def _python(folder: Path) -> str:
    run, (listed,) = septet.open_run(folder), septet.runs(root=folder.parents[1])
    assert run.doubt == listed.doubt
    assert not run.problem
    assert run.doubt[:60] in run._repr_html_()
    return run.doubt


FACES: Final[dict[str, Callable[[Path], str]]] = {
    "show": _command("runs", "show", "RUN"),
    "list": _command("runs", "list", "--runs", "ROOT"),
    "why": _command("why", "RUN", "o1"),
    "report": _command("report", "RUN"),
    "export": _command("runs", "export", "RUN", "--to", "OUT", "--force"),
    "diff": _diff,
    "page": _page,
    "top": _followed,
    "report.html": _report,
    "agents": _agents,
    "Python": _python,
}
SENTENCE: Final = "has files that are not those its journal records: "


@pytest.mark.parametrize("name", [each for each in FILES if each not in NOT_MADE])
@pytest.mark.parametrize("face", FACES)
def test_a_file_in_which_one_value_was_changed_is_named_on_every_face(
    stopped: Path, face: str, name: str
) -> None:
    _change(stopped / name)
    said = FACES[face](stopped)
    assert f"{SENTENCE}{name} changed" in said
    assert f"septet runs export {stopped}` writes them again from the journal" in said


@pytest.mark.parametrize("face", FACES)
def test_of_an_honest_run_nothing_is_reported(stopped: Path, face: str) -> None:
    said = FACES[face](stopped)
    assert "journal records" not in said
    assert "its journal" not in said
    if face not in ("diff", "report.html"):
        assert not said


@pytest.mark.parametrize("face", FACES)
def test_after_an_export_nothing_is_reported(stopped: Path, face: str) -> None:
    for name in ("summary.json", "manifest.json", "fills.parquet"):
        _change(stopped / name)
    assert f"{SENTENCE}summary.json, manifest.json, fills.parquet changed" in FACES[face](stopped)
    done = _called("runs", "export", str(stopped), "--json")
    assert done.exit_code == 0, done.output
    assert "problem" not in json.loads(done.stdout)
    assert "journal records" not in FACES[face](stopped)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("final_equity", 5_000.0), ("run_id", "live-2"), ("mode", "backtest"), ("strategy", "x"),
        ("initial_capital", 1.0), ("total_return", 9.0), ("trades", 99), ("verdict", "good"),
        ("state", "running"),
    ],
)  # fmt: skip
def test_no_figure_of_a_changed_summary_is_shown(stopped: Path, key: str, value: Any) -> None:
    path = stopped / "summary.json"
    written = json.loads(path.read_text())
    assert written[key] != value
    path.write_text(json.dumps({**written, key: value}))
    shown = json.loads(_called("runs", "show", str(stopped), "--json").stdout)
    assert shown[key] == written[key]
    assert isinstance(open_run(stopped), LiveRun)


def test_no_row_of_a_replaced_table_is_shown(stopped: Path) -> None:
    honest = septet.open_run(stopped).fills
    pl.read_parquet(stopped / "fills.parquet").head(1).write_parquet(stopped / "fills.parquet")
    assert septet.open_run(stopped).fills.equals(honest)
    done = _called("runs", "export", str(stopped), "--to", str(stopped.parents[2] / "out"))
    assert done.exit_code == 1
    assert pl.read_csv(stopped.parents[2] / "out" / "fills.csv").height == honest.height


def test_an_added_and_a_missing_file_are_named(stopped: Path) -> None:
    shutil.copy(stopped / "orders.parquet", stopped / "predictions.parquet")
    (stopped / "trades.parquet").unlink()
    found = files_finding(stopped)
    assert found is not None
    assert found.what.endswith("trades.parquet missing; predictions.parquet added")
    assert found.hint.endswith("; remove what was added")
    assert found.message == f"the live {found.what.removeprefix('the ')}".replace(
        "run has", f"run in {stopped} has"
    )


def test_of_many_files_four_are_named(stopped: Path) -> None:
    for path in stopped.glob("*.parquet"):
        _change(path)
    found = files_finding(stopped)
    assert found is not None
    assert "monitoring.parquet" not in found.what or " more changed" in found.what
    assert "and 4 more changed" in found.what


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM files", "has tables and documents that its journal does not record"),
        ("UPDATE files SET text = replace(text, 'summary', 'summery')", "record of its tables and"),
        ("UPDATE files SET seq = 2", "record of its tables and documents was changed"),
        ("UPDATE files SET seq = -1", "record of its tables and documents was changed"),
        ("UPDATE files SET text = 1", "record of its tables and documents was changed"),
        ("UPDATE files SET digest = 1", "record of its tables and documents was changed"),
    ],
)
def test_a_record_that_is_gone_or_was_changed_is_reported(
    stopped: Path, statement: str, words: str
) -> None:
    spoil(stopped / JOURNAL, statement)
    for face in FACES.values():
        assert words in face(stopped)
    assert isinstance(open_run(stopped), LiveRun)
    assert _called("runs", "export", str(stopped)).exit_code == 0
    assert files_finding(stopped) is None


def test_the_record_of_another_run_does_not_count(stopped: Path, tmp_path: Path) -> None:
    other = ended_run(tmp_path / "others" / "demo" / "live-1")
    with Journal.open(other / JOURNAL) as journal:
        text = journal._db.execute("SELECT hash, digest FROM files").fetchone()
    values = ", ".join(f"{name} = x'{value.hex()}'" for name, value in zip(
        ("hash", "digest"), text, strict=True
    ))  # fmt: skip
    spoil(stopped / JOURNAL, f"UPDATE files SET seq = 3, {values}")
    found = files_finding(stopped)
    assert found is not None
    assert "record of its tables and documents was changed" in found.what


def test_a_run_without_tables_has_none_to_compare(stopped: Path) -> None:
    spoil(stopped / JOURNAL, "DELETE FROM files")
    for name in FILES:
        (stopped / name).unlink(missing_ok=True)
    assert files_finding(stopped) is None
    assert septet.open_run(stopped).doubt == ""


def test_a_killed_run_is_read_from_its_journal_whatever_lies_beside_it(stopped: Path) -> None:
    honest = open_run(stopped).summary["final_equity"]
    spoil(stopped / JOURNAL, "UPDATE starts SET clean = NULL, ended_ns = NULL, how = 'live'")
    _change(stopped / "equity.parquet")
    path = stopped / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "final_equity": 5.0}))
    assert files_finding(stopped) is None
    assert open_run(stopped).summary["final_equity"] == honest


def _continue(folder: Path, at_ns: int, *, end: bool) -> None:
    """Start the run again, and end it or have it killed."""
    with Journal.open(folder / JOURNAL) as journal:
        journal.begin(pid=os.getpid(), host="here", boot="b", now_ns=at_ns)
        event = m.Operated(at_ns=at_ns, action="stop", name="a", reason="b")
        journal.append(event, [])
        journal.commit()
        if end:
            journal.end(clean=True, how="stopped", now_ns=at_ns + 1)


def test_a_continued_run_is_compared_with_what_its_last_stop_recorded(stopped: Path) -> None:
    with Reader(stopped / JOURNAL) as reader:
        first = read_files_record(reader)
        at_ns = reader.tail_facts().at_ns + 1
    assert first is not None
    before = (stopped / "summary.json").read_bytes(), (stopped / "manifest.json").read_bytes()
    _continue(stopped, at_ns, end=True)
    assert files_finding(stopped) is None  # the tables are older than the journal, and intact
    assert isinstance(open_run(stopped), LiveRun)
    write_projections(stopped)
    assert files_finding(stopped) is None
    assert type(open_run(stopped)) is Run
    with Reader(stopped / JOURNAL) as reader:
        second = read_files_record(reader)
    assert second is not None
    assert second.seq == first.seq + 1
    for name, data in zip(("summary.json", "manifest.json"), before, strict=True):
        (stopped / name).write_bytes(data)  # those of the first stop
    found = files_finding(stopped)
    assert found is not None
    assert "manifest.json changed" in found.what
    _continue(stopped, at_ns + 9, end=False)
    assert files_finding(stopped) is None


def test_an_export_of_a_run_that_goes_on_records_nothing(stopped: Path) -> None:
    holder = Holder.this_process(run_id="live-1", strategy="demo", folder=stopped, now_ns=T0)
    recorded = (stopped / JOURNAL).read_bytes()
    spoil(stopped / JOURNAL, "DELETE FROM files")
    with Lease.take(holder):
        assert _called("runs", "export", str(stopped)).exit_code == 0
        assert files_finding(stopped) is None
        with Reader(stopped / JOURNAL) as reader:
            assert read_files_record(reader) is None
    assert recorded != b""
    assert files_finding(stopped) is not None


def test_a_damaged_journal_records_nothing(stopped: Path) -> None:
    spoil(stopped / JOURNAL, "DELETE FROM entries WHERE seq > 11")
    before = (stopped / JOURNAL).read_bytes()
    assert _called("runs", "export", str(stopped), "--force").exit_code == 1
    assert (stopped / JOURNAL).read_bytes() == before


def test_a_journal_that_cannot_be_written_is_reported_by_the_export(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, seq: int, files: Any) -> None:
        raise InputError(f"{path}: the disk is read-only")

    monkeypatch.setattr("septet._store.projections.write_files_record", refuse)
    spoil(stopped / JOURNAL, "DELETE FROM files")
    with pytest.raises(RunError, match=r"not recorded in its journal: .*read-only") as caught:
        write_projections(stopped)
    assert f"septet runs export {stopped}" in (caught.value.hint or "")
    assert (stopped / "summary.json").is_file()
    assert files_finding(stopped) is not None


def test_the_record_leaves_the_time_of_the_last_write(stopped: Path) -> None:
    path = stopped / JOURNAL
    os.utime(path, ns=(T0, T0))
    write_files_record(path, 3, {})
    assert path.stat().st_mtime_ns == T0
    with Reader(path) as reader:
        record = read_files_record(reader)
    assert record is not None
    assert record.seq == 3
    with pytest.raises(septet.JournalError, match="there is no entry 999"):
        write_files_record(path, 999, {})


def test_a_copy_elsewhere_is_checked_as_well(stopped: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "demo" / "live-1"
    shutil.copytree(stopped, copy)
    assert files_finding(copy) is None
    _change(copy / "orders.parquet")
    found = files_finding(copy)
    assert found is not None
    assert str(copy) in found.message
    assert files_finding(stopped) is None


def test_a_file_of_another_size_is_not_read(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("it was read")

    monkeypatch.setattr("septet._store.files_check._read_hash", refuse)
    with (stopped / "fills.parquet").open("ab") as file:
        file.truncate(1 << 40)
    for name in FILES:
        if name != "fills.parquet":
            (stopped / name).unlink(missing_ok=True)
    found = files_finding(stopped)
    assert found is not None
    assert "fills.parquet changed" in found.what


def test_a_backtest_is_not_compared(tmp_path: Path) -> None:
    assert files_finding(tmp_path) is None


def test_a_table_of_garbage_is_read_from_the_journal(stopped: Path) -> None:
    fills = open_run(stopped).table("fills")
    (stopped / "fills.parquet").write_bytes(b"garbage")
    assert open_run(stopped).table("fills").equals(fills)
    assert "fills.parquet changed" in run_view(open_run(stopped))["run"].problem
