from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from septet._cli.runs import report, runs, why
from septet._store.run_folder import Run
from septet.cli import main
from septet.errors import InputError


@pytest.fixture
def call(runs_root: Path, full_run: Run, rules_run: Run) -> Any:
    """Run a command on the two stored runs; gives what click saw."""

    def invoke(command: Any, *words: str) -> Result:
        return CliRunner().invoke(command, [*words, "--runs", str(runs_root)])

    return invoke


def error_of(result: Result) -> str:
    """The error of a command that must refuse its input."""
    assert isinstance(result.exception, InputError)
    assert result.exception.exit_code == 2
    return str(result.exception)


def test_list(call: Any, full_run: Run, rules_run: Run) -> None:
    result = call(runs, "list", "--json")
    assert result.exit_code == 0
    ids = [line["run_id"] for line in json.loads(result.stdout)]
    assert ids[:2] == [full_run.run_id, rules_run.run_id]
    assert full_run.run_id in call(runs, "list").stdout
    only = json.loads(call(runs, "list", "sma-cross", "--json", "--last", "1").stdout)
    assert [line["run_id"] for line in only] == [rules_run.run_id]


def test_list_without_runs(tmp_path: Path) -> None:
    result = CliRunner().invoke(runs, ["list", "--runs", str(tmp_path / "none")])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "No runs in" in result.stderr
    result = CliRunner().invoke(runs, ["list", "--json", "--runs", str(tmp_path)])
    assert json.loads(result.stdout) == []


def test_list_names_which_run_is_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "20260101T000000Z-abcdef"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{not json", encoding="utf-8")
    result = CliRunner().invoke(runs, ["list", "--json", "--runs", str(tmp_path)])
    assert "summary.json cannot be read" in json.loads(result.stdout)[0]["damaged"]


@pytest.mark.parametrize("way", ["id", "prefix", "strategy", "path"])
def test_a_run_is_found(call: Any, full_run: Run, way: str) -> None:
    name = {
        "id": full_run.run_id,
        "prefix": full_run.run_id[:14],
        "strategy": "hourly-majors",
        "path": str(full_run.folder),
    }[way]
    result = call(runs, "show", name, "--json")
    assert json.loads(result.stdout)["run_id"] == full_run.run_id


def test_latest_is_the_last_of_all_strategies(
    call: Any, full_run: Run, rules_run: Run, rejected_run: Run
) -> None:
    found = json.loads(call(runs, "show", "latest", "--json").stdout)
    assert found["run_id"] == rejected_run.run_id


def test_show_prints_the_verdict(call: Any, rules_run: Run) -> None:
    assert "halted on 2023-01-30" in call(runs, "show", rules_run.run_id).stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("20990101", "no run is called '20990101'"),
        ("2025", "fits"),
        ("/nowhere/at/all", "no such folder"),
        (".", "neither summary.json nor manifest.json"),
    ],
)
def test_a_run_that_is_not_there_is_reported(call: Any, name: str, words: str) -> None:
    assert words in error_of(call(runs, "show", name))
    assert words in error_of(call(report, name))
    assert words in error_of(call(why, name, "o1"))


def test_no_runs_at_all(tmp_path: Path) -> None:
    result = CliRunner().invoke(runs, ["show", "latest", "--runs", str(tmp_path)])
    assert "there are no runs in" in error_of(result)


def test_report_is_made_again(call: Any, full_run: Run) -> None:
    path = full_run.folder / "report.html"
    before = path.read_text(encoding="utf-8")
    path.unlink()
    result = call(report, full_run.run_id)
    assert result.stdout.strip() == str(path)
    assert path.read_text(encoding="utf-8") == before
    found = json.loads(call(report, full_run.run_id, "--json").stdout)
    assert found == {"run_id": full_run.run_id, "report": str(path)}
    assert not list(full_run.folder.glob(".*"))


def test_why(call: Any, full_run: Run) -> None:
    assert call(why, full_run.run_id, "o1").stdout.startswith("buy ")
    found = json.loads(call(why, full_run.run_id, "o1", "--json").stdout)
    assert found["order"]["order_id"] == "o1"
    assert "no order 'zz'" in error_of(call(why, full_run.run_id, "zz"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_export(call: Any, full_run: Run, tmp_path: Path, kind: str) -> None:
    words = ("export", full_run.run_id, "--to", str(tmp_path / "out"), "--format", kind)
    result = call(runs, *words, "--json")
    assert result.exit_code == 0
    names = [Path(path).name for path in json.loads(result.stdout)["written"]]
    assert f"trades.{kind}" in names
    read = pl.read_csv if kind == "csv" else pl.read_parquet
    table = read(tmp_path / "out" / f"trades.{kind}")
    assert table["pnl"].to_list() == full_run.table("trades")["pnl"].to_list()
    assert "already" in error_of(call(runs, *words))
    assert call(runs, *words, "--force").exit_code == 0


def test_the_program_shows_what_was_wrong_and_leaves_with_two(
    full_run: Run, runs_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["report", "nothing"], ["why", full_run.run_id, "zz-9"], ["runs", "show", "zz"]):
        with pytest.raises(SystemExit) as left:
            main([*words, "--runs", str(runs_root)])
        assert left.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "error" in printed.err
        assert "Traceback" not in printed.err
