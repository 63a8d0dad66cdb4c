"""The files of a journal: made whole or not at all, written by one process, and the mark."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path
from typing import Final

from septet._journal.form import APPLICATION, FORMAT, TABLES, first_hash
from septet._journal.lock import lock
from septet._journal.reader import guarded
from septet.errors import JournalError

__all__ = ["MARK", "beside", "make", "only_writer", "read_mark", "sync_folder"]

MARK: Final = struct.Struct("<q")
"""What stands in the mark: the number of the last committed entry."""


def only_writer(path: Path) -> int:
    """Take the lock that makes this process the only writer; freed by its end, however it ends."""
    with guarded(path, "locking"):
        handle = lock(path.with_name(f"{path.name}-lock"))
    if handle is None:
        raise JournalError(
            f"{path}: another process writes this journal",
            hint="stop the other run first; `septet runs show` says who it is",
        )
    return handle


def make(path: Path, head: bytes) -> None:
    """Write an empty journal under another name, and give it its own when it is whole."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
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


def beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-mark")


def read_mark(path: Path) -> int:
    """How far the journal had come, as its last writer said; 0 if nobody knows."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    return int(MARK.unpack_from(data)[0]) if len(data) >= MARK.size else 0
