"""Distributions with plugins in the environment, read once until packages are installed."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from functools import cached_property
from typing import Any, Final

import msgspec

__all__ = ["GROUP", "Point", "points"]

GROUP: Final = "septet"
_last: tuple[object, tuple[Point, ...]] | None = None


class Point(msgspec.Struct, frozen=True, dict=True):
    """An entry point of the group, and the name and version of its distribution."""

    entry: importlib.metadata.EntryPoint

    @cached_property
    def distribution(self) -> tuple[str, str]:
        """Name and version of the distribution; metadata that is damaged raises."""
        if self.entry.dist is None:
            return self.entry.value, "0"
        return self.entry.dist.name, self.entry.dist.version

    def load(self) -> Any:
        """Import the manifest."""
        return self.entry.load()


def points() -> tuple[Point, ...]:
    """Return the entry points of the group.

    They are read from the metadata of every installed distribution, which takes milliseconds,
    and kept for the process until the search path, a folder on it (its time of change: an
    installer adds, removes or renames there) or a finder is another.
    """
    global _last
    state = _state()
    if _last is None or _last[0] != state:
        entries = importlib.metadata.entry_points(group=GROUP)
        # The order of a folder's entries is the file system's own.
        _last = state, tuple(map(Point, sorted(entries, key=lambda each: each.value)))
    return _last[1]


def _state() -> object:
    """Describe all that the answer depends on; the reader itself may have been replaced."""
    finders = tuple(map(id, sys.meta_path))
    folders = tuple(_stamp(each) for each in sys.path)
    return importlib.metadata.entry_points, finders, tuple(sys.path), folders


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path or os.curdir)
    except (OSError, ValueError, TypeError):  # not there, or not a path
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
