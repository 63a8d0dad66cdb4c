"""Reads a journal, also of an active run, by short queries in bounded memory."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from septet._files import require_regular_files
from septet._journal.journal_format import (
    APPLICATION,
    FORMAT,
    MAX_ROW_BYTES,
    TABLES,
    Entry,
    Head,
    first_hash,
    snapshot_digest,
)
from septet._journal.write_ahead_tail import Seen, read_tail, tail_of
from septet._text import require_shallow
from septet.errors import InputError, JournalError, SeptetError

__all__ = [
    "IS_LIVE", "NOT_LIVE", "Reader", "Session", "Snapshot", "TailFacts", "connect", "guarded",
    "understood",
]  # fmt: skip

CHUNK_ROWS: Final = 1_000
BUSY_S: Final = 1.0
"""How long a locked database is waited for."""
_UNSHARED: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_ROW: Final = "SELECT seq, at_ns, kind, event, commands, hash FROM entries"
IS_LIVE: Final = "live"
"""How a session stands from the end of its start on, until it records how it ended."""
NOT_LIVE: Final = "the start failed: "
"""How an end begins of a session that failed before."""
_LATEST_ORDERS: Final = 256
_SUBMIT: Final = b'"kind":"submit"'


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the core after entry `seq`."""

    seq: int
    hash: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class TailFacts:
    """The newest facts of a journal, to be compared with the venue's.

    `order` is the highest number of an order that was sent, -1 if none was. A venue that knows
    a later one shows that the journal is an old copy. `at_ns` is 0 in an empty journal.
    """

    seq: int
    at_ns: int
    order: int


@dataclass(frozen=True, slots=True)
class Session:
    """One start of the run's process; `clean` is None while it runs, or if it was killed."""

    session: int
    began_ns: int
    pid: int
    host: str
    ended_ns: int | None
    clean: bool | None
    how: str

    @property
    def was_live(self) -> bool:
        """Whether the session reached live trading."""
        return self.how == IS_LIVE if self.clean is None else not self.how.startswith(NOT_LIVE)


@contextmanager
def guarded(path: Path, doing: str) -> Iterator[None]:
    """Convert errors of SQLite and the disk into one that names the action and the place."""
    try:
        yield
    except sqlite3.Error as problem:
        name = getattr(problem, "sqlite_errorname", type(problem).__name__)
        hint = _HINTS.get(str(name).removeprefix("SQLITE_").partition("_")[0], "")
        raise JournalError(f"{path}: {doing} failed: {problem} ({name})", hint=hint) from problem
    except UnicodeDecodeError as problem:  # an error of SQLite that names a part of a damaged page
        why = "the database is damaged, and its error is not UTF-8"
        raise JournalError(f"{path}: {doing} failed: {why}", hint=_HINTS["CORRUPT"]) from problem
    except OSError as problem:
        why = problem.strerror or str(problem)
        raise JournalError(f"{path}: {doing} failed: {why}") from problem


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Convert Python errors caused by values that no run writes into a `JournalError`.

    The hashes of a journal have no key: one that a stranger wrote can be whole, and hold any value
    in any field.

    Raises
    ------
    JournalError
        Instead of any exception that is not septet's own.
    """
    try:
        yield
    except SeptetError:
        raise
    except Exception as problem:  # any field may have any value, which may raise any exception
        last = traceback.extract_tb(problem.__traceback__)[-1]
        raise JournalError(
            f"{path}: what it holds cannot be read by this septet: {type(problem).__name__}: "
            f"{str(problem)[:200]} ({Path(last.filename).name}:{last.lineno})",
            hint="read it with the septet that wrote it; no run of this one writes such values",
        ) from problem


_HINTS: Final = {
    "FULL": "free space on the disk; nothing was stored, and the run goes on when it can be",
    "BUSY": "another process holds the database; only `septet` may write to it",
    "READONLY": "the file or its folder cannot be written to by this user",
    "CANTOPEN": "the file and its folder must be readable, and writable beside a -wal file",
    "CORRUPT": "a start of the run cuts a torn end back and reports it; else put a copy back",
    "NOTADB": "the file is not a journal of septet, or its first page is damaged",
}


def connect(
    path: Path, *, write: bool, busy_s: float = BUSY_S, salvage: bool = False
) -> sqlite3.Connection:
    """Open the database of an existing journal, rows as bytes; `salvage` also a truncated file.

    Raises
    ------
    InputError
        There is no journal, or it is not of this format.
    JournalError
        It cannot be opened or read.
    """
    with guarded(path, "opening"):
        require_regular_files(*(path.with_name(path.name + end) for end in ("", "-wal", "-shm")))
    if not path.exists():
        raise InputError(f"there is no journal at {path}")
    if path.stat().st_size < 100:  # SQLite would delete the -wal of an empty file
        raise JournalError(f"{path}: the file is empty or cut off in its first page")
    with guarded(path, "opening"):
        try:
            db = _opened(path, "mode=rw" if write else "mode=ro", busy_s, salvage)
        except sqlite3.OperationalError as problem:
            # A read-only folder allows no shared memory; a journal at rest needs none.
            wal = path.with_name(f"{path.name}-wal")
            at_rest = not wal.exists() or not wal.stat().st_size
            code = getattr(problem, "sqlite_errorcode", 0)  # none where a text is not UTF-8
            if write or not at_rest or code & 0xFF not in _UNSHARED:
                raise
            db = _opened(path, "immutable=1", busy_s, salvage)
    db.text_factory = bytes
    return db


def _opened(path: Path, how: str, busy_s: float, salvage: bool) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.resolve().as_uri()}?{how}",
        uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    try:
        if salvage:  # else SQLite refuses a file with fewer pages than its header states
            db.execute("PRAGMA writable_schema = ON")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
        db.execute("PRAGMA trusted_schema = OFF")
        _require_known_format(db, path)
        _require_known_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _require_known_format(db: sqlite3.Connection, path: Path) -> None:
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    if application != APPLICATION:
        raise InputError(f"{path} is an SQLite database, but no journal of septet")
    number = int(db.execute("PRAGMA user_version").fetchone()[0])
    if number != FORMAT:
        raise InputError(
            f"{path} is a journal of format {number}; this septet reads and writes {FORMAT}",
            hint="finish the run with the septet that began it (manifest.json names its version: "
            "pip install septet==VERSION), or begin another: septet run FILE --fresh",
        )


def _require_known_schema(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a view, a trigger, an index or another table: each can run a query of its author."""
    question = "SELECT type, name, sql FROM sqlite_master LIMIT ?"
    rows = db.execute(question, (len(TABLES) + 1,)).fetchall()
    unexpected = next((row for row in rows if row[0] != "table" or row[2] not in TABLES), None)
    if unexpected is None and len(rows) == len(TABLES):
        return
    kind, name = unexpected[:2] if unexpected else ("table", "")
    fault = (
        f"the {kind} {str(name)[:60]!r} is none of a journal"
        if unexpected
        else "a table is missing"
    )
    raise JournalError(
        f"{path}: the tables are not those that septet makes: {fault}",
        hint="somebody else changed or made this file; nothing of it was read",
    )


class Reader:
    """A journal open for reading; a live run may write it at the same time.

    Every query is a short transaction of its own, so that a slow reader never delays the writer's
    checkpoints. The newest entries are read from the tail first and then from the database: entries
    move from the one to the other, and never back. Read entries of the tail are kept, and reading
    continues at their end. `read_until`, where it is set, is the last entry of `read`.
    """

    _known: Seen | None = None
    read_until: int | None = None

    def __init__(
        self,
        path: Path | str,
        *,
        busy_s: float = BUSY_S,
        salvage: bool = False,
        write: bool = False,
    ) -> None:
        self.path = Path(path)
        self._db = connect(self.path, write=write, busy_s=busy_s, salvage=salvage)
        try:
            self._begin()
        except BaseException:
            self._db.close()
            raise

    def _begin(self) -> None:
        with guarded(self.path, "reading the head"):
            row = self._db.execute("SELECT text, hash FROM head WHERE one = 1").fetchone()
        if row is None or first_hash(row[0]) != row[1]:
            raise JournalError(f"{self.path}: the head of the journal was changed or is missing")
        self.first_hash: bytes = row[1]
        with understood(self.path):
            self.head: Head = msgspec.json.decode(row[0], type=Head)
            require_shallow(self.head.facts)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _one(self, doing: str, sql: str, *values: Any) -> Any:
        with guarded(self.path, doing):
            return self._db.execute(sql, values).fetchone()

    def _seen(self, *, traces: bool = False) -> Seen:
        """Read the whole tail."""
        with guarded(tail_of(self.path), "reading the tail"):
            return read_tail(tail_of(self.path), self.first_hash, traces=traces)

    def _newer(self) -> tuple[Entry, ...]:
        """Return the entries of the tail that follow those of the database."""
        with guarded(tail_of(self.path), "reading the tail"):
            self._known = seen = read_tail(tail_of(self.path), self.first_hash, known=self._known)
        row = self._one("reading", "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
        return seen.after(*(row or (0, self.first_hash)))

    @property
    def last_seq(self) -> int:
        """Number of the last stored entry; 0 in an empty journal."""
        if newer := self._newer():
            return newer[-1].seq
        return int(self._one("reading", "SELECT max(seq) FROM entries")[0] or 0)

    def read(
        self, after: int = 0, until: int | None = None, kinds: Sequence[str] = ()
    ) -> Iterator[Entry]:
        """Yield entries with ``after < seq <= until`` in order, in bounded memory.

        Without `until` it ends at the entry that is the last one by then. With `kinds`, events of
        other kinds are not loaded into memory.
        """
        last = until if until is not None else (1 << 62)
        if self.read_until is not None:
            last = min(last, self.read_until)
        while after < last:
            entries = self._stored(after, last, kinds)
            if len(entries) < CHUNK_ROWS and not (entries and entries[-1].seq == last):
                newer = self._newer()
                entries = self._stored(after, last, kinds)  # with what has moved meanwhile
                stored = entries[-1].seq if entries else after
                if len(entries) < CHUNK_ROWS:
                    entries += [
                        each for each in newer
                        if stored < each.seq <= last and (not kinds or each.kind in kinds)
                    ]  # fmt: skip
                if not entries:
                    return
            yield from entries
            after = entries[-1].seq

    def _stored(self, after: int, last: int, kinds: Sequence[str]) -> list[Entry]:
        chosen = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        with guarded(self.path, f"reading the entries after {after}"):
            # Not one row more than requested: the next row may be on a damaged page.
            rows = self._db.execute(
                f"{_ROW} WHERE seq > ? AND seq <= ?{chosen} ORDER BY seq LIMIT ?",
                (after, last, *kinds, min(CHUNK_ROWS, last - after)),
            ).fetchall()
        return [
            Entry(seq, at_ns, str(kind, "utf-8"), event, commands, digest)
            for seq, at_ns, kind, event, commands, digest in rows
        ]

    def entry(self, seq: int) -> Entry | None:
        """Return one entry, or None if the number does not exist."""
        return next(self.read(seq - 1, seq), None)

    def snapshots(self) -> list[Snapshot]:
        """Return the intact snapshots, the newest first."""
        intact = []
        with guarded(self.path, "reading the snapshots"):
            numbers = self._db.execute("SELECT seq FROM snapshots ORDER BY seq DESC").fetchall()
        for (seq,) in numbers:
            try:
                row = self._db.execute(
                    "SELECT hash, digest, state FROM snapshots WHERE seq = ?", (seq,)
                ).fetchone()
            except sqlite3.DatabaseError:
                continue  # a damaged page: an older snapshot is used, or none
            if row and snapshot_digest(self.first_hash, seq, row[0], row[2]) == row[1]:
                intact.append(Snapshot(seq, row[0], row[2]))
        return intact

    def tail_facts(self) -> TailFacts:
        """Return the newest facts of the journal: its end, and the highest order that was sent."""
        newer = self._newer()
        row = self._one("reading", "SELECT seq, at_ns FROM entries ORDER BY seq DESC LIMIT 1")
        seq, at_ns = row or (0, 0)
        if newer and newer[-1].seq > seq:
            seq, at_ns = newer[-1].seq, newer[-1].at_ns
        with guarded(self.path, "reading the last orders"):
            rows = self._db.execute(
                "SELECT commands FROM entries WHERE instr(commands, ?) ORDER BY seq DESC LIMIT ?",
                (_SUBMIT.decode(), _LATEST_ORDERS),
            ).fetchall()
        texts = [text for (text,) in rows]
        texts += [each.commands_json for each in newer if _SUBMIT in each.commands_json]
        numbers = [
            command["parent"]
            for text in texts
            for command in msgspec.json.decode(text)
            if command["kind"] == "submit"
        ]
        return TailFacts(seq, at_ns, max(numbers, default=-1))

    def sessions(self) -> list[Session]:
        """Return every start of the process, in order."""
        with guarded(self.path, "reading the starts"):
            rows = self._db.execute(
                "SELECT session, began_ns, pid, host, ended_ns, clean, how FROM starts"
                " ORDER BY session"
            ).fetchall()
        return [
            Session(
                number, began, pid, str(host, "utf-8"), ended,
                None if clean is None else bool(clean), str(how or b"", "utf-8"),
            )
            for number, began, pid, host, ended, clean, how in rows
        ]  # fmt: skip

    @property
    def has_ended(self) -> bool:
        """Whether the last session recorded its end, or there was none."""
        return all(each.ended_ns is not None for each in self.sessions()[-1:])

    def crashes_within(self, window_ns: int, now_ns: int) -> int:
        """Count the sessions that were live and ended uncleanly in the window before `now_ns`.

        A killed process cannot write its end: it counts as ended when the next one began. The
        last start counts only if it recorded that it failed, since it may still be running. A
        start that failed before it was live is not counted: its error was reported at the start.
        """
        starts = self.sessions()
        count = 0
        for position, start in enumerate(starts):
            last = position + 1 == len(starts)
            ended = start.ended_ns if last else start.ended_ns or starts[position + 1].began_ns
            recent = ended is not None and ended > now_ns - window_ns
            count += recent and not start.clean and start.was_live
        return count
