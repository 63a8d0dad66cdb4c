"""A file lock of the operating system that is held by this process and none of its children."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from septet._files import open_lock

__all__ = ["free", "is_locked", "keep", "lock"]

_TRIES: Final = 200
_TRY_S: Final = 0.01
_held: Final[set[int]] = set()


def _forget() -> None:
    """Close the handles in a forked child, which would keep the locks after its parent's end."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_forget)


def lock(path: Path, *, mode: int = 0o600) -> int | None:
    """Lock a file, made if it is missing; return its handle, or None if another holds it.

    `is_locked` of another process takes a shared lock for a moment, or longer if that process is
    not scheduled: this waits for it, up to two seconds. An exclusive lock counts as held. `mode` is
    that of a created file, whatever the umask of the process.
    """
    handle = open_lock(path, mode=mode)
    try:
        for _ in range(_TRIES):
            if _takes(handle, fcntl.LOCK_EX):
                _held.add(handle)
                return handle
            if not _takes(handle, fcntl.LOCK_SH):
                break
            fcntl.flock(handle, fcntl.LOCK_UN)
            time.sleep(_TRY_S)
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _takes(handle: int, how: int) -> bool:
    """Lock an open file in mode `how` unless another process holds it; return whether it did."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(handle: int) -> int:
    """Keep a handle like a lock: `free` releases it, and no child process inherits it."""
    _held.add(handle)
    return handle


def free(handle: int) -> None:
    """Release a lock, at once: a child that was just forked may not have closed its copy yet."""
    if handle in _held:
        _held.discard(handle)
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file now."""
    try:
        handle = open_lock(path, make=False)
    except OSError:
        return False
    try:
        return not _takes(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)
