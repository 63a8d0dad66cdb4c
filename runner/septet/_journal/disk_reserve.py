"""Disk space reserved for the rows that protect a position, released when it is needed.

The blocks of the tail are allocated at its creation, and most file systems can rewrite them on a
full disk. A copy-on-write file system (btrfs, ZFS), a thin volume or a quota needs space for each
write, so that the disk may be full for the tail as well. Then this file is removed, and its space
is used only for rows of a reduction: nothing else is committed, and therefore no other order sent,
until the file exists again.
"""

from __future__ import annotations

import errno
import os
from functools import cache
from pathlib import Path
from typing import Final

from septet._files import create_file

__all__ = ["RESERVE_BYTES", "Reserve", "is_full", "reserve_of"]

RESERVE_BYTES: Final = 4 << 20
"""As much as the tail holds: several thousand rows, far more than a run keeps waiting."""
_PART_BYTES: Final = 1 << 20
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def reserve_of(path: Path) -> Path:
    """Return the path of the reserve of a journal."""
    return path.with_name(f"{path.name}-reserve")


@cache
def _noise(size: int) -> bytes:
    """Return bytes that a compressing file system cannot shorten, as it would zeros.

    They are no secret, and the same for every journal of a process.
    """
    return os.urandom(size)


def is_full(problem: OSError) -> bool:
    """Whether a write failed because the disk or the user's quota is full."""
    return problem.errno in _NO_ROOM


class Reserve:
    """A file that reserves disk space; `is_allocated` is whether it exists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_allocated = False

    def make(self) -> None:
        """Allocate the space unless that is done; if there is too little, nothing is allocated.

        Raises
        ------
        OSError
            The disk has no room for it.
        """
        if self.is_allocated:
            return
        self.path.unlink(missing_ok=True)
        part = _noise(_PART_BYTES)
        try:
            with create_file(self.path, mode=0o600) as file:
                for _ in range(RESERVE_BYTES // _PART_BYTES):
                    file.write(part)
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        self.is_allocated = True

    def release(self) -> bool:
        """Release the space; False if that was done already."""
        if not self.is_allocated:
            return False
        self.is_allocated = False
        self.path.unlink(missing_ok=True)
        return True
