"""Processes the messages of a socket in small batches, one in each turn of the event loop.

ccxt.pro delivers everything that a socket has read at once: in a burst these are a thousand
messages and more than a tenth of a second during which no order is sent and nothing is stored. Here
a burst is queued, the loop runs other callbacks between two batches, and reading from the socket
resumes when the queue is empty: back-pressure reaches the venue instead of delaying the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from septet.plugin.live import Tasks

__all__ = ["HELPING", "Pace"]

HELPING: Final = 64
"""Messages of a socket in one turn: they take a millisecond or two, much less than a shell's
turn."""


class Pace:
    """Passes on messages in order: at once while there are few, else one batch in each turn."""

    def __init__(
        self, take: Callable[[Any], None], tasks: Tasks | None = None, helping: int = HELPING
    ) -> None:
        self._take, self._tasks, self._helping = take, tasks or Tasks("pace"), helping
        self._left = helping
        self._line: deque[Any] = deque()
        self._clear: asyncio.Future[None] | None = None

    def put(self, message: Any) -> None:
        """Pass on a message now, or queue it if others are waiting."""
        if not self._left:
            self._line.append(message)
            return
        self._left -= 1
        if not self._left:
            self._tasks.soon("messages of a socket", self._next)
        self._take(message)

    def flush(self) -> None:
        """Pass on all waiting messages now, since the socket is closed."""
        line = self._line
        while line:
            self._take(line.popleft())

    def reading(self, read: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        """Return an awaitable that resumes reading once nothing waits."""
        return self._read_later(read) if self._line else read()

    async def _read_later(self, read: Callable[[], Awaitable[Any]]) -> Any:
        while self._line:
            self._clear = asyncio.get_running_loop().create_future()
            await self._clear
        return await read()

    def _next(self) -> None:
        """Pass on the next batch; the rest waits for the next turn."""
        line, helping = self._line, min(len(self._line), self._helping)
        self._left = self._helping - helping
        if not self._left:
            self._tasks.soon("messages of a socket", self._next)
        for _ in range(helping):
            if line:  # otherwise a lost socket was flushed meanwhile
                self._take(line.popleft())
        if self._clear is not None and not line and not self._clear.done():
            self._clear.set_result(None)
