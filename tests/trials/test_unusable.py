"""A ledger that cannot be used costs no run, and its verdict states that tries are not known."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner

import septet
from septet._trials import ledger
from septet._trials.ledger import Ledger, LedgerError, Trial, ledger_path
from septet._trials.ledger_mark import mark_of
from septet._trials.months import Month
from septet.cli import cli
from septet.errors import InputError
from tests.python.samples import written


@pytest.fixture(autouse=True)
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))


def tries(folder: Path) -> dict[str, Any]:
    """Run a backtest; return what its summary reports of tries."""
    folder.mkdir(exist_ok=True)
    found: dict[str, Any] = septet.run(septet.load(written(folder))).summary.document()["tries"]
    return found


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_ledger_that_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tries(tmp_path / "first"), tries(tmp_path / "first")
    monkeypatch.setattr(ledger, "_BUSY_MS", 1)
    with closing(sqlite3.connect(ledger_path(), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = tries(tmp_path / "first")
    assert found["count"] is None
    assert "locked" in found["text"]
    assert tries(tmp_path / "first") == before[1]


def test_a_full_disk_under_the_ledger(tmp_path: Path) -> None:
    strategy = septet.load(written(tmp_path))
    before = [septet.run(strategy).summary.document()["tries"] for _ in range(2)]
    other = strategy.with_({"features.fast.period": 6})
    with at_most(1):
        found = septet.run(other).summary.document()["tries"]
    assert found["count"] is None
    assert "full" in found["text"] or "I/O" in found["text"], found
    assert septet.run(strategy).summary.document()["tries"] == before[1]
    assert septet.run(other).summary.document()["tries"]["count"] == 2


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", "/proc/septet")
    found = tries(tmp_path / "first")
    assert found["count"] is None
    assert "/proc/septet" in found["text"]


SOME: Final = tuple(Month(f"{n:016x}", f"BTC:2023-{n:02}") for n in range(1, 5))


def recorded(*names: str) -> None:
    with Ledger(ledger_path()) as kept:
        kept.record(SOME, [Trial(each.encode(), b"f", "s", 0, np.ones(3)) for each in names], 1)


def changed(*statements: str) -> None:
    """Change rows as a person does who opens the file; its triggers are put back."""
    with closing(sqlite3.connect(ledger_path())) as other:
        triggers = other.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        kept = triggers.fetchall()
        for name, _ in kept:
            other.execute(f"DROP TRIGGER {name}")
        for each in (*statements, *(sql for _, sql in kept)):
            other.execute(each)
        other.commit()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM trials WHERE seq = 4", "row 4 is not the one that was written"),
        ("UPDATE trials SET returns = x'00' WHERE seq = 2", "row 2 is not the one that was"),
        ("UPDATE trials SET at_ns = 0 WHERE seq = 9", "row 9 is not the one that was written"),
        ("DELETE FROM trials WHERE seq >= 4", "lacks its end: it had 9 rows and has 3"),
        ("DELETE FROM trials", "lacks its end: it had 9 rows and has 0"),
    ],
)
def test_a_row_that_was_changed_or_removed_is_reported_by_every_run(
    tmp_path: Path, damage: str, words: str
) -> None:
    recorded(*"abcdefghi")
    changed(damage)
    for _ in range(2):
        found = tries(tmp_path / "first")
        assert found["count"] is None
        assert words in found["text"]
    listed = CliRunner().invoke(cli, ["trials"])
    assert isinstance(listed.exception, InputError)
    assert words in listed.exception.message


def test_an_older_copy_and_a_removed_ledger_are_reported(tmp_path: Path) -> None:
    recorded(*"abc")
    older = ledger_path().read_bytes()
    recorded(*"defg")
    newer = ledger_path().read_bytes()
    ledger_path().write_bytes(older)
    assert "lacks its end: it had 7 rows and has 3" in tries(tmp_path / "first")["text"]
    ledger_path().unlink()
    for _ in range(2):
        found = tries(tmp_path / "first")
        assert found["count"] is None
        assert "is missing: it had 7 rows" in found["text"]
    assert not ledger_path().exists()
    with pytest.raises(LedgerError, match="is missing"):
        recorded("x")
    ledger_path().write_bytes(newer)
    first = tries(tmp_path / "first")
    assert first["count"] == 1, "a copy of the newest state is as good as the file"
    mark_of(ledger_path()).unlink()
    ledger_path().unlink()
    assert "the first in a new ledger" in tries(tmp_path / "first")["text"]


def test_what_septet_wrote_itself_is_not_verified_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed: list[int] = []
    whole = Ledger.verify_rows

    def counting(self: Ledger) -> int:
        followed.append(1)
        return whole(self)

    monkeypatch.setattr(Ledger, "verify_rows", counting)
    recorded("a")
    before = len(followed)
    for each in "bcdef":
        recorded(each)
        with Ledger(ledger_path()) as kept:
            assert kept.known(SOME).tries.count
    assert len(followed) == before
    changed("UPDATE trials SET seq = seq")
    recorded("g")
    assert len(followed) == before + 1


def test_a_mark_that_cannot_be_read_costs_a_verification_and_no_try(tmp_path: Path) -> None:
    recorded(*"ab")
    for text in ("", "[]", '{"seq": "x"}', '{"seq": 1}', "[" * 10_000):
        mark_of(ledger_path()).write_text(text)
        recorded("a")
        with Ledger(ledger_path()) as kept:
            assert kept.known(SOME).tries.count == 2


def test_two_who_write_at_once_leave_a_whole_ledger() -> None:
    recorded("a")
    with Ledger(ledger_path()) as one, Ledger(ledger_path()) as other:
        for number, kept in enumerate((one, other, one, other)):
            trial = Trial(f"t{number}".encode(), b"f", "s", 0, np.ones(3))
            kept.record(SOME, [trial], 2)
    with Ledger(ledger_path()) as kept:
        assert kept.verify_rows() == 5
