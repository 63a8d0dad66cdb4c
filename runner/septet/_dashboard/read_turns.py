"""How many requests of one visitor read runs at the same time: the others wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from septet._host.background_tasks import race

if TYPE_CHECKING:
    from starlette.types import Receive

__all__ = ["MOST_READING", "ReadTurns"]

MOST_READING: Final = 2


class ReadTurns:
    """The turns of each visitor to read. Used by the event loop only.

    A reading goes on to its end when its client has left: it cannot be ended from outside. So no
    visitor has more than a few at a time, and one whose client has left before its turn is never
    begun.
    """

    def __init__(self, most_each: int = MOST_READING) -> None:
        self._most = most_each
        self._turns: dict[str, tuple[asyncio.Semaphore, list[int]]] = {}

    @asynccontextmanager
    async def turn(self, key: str, receive: Receive) -> AsyncIterator[bool]:
        """Wait for the turn of a visitor; false if the client has left before."""
        turns, users = self._turns.setdefault(key, (asyncio.Semaphore(self._most), [0]))
        users[0] += 1
        try:
            if not await _acquired(turns, receive):
                yield False
                return
            try:
                yield True
            finally:
                turns.release()
        finally:
            users[0] -= 1
            if not users[0]:
                del self._turns[key]


async def _acquired(turns: asyncio.Semaphore, receive: Receive) -> bool:
    """Wait for a turn, or until the client has left."""
    if not turns.locked():
        return await turns.acquire()
    first, _ = await race(turns.acquire(), _left(receive))
    return first == 0


async def _left(receive: Receive) -> None:
    """Return when the client has left; what it sends is no part of a request that reads."""
    while (await receive())["type"] != "http.disconnect":
        pass
