"""The record in a journal of the files that were last written from it beside it.

It names each table and document with its size and SHA-256, and the entry up to which they were
made. Its digest covers that entry's hash, so that it belongs to this journal and to that place in
it. Like the chain of entries it has no key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from septet._journal.reader import Reader, guarded, understood
from septet.errors import JournalError

__all__ = ["FilesRecord", "read_files_record", "write_files_record"]


@dataclass(frozen=True, slots=True)
class FilesRecord:
    """The size and SHA-256 of each file that was made of the entries up to `seq`, by its name."""

    seq: int
    files: Mapping[str, tuple[int, str]]


def read_files_record(reader: Reader) -> FilesRecord | None:
    """Return the record of a journal; None where it has none.

    Raises
    ------
    JournalError
        It cannot be read, was changed, or belongs to another journal.
    """
    doing = "reading the record of its files"
    row = reader._one(doing, "SELECT seq, hash, digest, text FROM files")
    if row is None:
        return None
    seq, entry_hash, digest, text = row
    changed = f"{reader.path}: the record of its files was changed"
    with understood(reader.path):
        if _digest(reader.first_hash, seq, entry_hash, text) != digest:
            raise JournalError(changed)
        files = msgspec.json.decode(text, type=dict[str, tuple[int, str]])
        if seq <= reader.last_seq and _hash_at(reader, seq) != entry_hash:
            raise JournalError(changed)
    return FilesRecord(seq, files)


def write_files_record(path: Path, seq: int, files: Mapping[str, tuple[int, str]]) -> None:
    """Record the files that were made of the entries up to `seq`; no process may run the run.

    The journal keeps the time of its last write: of copies of a run it shows which one ran last.

    Raises
    ------
    SeptetError
        The journal cannot be written.
    """
    status = path.stat()
    with Reader(path, write=True) as reader, guarded(path, "recording its files"):
        entry_hash, text = _hash_at(reader, seq), msgspec.json.encode(files, order="sorted")
        digest = _digest(reader.first_hash, seq, entry_hash, text)
        reader._db.execute("PRAGMA synchronous = FULL")
        reader._db.execute(
            "INSERT OR REPLACE INTO files VALUES (1, ?, ?, ?, ?)",
            (seq, entry_hash, digest, str(text, "utf-8")),
        )
    with suppress(OSError):
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _hash_at(reader: Reader, seq: int) -> bytes:
    if seq == 0:
        return reader.first_hash
    entry = reader.entry(seq)
    if entry is None:
        raise JournalError(f"{reader.path}: there is no entry {seq}")
    return entry.hash


def _digest(first: bytes, seq: int, entry_hash: bytes, text: bytes) -> bytes:
    number = seq.to_bytes(8, "little")
    return hashlib.sha256(b"".join((b"files\0", first, number, entry_hash, text))).digest()
