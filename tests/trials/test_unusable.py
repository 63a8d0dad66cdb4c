"""A ledger that cannot be used costs no run, and its verdict states that tries are not known."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import septet
from septet._trials import ledger
from septet._trials.ledger import ledger_path
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
