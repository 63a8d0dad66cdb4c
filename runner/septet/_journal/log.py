"""The journal's only writer: entries wait in memory and are committed together, or not at all.

What "committed" means is the run's `durability`. Every commit is one write to SQLite's
write-ahead log: safe against the end of this process. With ``power`` a commit that asks for it
is also synced (`fdatasync` of that log, after a commit that SQLite itself does not sync: the
same bytes on the disk as `synchronous=FULL`, without switching it between transactions).
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from septet import messages as m
from septet._journal.form import (
    APPLICATION,
    FORMAT,
    PAGE_BYTES,
    TABLES,
    Head,
    first_hash,
    row_of,
    snapshot_digest,
)
from septet._journal.lock import free, lock
from septet._journal.reader import BUSY_S, Reader, connect, guarded
from septet._journal.verify import Findings, mend, walk
from septet.errors import InputError, JournalError

__all__ = ["Durability", "Journal"]

Durability = Literal["process", "power"]

PENDING_BYTES: Final = 64 << 20
"""Most that waits in memory while the disk refuses; then `append` refuses, too."""
WAL_PAGES: Final = 2_000
"""At this size the write-ahead log is folded in whatever happens; 16 MiB."""
QUIET_BYTES: Final = 1 << 20
"""From this size on it is folded in at quiet moments."""
SNAPSHOTS: Final = 3
_ROW: Final = "(?, ?, ?, ?, ?, ?)"
_COLUMNS: Final = 6
"""Of `entries`: rows wait one after the other in one list, as a statement of many takes them."""
_TOGETHER: Final = 32
_INSERTS: Final = tuple(
    f"INSERT INTO entries VALUES {', '.join([_ROW] * count)}"  # nosec B608
    for count in range(_TOGETHER + 1)
)
"""By number of rows: a statement of many costs a third less for each than as many statements."""
_WIDTH: Final = _TOGETHER * _COLUMNS
_MARK: Final = struct.Struct("<q")


class Journal(Reader):
    """A journal that is written, by exactly one process and one thread at a time.

    `append` gives an entry its number and keeps it in memory; `commit` stores all that wait in
    one transaction. If a commit fails nothing of it is stored, `failing` says why, and what
    waits is kept: another `commit` tries again. Nothing may be sent that is not committed.
    """

    def __init__(
        self, path: Path | str, *, durability: Durability, held: int, busy_s: float = BUSY_S
    ) -> None:
        self.path = Path(path)
        self.durability = durability
        self.failing = ""
        self.findings = Findings()
        self._lock = held
        self._unsynced = False
        self._sync_failed = ""
        self._wal = -1
        self._batch: list[int | str | bytes] = []
        self._waiting_bytes = 0
        self._log_bytes = 0
        self._db = connect(self.path, write=True, busy_s=busy_s)
        try:
            self._begin()
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    # ------------------------------------------------------------ opening

    @classmethod
    def create(
        cls,
        path: Path | str,
        head: Head,
        *,
        durability: Durability = "process",
        mark: Path | None = None,
        busy_s: float = BUSY_S,
    ) -> Self:
        """Make a new journal; there must be none.

        `mark` is the file that remembers how far the journal had come (default: beside it). Kept
        elsewhere it shows that an old copy of the folder was put back.
        """
        path = Path(path)
        if path.exists():
            raise InputError(f"there is a journal at {path} already")
        held = _only_writer(path)
        try:
            with guarded(path, "making a journal"):
                _make(path, msgspec.json.encode(head))
            journal = cls(path, durability=durability, held=held, busy_s=busy_s)
        except BaseException:
            free(held)
            raise
        journal._keep_mark(mark or _beside(path))
        return journal

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        durability: Durability = "process",
        mark: Path | None = None,
        full: bool = False,
        busy_s: float = BUSY_S,
    ) -> Self:
        """Open a journal to go on writing it: verify it from the newest good snapshot on.

        A torn tail is cut back to the last good entry; `findings` says so. `full` verifies every
        entry.

        Raises
        ------
        InputError
            There is none, or it is of another format.
        JournalError
            It is damaged or tampered with before its end, another process writes it, or it
            cannot be read.
        """
        path = Path(path)
        if not path.exists():
            raise InputError(f"there is no journal at {path}")
        held = _only_writer(path)
        try:
            expected = _read_mark(mark or _beside(path))
            findings = mend(path, expected=expected, full=full, busy_s=busy_s)
            journal = cls(path, durability=durability, held=held, busy_s=busy_s)
        except BaseException:
            free(held)
            raise
        journal.findings = findings
        journal._keep_mark(mark or _beside(path))
        return journal

    def _prepare(self) -> None:
        with guarded(self.path, "opening"):
            for setting in (
                "journal_mode = WAL", "synchronous = NORMAL", "secure_delete = OFF",
                f"wal_autocheckpoint = {WAL_PAGES}", "cache_size = -8000",
            ):  # fmt: skip
                self._db.execute(f"PRAGMA {setting}")
            row = self._db.execute(
                "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            # Makes the -wal file, and shows a read-only disk at once.
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
            self._db.execute("DELETE FROM snapshots WHERE seq > ?", (row[0] if row else 0,))
            self._db.execute("COMMIT")
            # Closing this drops no lock of SQLite's: those are on the other two files.
            self._wal = os.open(f"{self.path}-wal", os.O_RDWR | os.O_CLOEXEC)
            os.fsync(self._wal)
            _sync_folder(self.path.parent)
        self._seq: int = row[0] if row else 0
        self._hash: bytes = row[1] if row else self.first_hash
        self._stored_seq = self._seq

    def _keep_mark(self, path: Path) -> None:
        with guarded(path, "making the mark"):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(handle, 0, _MARK.size)
                self._mark = mmap.mmap(handle, _MARK.size)
            finally:
                os.close(handle)
        _MARK.pack_into(self._mark, 0, self._stored_seq)

    def close(self) -> None:
        """Close it; what was appended and not committed is lost."""
        if self._lock < 0:
            return
        self._mark.close()
        self._db.close()
        os.close(self._wal)
        free(self._lock)
        self._lock = -1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------ writing

    @property
    def seq(self) -> int:
        """Number of the last entry that was appended, stored or not."""
        return self._seq

    @property
    def waiting(self) -> int:
        """How many entries were appended and are not stored yet."""
        return len(self._batch) // _COLUMNS

    def append(self, event: m.Event | bytes, commands: Sequence[m.Command] | bytes) -> int:
        """Take an event and what it caused; return its number. Stored by the next `commit`.

        Raises
        ------
        JournalError
            More waits than memory is set aside for: the disk has refused for too long.
        """
        if self._waiting_bytes > PENDING_BYTES:
            raise JournalError(
                f"{self.path}: {self.waiting:,} entries wait to be stored; no more are taken",
                hint=self.failing or "commit them first",
            )
        row = row_of(self._hash, self._seq + 1, event, commands)
        self._batch += row
        self._waiting_bytes += len(row[3]) + len(row[4]) + 100
        self._seq, self._hash = row[0], row[5]
        return row[0]

    def commit(self, durable: bool = False) -> int:
        """Store what waits, as a whole; return how many entries that were.

        `durable` asks that nothing of it is lost with the power; it costs a sync of the disk
        where the run's durability is ``power``, and nothing otherwise.

        Raises
        ------
        JournalError
            Nothing of it was stored (disk full, locked, read-only), or it could not be synced.
        """
        count = len(self._batch) // _COLUMNS
        if count:
            try:
                self._store()
            except sqlite3.Error as problem:
                self._give_up(problem)
            self.failing = ""
            self._stored_seq = self._seq
            self._log_bytes += self._waiting_bytes
            self._waiting_bytes = 0
            self._batch.clear()
            self._unsynced = True
            _MARK.pack_into(self._mark, 0, self._seq)
        if durable and self.durability == "power" and (self._unsynced or self._sync_failed):
            self._sync()
        return count

    def _store(self) -> None:
        db, batch = self._db, self._batch
        if self.failing:  # whether the failed one is there after all, the database says
            stored = int(db.execute("SELECT max(seq) FROM entries").fetchone()[0] or 0)
            batch = batch[max(0, stored - self._stored_seq) * _COLUMNS :]
        alone = len(batch) <= _WIDTH  # a statement alone is a transaction
        if not alone:
            db.execute("BEGIN IMMEDIATE")
        for first in range(0, len(batch), _WIDTH):
            values = batch if alone else batch[first : first + _WIDTH]
            db.execute(_INSERTS[len(values) // _COLUMNS], values)
        if not alone:
            db.execute("COMMIT")

    def _give_up(self, problem: sqlite3.Error) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        try:
            with guarded(self.path, f"storing {self.waiting:,} entries"):
                raise problem
        except JournalError as error:
            self.failing = error.message
            raise

    def _sync(self) -> None:
        """Sync; after a failure the kernel may call lost pages clean, so no later one counts."""
        if not self._sync_failed:
            try:
                os.fdatasync(self._wal)
            except OSError as problem:
                self._sync_failed = problem.strerror or str(problem)
        if self._sync_failed:
            raise JournalError(
                f"{self.path}: syncing the journal failed: {self._sync_failed}",
                hint="no order can be made safe against power loss; see to the disk, then start "
                "the run again",
            )
        self._unsynced = False

    def snapshot(self, state: bytes) -> None:
        """Store the state of the core after the last entry; commits what waits. Keeps three."""
        self.commit()
        digest = snapshot_digest(self.first_hash, self._seq, self._hash, state)
        with guarded(self.path, "storing a snapshot"), self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)",
                (self._seq, self._hash, digest, state),
            )
            self._db.execute(
                "DELETE FROM snapshots WHERE seq NOT IN"
                " (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?)",
                (SNAPSHOTS,),
            )
        self._log_bytes += len(state)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def quiet(self) -> bool:
        """Nothing is going on: fold the write-ahead log into the database if it has grown.

        Call it where a few milliseconds do not matter. It waits for nobody.
        """
        if self._log_bytes < QUIET_BYTES:
            return False
        with guarded(self.path, "folding the log in"):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._log_bytes = 0
        return True

    # ------------------------------------------------------------ who writes, and since when

    def begin(self, *, pid: int, host: str, boot: str, now_ns: int | None = None) -> int:
        """Note that the process started; return the number of the session, from 1."""
        now = time.time_ns() if now_ns is None else now_ns
        with guarded(self.path, "noting the start"), self._transaction():
            row = self._db.execute("SELECT max(session) FROM starts").fetchone()
            session = int(row[0] or 0) + 1
            self._db.execute(
                "INSERT INTO starts VALUES (?, ?, ?, ?, NULL, NULL, NULL)",
                (session, now, pid, host),
            )
            self._db.execute(
                "INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?, ?)",
                (pid, host, boot, now, now),
            )
        return session

    def heartbeat(self, now_ns: int | None = None) -> None:
        """Note that the process lives."""
        now = time.time_ns() if now_ns is None else now_ns
        with guarded(self.path, "noting the heartbeat"):
            self._db.execute("UPDATE lease SET heartbeat_ns = ?", (now,))

    def end(self, *, clean: bool, how: str, now_ns: int | None = None) -> None:
        """Note how the session ended; a killed process leaves that out."""
        now = time.time_ns() if now_ns is None else now_ns
        with guarded(self.path, "noting the end"), self._transaction():
            self._db.execute(
                "UPDATE starts SET ended_ns = ?, clean = ?, how = ?"
                " WHERE session = (SELECT max(session) FROM starts)",
                (now, int(clean), how),
            )
            self._db.execute("DELETE FROM lease")

    def verify(self) -> Findings:
        """Walk the whole chain; see `septet._journal.verify`."""
        self.commit()
        return walk(self, expected=self._stored_seq)


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _only_writer(path: Path) -> int:
    """Take the lock that makes this process the only writer; freed by its end, however it ends."""
    with guarded(path, "locking"):
        handle = lock(path.with_name(f"{path.name}-lock"))
    if handle is None:
        raise JournalError(
            f"{path}: another process writes this journal",
            hint="stop the other run first; `septet runs show` says who it is",
        )
    return handle


def _make(path: Path, head: bytes) -> None:
    """Write an empty journal under another name, and give it its own when it is whole."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN")
        for table in TABLES:
            db.execute(table)
        db.execute("INSERT INTO head VALUES (1, ?, ?)", (str(head, "utf-8"), first_hash(head)))
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute("COMMIT")
    finally:
        db.close()
    os.replace(draft, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-mark")


def _read_mark(path: Path) -> int:
    """How far the journal had come, as its last writer said; 0 if nobody knows."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    return int(_MARK.unpack_from(data)[0]) if len(data) >= _MARK.size else 0
