"""The files of a journal: created atomically, written by one process, and the mark.

The mark records the number of entries written, and the number safe against a loss of power. It is
mapped memory that the kernel writes to the disk at any time: after a power loss it may be older
than the journal, or count entries that never reached the disk.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from septet._files import create_file, open_regular, read_bounded, replacing
from septet._journal.journal_format import APPLICATION, FORMAT, TABLES, first_hash
from septet._journal.lock import lock
from septet._journal.reader import guarded
from septet._text import decode_json
from septet.errors import JournalError

__all__ = [
    "COUNT", "PROMISED_AT", "Mark", "beside", "make", "make_mark", "only_writer", "projected_seq",
    "require_not_deleted", "read_mark", "sync_folder",
]  # fmt: skip

COUNT: Final = struct.Struct("<q")
"""The number of an entry, as it stands in the mark: the last committed one comes first."""
PROMISED_AT: Final = COUNT.size
"""Where the number of the last promised one stands."""
_MANIFEST_BYTES: Final = 256 << 20
_MARK: Final = struct.Struct("<qq8s36s")


@dataclass(frozen=True, slots=True)
class Mark:
    """How many entries of a journal were written and synced, as recorded by its last writer.

    Entries up to `promised` were synced to the disk; None if unknown, as in a mark of
    8 bytes, which had one number. `durability` is that of the run, `boot` names the start of the
    machine in which it was written.
    """

    committed: int = 0
    promised: int | None = None
    durability: str = ""
    boot: str = ""

    def packed(self) -> bytes:
        """Return the bytes of the file."""
        texts = self.durability.encode(), self.boot.encode()[:36]
        return _MARK.pack(self.committed, self.promised or 0, *texts)


def only_writer(path: Path) -> int:
    """Take the lock of the only writer; the end of the process releases it."""
    with guarded(path, "locking"):
        handle = lock(path.with_name(f"{path.name}-lock"))
    if handle is None:
        raise JournalError(
            f"{path}: another process writes this journal",
            hint="stop the other run first; `septet runs show` states who it is",
        )
    return handle


def make(path: Path, head: bytes) -> None:
    """Write an empty journal under a temporary name, and rename it when it is complete."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    create_file(draft, mode=0o600).close()  # SQLite copies its permissions
    db = sqlite3.connect(draft, isolation_level=None)
    try:
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
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_not_deleted(path: Path, *handles: int) -> None:
    """Refuse to write to deleted files: an open file that was deleted still accepts rows.

    In a folder that was moved the files are still there.

    Raises
    ------
    JournalError
        One of the open files of the journal at `path` has no name any more.
    """
    if any(os.fstat(each).st_nlink == 0 for each in handles):
        raise JournalError(
            f"{path}: the journal's files were deleted; what is written to them is lost",
            hint="stop the run, compare the account with its positions, and begin with --fresh",
        )


def beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-mark")


def read_mark(path: Path) -> Mark:
    """Read the mark of a journal; without one nothing counts as committed."""
    try:
        with open_regular(path) as file:
            data = file.read(_MARK.size)
    except FileNotFoundError:
        return Mark()
    if len(data) < _MARK.size:
        return Mark(int(COUNT.unpack_from(data)[0])) if len(data) >= COUNT.size else Mark()
    committed, promised, *texts = _MARK.unpack_from(data)
    durability, boot = (text.rstrip(b"\0").decode("ascii", "replace") for text in texts)
    return Mark(committed, promised if durability else None, durability, boot)


def make_mark(path: Path, mark: Mark) -> mmap.mmap:
    """Write a mark and sync it; return the mapped memory that later numbers are written to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mode=0o600, durable=True) as file:
        file.write(mark.packed())
        file.flush()
        return mmap.mmap(file.fileno(), _MARK.size)


def projected_seq(journal: Path, run_id: str) -> int:
    """Number of the entry up to which the tables beside a journal were made, or 0.

    The manifest beside it records it, if it is one of the same run.
    """
    try:
        manifest = decode_json(read_bounded(journal.with_name("manifest.json"), _MANIFEST_BYTES))
    except (OSError, ValueError):
        return 0
    if not isinstance(manifest, dict) or manifest.get("run_id") != run_id:
        return 0
    seq = manifest.get("journal_seq")
    return seq if isinstance(seq, int) and not isinstance(seq, bool) and seq >= 0 else 0
