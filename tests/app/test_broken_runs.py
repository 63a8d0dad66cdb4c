"""A paper or live run whose journal or files are not what they were: every face reports the same.

Each damage comes with a summary that was edited to a return of 999 %: wherever it is shown, what is
wrong stands beside it, and no document mixes it with figures of the journal.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

import septet
from septet._agents.tools import Tools
from septet._app.workspace import Workspace
from septet._store.find_runs import open_run
from septet._store.run_condition import condition_of
from septet.cli import cli
from tests.dashboard.conftest import Dashboard, listening_to
from tests.journal.drawn import spoil
from tests.journal.test_changed_files import ended_run

JOURNAL: Final = "journal.sqlite"
EDITED: Final = 9.99
KEY: Final = "demo/live-1"


def _remove(folder: Path, *more: str) -> None:
    for path in (*folder.glob(f"{JOURNAL}*"), *(folder / name for name in more)):
        path.unlink(missing_ok=True)


def _lost_mode(folder: Path) -> None:
    """Remove the journal, and call the run a backtest in its documents; its log is there."""
    _remove(folder)
    for name in ("manifest.json", "summary.json"):
        path = folder / name
        path.write_text(path.read_text("utf-8").replace('"live"', '"backtest"'), "utf-8")
    (folder / "log.jsonl").write_text("")


def _spoiled(*statements: str) -> Callable[[Path], None]:
    return lambda folder: spoil(folder / JOURNAL, *statements)


DAMAGES: Final[dict[str, tuple[Callable[[Path], object], str, str, int]]] = {
    # what is done, words of what is reported, where figures come from, and the exit status
    "only the summary": (
        lambda folder: None, "not those its journal records: summary.json changed", "journal", 1
    ),
    "gone": (_remove, "has lost its journal", "files", 2),
    "gone, called a backtest": (_lost_mode, "has lost its journal", "files", 2),
    "a view": (_spoiled("CREATE VIEW v AS SELECT 1"), "cannot be read", "files", 2),
    "garbage": (
        lambda folder: (folder / JOURNAL).write_bytes(b"garbage" * 1000), "cannot be read",
        "files", 2,
    ),
    "empty": (
        lambda folder: (folder / JOURNAL).write_bytes(b""), "cannot be read", "files", 2
    ),
    "another format": (_spoiled("PRAGMA user_version = 99"), "cannot be read", "files", 2),
    "the head": (_spoiled("UPDATE head SET text = '{}'"), "cannot be read", "files", 2),
    "an entry": (
        _spoiled("UPDATE entries SET event = replace(event, '100.0', '100.5') WHERE seq = 2"),
        "was changed: entry 2", "files", 2,
    ),
    "the last entries": (
        _spoiled("DELETE FROM entries WHERE seq > 11"), "lacks its end", "files", 1
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live run that ended; tests are given copies of it."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_STATE_DIR", str(root / "state"))
        return ended_run(root / "runs" / "demo" / "live-1")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The page and its API over a folder that tests fill."""
    root = tmp_path_factory.mktemp("served")
    (root / "runs").mkdir()
    with listening_to(root / "runs", root) as dashboard:
        dashboard.log_in()
        yield dashboard


@pytest.fixture(params=DAMAGES)
def broken(
    request: pytest.FixtureRequest, made: Path, pages: Dashboard, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Path, str, str, int]:  # fmt: skip
    """The folder of a broken run, what is reported, where figures come from, the status."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    spoilt, words, source, status = DAMAGES[request.param]
    folder = pages.root / KEY
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)
    path = folder / "summary.json"
    document = json.loads(path.read_text("utf-8"))
    edited = {"total_return": EDITED, "final_equity": 10_990.0, "trades": 400, "verdict": "+999 %"}
    path.write_text(json.dumps({**document, **edited}), "utf-8")
    spoilt(folder)
    return folder, words, source, status


def _called(*words: str) -> Any:
    return CliRunner().invoke(cli, list(words))


def test_every_face_reports_it_and_shows_figures_of_one_source(
    broken: tuple[Path, str, str, int], pages: Dashboard
) -> None:
    folder, words, source, status = broken
    root, edited = str(pages.root), source == "files"
    condition = condition_of(open_run(folder))
    assert (condition.is_trading, condition.figures) == (True, source)
    assert words in condition.problem

    typed = _called("runs", "list", "--runs", root)
    assert words in typed.output
    (listed,) = json.loads(_called("runs", "list", "--runs", root, "--json").stdout)
    (row,) = json.loads(pages.ask("GET", "/api/v1/runs").text)["runs"]
    stands = json.loads(pages.ask("GET", f"/api/v1/run?run={KEY}").text)
    lines = _called("top", str(folder), "--once")
    followed = json.loads(_called("top", str(folder), "--once", "--json").stdout)["view"]
    (told,) = Tools(Workspace(pages.root.parent)).runs(None, 5, 0)["runs"]
    for name, found in {
        "list": listed, "API runs": row, "API run": stands, "top": followed, "MCP": told,
    }.items():  # fmt: skip
        assert words in found["problem"], name
        assert found["state"] == "stopped", name
    assert (lines.exit_code, "problem=" in lines.stdout) == (status, True)
    assert "state=stopped" in lines.stdout
    for path in ("/", f"/run?run={KEY}"):
        page = " ".join(pages.ask("GET", path).text.replace("&#39;", "'").split())
        assert words in page, path
        assert "finished" not in page, path

    here, (of_list,) = septet.open_run(folder), septet.runs(root=pages.root)
    assert words in here.doubt
    assert here.doubt == of_list.doubt == condition.problem
    assert "doubtful" in repr(of_list)

    returns = {
        "list": listed["total_return"], "API runs": row["total_return"],
        "API run": stands["total_return"], "its summary": stands["summary"]["total_return"],
        "top": followed["total_return"], "MCP": told["figures"]["summary"]["total_return"],
        "Python": here.summary.total_return, "Python's list": of_list.summary.total_return,
    }  # fmt: skip
    assert {name for name, each in returns.items() if (each == pytest.approx(EDITED)) != edited} \
        == set()  # fmt: skip
    assert (stands["trades"] == 400) == (followed["trades"] == 400) == edited


def test_what_is_held_is_not_nothing_without_a_journal_that_can_be_read(
    broken: tuple[Path, str, str, int], pages: Dashboard
) -> None:
    folder, _, _, _ = broken
    condition = condition_of(open_run(folder))
    line = _called("top", str(folder), "--once").stdout
    stands = json.loads(pages.ask("GET", f"/api/v1/run?run={KEY}").text)
    assert (" positions=- orders=- " in line) != condition.is_held_known
    assert (stands["positions"] is None) != condition.is_held_known
    assert "backtest" not in stands["entries"]
    assert (stands["doubt"] == "") == (condition.journal is None)


def test_a_sound_run_has_no_problem_on_any_face(
    made: Path, pages: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    folder = pages.root / KEY
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)
    condition = condition_of(open_run(folder))
    assert (condition.problem, condition.exit_status) == ("", 0)
    stands = json.loads(pages.ask("GET", f"/api/v1/run?run={KEY}").text)
    assert (stands["problem"], stands["state"], stands["positions"]) == ("", "stopped", [])
    lines = _called("top", str(folder), "--once")
    assert (lines.exit_code, "problem=" in lines.stdout) == (0, False)
    assert "doubtful" not in repr(septet.runs(root=pages.root)[0])
