"""Disk space that is kept for the rows that protect a position, and released when it is needed.

The tail has its blocks from the start, and on most file systems they can be written again
whatever else fills the disk. A file system that copies on write (btrfs, ZFS), a thin volume or a
quota needs room for each write: there the disk may be full for the tail as well. Then this file is
removed, and its space is used only for what serves a reduction: nothing else is committed until
the file stands again, and so no order is sent that could need the space that is gone.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from septet._files import create_file

__all__ = ["RESERVE_BYTES", "Reserve", "is_full", "reserve_of"]

RESERVE_BYTES: Final = 4 << 20
"""As much as the tail holds: several thousand rows, far more than a run keeps waiting."""
_PART: Final = 1 << 20
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def reserve_of(path: Path) -> Path:
    """Return the path of the reserve of a journal."""
    return path.with_name(f"{path.name}-reserve")


def is_full(problem: OSError) -> bool:
    """Whether a write failed for want of space, of the disk or of the user."""
    return problem.errno in _NO_ROOM


class Reserve:
    """A file that reserves disk space; `stands` is whether it exists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stands = False

    def make(self) -> None:
        """Take up the space, unless that is done; if there is too little of it none is taken.

        Raises
        ------
        OSError
            The disk has no room for it.
        """
        if self.stands:
            return
        self.path.unlink(missing_ok=True)
        part = os.urandom(_PART)  # zeros would take up no space where the file system packs
        try:
            with create_file(self.path, mode=0o600) as file:
                for _ in range(RESERVE_BYTES // _PART):
                    file.write(part)
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        self.stands = True

    def release(self) -> bool:
        """Give the space back; False if that was done already."""
        if not self.stands:
            return False
        self.stands = False
        self.path.unlink(missing_ok=True)
        return True
