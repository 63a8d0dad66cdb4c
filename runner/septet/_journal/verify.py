"""Verifies a journal along its hash chain, and cuts back a torn end.

Two kinds of damage are distinguished. Unreadable data with nothing readable after it is a torn
end: it is cut back to the last intact entry, the damaged file is kept beside it, and the loss is
reported. Readable data that was changed, or lacks its neighbour, is tampering or a corrupt middle:
it is refused, with the place.

In the tail every frame up to the mark is complete while the machine runs, since a killed process
can only have been writing frames after it. So an incomplete frame before the mark was changed,
unless the machine has restarted since and lost its memory.

An end that is missing without a trace belongs to an old copy, or was lost with the power. The mark
distinguishes them: entries that it records as promised are on the disk of the newest journal.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from septet._files import create_file
from septet._journal.journal_files import Mark
from septet._journal.journal_format import TABLES, chained, snapshot_digest
from septet._journal.lease import boot_id
from septet._journal.reader import CHUNK_ROWS, Reader, guarded
from septet._journal.write_ahead_tail import tail_of
from septet.errors import JournalError

if TYPE_CHECKING:
    from septet._journal.reader import Snapshot
    from septet._journal.write_ahead_tail import Seen

__all__ = ["Findings", "mend", "walk", "walk_at_rest"]

_ROWS_AFTER: Final = (
    "SELECT seq, at_ns, kind, event, commands, hash FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
)
_PROBED_NUMBERS: Final = 100_000
"""So many numbers after a damaged entry are asked for before the rest counts as gone."""


LostWith = Literal["copy", "power", "either"]


@dataclass(frozen=True, slots=True)
class Findings:
    """Result of the verification of a journal.

    `first` and `last` are the first and last entry that were checked and are intact; for a broken
    journal that was checked from a snapshot on, those after it. `lost` is the largest possible
    number of missing entries, None if unknown; `torn` is where the end was damaged, `kept` where
    the damaged file is now. `broken` is the place that cannot be trusted; `notes` are minor
    findings, such as a snapshot that is not used. `lost_with` is the cause of an end that is
    missing without damage: ``copy`` (an older copy), ``power`` (entries never promised were lost
    with the power), or ``either``.
    """

    first: int = 0
    last: int = 0
    lost: int | None = 0
    torn: str = ""
    kept: str = ""
    broken: str = ""
    notes: tuple[str, ...] = ()
    lost_with: LostWith = "copy"

    @property
    def ok(self) -> bool:
        """Whether everything is unchanged, and nothing is missing."""
        return not (self.broken or self.torn or self.lost or self.notes)

    @property
    def old(self) -> str:
        """Whether it is intact but an old copy: guaranteed entries are missing."""
        if not self.lost or self.torn or self.lost_with == "power":
            return ""
        if self.lost_with == "copy":
            return "is an old copy"
        return (
            "is an old copy, or lost its end with the power (durability process promises "
            "nothing against that)"
        )

    @property
    def is_torn(self) -> bool:
        """Whether its end was damaged, so that guaranteed entries may be missing."""
        return bool(self.torn) and self.lost_with != "power"

    def __str__(self) -> str:
        if self.broken:
            return self.broken
        texts = [f"good up to entry {self.last:,}"]
        if self.lost is None:
            texts.append("how many are gone after that is not known")
        elif self.lost and self.lost_with == "power":
            many = "1 entry" if self.lost == 1 else f"{self.lost:,} entries"
            texts.append(f"{many} after that lost with the power, for which nothing had left yet")
        elif self.lost:
            texts.append(f"at most {self.lost:,} are gone after that")
        return "; ".join([*texts, *filter(None, (self.torn,)), *self.notes])


class _Damaged(Exception):
    """Raised for unreadable data after entry `last`."""

    def __init__(self, last: int, why: str) -> None:
        super().__init__(why)
        self.last = last
        self.why = why


class _Broken(Exception):
    """Raised for data that was changed after it was written, after entry `last`."""

    def __init__(self, why: str, last: int = 0) -> None:
        super().__init__(why)
        self.last = last


def walk(reader: Reader, *, after: Snapshot | None = None, expected: int = 0) -> Findings:
    """Verify the chain after a snapshot, or all of it with every snapshot; change nothing.

    `expected` is the number of the last entry, as far as is known from elsewhere.
    """
    tail = reader._seen()
    findings = _walk(reader, after, expected)
    return (
        findings if findings.broken else _with_tail(findings, tail, _hash_of(reader, findings.last))
    )


def walk_at_rest(reader: Reader, *, expected: int, committed: int) -> Findings:
    """Verify a whole journal without a writer, its tail like at a start; change nothing.

    `committed` is the number of the last entry by the mark. Entries missing in the tail are lost.
    """
    tail = reader._seen(traces=True)
    findings = _walk(reader, None, expected)
    if findings.broken:
        return findings
    joined = _with_tail(findings, tail, _hash_of(reader, findings.last))
    return joined if joined.torn else replace(_check_tail(joined, tail, committed), torn="")


def _walk(reader: Reader, after: Snapshot | None, expected: int) -> Findings:
    """Verify what is in the database."""
    notes: tuple[str, ...] = ()
    first = 1
    try:
        if after is not None and not _stands(reader, after):
            after = None
        if after is None:
            _require_start(reader)
        else:
            first = after.seq + 1
        start = (after.seq, after.hash) if after else (0, reader.first_hash)
        last = _chain(reader, *start)
    except _Broken as broken:
        return Findings(first=first, last=broken.last, broken=str(broken))
    except _Damaged as damaged:
        return _check_damage(reader, first, damaged, expected)
    if after is None:
        notes = tuple(_snapshot_findings(reader, last))
        if notes:
            return Findings(first, last, broken=notes[0])
    newest = _newest_snapshot_number(reader)
    return Findings(first, last, lost=max(0, expected - last, newest - last), notes=notes)


def _hash_of(reader: Reader, seq: int) -> bytes:
    """Return the hash of a stored entry, or the one before the first."""
    if not seq:
        return reader.first_hash
    return bytes(reader._one("verifying", "SELECT hash FROM entries WHERE seq = ?", seq)[0])


def _with_tail(findings: Findings, tail: Seen, digest: bytes) -> Findings:
    """Add the entries of the tail: each is complete and chained to the previous one."""
    gained = len(tail.after(findings.last, digest))
    lost = None if findings.lost is None else max(0, findings.lost - gained)
    return replace(findings, last=findings.last + gained, lost=lost)


def _check_tail(findings: Findings, tail: Seen, expected: int) -> Findings:
    """Check the data of the tail outside the chain: half written, lost with power, or changed."""
    if tail.alien:
        note = "the tail beside it is of another journal and not used"
        return replace(findings, notes=(*findings.notes, note))
    complete = [each.seq for each in tail.entries]
    unchained = [seq for seq in (*complete, *tail.traces) if seq > findings.last]
    if not unchained:
        return findings
    reached = max(expected, *unchained)
    if complete and findings.last + 1 < complete[0]:  # the database is older than the tail
        return replace(findings, lost=reached - findings.last)
    fault = f"entry {findings.last + 1} is not whole in the tail"
    if not tail.boot or tail.boot != boot_id():
        return replace(findings, lost=reached - findings.last, torn=findings.torn or fault)
    if min(unchained) <= expected:
        broken = f"entry {findings.last + 1} was changed in the tail, or is not whole there"
        return replace(findings, broken=broken)
    note = f"entry {findings.last + 1} was being written when the process ended, and is cut off"
    return replace(findings, notes=(*findings.notes, note))


def _chain(reader: Reader, seq: int, digest: bytes) -> int:
    """Follow the chain to its end; return the last number."""
    for row in _rows(reader, seq):
        number, at_ns, kind, event, commands, written = row
        if number != seq + 1:
            removed = f"entries {seq + 1} to {number - 1} were"
            if number == seq + 2:
                removed = f"entry {seq + 1} was"
            raise _Broken(f"{removed} removed: {number} follows {seq}", seq)
        # SQLite stores any type in any column: a value that is not text was not written here.
        cells = [value if isinstance(value, bytes) else str(value).encode() for value in row[2:]]
        kind, event, commands, written = cells
        try:
            computed = chained(digest, number, at_ns, str(kind, "utf-8"), event, commands)
        except (UnicodeDecodeError, TypeError, ValueError):
            computed = b""
        if computed != written:
            if b"\0" in event + commands:  # never in JSON: a page that lost its content
                raise _Damaged(seq, f"entry {number} holds bytes that were never written")
            changed = "the head or entry 1 was" if number == 1 else f"entry {number} was"
            raise _Broken(
                f"{changed} changed, or is not the one that was written there: its hash does not "
                f"follow from that of entry {seq}",
                seq,
            )
        seq, digest = number, computed
    return seq


def _rows(reader: Reader, after: int) -> Iterator[Any]:
    """Yield rows one by one, up to the first that cannot be read."""
    limit = CHUNK_ROWS
    while True:
        count = 0
        try:
            for row in reader._db.execute(_ROWS_AFTER, (after, limit)):
                after = row[0]
                count += 1
                yield row
        except sqlite3.OperationalError as problem:
            with guarded(reader.path, "verifying"):  # locked, no disk: this is not damage
                raise problem
        except sqlite3.DatabaseError as problem:
            if limit > 1:  # a cursor reads one row ahead: an intact row may be lost with it
                limit = 1
                continue
            raise _Damaged(after, f"what follows entry {after} cannot be read: {problem}") from None
        if count < limit:
            return


def _require_start(reader: Reader) -> None:
    row = reader._one("verifying", "SELECT min(seq) FROM entries")
    if row[0] is not None and row[0] < 1:
        raise _Broken(f"entry {row[0]} was put before the first")


def _stands(reader: Reader, after: Snapshot) -> bool:
    """Whether the entry of a snapshot exists."""
    if not after.seq:
        return True
    try:
        row = reader._db.execute("SELECT hash FROM entries WHERE seq = ?", (after.seq,)).fetchone()
    except sqlite3.DatabaseError:
        return False
    if row and row[0] != after.hash:
        raise _Broken(f"entry {after.seq} is not the one that the snapshot there was made after")
    return bool(row)


def _check_damage(reader: Reader, first: int, damaged: _Damaged, expected: int) -> Findings:
    """Distinguish a torn end from a corrupt middle, by what is readable after the damage."""
    db, last = reader._db, damaged.last
    until = max(expected, last + CHUNK_ROWS)
    for number in range(last + 1, min(until, last + _PROBED_NUMBERS) + 1):
        try:
            row = db.execute(
                "SELECT event, commands FROM entries WHERE seq = ?", (number,)
            ).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row and not any(b"\0" in bytes(text) for text in row):
            return Findings(
                first, last,
                broken=f"{damaged.why}; entry {number} after it can be read: "
                "the middle of the journal is corrupt",
            )  # fmt: skip
    lost = expected - last if expected > last else None
    return Findings(first, last, lost=lost, torn=damaged.why)


def _newest_snapshot_number(reader: Reader) -> int:
    try:
        row = reader._db.execute("SELECT max(seq) FROM snapshots").fetchone()
    except sqlite3.DatabaseError:
        return 0
    return int(row[0] or 0)


def _snapshot_findings(reader: Reader, last: int) -> Iterator[str]:
    """Check every snapshot against its digest."""
    for (seq,) in reader._db.execute("SELECT seq FROM snapshots ORDER BY seq").fetchall():
        try:
            row = reader._db.execute(
                "SELECT hash, digest, state FROM snapshots WHERE seq = ?", (seq,)
            ).fetchone()
        except sqlite3.DatabaseError as problem:
            yield f"the snapshot after entry {seq} cannot be read: {problem}"
            continue
        digest, state = bytes(row[1]), row[2]
        if not isinstance(state, bytes) or (
            snapshot_digest(reader.first_hash, seq, row[0], state) != digest
        ):
            yield f"the snapshot after entry {seq} was changed"
            continue
        entry = reader.entry(seq) if seq <= last else None
        if entry is not None and entry.hash != row[0]:
            yield f"the snapshot after entry {seq} belongs to another journal"


def _snapshots_damaged(reader: Reader) -> bool:
    """Whether a snapshot is on a page that cannot be read, so that none could be added."""
    try:
        for (seq,) in reader._db.execute("SELECT seq FROM snapshots").fetchall():
            reader._db.execute("SELECT state FROM snapshots WHERE seq = ?", (seq,)).fetchone()
    except sqlite3.DatabaseError:
        return True
    return False


def _lost_with(last: int, snapshot: int, tail: Seen, mark: Mark) -> LostWith:
    """Return why a journal that is intact up to entry `last` lacks its end.

    `snapshot` is the entry of the newest snapshot, which was stored before that. With ``power`` the
    tail restarts only after the database has been synced.
    """
    if mark.promised is None or (mark.boot and mark.boot == boot_id()):
        return "copy"
    is_power = mark.durability == "power"
    first_in_tail = tail.entries[0].seq if tail.entries and is_power else 0
    if last < max(mark.promised, snapshot, first_in_tail - 1):
        return "copy"
    return "power" if is_power else "either"


def mend(path: Path, *, mark: Mark, full: bool, busy_s: float) -> Findings:
    """Verify a journal and cut back a torn end. The caller holds the writer's lock.

    Raises
    ------
    JournalError
        The journal cannot be trusted: it was tampered with, or damaged before its end.
    """
    expected = mark.committed
    with Reader(path, busy_s=busy_s, salvage=True, write=True) as reader:
        tail = reader._seen(traces=True)
        snapshots = reader.snapshots()
        start = None if full or not snapshots else snapshots[0]
        findings = _walk(reader, start, expected)
        rebuild = bool(findings.torn) or _is_truncated(path, reader) or _snapshots_damaged(reader)
        stored = reader._one("verifying", "SELECT count(*) FROM snapshots")[0]
        if len(snapshots) < stored and not full:
            skipped = stored - len(snapshots)
            note = f"{skipped} snapshots are damaged and not used"
            findings = replace(findings, notes=(*findings.notes, note))
        if rebuild and not findings.broken and start is not None:
            findings = _walk(reader, None, expected) if not findings.torn else findings
        if not findings.broken:
            joined = _with_tail(findings, tail, _hash_of(reader, findings.last))
            joined = _check_tail(joined, tail, expected)
            if joined.lost and not rebuild:
                newest = _newest_snapshot_number(reader)
                joined = replace(joined, lost_with=_lost_with(joined.last, newest, tail, mark))
            if rebuild and not joined.broken:
                joined = replace(joined, kept=str(_rebuild(path, reader, findings.last)))
            elif joined.torn:  # the tail is recreated when the journal is opened
                kept_file = _free_name(tail_of(path))
                os.link(tail_of(path), kept_file)
                joined = replace(joined, kept=str(kept_file))
            findings = joined
    if findings.broken:
        raise JournalError(
            f"{path}: {findings.broken}",
            hint="nothing was changed; put the folder back from a copy, or begin another run: "
            "septet run FILE --fresh",
        )
    return findings


def _is_truncated(path: Path, reader: Reader) -> bool:
    """Whether the database has fewer pages than its header states, with all entries readable."""
    try:
        probe = Reader(path)
    except JournalError:
        return True
    probe.close()
    return False


def _rebuild(path: Path, reader: Reader, last: int) -> Path:
    """Write entries up to `last` into a new file and replace the damaged one with it."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with guarded(draft, "cutting the journal back"):
        create_file(draft, mode=0o600).close()
        new = sqlite3.connect(draft, isolation_level=None)
        try:
            _copy(reader, new, last)
        finally:
            new.close()
        reader.close()
        kept_file = _free_name(path)
        for suffix in ("-wal", "-shm"):
            sidecar = path.with_name(path.name + suffix)
            if sidecar.exists():
                os.replace(sidecar, kept_file.with_name(kept_file.name + suffix))
        os.link(path, kept_file)
        os.replace(draft, path)
    return kept_file


def _free_name(path: Path) -> Path:
    number = 1
    while (unused := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return unused


def _copy(reader: Reader, new: sqlite3.Connection, last: int) -> None:
    """Copy the intact rows, each verified; the next stop writes a new record of the files."""
    old = reader._db
    new.execute("PRAGMA synchronous = FULL")
    new.execute("BEGIN")
    for table in TABLES:
        new.execute(table)
    for pragma in ("application_id", "user_version"):
        value = int(old.execute(f"PRAGMA {pragma}").fetchone()[0])
        new.execute(f"PRAGMA {pragma} = {value}")
    text, digest = old.execute("SELECT text, hash FROM head").fetchone()
    new.execute("INSERT INTO head VALUES (1, ?, ?)", (str(text, "utf-8"), digest))
    previous_hash, seq = reader.first_hash, 0
    try:
        for number, at_ns, kind, event, commands, digest in _rows(reader, 0):
            if number > last:
                break
            previous_hash = chained(
                previous_hash, number, at_ns, str(kind, "utf-8"), event, commands
            )
            if number != seq + 1 or previous_hash != digest:
                raise _Damaged(seq, f"entry {seq + 1} is not good")
            seq = number
            row = (number, at_ns, *(str(text, "utf-8") for text in (kind, event, commands)), digest)
            new.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
            if seq == last:
                break
    except _Damaged as damaged:
        raise JournalError(
            f"{reader.path}: {damaged}: the middle of the journal is corrupt"
        ) from None
    for snapshot in reader.snapshots():
        if snapshot.seq <= seq:
            state = snapshot_digest(reader.first_hash, snapshot.seq, snapshot.hash, snapshot.state)
            new.execute(
                "INSERT INTO snapshots VALUES (?, ?, ?, ?)",
                (snapshot.seq, snapshot.hash, state, snapshot.state),
            )
    for start in reader.sessions():
        new.execute(
            "INSERT INTO starts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                start.session, start.began_ns, start.pid, start.host, start.ended_ns,
                None if start.clean is None else int(start.clean), start.how,
            ),
        )  # fmt: skip
    new.execute("COMMIT")
