"""Each file of a run's folder made huge in turn: no command reads it whole, each says why."""

from __future__ import annotations

import ast
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import septet as package
from septet._files import read_bounded
from septet._report.save import save_run
from tests.cli.conftest import Command
from tests.journal.lived import live_run
from tests.report.synthetic import make_result

HUGE = 20 << 30
ROOM = 2 << 30
"""Memory that commands may take beside what the tests have: far less than a file."""
DOCUMENTS = ("summary.json", "manifest.json", "resolved.json", "findings.json", "strategy.yaml")
JOURNAL = ("journal.sqlite", "journal.sqlite-tail", "journal.sqlite-mark")


@pytest.fixture(scope="module")
def backtest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = make_result(symbols=("BTC/USDT",), bars=300, first=100, strategy="s")
    return save_run(result, tmp_path_factory.mktemp("runs")).folder


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the copy of a run that goes on: its journal, and what SQLite and septet keep beside."""
    folder = tmp_path_factory.mktemp("lived") / "demo" / "20200101T000000Z-aaaaaa"
    journal = live_run(folder)
    copy = tmp_path_factory.mktemp("copies") / "demo" / folder.name
    shutil.copytree(folder, copy)
    (copy / "HALT").touch()
    yield copy
    journal.close()


def files_of(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


@contextmanager
def huge(path: Path) -> Iterator[None]:
    """Make a file huge, its beginning as it was; nothing of it is on the disk."""
    kept = path.read_bytes()
    os.truncate(path, HUGE)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(kept)


@contextmanager
def little_memory() -> Iterator[None]:
    """Let this process take little more memory than it has: reading a huge file raises."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (data,) = (int(each.split()[1]) << 10 for each in lines if each.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (data + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def commands(run: Path, out: Path) -> list[list[str]]:
    root = str(run.parents[1])
    return [
        ["runs", "list", "--runs", root, "--json"], ["runs", "show", str(run)],
        ["runs", "show", "latest", "--runs", root], ["report", str(run)],
        ["why", str(run), "o1"], ["runs", "diff", str(run), str(run)],
        ["runs", "export", str(run), "--to", str(out)], ["replay", str(run)],
        ["replay", str(run), "--shadow"],
    ]  # fmt: skip


def _all(septet: Command, run: Path, name: str, out: Path) -> list[str]:
    """Run every command; return what is wrong with how one ended."""
    wrong = []
    for words in commands(run, out):
        outcome = septet(*words)
        said = outcome.out + outcome.err
        if "Traceback" in said or "MemoryError" in said or outcome.code not in (0, 1, 2):
            wrong.append(f"{name}: {' '.join(words[:2])}: {outcome.code}: {said[-300:]}")
    return wrong


@pytest.mark.parametrize("kind", ["backtest", "lived"])
def test_no_command_reads_a_huge_file(
    kind: str, tmp_path: Path, septet: Command, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(kind)
    run = tmp_path / "runs" / source.parent.name / source.name
    shutil.copytree(source, run)
    wrong, tried = [], set()
    with little_memory():
        for path in files_of(run):
            name = str(path.relative_to(run))
            tried.add(name)
            with huge(path):
                wrong += _all(septet, run, name, tmp_path / "out")
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert wrong == []
    needed = {*DOCUMENTS, "bars.parquet"} if kind == "backtest" else {*JOURNAL, "HALT"}
    assert needed <= tried


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("kind", ["backtest", "lived"])
def test_every_command_names_which_document_is_too_large(
    kind: str, tmp_path: Path, septet: Command, name: str, request: pytest.FixtureRequest
) -> None:
    """`runs list` called a run sound that `runs show` and `report` refused.

    A paper or live run is read from its journal, and refused all the same. Its tables are written
    again, which needs the journal alone and reads no document.
    """
    source: Path = request.getfixturevalue(kind)
    run = tmp_path / "runs" / "s" / source.name
    shutil.copytree(source, run)
    (run / name).touch()
    more = [["runs", "diff", run, run], ["why", run, "1"]]
    replays, export = [["replay", run], ["replay", run, "--shadow"]], ["runs", "export", run]
    more += replays if kind == "lived" else [export]
    with little_memory(), huge(run / name):
        (line,) = json.loads(septet("runs", "list", "--runs", run.parents[1], "--json").out)
        said = [line["damaged"]]
        for words in (["runs", "show", run], ["report", run], *more):
            outcome = septet(*words)
            assert outcome.code == 2, words
            said.append(outcome.err)
        assert kind == "backtest" or septet(*export).code == 0
    for each in said:
        assert f"{name} is larger than " in each


def test_a_manifest_that_show_refuses_is_no_sound_run_of_the_list(
    backtest: Path, tmp_path: Path, septet: Command
) -> None:
    run = tmp_path / "runs" / "s" / backtest.name
    shutil.copytree(backtest, run)
    (run / "manifest.json").write_text("{}", encoding="utf-8")
    (line,) = json.loads(septet("runs", "list", "--runs", run.parents[1], "--json").out)
    assert "manifest.json lacks its facts" in line["damaged"]
    assert septet("report", run).code == 2


def test_a_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_bounded(path, 100) == b"x" * 100
    with pytest.raises(OSError, match="it is larger than 99 bytes"):
        read_bounded(path, 99)
    os.truncate(path, HUGE)
    with little_memory(), pytest.raises(OSError, match="it is larger than 1 MiB"):
        read_bounded(path, 1 << 20)


ROOMS = (
    "_app",
    "_python",
    "_store",
    "_journal",
    "_learn",
    "_diff",
    "_report",
    "_sweep",
    "_live",
    "_results",
)
WHOLE = {
    "_store/environment.py": "the list of libraries of this installation",
    "_report/html_page.py": "a file of septet itself",
    "_journal/lease.py": "what the kernel reports of this start of the machine",
}
"""Modules that read a file whole, none of them one of a run's folder."""


def test_no_module_reads_a_file_of_a_run_at_once() -> None:
    """`Path.read_text` and `Path.read_bytes` have no bound; `read_bounded` has."""
    root = Path(package.__file__).parent
    found = set()
    for room in ROOMS:
        for path in (root / room).rglob("*.py"):
            names = {
                node.func.attr
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            }
            if names & {"read_text", "read_bytes"}:
                found.add(str(path.relative_to(root)))
    assert found == set(WHOLE)
