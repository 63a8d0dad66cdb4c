"""Handles signals that stop a run before its event loop handles them.

`septet run` imports, loads files and opens a journal for seconds. Meanwhile SIGTERM and a closed
terminal are recorded, and the run ends at the next consistent point. A second one ends the process
at once. A backtest receives them as usual.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

__all__ = ["EarlySignals"]

_HELD: Final = (signal.SIGTERM, signal.SIGHUP)


class EarlySignals:
    """Records the first of these signals; used by the main thread."""

    def __init__(self, leave: Callable[[int], None] = os._exit) -> None:
        self._leave, self._pid = leave, os.getpid()
        self._handlers: dict[signal.Signals, Any] = {}
        self._received: signal.Signals | None = None

    @property
    def name(self) -> str:
        """Name of the signal that was received, or ""."""
        return "" if self._received is None else self._received.name

    def hold(self) -> None:
        """Install the handlers, except for a signal that the process ignores (`nohup`)."""
        for number in _HELD:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, self._take)

    def release(self) -> None:
        """Restore the previous handlers, and deliver the signal that was received."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        if self._received is not None:
            os.kill(os.getpid(), self._received)

    def forget(self) -> None:
        """Restore the previous handlers at the end of the command, whoever handles signals then."""
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._take:
                signal.signal(number, handler)
        self._handlers.clear()

    def _take(self, number: int, frame: FrameType | None) -> None:
        received = signal.Signals(number)
        if os.getpid() != self._pid:  # a copy of the process, whose parent ends it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self._received is None:
            self._received = received
        elif received != signal.SIGHUP:  # kernel and shell may each signal a closed terminal
            self._leave(128 + number)
