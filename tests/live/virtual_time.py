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
        self.children: list[asyncio.SubprocessTransport] = []

    def _is_awaited(self) -> bool:
        """Whether a thread or a process of its own works for the loop."""
        self.children = [each for each in self.children if each.get_returncode() is None]
        names = (each.name for each in threading.enumerate())
        return bool(self.children) or any(name.startswith(_CALLED) for name in names)

    def select(self, timeout: float | None = None) -> list[Any]:
        called = timeout != 0 and self._is_awaited()
        if called or (timeout is None and threading.active_count() > 1):
            return super().select(_LOOK_S)  # no time passes while others work for the loop
        assert timeout is not None, "every task waits for something that never comes"
        self.clock.advance(max(0, round(timeout * _SECOND)))
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on the time of `clock`; `slept_ns` is what the clock jumped beside it."""

    def __init__(self, clock: ManualClock) -> None:
        self._waits = _Selector(clock)
        super().__init__(self._waits)
        self.clock, self.slept_ns = clock, 0

    def time(self) -> float:
        return (self.clock.now_ns() - self.clock.origin.wall_ns - self.slept_ns) / _SECOND

    async def subprocess_exec(self, *given: Any, **named: Any) -> Any:
        """Start a process; no time passes until it has ended."""
        made = await super().subprocess_exec(*given, **named)
        self._waits.children.append(made[0])
        return made

    def suspend(self, by_ns: int) -> None:
        """Let the clock jump, as after a sleep of the machine: timers know nothing of it."""
        self.slept_ns += by_ns
        self.clock.advance(by_ns)


def run(loop: VirtualTimeLoop, what: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(what)
