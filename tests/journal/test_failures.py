"""The disk is full, locked, read-only or lies: reported, nothing half stored, it can go on."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from septet._journal import disk_reserve, journal_writer, write_ahead_tail
from septet._journal.disk_reserve import RESERVE_BYTES, Reserve
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet.errors import JournalError
from tests.journal.drawn import HEAD, bar, filled, order

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65_534
FULL = """
import resource, signal, sys
from pathlib import Path
from septet._journal import write_ahead_tail
from septet.errors import JournalError
from tests.journal.drawn import HEAD, bar, filled
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
write_ahead_tail.TAIL_BYTES = 10_000
journal = filled(Path(sys.argv[1]), 50)
journal.move()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
refused = 0
for number in range(51, 1_000):
    journal.append(bar(number), ())
    try:
        journal.commit()
        assert not refused, number
    except JournalError as problem:
        refused += 1
        assert "entries failed" in problem.message and journal.failing, problem
        stored = journal.last_seq
        assert stored < number, (stored, number)
assert refused > 100 and journal.waiting == refused, refused
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert journal.commit() == journal.seq - stored
assert not journal.failing and not journal.waiting
assert [entry.seq for entry in journal.read()] == list(range(1, 1_000))
assert journal.verify().ok
journal.close()
"""


def test_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "j")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_locked_database_is_waited_for_and_then_reported(tmp_path: Path) -> None:
    filled(tmp_path / "j", 2).close()
    with Journal.open(tmp_path / "j", busy_s=0.02) as journal:
        other = sqlite3.connect(tmp_path / "j", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        journal.append(bar(3), ())
        assert journal.commit(durable=True) == 1  # it needs no database
        with pytest.raises(JournalError, match="moving 1 entries failed: database is locked"):
            journal.move()
        journal.append(bar(4), ())
        with pytest.raises(JournalError, match="moving 1 entries"):
            journal.commit(durable=True)
        assert (journal.last_seq, journal.seq, journal.waiting) == (3, 4, 1)
        with pytest.raises(JournalError, match="locked"):
            journal.snapshot(b"")
        other.execute("ROLLBACK")
        other.close()
        assert journal.commit() == 1
        assert (journal.last_seq, journal.failing) == (4, "")
        assert journal.verify().ok


def test_what_serves_a_reduction_is_stored_where_the_tail_has_room(tmp_path: Path) -> None:
    """The database refuses; a stop's cancel and the sale it serves are safe all the same."""
    with filled(tmp_path / "j", 2) as journal:
        other = sqlite3.connect(tmp_path / "j", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        journal._db.execute("PRAGMA busy_timeout = 20")
        journal.append(bar(3), ())
        journal.commit()
        with pytest.raises(JournalError, match="locked"):
            journal.move()
        for number in (4, 5):
            journal.append(bar(number), ())
            with pytest.raises(JournalError, match="locked"):
                journal.commit(durable=True)
            assert journal.commit(durable=True, reduces=True) == 1
            assert (journal.last_seq, journal.waiting) == (number, 0)
        assert journal.failing  # an entry still waits
        other.execute("ROLLBACK")
        other.close()
        journal.move()
        assert not journal.failing
        assert [each.seq for each in journal.read()] == [1, 2, 3, 4, 5]
        assert journal.verify().ok


def test_a_tail_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a write is none: the next one takes its place."""

    def short(handle: int, data: bytes, place: int) -> int:
        return write(handle, data[:100], place)

    def refused(handle: int, data: bytes, place: int) -> int:
        raise OSError(28, "No space left on device")

    write = os.pwrite
    with filled(tmp_path / "j", 3) as journal:
        for number, (how, text) in enumerate(((short, "only 100 of"), (refused, "No space")), 4):
            journal.append(bar(number), ())
            with monkeypatch.context() as patched:
                patched.setattr(os, "pwrite", how)
                for _ in range(2):
                    with pytest.raises(JournalError, match=f"storing 1 entries failed: {text}"):
                        journal.commit()
                assert text in journal.failing
                assert (journal.last_seq, journal.waiting) == (number - 1, 1)
            assert journal.commit(durable=True) == 1
            assert (journal.last_seq, journal.failing) == (number, "")
        assert journal.verify().ok


class FullDisk:
    """Every write needs new space, and there is none but what the reserve gives back."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.full, self._reserve, self._write = True, folder / "j-reserve", os.pwrite
        patch.setattr(os, "pwrite", self._pwrite)
        patch.setattr(Reserve, "make", self._made(Reserve.make))

    def _pwrite(self, handle: int, data: bytes, place: int) -> int:
        if self.full and self._reserve.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(handle, data, place)

    def _made(self, make: Callable[[Reserve], None]) -> Callable[[Reserve], None]:
        def refused(reserve: Reserve) -> None:
            if self.full and not reserve.is_allocated:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            make(reserve)

        return refused


def test_a7_the_reserve_is_for_reductions_and_nothing_else_is_stored_until_it_stands_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that copies on write is full for the tail as well."""
    with filled(tmp_path / "j", 2) as journal:
        reserve = tmp_path / "j-reserve"
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
        disk = FullDisk(monkeypatch, tmp_path)
        journal.append(bar(3), ())
        with pytest.raises(JournalError, match="storing 1 entries failed: No space"):
            journal.commit(durable=True)
        assert reserve.exists()  # an entry does not get it
        for number in (4, 5):
            journal.append(bar(number), ())
            assert journal.commit(durable=True, reduces=True) == 2 - (number == 5)
            assert not reserve.exists()
        for waiting in (0, 1):  # with nothing to store it fails as well: held orders would leave
            with pytest.raises(JournalError, match="reserving space for reductions failed: No sp"):
                journal.commit(durable=True)
            if not waiting:
                journal.append(bar(6), ())
        disk.full = False
        assert journal.commit(durable=True) == 1
        assert reserve.exists()
        assert [each.seq for each in journal.read()] == [1, 2, 3, 4, 5, 6]
        assert journal.verify().ok
    assert not reserve.exists()  # a run that has ended keeps no space


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_the_reserve_is_kept_where_it_would_not_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(handle: int, data: bytes, place: int) -> int:
        raise OSError(number, os.strerror(number))

    with filled(tmp_path / "j", 2) as journal:
        journal.append(bar(3), ())
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", refused)
            with pytest.raises(JournalError, match=os.strerror(number)):
                journal.commit(durable=True, reduces=True)
        assert (tmp_path / "j-reserve").exists()
        assert journal.commit() == 1


def test_a_reserve_that_finds_too_little_room_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "j", 2).close()
    monkeypatch.setattr(disk_reserve, "_noise", lambda size: "no bytes")  # the write raises
    with pytest.raises(TypeError):
        Journal.open(tmp_path / "j")
    assert not (tmp_path / "j-reserve").exists()


def test_memory_is_bounded_while_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "PENDING_BYTES", 10_000)
    with Journal.create(tmp_path / "j", HEAD) as journal:
        while journal._waiting_bytes <= journal_writer.PENDING_BYTES:
            journal.append(bar(1), ())
        waiting = journal.waiting
        assert 10 < waiting < 99
        with pytest.raises(JournalError, match="wait to be stored; no more are taken"):
            journal.append(bar(1), ())
        assert journal.commit() == waiting
        journal.append(bar(1), ())


def test_a_commit_is_synced_when_asked_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def counted(handle: int) -> None:
        synced.append(handle)
        real(handle)

    monkeypatch.setattr(os, "fdatasync", counted)
    for durability, expected in (("power", 2), ("process", 0)):
        synced.clear()
        with Journal.create(
            tmp_path / durability, HEAD, durability="power" if expected else "process"
        ) as journal:
            for durable in (False, True, True, False, True):  # the third has nothing to sync
                if not durable or not synced:
                    journal.append(bar(1), [order(1)])
                journal.commit(durable=durable)
            assert len(synced) == expected
            assert set(synced) <= {journal._tail.handle}


def test_after_a_failed_sync_no_later_one_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 100_000)
    journal = Journal.create(tmp_path / "j", HEAD, durability="power")
    reading, writing = os.pipe()  # a pipe cannot be synced
    journal.append(bar(1), ())
    assert journal.commit() == 1
    good, journal._tail.handle = journal._tail.handle, writing
    with pytest.raises(JournalError, match="syncing the journal failed"):
        journal.commit(durable=True)
    journal._tail.handle = good
    with pytest.raises(JournalError, match="syncing the journal failed"):
        journal.commit(durable=True)
    for number in range(2, 999):  # what needs no promise is still written down
        journal.append(bar(number), ())
        assert journal.commit() == 1
    assert not journal._tail.fits(1_000)
    journal.close()
    os.close(reading)
    os.close(writing)
    with Journal.open(tmp_path / "j", durability="power") as journal:
        assert journal.findings.ok
        assert journal.seq == 998
        journal.append(bar(999), ())
        assert journal.commit(durable=True) == 1


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Be nobody for a while, where the tests run as root."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was == 0:
            os.seteuid(0)


def test_a_folder_that_cannot_be_written_to() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filled(folder / "j", 3).close()
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        with _unprivileged():
            with pytest.raises(JournalError, match="Permission denied"):
                Journal.open(folder / "j")
            with pytest.raises(JournalError, match="locking failed"):
                Journal.create(folder / "k", HEAD)
            with Reader(folder / "j") as reader:
                assert reader.last_seq == 3
        folder.chmod(0o755)


@pytest.mark.parametrize("gone", ["folder", "database", "log"])
def test_deleted_files_take_nothing_but_what_serves_a_reduction(tmp_path: Path, gone: str) -> None:
    """An open file that was deleted takes rows, and nobody can read them."""
    folder = tmp_path / "run"
    folder.mkdir()
    with filled(folder / "j", 2) as journal:
        if gone == "folder":
            shutil.rmtree(folder)
        else:
            (folder / ("j" if gone == "database" else "j-wal")).unlink()
        journal.append(bar(3), ())
        with pytest.raises(JournalError, match="files were deleted"):
            journal.commit()
        assert journal.waiting == 1
        assert journal.commit(reduces=True) == 1
        journal.append(bar(4), ())
        with pytest.raises(JournalError, match="files were deleted"):
            journal.commit()


def test_a_journal_whose_folder_was_moved_goes_on(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()
    with filled(folder / "j", 2) as journal:
        folder.rename(elsewhere)
        journal.append(bar(3), ())
        assert journal.commit() == 1
    with Journal.open(elsewhere / "j") as journal:
        assert [entry.seq for entry in journal.read()] == [1, 2, 3]
