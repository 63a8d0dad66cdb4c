"""A folder of runs in which a stranger planted something: one line reports it, the rest works."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from septet._report.save import save_run
from septet._store.find_runs import list_runs
from septet._store.run_folder import Run
from tests.cli.conftest import Command
from tests.report.synthetic import make_result


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Run:
    result = make_result(symbols=("BTC/USDT",), bars=300, first=100, strategy="s")
    return save_run(result, tmp_path_factory.mktemp("runs"))


def _replace(folder: Path, name: str, make: Callable[[Path], object]) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    make(path)


def _facts(folder: Path, **changed: Any) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["facts"] |= changed
    path.write_text(json.dumps(document), encoding="utf-8")


def _summary(folder: Path, **changed: Any) -> None:
    path = folder / "summary.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changed), encoding="utf-8")


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 8 << 30)


PLANTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to a file": (lambda f: (f / "x").symlink_to("/etc/passwd"), "not a regular file"),
    "a circular link": (lambda f: (f / "x").symlink_to("x"), "not a regular file"),
    "a pipe as journal": (lambda f: os.mkfifo(f / "journal.sqlite"), "not a regular file"),
    "a pipe as manifest": (lambda f: _replace(f, "manifest.json", os.mkfifo), "not a regular file"),
    "a folder as manifest": (lambda f: _replace(f, "manifest.json", os.mkdir), "manifest.json"),
    "a folder as summary": (lambda f: _replace(f, "summary.json", os.mkdir), "summary.json"),
    "an endless summary": (lambda f: _replace(f, "summary.json", _sparse), "larger than"),
    "an empty journal": (lambda f: (f / "journal.sqlite").touch(), "empty"),
    "a journal of noise": (
        lambda f: (f / "journal.sqlite").write_bytes(b"noise" * 1_000), "not a database",
    ),
    "deep JSON": (
        lambda f: (f / "summary.json").write_bytes(b"[" * 100_000), "cannot be read",
    ),
}  # fmt: skip
COMMANDS = (
    ["show"], ["show", "--json"], ["report"], ["report", "--json"], ["why", "o1"],
    ["replay"], ["diff"],
)  # fmt: skip


def _call(septet: Command, words: list[str], run: str, root: Path) -> Any:
    first, *rest = words
    if first == "why":
        return septet("why", run, *rest, "--runs", root)
    if first == "diff":
        return septet("runs", "diff", run, run, "--runs", root)
    group = ("runs", first) if first in ("show", "export") else (first,)
    return septet(*group, run, *rest, "--runs", root)


@pytest.mark.parametrize("plant", PLANTS)
def test_one_planted_run_is_one_line_and_the_others_are_listed(
    stored: Run, tmp_path: Path, septet: Command, plant: str
) -> None:
    root = tmp_path / "runs"
    shutil.copytree(stored.folder, root / "s" / stored.folder.name)
    bad = root / "s" / "20990101T000000Z-bad000"
    shutil.copytree(stored.folder, bad)
    put, words = PLANTS[plant]
    put(bad)
    outcome = septet("runs", "list", "--json", "--runs", root)
    assert outcome.code == 0, outcome.err
    good, planted = json.loads(outcome.out)
    assert good["run_id"] == stored.run_id
    assert words in planted["damaged"]
    assert septet("runs", "list", "--runs", root).out.count(bad.name) == 1
    for command in COMMANDS:
        outcome = _call(septet, command, bad.name, root)
        assert outcome.code == 2, command
        assert "Traceback" not in outcome.err
    assert _call(septet, ["show"], stored.run_id, root).code == 0
    assert _call(septet, ["show"], "s", root).code == 2  # the latest of them
    halted = septet("halt", "latest", "--runs", root, "--wait", "0")
    assert halted.code in (0, 1, 2)  # 1 where what the run holds cannot be read
    assert halted.code != 1 or "it is asked to halt" in halted.out


ODD_FACTS: list[dict[str, Any]] = [
    {"time_zone": "Rubbish/Nowhere"}, {"time_zone": "../../../etc/passwd"}, {"time_zone": "\0"},
    {"time_zone": "x" * 5_000}, {"time_zone": 3}, {"day_start": "99:99"}, {"symbols": [3]},
    {"bar_ns": 1e400}, {"bar_ns": -1}, {"end_ns": 10**30}, {"bars": "many"}, {"bar_ns": 0},
    {"initial_capital": 0}, {"initial_capital": -1}, {"initial_capital": 0.0}, {"bars": -1},
    {"seconds": -1.0}, {"seed": -1}, {"end_ns": -(2**62)},
    {"days_a_year": 0.0}, {"initial_capital": None}, {"sessions": "yes"}, {"more": 1},
    {"session_close": "noon"}, {"session_close": "16:00 Rubbish/Nowhere"}, {"session_close": 3},
]  # fmt: skip


def test_odd_facts_and_figures_end_as_messages(
    stored: Run, tmp_path: Path, septet: Command
) -> None:
    root = tmp_path / "runs"
    bad = root / "s" / stored.folder.name
    for facts in ODD_FACTS:
        shutil.copytree(stored.folder, bad)
        _facts(bad, **facts)
        outcome = septet("report", "latest", "--runs", root)
        assert outcome.code == 2, facts
        assert "manifest.json" in outcome.err
        assert "Traceback" not in outcome.err
        assert len(outcome.err) < 1_000, facts
        shutil.rmtree(bad)
    figures: list[dict[str, Any]] = [
        {"total_return": 1e308 * 10}, {"trades": 10**4_000}, {"sharpe": 10**400}, {"end": ""},
        {"rejections": [1]}, {"seconds": -1e300}, {"verdict": ""}, {"run_id": "../x"},
    ]  # fmt: skip
    for changed in figures:
        shutil.copytree(stored.folder, bad)
        _summary(bad, **changed)
        for words in (["runs", "list"], ["runs", "show", "latest"], ["report", "latest"]):
            outcome = septet(*words, "--runs", root)
            assert outcome.code in (0, 2), (changed, words)
            assert "Traceback" not in outcome.err
            assert outcome.code == 0 or words[1] != "list", changed
        shutil.rmtree(bad)


def test_links_among_the_folders_and_folders_without_rights_stop_nothing(
    stored: Run, tmp_path: Path, septet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    shutil.copytree(stored.folder, root / "s" / stored.folder.name)
    (root / "loop").symlink_to("loop")
    (root / "s" / "gone").symlink_to("/nowhere/at/all")
    (root / "s" / "file").write_text("", encoding="utf-8")
    (root / "locked" / "20200101T000000Z-aaaaaa").mkdir(parents=True)
    (root / "s" / "20200101T000000Z-bbbbbb").mkdir()
    listdir = os.listdir

    def refusing(path: Any = ".") -> list[str]:  # rights mean nothing to root, who runs some tests
        if Path(path).name in ("locked", "20200101T000000Z-bbbbbb"):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refusing)
    lines = json.loads(septet("runs", "list", "--json", "--runs", root).out)
    damaged = {line["run_id"]: line["damaged"] for line in lines if "damaged" in line}
    assert set(damaged) == {"loop", "gone", "locked", "20200101T000000Z-bbbbbb"}
    assert "Permission denied" in damaged["locked"]
    assert "symbolic link" in damaged["loop"]
    assert lines[-1]["run_id"] == stored.run_id
    assert septet("runs", "show", "latest", "--runs", root).code == 0
    assert len(list_runs(root)) == 5


def test_a_link_to_a_run_is_not_followed(stored: Run, tmp_path: Path, septet: Command) -> None:
    root, real = tmp_path / "runs", tmp_path / "real"
    shutil.copytree(stored.folder, root / "s" / stored.folder.name)
    away = real / "s" / "20990101T000000Z-abcdef"
    shutil.copytree(stored.folder, away)
    (away / "report.html").unlink()
    (root / "s" / "planted").symlink_to(away)
    (root / "t").symlink_to(away.parent)
    before = sorted(path.name for path in away.iterdir())
    lines = json.loads(septet("runs", "list", "--json", "--runs", root).out)
    damaged = {line["run_id"]: line["damaged"] for line in lines if "damaged" in line}
    assert set(damaged) == {"planted", "t"}
    assert len(lines) == 3
    for reference in ("planted", "t", root / "s" / "planted", f"{root}/s/planted/"):
        for words in (["report"], ["runs", "show"], ["replay"], ["why"]):
            more = ["x"] if words == ["why"] else []
            outcome = septet(*words, reference, *more, "--runs", root)
            assert outcome.code == 2, (words, reference)
            assert "symbolic link" in outcome.err, (words, reference)
    assert sorted(path.name for path in away.iterdir()) == before
    assert septet("runs", "show", "latest", "--runs", root).code == 0
    (tmp_path / "above").symlink_to(root)
    above = tmp_path / "above" / "s" / stored.folder.name
    assert septet("runs", "show", above).code == 0


def test_half_of_a_surrogate_pair_in_a_run_is_a_message(
    stored: Run, tmp_path: Path, septet: Command
) -> None:
    root = tmp_path / "runs"
    for name in ("manifest.json", "summary.json"):
        folder = root / "s" / stored.folder.name
        shutil.copytree(stored.folder, folder)
        document = json.loads((folder / name).read_text(encoding="utf-8"))
        document["x\ud800"] = ["\udc00"]
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
        outcome = septet("report", folder)
        assert outcome.code == 2
        assert "half of a surrogate pair" in outcome.err
        assert septet("runs", "list", "--runs", root).code == 0
        shutil.rmtree(folder)


@pytest.mark.parametrize("reference", ["x" * 5_000, "a/" + "x" * 5_000, "\x1b[2J", "..", "a\nb"])
def test_references_that_name_nothing_are_messages(
    tmp_path: Path, septet: Command, reference: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for root in (tmp_path, tmp_path / "loop", tmp_path / "none"):
        for words in (["runs", "show"], ["report"], ["replay"], ["halt"]):
            outcome = septet(*words, reference, "--runs", root)
            assert outcome.code == 2, words
            assert "Traceback" not in outcome.err
