"""An event loop whose time is virtual: it jumps to the next timer and never waits."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Coroutine
from typing import Any, Final

from septet._live.clock import ManualClock

__all__ = ["VirtualTimeLoop", "run"]

_SECOND: Final = 1_000_000_000
_CALLED: Final = ("plugin ", "tables")
"""How the names of the threads begin whose answer a run awaits."""
_LOOK_S: Final = 0.02


class _Selector(selectors.SelectSelector):
    """Advances the clock in place of waiting."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        called = any(each.name.startswith(_CALLED) for each in threading.enumerate())
        if (called and timeout != 0) or (timeout is None and threading.active_count() > 1):
            return super().select(_LOOK_S)  # no time passes while a thread works for the loop
        assert timeout is not None, "every task waits for something that never comes"
        self.clock.advance(max(0, round(timeout * _SECOND)))
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on the time of `clock`; `slept_ns` is what the clock jumped beside it."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_Selector(clock))
        self.clock, self.slept_ns = clock, 0

    def time(self) -> float:
        return (self.clock.now_ns() - self.clock.origin.wall_ns - self.slept_ns) / _SECOND

    def suspend(self, by_ns: int) -> None:
        """Let the clock jump, as after a sleep of the machine: timers know nothing of it."""
        self.slept_ns += by_ns
        self.clock.advance(by_ns)


def run(loop: VirtualTimeLoop, what: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(what)
