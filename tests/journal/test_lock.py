"""A lock is waited for while others only look at it, and never while one holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from septet._journal import lock as locks


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record pauses instead of making them."""
    made: list[float] = []
    monkeypatch.setattr("septet._journal.lock.time.sleep", made.append)
    return made


def opened(path: Path, how: int) -> int:
    """Lock a file apart from the lock under test, as another process would."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, how | fcntl.LOCK_NB)
    return handle


def test_a_lock_that_is_only_looked_at_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = opened(tmp_path / "lock", fcntl.LOCK_SH)
    made: list[float] = []

    def pause(seconds: float) -> None:
        made.append(seconds)
        if len(made) == 20:
            os.close(looking)

    monkeypatch.setattr("septet._journal.lock.time.sleep", pause)
    handle = locks.lock(tmp_path / "lock")
    assert handle is not None
    assert len(made) == 20
    locks.free(handle)


def test_a_lock_that_is_held_is_not_waited_for(tmp_path: Path, pauses: list[float]) -> None:
    held = opened(tmp_path / "lock", fcntl.LOCK_EX)
    assert locks.lock(tmp_path / "lock") is None
    assert pauses == []
    assert locks.is_locked(tmp_path / "lock")
    os.close(held)
    assert not locks.is_locked(tmp_path / "lock")


def test_the_wait_ends(tmp_path: Path, pauses: list[float]) -> None:
    looking = opened(tmp_path / "lock", fcntl.LOCK_SH)
    assert locks.lock(tmp_path / "lock") is None
    assert sum(pauses) == pytest.approx(2.0)
    os.close(looking)
