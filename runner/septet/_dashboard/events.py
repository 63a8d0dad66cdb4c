"""Server-sent events of one run: that it wrote something, that it is still looked at, or gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from septet._app.run_files import signs_of

__all__ = ["follow"]

_LOOK_S: Final = 0.1
_ALIVE_LOOKS: Final = 50
_PAUSE_S: Final = 1.0
"""A run that writes all the time is read again no more often."""


async def follow(folder: Path, ends: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield `grew` when a file of the run has changed, `alive` every 5 s, and `gone` at its end.

    Only sizes and times of files are looked at: the journal is not opened.
    """
    before = signs_of(folder)
    yield "event: alive\ndata: \n\n"
    looks = 0
    while not ends():
        await asyncio.sleep(_LOOK_S)
        looks += 1
        now = signs_of(folder)
        if now is None:
            yield "event: gone\ndata: \n\n"
            return
        if now != before:
            before = now
            yield "event: grew\ndata: \n\n"
            await asyncio.sleep(_PAUSE_S)
        elif looks % _ALIVE_LOOKS == 0:
            yield "event: alive\ndata: \n\n"
