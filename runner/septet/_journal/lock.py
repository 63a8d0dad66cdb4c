"""A file lock of the operating system that is held by this process and none of its children."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from septet._files import open_lock

__all__ = ["free", "is_locked", "keep", "lock"]

_TRIES: Final = 5
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

    `is_locked` of another process holds a lock for a moment: that is waited out. `mode` is that
    of a file that is made, whatever the process's umask says.
    """
    handle = open_lock(path, mode=mode)
    for attempt in range(_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _TRIES:
                time.sleep(_TRY_S)
        except BaseException:
            os.close(handle)
            raise
        else:
            _held.add(handle)
            return handle
    os.close(handle)
    return None


def keep(handle: int) -> int:
    """Keep a handle like a lock: `free` releases it, and no child process inherits it."""
    _held.add(handle)
    return handle


def free(handle: int) -> None:
    """Release a lock."""
    if handle in _held:
        _held.discard(handle)
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file now."""
    try:
        handle = open_lock(path, make=False)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
