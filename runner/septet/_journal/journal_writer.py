"""The journal's only writer: entries wait in memory and are committed together, or not at all.

What "committed" means is the run's `durability`. Every commit is one write to the tail
(`septet._journal.write_ahead_tail`): safe against the end of this process. With ``power`` a commit
that asks for it is also synced. The database gets the entries later, many in one transaction
(`move`); the tail restarts once they are stored there with the promised durability.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from septet import messages as m
from septet._files import open_lock, require_regular_files
from septet._journal.journal_files import (
    COUNT,
    PROMISED_AT,
    Mark,
    beside,
    make,
    make_mark,
    only_writer,
    read_mark,
    require_not_deleted,
    sync_folder,
)
from septet._journal.journal_format import (
    COLUMNS,
    FORMAT,
    INSERTS,
    MAX_ROW_BYTES,
    Head,
    row_of,
    snapshot_digest,
)
from septet._journal.lease import boot_id
from septet._journal.lock import free
from septet._journal.reader import BUSY_S, IS_LIVE, NOT_LIVE, Reader, connect, guarded
from septet._journal.verify import Findings, mend, walk
from septet._journal.write_ahead_tail import FRAME_BYTES, Tail, frame_of, tail_of
from septet.errors import InputError, JournalError

__all__ = ["Durability", "Journal"]

Durability = Literal["process", "power"]

PENDING_BYTES: Final = 64 << 20
"""Most that waits in memory while the disk refuses; then `append` refuses, too."""
WAL_PAGES: Final = 2_000
"""At this size the write-ahead log is folded in whatever happens; 16 MiB."""
IDLE_CHECKPOINT_BYTES: Final = 1 << 20
"""From this size on the log is checkpointed while the run is idle."""
FLOOD_BYTES: Final = 32 << 10
"""A commit this long goes past the tail where that is not synced: it would be written twice."""
SNAPSHOTS: Final = 3
_WIDTH: Final = (len(INSERTS) - 1) * COLUMNS


class Journal(Reader):
    """A journal open for writing, by exactly one process and one thread at a time.

    `append` gives an entry its number and keeps it in memory; `commit` stores all that wait in
    one write, and `move` puts what was committed into the database. If a commit fails nothing of
    it is stored, `failing` is the reason, and waiting entries are kept: the next `commit` retries.
    After a `move` that failed, commits fail until one works. Nothing may be sent that is not
    committed.
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
        self._file = self._wal = -1
        self._rows: list[int | str | bytes] = []  # of entries not yet in the database, in order
        self._links: list[tuple[bytes, bytes]] = []  # waiting entries: hash, hashed bytes
        self._waiting_bytes = self._unmoved_bytes = self._log_bytes = 0
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
        """Create a journal; none may exist.

        `mark` is the file that records the number of written entries (default: beside it). Stored
        elsewhere, it reveals that an old copy of the folder was restored.
        """
        path = Path(path)
        if path.exists():
            raise InputError(f"there is a journal at {path} already")
        held = only_writer(path)
        try:
            with guarded(path, "making a journal"):
                require_regular_files(*(Path(f"{path}{end}") for end in ("-wal", "-shm")))
                make(path, msgspec.json.encode(head))
            journal = cls(path, durability=durability, held=held, busy_s=busy_s)
        except BaseException:
            free(held)
            raise
        journal._keep_mark(mark or beside(path), Mark())
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
        """Open a journal for writing; it is verified from the newest valid snapshot on.

        A torn tail is cut back to the last valid entry, which `findings` reports. `full` verifies
        every entry. `busy_s` is how long to wait for a lock of the database, in seconds.

        Raises
        ------
        InputError
            If there is no journal, or it has another format.
        JournalError
            If it is damaged before its end, if another process writes it, or if it cannot be
            read.
        """
        path = Path(path)
        if not path.exists():
            raise InputError(f"there is no journal at {path}")
        held = only_writer(path)
        try:
            known = read_mark(mark or beside(path))
            findings = mend(path, mark=known, full=full, busy_s=busy_s)
            journal = cls(path, durability=durability, held=held, busy_s=busy_s)
        except BaseException:
            free(held)
            raise
        journal.findings = findings
        journal._keep_mark(mark or beside(path), known)
        return journal

    def _prepare(self) -> None:
        with guarded(self.path, "opening"):
            for setting in (
                "journal_mode = WAL", "synchronous = NORMAL", "secure_delete = OFF",
                f"wal_autocheckpoint = {WAL_PAGES}", "cache_size = -8000",
            ):  # fmt: skip
                self._db.execute(f"PRAGMA {setting}")
            # Makes the -wal file, and shows a read-only disk at once.
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
            for each in self._newer():
                texts = each.kind, each.event_json.decode(), each.commands_json.decode()
                self._db.execute(INSERTS[1], (each.seq, each.at_ns, *texts, each.hash))
            row = self._db.execute(
                "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            self._db.execute("DELETE FROM snapshots WHERE seq > ?", (row[0] if row else 0,))
            self._db.execute("COMMIT")
            # Closing a file drops SQLite's locks on it: of these two the database is closed first.
            self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._wal = open_lock(Path(f"{self.path}-wal"), make=False)
            os.fsync(self._wal)
            self._tail = Tail(
                tail_of(self.path), self.first_hash, boot=boot_id(),
                synced=self.durability == "power",
            )  # fmt: skip
            sync_folder(self.path.parent)
        self._seq: int = row[0] if row else 0
        self._hash: bytes = row[1] if row else self.first_hash
        self._committed_seq = self._seq

    def _keep_mark(self, path: Path, known: Mark) -> None:
        """Write the last entry to the mark; `_prepare` has synced all of it.

        The mark of an old copy stays as it is until the first commit: else the next start would
        find nothing wrong.
        """
        mark = known if self.findings.old else self._mark_at(self._committed_seq)
        with guarded(self.path, "making the mark"):
            self._mark = make_mark(path, mark)
        self._holds_mark = bool(self.findings.old)

    def _mark_at(self, promised: int) -> Mark:
        return Mark(self._committed_seq, promised, self.durability, boot_id())

    def _promise(self) -> None:
        """Record in the mark that committed entries were synced."""
        if not self._holds_mark:
            COUNT.pack_into(self._mark, PROMISED_AT, self._committed_seq)

    def close(self) -> None:
        """Close the journal; entries that were appended and not committed are lost.

        The tail is kept if the database refused its entries, or no end of the run was stored.
        """
        if self._lock < 0:
            return
        ended = False
        with suppress(JournalError):
            self.move()
            ended = self.has_ended
        moved = not self.failing and self._synced(self._wal)
        if moved:
            self._promise()
        self._mark.close()
        self._tail.close(remove=moved and ended)
        with suppress(sqlite3.Error):  # a copy of the journal alone is then complete
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._db.close()
        os.close(self._file)
        os.close(self._wal)
        free(self._lock)
        self._lock = -1

    # ------------------------------------------------------------ writing

    @property
    def seq(self) -> int:
        """Return the number of the last appended entry, committed or not."""
        return self._seq

    @property
    def waiting(self) -> int:
        """Return how many appended entries are not committed yet."""
        return len(self._links)

    def append(self, event: m.Event | bytes, commands: Sequence[m.Command] | bytes) -> int:
        """Append an event and its commands; return its number. The next `commit` stores it.

        Raises
        ------
        JournalError
            If more entries wait than the memory limit allows, since commits have failed for too
            long; or if this entry is larger than half of `MAX_ROW_BYTES`.
        """
        if self._waiting_bytes > PENDING_BYTES:
            raise JournalError(
                f"{self.path}: {self.waiting:,} entries wait to be stored; no more are taken",
                hint=self.failing or "commit them first",
            )
        row, link = row_of(self._hash, self._seq + 1, event, commands)
        if len(link) > MAX_ROW_BYTES // 2:  # SQLite counts the rest of the row as well
            raise JournalError(
                f"{self.path}: an entry of {len(link):,} bytes is larger than a journal takes"
            )
        self._rows += row
        self._links.append((row[5], link))
        self._waiting_bytes += FRAME_BYTES + len(link)
        self._seq, self._hash = row[0], row[5]
        return row[0]

    def commit(self, durable: bool = False, *, reduces: bool = False) -> int:
        """Commit all appended entries together; return their number.

        With `durable` they survive a power loss if the run's durability is ``power``, which costs
        a sync of the disk. With `reduces`, for entries that serve a reduction, they are written to
        the preallocated tail and its reserve even if the database cannot be written; other
        entries wait until the reserve is restored.

        Raises
        ------
        JournalError
            If nothing was stored (disk full, locked, read-only, files deleted), or it could not
            be synced.
        """
        if not reduces:
            require_not_deleted(self.path, self._file, self._wal)
        if self.failing:
            try:
                self.move()
            except JournalError:
                if not (reduces and self._tail.fits(self._waiting_bytes)):
                    raise
        if not (reduces or self._tail.reserve.is_allocated):
            with self._failing("reserving space for reductions"):
                self._tail.reserve.make()
        count = len(self._links)
        if count:
            self._keep(reduces)
            self._committed_seq = self._seq
            self._waiting_bytes = 0
            self._links.clear()
            COUNT.pack_into(self._mark, 0, self._seq)
            if self._holds_mark:
                self._mark[:] = self._mark_at(self.findings.last).packed()
                self._holds_mark = False
        if durable and self.durability == "power":
            self._require_sync()
            self._promise()
        return count

    def _keep(self, reduces: bool) -> None:
        """Write the appended entries into the tail, or into the database if it is full."""
        length = self._waiting_bytes
        flood = self.durability == "process" and length > FLOOD_BYTES and not self.failing
        if flood or not self._tail.fits(length):
            self._store(len(self._rows), f"storing {self.waiting:,} entries")
            self._log_bytes += length
            self._restart()
            return
        try:
            self._tail.put(b"".join([frame_of(*each) for each in self._links]), reduces=reduces)
        except OSError:
            with self._failing(f"storing {self.waiting:,} entries"):
                raise
        self._unsynced = True
        self._unmoved_bytes += length

    @contextmanager
    def _failing(self, doing: str) -> Iterator[None]:
        """Remember a failure."""
        try:
            with guarded(self.path, doing):
                yield
        except JournalError as error:
            self.failing = error.message
            raise
        self.failing = ""

    def move(self) -> None:
        """Move committed entries into the database, in one transaction.

        It takes a fraction of a millisecond; it returns at once if there is nothing to move.

        Raises
        ------
        JournalError
            If the database cannot be written (disk full, locked, read-only); nothing was moved.
        """
        count = len(self._rows) - len(self._links) * COLUMNS
        if count or self.failing:
            self._store(count, f"moving {count // COLUMNS:,} entries")
            if self.durability == "process" or self._tail.used > self._tail.size // 2:
                self._restart()

    def _restart(self) -> None:
        """Restart the tail, once the database guarantees its entries."""
        if self.durability == "process":
            self._tail.restart()
        elif self._synced(self._wal):
            self._promise()
            self._tail.restart()
            self._unsynced = False

    def _store(self, length: int, doing: str) -> None:
        """Insert the first rows into the database, by their number of values."""
        db, rows = self._db, self._rows[:length]
        with self._failing(doing), self._transaction():
            if self.failing and rows:  # the database shows if the failed one was stored
                stored = int(db.execute("SELECT max(seq) FROM entries").fetchone()[0] or 0)
                rows = rows[max(0, stored + 1 - int(rows[0])) * COLUMNS :]
            for first in range(0, len(rows), _WIDTH):
                values = rows[first : first + _WIDTH]
                db.execute(INSERTS[len(values) // COLUMNS], values)
        del self._rows[:length]
        self._log_bytes += self._unmoved_bytes
        self._unmoved_bytes = 0

    def _synced(self, handle: int) -> bool:
        """Sync a file; after a failure the kernel may call lost pages clean: none counts then."""
        if not self._sync_failed:
            try:
                os.fdatasync(handle)
            except OSError as problem:
                self._sync_failed = problem.strerror or str(problem)
        return not self._sync_failed

    def _require_sync(self) -> None:
        if self._unsynced and self._synced(self._tail.handle):
            self._unsynced = False
        if self._sync_failed:
            raise JournalError(
                f"{self.path}: syncing the journal failed: {self._sync_failed}",
                hint="no order can be made safe against power loss; see to the disk, then start "
                "the run again",
            )

    def snapshot(self, state: bytes) -> None:
        """Store the core's state after the last entry; commits waiting entries. Keeps three."""
        self.commit()
        self.move()
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

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def checkpoint_if_idle(self) -> bool:
        """Checkpoint SQLite's log if it has grown; to be called while the run is idle.

        It may take a few milliseconds. It does not wait for other readers.
        """
        if self._log_bytes + self._unmoved_bytes < IDLE_CHECKPOINT_BYTES:
            return False
        self.move()
        with guarded(self.path, "folding the log in"):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._log_bytes = 0
        return True

    # ------------------------------------------------------------ who writes, and since when

    def begin(self, *, pid: int, host: str, boot: str, now_ns: int | None = None) -> int:
        """Record the start of the process; return the number of the session, from 1."""
        now = time.time_ns() if now_ns is None else now_ns
        self.move()
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
        """Write a heartbeat."""
        now = time.time_ns() if now_ns is None else now_ns
        self.move()
        with guarded(self.path, "noting the heartbeat"):
            self._db.execute("UPDATE lease SET heartbeat_ns = ?", (now,))

    def note_live(self) -> None:
        """Record that the run is live: from now on an unclean end counts as a crash."""
        self.move()
        with guarded(self.path, "noting that it is live"):
            self._db.execute(
                "UPDATE starts SET how = ? WHERE session = (SELECT max(session) FROM starts)",
                (IS_LIVE,),
            )

    def end(self, *, clean: bool, how: str, now_ns: int | None = None) -> None:
        """Record how the session ended; a killed process does not."""
        now = time.time_ns() if now_ns is None else now_ns
        self.move()
        with guarded(self.path, "noting the end"), self._transaction():
            if not clean and all(each.how != IS_LIVE for each in self.sessions()[-1:]):
                how = f"{NOT_LIVE}{how}"
            self._db.execute(
                "UPDATE starts SET ended_ns = ?, clean = ?, how = ?"
                " WHERE session = (SELECT max(session) FROM starts)",
                (now, int(clean), how),
            )
            self._db.execute("DELETE FROM lease")

    def verify(self) -> Findings:
        """Walk the whole chain; see `septet._journal.verify`."""
        self.commit()
        return walk(self, expected=self._committed_seq)
