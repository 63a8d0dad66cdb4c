"""Server-sent events of runs: that one wrote something, that they are looked at, or one is gone."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from septet._app.run_files import signs_of

__all__ = ["follow", "mark_of"]

_LOOK_S: Final = 0.1
_ALIVE_LOOKS: Final = 50
_PAUSE_S: Final = 1.0
"""A run that writes all the time is read again no more often."""


def mark_of(folders: Sequence[Path]) -> str:
    """Return a mark of runs as they are: a page that has another one than the stream is stale."""
    return _mark([signs_of(each) for each in folders])


def _mark(signs: Sequence[tuple[tuple[int, int], ...] | None]) -> str:
    return hashlib.blake2b(repr(signs).encode(), digest_size=8).hexdigest()


async def follow(folders: Sequence[Path], ends: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield `grew` when a file of a run has changed, `alive` every 5 s, `gone` when a run is.

    The first `alive` has the mark of the runs.

    Only sizes and times of files are looked at: the journals are not opened.
    """
    before = [signs_of(each) for each in folders]
    yield f"event: alive\ndata: {_mark(before)}\n\n"
    looks = 0
    while not ends():
        await asyncio.sleep(_LOOK_S)
        looks += 1
        now = [signs_of(each) for each in folders]
        if None in now:
            yield "event: gone\ndata: \n\n"
            return
        if now != before:
            before = now
            yield "event: grew\ndata: \n\n"
            await asyncio.sleep(_PAUSE_S)
        elif looks % _ALIVE_LOOKS == 0:
            yield "event: alive\ndata: \n\n"
