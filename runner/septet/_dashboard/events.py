"""Server-sent events of runs: that one wrote something, that they are looked at, or one is gone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from septet._app.run_files import FileStamps, file_stamps_of

__all__ = ["SharedFileStamps", "follow", "state_digest"]

_POLL_S: Final = 0.1
_SHARED_S: Final = 0.05
_MAX_RUNS: Final = 64
_POLLS_PER_ALIVE: Final = 50
_PAUSE_S: Final = 1.0
"""A run that writes all the time is read again no more often."""


class SharedFileStamps:
    """Sizes and times of the files of runs that are looked at, shared by their streams for 50 ms.

    Used by the event loop only.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._seen: OrderedDict[Path, tuple[float, FileStamps | None]] = OrderedDict()

    def of(self, folder: Path) -> FileStamps | None:
        """Return the stamps of a run as they are now, or were at most 50 ms ago."""
        now_s = self._clock_s()
        seen = self._seen.get(folder)
        if seen is not None and now_s - seen[0] < _SHARED_S:
            return seen[1]
        found = file_stamps_of(folder)
        self._seen[folder] = now_s, found
        self._seen.move_to_end(folder)
        while len(self._seen) > _MAX_RUNS:
            self._seen.popitem(last=False)
        return found


def state_digest(folders: Sequence[Path]) -> str:
    """Return a mark of runs as they are: a page that has another one than the stream is stale."""
    return _mark([file_stamps_of(each) for each in folders])


def _mark(stamps: Sequence[FileStamps | None]) -> str:
    return hashlib.blake2b(repr(stamps).encode(), digest_size=8).hexdigest()


async def follow(
    folders: Sequence[Path],
    ends: Callable[[], bool],
    stamps: Callable[[Path], FileStamps | None] = file_stamps_of,
) -> AsyncIterator[str]:
    """Yield `grew` when a run wrote or its process ended, `alive` every 5 s, `gone` when a run is.

    The first `alive` has the mark of the runs.

    Only files' sizes and times and the run's lock are looked at: the journals are not opened.
    """
    before = [stamps(each) for each in folders]
    yield f"event: alive\ndata: {_mark(before)}\n\n"
    polls = 0
    while not ends():
        await asyncio.sleep(_POLL_S)
        polls += 1
        now = [stamps(each) for each in folders]
        if None in now:
            yield "event: gone\ndata: \n\n"
            return
        if now != before:
            before = now
            yield "event: grew\ndata: \n\n"
            await asyncio.sleep(_PAUSE_S)
        elif polls % _POLLS_PER_ALIVE == 0:
            yield "event: alive\ndata: \n\n"
