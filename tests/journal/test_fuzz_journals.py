"""Damaged and crafted journals end as messages: seeded, bounded, the same in every run."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from septet._cli.runs import report, runs, why
from septet._journal.journal_format import chained, first_hash
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._journal.verify import walk
from septet._store.find_runs import open_run
from septet._store.projections import write_projections
from septet.errors import SeptetError
from tests.journal.lived import live_run
from tests.scale import examples


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "demo" / "live-1"
    live_run(folder).close()
    return folder


def _walked(path: Path) -> None:
    with Reader(path) as reader:
        walk(reader)


def _read(folder: Path) -> None:
    """Read a run in every way; each of them ends, and only errors in words are raised."""
    ways: list[Any] = [
        lambda: _walked(folder / "journal.sqlite"),
        lambda: open_run(folder).summary,
        lambda: [open_run(folder).table(name) for name in ("orders", "fills", "trades", "equity")],
        lambda: write_projections(folder),
        lambda: Journal.open(folder / "journal.sqlite").close(),
    ]
    for way in ways:
        try:
            way()
        except SeptetError as error:
            found = error
        else:
            continue
        assert found.message.strip()
        assert len(str(found)) < 5_000


def _copy(whole: Path, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    return place


def test_damaged_bytes_end_as_messages(whole: Path, tmp_path: Path) -> None:
    for seed in range(examples(40)):
        draw, folder = random.Random(seed), _copy(whole, tmp_path / "live-1")
        names = [each.name for each in folder.iterdir() if each.stat().st_size]
        path = folder / draw.choice(sorted([*names, "journal.sqlite", "journal.sqlite"]))
        data = bytearray(path.read_bytes())
        for _ in range(draw.choice([1, 4, 60])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data[: draw.choice([len(data)] * 3 + [draw.randrange(len(data))])])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                _read(folder)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {path.name}") from error


VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, -(2**80), 1e308, "", "x", "\x1b[2J\u202e", [], {}, [None], {"a": 1},
    "BTC/USDT@99999999999999999999999", "1" * 5_000,
)  # fmt: skip


def _spoil(draw: random.Random, document: Any) -> Any:
    """Change one value of a document, at any depth, or drop it."""
    if isinstance(document, dict) and document and draw.random() < 0.85:
        key = draw.choice(sorted(document))
        if draw.random() < 0.15:
            return {each: value for each, value in document.items() if each != key}
        return {**document, key: _spoil(draw, document[key])}
    if isinstance(document, list) and document and draw.random() < 0.85:
        at = draw.randrange(len(document))
        return [*document[:at], _spoil(draw, document[at]), *document[at + 1 :]]
    return draw.choice(VALUES)


def _craft(draw: random.Random, path: Path) -> None:
    """Write a journal whose chain of hashes is right and whose values are the fuzzer's.

    The hashes have no key: a stranger can make them as well as we can.
    """
    db = sqlite3.connect(path, isolation_level=None)
    text, _ = db.execute("SELECT text, hash FROM head").fetchone()
    if draw.randrange(3) == 0:
        text = json.dumps(_spoil(draw, json.loads(text)))

    before = first_hash(text.encode())
    db.execute("UPDATE head SET text = ?, hash = ?", (text, before))
    rows = db.execute("SELECT seq, at_ns, kind, event, commands FROM entries ORDER BY seq")
    chosen = {draw.randrange(1, 30) for _ in range(draw.randint(0, 3))}
    for seq, at_ns, kind, event, commands in rows.fetchall():
        if seq in chosen:
            if draw.randrange(2):
                event = json.dumps(_spoil(draw, json.loads(event)))
            else:
                commands = json.dumps(_spoil(draw, json.loads(commands)))
        before = chained(before, seq, at_ns, kind, event.encode(), commands.encode())
        db.execute(
            "UPDATE entries SET event = ?, commands = ?, hash = ? WHERE seq = ?",
            (event, commands, before, seq),
        )
    db.execute("DELETE FROM snapshots")
    db.close()


def test_crafted_journals_end_as_messages(whole: Path, tmp_path: Path) -> None:
    for seed in range(examples(40)):
        draw, folder = random.Random(seed), _copy(whole, tmp_path / "live-1")
        _craft(draw, folder / "journal.sqlite")
        try:
            _read(folder)
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error


def test_commands_on_crafted_runs_end_as_messages(whole: Path, tmp_path: Path) -> None:
    for seed in range(examples(10)):
        draw = random.Random(f"commands {seed}")
        folder = _copy(whole, tmp_path / "demo" / "live-1")
        _craft(draw, folder / "journal.sqlite")
        for command, words in (
            (runs, ["show", str(folder)]), (runs, ["list"]), (report, [str(folder)]),
            (why, [str(folder), "1"]),
        ):  # fmt: skip
            found = CliRunner().invoke(command, [*words, "--runs", str(tmp_path)])
            good = found.exception is None or isinstance(found.exception, SeptetError | SystemExit)
            assert good, (seed, words, found.exc_info)
