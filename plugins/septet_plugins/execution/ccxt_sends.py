"""Sends in flight: they are never cancelled, and none is lost if its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from septet.plugin.live import Tasks

__all__ = ["Sends"]

T = TypeVar("T")
_CLOSE_S: Final = 5.0


class Sends:
    """Runs sends in separate tasks; an answer after its caller was cancelled is forwarded."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._sending: set[asyncio.Task[Any]] = set()

    async def shielded(
        self, name: str, send: Coroutine[Any, Any, T], late: Callable[[T], None],
        unanswered: Callable[[], None],
    ) -> T:  # fmt: skip
        """Await a send; if this call is cancelled, `late` is called with the answer.

        If the send itself fails in that case, `unanswered` is called.
        """
        task = self._tasks.once(name, send)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

        def ended(done: asyncio.Task[T]) -> None:
            if done.cancelled() or done.exception() is not None:
                unanswered()
            else:
                late(done.result())

        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                task.add_done_callback(ended)
            raise

    async def close(self) -> None:
        """Wait for in-flight sends, within a time limit."""
        if self._sending:
            await asyncio.wait(set(self._sending), timeout=_CLOSE_S)
