"""Messages about a paper or live run whose files are damaged: never that it may be deleted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from septet._store.damage_messages import hint_for
from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from septet.cli import cli
from septet.errors import InputError
from tests.journal.lived import stopped_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live run that was stopped; tests are given copies of it."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_STATE_DIR", str(root / "state"))
        return stopped_run(root / "runs" / "demo" / "live-1")


@pytest.fixture
def stopped(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a live run that was stopped, with its tables: they are what is read."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    place = tmp_path / "runs" / "demo" / "live-1"
    shutil.copytree(made, place)
    assert type(open_run(place)) is Run
    return place


def _error(folder: Path, *words: str) -> InputError:
    """Return the error of a command on the run."""
    done = CliRunner().invoke(cli, [*words, str(folder)], standalone_mode=False)
    assert isinstance(done.exception, InputError), done.output
    assert done.exception.exit_code == 2
    return done.exception


@pytest.mark.parametrize("name", ["summary.json", "orders.parquet", "equity.parquet"])
def test_a_sound_journal_is_what_counts(stopped: Path, name: str) -> None:
    (stopped / name).write_bytes(b"{not json")
    done = CliRunner().invoke(cli, ["runs", "show", str(stopped)])
    assert done.exit_code == 1, done.output
    assert f"not those its journal records: {name} changed" in done.stdout
    command = f"septet runs export {stopped}"
    assert f"`{command}`" in done.stdout.splitlines()[1]
    done = CliRunner().invoke(cli, command.split()[1:])
    assert done.exit_code == 0, done.output
    assert Run(stopped).summary["run_id"] == "live-1"
    assert Run(stopped).table("orders").height == 3
    assert type(open_run(stopped)) is Run


def test_a_missing_table_is_read_from_the_journal(stopped: Path) -> None:
    (stopped / "orders.parquet").unlink()
    run = open_run(stopped)
    assert run.table("orders").height == 3
    assert "orders.parquet missing" in run.files_problem


def test_a_missing_table_is_not_the_end_of_a_live_run(stopped: Path) -> None:
    (stopped / "orders.parquet").unlink()
    (stopped / "journal.sqlite").unlink()
    with pytest.raises(InputError, match=r"orders\.parquet is missing") as caught:
        open_run(stopped).table("orders")
    assert "delete" not in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("live", "keep the folder: positions and orders may be open, look at the venue"),
        ("paper", "keep the folder: positions and orders may be open, look at the venue"),
        ("", "keep the folder: whether it is a backtest cannot be determined"),
        ("backtest", "run the strategy again; the folder is safe to delete"),
    ],
)
def test_only_a_backtest_may_be_deleted(tmp_path: Path, mode: str, says: str) -> None:
    if mode:
        (tmp_path / "manifest.json").write_text(json.dumps({"facts": {"mode": mode}}))
    assert hint_for(tmp_path).startswith(says)
    (tmp_path / "log.jsonl").touch()
    assert "delete" not in hint_for(tmp_path)


def test_that_a_live_run_has_no_journal_is_reported_first(stopped: Path) -> None:
    for path in stopped.glob("journal.sqlite*"):
        path.unlink()
    expected_message = f"the live run in {stopped} has lost its journal: journal.sqlite is missing"
    done = CliRunner().invoke(cli, ["runs", "show", str(stopped)])
    assert done.exit_code == 2
    assert done.stdout.startswith(expected_message)
    assert "look at the venue" in done.stdout.splitlines()[1]
    document = CliRunner().invoke(cli, ["runs", "show", str(stopped), "--json"])
    assert document.exit_code == 2
    assert json.loads(document.stdout)["problem"].startswith(expected_message)
    assert _error(stopped, "replay").message.startswith(expected_message)
    assert _error(stopped, "replay", "--shadow").message.startswith(expected_message)


def test_an_export_names_the_tables_it_left_out(stopped: Path, tmp_path: Path) -> None:
    words = ["runs", "export", str(stopped), "--force", "--to", str(tmp_path / "out")]
    assert CliRunner().invoke(cli, words).exit_code == 0
    for name in ("orders", "fills"):
        (stopped / f"{name}.parquet").unlink()
    kept = stopped.parent / "journal.sqlite"
    (stopped / "journal.sqlite").rename(kept)
    done = CliRunner().invoke(cli, [*words, "--json"])
    assert done.exit_code == 2
    assert sorted(json.loads(done.stdout)["missing"]) == ["fills", "orders"]
    assert f"left out, as {stopped} lacks them: orders, fills" in done.stderr
    assert f"`septet runs export {stopped}` writes the tables" in done.stderr
    kept.rename(stopped / "journal.sqlite")
    assert CliRunner().invoke(cli, words).exit_code == 1  # from the journal, which records them
    assert CliRunner().invoke(cli, words[:3]).exit_code == 0
    assert CliRunner().invoke(cli, words).exit_code == 0
