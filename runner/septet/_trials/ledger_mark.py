"""The mark: a small file beside the ledger with its last row and its state at closing.

If the files are as septet left them, their rows were verified before, and a run need not verify all
hashes again. Otherwise all rows are verified. If the row of the mark is missing, the end of the
ledger was removed, or an older copy has replaced it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from septet._files import read_bounded, replace_file
from septet._text import decode_json

__all__ = ["LedgerMark", "mark_of", "read_mark", "signs_of_ledger", "write_mark"]

_LONGEST: Final = 1 << 16


class LedgerMark(msgspec.Struct, frozen=True):
    """The number and hash of the last row, and size, time and inode of the files after it."""

    seq: int
    digest: str
    signs: Sequence[Sequence[int]]


def mark_of(ledger: Path) -> Path:
    """Return the path of a ledger's mark."""
    return ledger.with_name(f"{ledger.name}-mark")


def signs_of_ledger(ledger: Path) -> list[list[int]]:
    """Return size, time of the last write and inode of the ledger and of its log."""
    signs = []
    for path in (ledger, ledger.with_name(f"{ledger.name}-wal")):
        state = None
        with suppress(OSError):
            state = path.lstat()
        empty = state is None or not state.st_size  # a reader may leave an empty log
        signs.append([] if state is None or empty else [
            state.st_size, state.st_mtime_ns, state.st_ino
        ])  # fmt: skip
    return signs


def read_mark(ledger: Path) -> LedgerMark | None:
    """Return the mark of a ledger; None if it does not exist or cannot be read."""
    try:
        mark = decode_json(read_bounded(mark_of(ledger), _LONGEST))
        return LedgerMark(int(mark["seq"]), str(mark["digest"]), mark["signs"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def write_mark(ledger: Path, seq: int, digest: bytes) -> None:
    """Write the mark of a ledger that was just closed; on a full disk the old mark stays."""
    mark = {"seq": seq, "digest": digest.hex(), "signs": signs_of_ledger(ledger)}
    with suppress(OSError):
        replace_file(mark_of(ledger), json.dumps(mark), mode=0o600)
