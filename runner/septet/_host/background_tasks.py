"""Background tasks of a paper or live run: none of them ends unreported.

Tasks, timers and callbacks of the loop are made by a `Tasks` object of their owner. A failure is
logged with its plugin and its name, entries are blocked, and the task is started again, after a
longer pause each time. Entries are allowed again when it works.
"""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from septet._host.plugin_calls import is_theirs, words_of

__all__ = ["CLOSE_S", "WORKS_AFTER_S", "Backoff", "Kept", "TaskChange", "Tasks", "Timer", "race"]

T = TypeVar("T")
Call = Coroutine[Any, Any, Any]

_FIRST_S: Final = 0.25
_CAP_S: Final = 30.0
_STEADY_S: Final = 30.0
WORKS_AFTER_S: Final = 5.0
"""A task that does not report success itself counts as working this long after a start."""
CLOSE_S: Final = 5.0
_LONGEST_TEXT: Final = 400
_LOG: Final = logging.getLogger("septet.tasks")


class Backoff:
    """The delay before the next attempt: it doubles, with jitter, and is reset by a long success.

    Parameters
    ----------
    first_s, cap_s
        The first pause and the longest, before jitter of half of it either way; seconds.
    """

    def __init__(self, first_s: float = _FIRST_S, cap_s: float = _CAP_S) -> None:
        self._first_s, self._cap_s = first_s, cap_s
        self._tries = 0

    def wait_s(self, lived_s: float = 0.0) -> float:
        """Return the next delay; it is reset if the task ran for long enough."""
        if lived_s >= _STEADY_S:
            self._tries = 0
        pause = min(self._cap_s, self._first_s * 2.0 ** min(self._tries, 20))
        self._tries += 1
        return pause * random.uniform(0.5, 1.5)


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task failed (``down``) or works again (``up``).

    `owner` is the plugin, or ``septet``; `error` is the exception, None if the task ended or was
    cancelled by another party. `blocks` is False if the owner blocks entries itself.
    """

    owner: str
    task: str
    state: Literal["down", "up"]
    text: str = ""
    error: BaseException | None = None
    blocks: bool = True


Report = Callable[[TaskChange], None]
Show = Callable[[BaseException], str]


class Ended(Exception):
    """Raised in place of an exception that ends the process, such as `SystemExit`, of a task."""


class _Guarded(Coroutine[Any, Any, T]):
    """A coroutine whose `SystemExit` ends only its task, like any exception, not the process.

    asyncio passes `SystemExit` and `KeyboardInterrupt` of a task on to the caller of the loop.
    """

    def __init__(self, inner: Coroutine[Any, Any, T]) -> None:
        self._inner = inner
        self.__name__ = self.__qualname__ = getattr(inner, "__qualname__", type(inner).__name__)

    def send(self, value: Any) -> Any:
        """Continue with a value."""
        return self._step(self._inner.send, value)

    def throw(self, *raised: Any) -> Any:
        """Continue with an exception, such as a cancellation."""
        return self._step(self._inner.throw, *raised)

    def close(self) -> None:
        """Close the coroutine, started or not."""
        self._inner.close()

    def __await__(self) -> Any:
        """Await the coroutine itself."""
        return self._inner.__await__()

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except (SystemExit, KeyboardInterrupt) as error:
            if not is_theirs(error):
                raise
            text = f"{type(error).__name__} {words_of(error)}".rstrip()
            raise Ended(text).with_traceback(error.__traceback__) from None


def _show(error: BaseException) -> str:
    return f"{type(error).__name__}: {words_of(error)}"[:_LONGEST_TEXT]


def _where(error: BaseException) -> str:
    """Return the file and line that raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _nothing() -> None:
    return None


def _logged(change: TaskChange) -> None:
    """Log a change that no run handles."""
    if change.state == "down":
        _LOG.error("%s", change.text, exc_info=change.error)
    else:
        _LOG.info("%s", change.text)


async def race(*calls: Awaitable[Any], within_s: float | None = None) -> tuple[int, Any]:
    """Await several things at once; return the index and the result of the first one done.

    An exception of it is raised here; -1 and None are returned if none was done in time. The others
    are cancelled.
    """
    running = [asyncio.ensure_future(each) for each in calls]
    try:
        await asyncio.wait(running, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        number = next((k for k, each in enumerate(running) if each.done()), -1)
        return number, (running[number].result() if number >= 0 else None)
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Timer:
    """A scheduled call. `cancel` withdraws it, and also its repetition after a failure."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Withdraw the call."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class Kept:
    """A task that is restarted whenever it ends, until its owner closes it.

    `task` is the current one, None between two attempts; `starts` counts them.
    """

    def __init__(
        self, tasks: Tasks, name: str, work: Callable[[], Call], *, may_end: bool,
        works_after_s: float | None, down: Callable[[str], None] | None,
        up: Callable[[], None] | None,
    ) -> None:  # fmt: skip
        self.name, self.starts, self.done = name, 0, False
        self.task: asyncio.Task[Any] | None = None
        self._tasks, self._work, self._may_end = tasks, work, may_end
        self._works_after_s, self._down, self._up = works_after_s, down, up
        self._backoff, self._began_s = Backoff(), 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._start()

    def works(self) -> None:
        """Report that the task works; called by the task. If it had failed, its block ends."""
        self._tasks._works(self.name, self._up)

    def close(self) -> None:
        """Cancel the task and do not restart it; its block ends."""
        self.done = True
        self._stop_timer()
        if self.task is not None:
            self.task.cancel()
        self._tasks._kept.discard(self)
        self._tasks._works(self.name, self._up)

    async def closed(self) -> None:
        """Close it and wait until the task has ended, within a bound."""
        task = self.task
        self.close()
        if task is not None:
            await asyncio.wait({task}, timeout=CLOSE_S)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer, self._began_s = None, loop.time()
        self.starts += 1
        self.task = loop.create_task(
            _Guarded(self._work()), name=f"{self._tasks.owner}: {self.name}"
        )
        self.task.add_done_callback(self._ended)
        if self._works_after_s is not None and self._tasks.is_down(self.name):
            self._timer = loop.call_later(self._works_after_s, self.works)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._stop_timer()
        self.task = None
        error = None if task.cancelled() else task.exception()
        if self.done:
            return
        if self._may_end and error is None and not task.cancelled():
            self.close()
            return
        loop = asyncio.get_running_loop()
        wait_s = self._backoff.wait_s(loop.time() - self._began_s)
        how = "was cancelled" if task.cancelled() else "ended by itself"
        text = self._tasks._text(self.name, error, how, wait_s)
        self._timer = loop.call_later(wait_s, self._start)
        self._tasks._failed(self.name, text, error, self._down)


class Tasks:
    """The background tasks, timers and callbacks of one owner: a plugin, or a part of septet.

    Parameters
    ----------
    owner
        The name that is reported in a failure.
    report
        Called on each failure and each recovery: in a run it logs, and blocks entries meanwhile. By
        default they are logged.

    Attributes
    ----------
    show
        Formats an error; an owner with secrets sets a function that removes them.
    """

    def __init__(self, owner: str, report: Report = _logged) -> None:
        self.owner, self.show = owner, _show
        self._report = report
        self._kept: set[Kept] = set()
        self._once: dict[asyncio.Task[Any], str] = {}
        self._unwanted: set[asyncio.Task[Any]] = set()
        self._down: set[str] = set()
        self._backoffs: dict[str, Backoff] = {}
        self._closed = False

    # ------------------------------------------------------------ what an owner asks for

    def keep(
        self, name: str, work: Callable[[], Call], *, may_end: bool = False,
        works_after_s: float | None = WORKS_AFTER_S, down: Callable[[str], None] | None = None,
        up: Callable[[], None] | None = None,
    ) -> Kept:  # fmt: skip
        """Run `work()` until the owner closes it; whenever it ends, it is restarted.

        Parameters
        ----------
        name
            The name of the task in the log.
        work
            Creates the coroutine for each start.
        may_end
            Whether a return is a regular end. Otherwise it counts as a failure, too.
        works_after_s
            The task counts as working this long after a start. None leaves that to `Kept.works`,
            for a task that knows when it has succeeded.
        down, up
            Called in place of the run's own block, where the owner has a more exact one: with the
            text of the failure, and at its end.
        """
        if down is not None and up is None:
            up = _nothing
        kept = Kept(
            self, name, work, may_end=may_end, works_after_s=works_after_s, down=down, up=up
        )  # fmt: skip
        self._kept.add(kept)
        return kept

    def once(
        self, name: str, call: Coroutine[Any, Any, T], *,
        failed: Callable[[str], None] | None = None,
    ) -> asyncio.Task[T]:  # fmt: skip
        """Run one call as a task; it is not repeated, since only its owner knows whether it may be.

        An exception is logged and passed to `failed`. Without `failed` the owner awaits the task
        and receives the exception there.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(_Guarded(call), name=f"{self.owner}: {name}")
        self._once[task] = name
        task.add_done_callback(lambda done: self._once_ended(done, failed))
        return task

    def cancel(self, task: asyncio.Task[Any] | None) -> None:
        """Cancel a task of `once`; its owner asks for this, so it is not a failure."""
        if task is not None and not task.done():
            self._unwanted.add(task)
            task.cancel()

    def later(self, name: str, wait_s: float, call: Callable[[], object]) -> Timer:
        """Call a function of the owner after the given seconds; it is repeated if it raises."""
        timer = Timer()
        self._set(name, wait_s, call, timer)
        return timer

    def soon(self, name: str, call: Callable[..., object], *args: Any) -> None:
        """Call a function of the owner in the next turn of the loop; not repeated if it raises."""
        asyncio.get_running_loop().call_soon(self._do, name, call, args)

    # ------------------------------------------------------------ what there is

    def kept(self) -> tuple[Kept, ...]:
        """Return every task that is kept, by name."""
        return tuple(sorted(self._kept, key=lambda each: each.name))

    def calls(self) -> tuple[tuple[str, asyncio.Task[Any]], ...]:
        """Return the calls of `once` that have not ended, with their names."""
        return tuple((name, task) for task, name in self._once.items())

    def is_down(self, name: str) -> bool:
        """Return whether a task of that name has failed and does not work yet."""
        return name in self._down

    def block(self, name: str, text: str) -> None:
        """Report a failure that the owner itself has seen; `clear` ends it."""
        self._failed(name, f"{self.owner}: {text}", None, None)

    def clear(self, name: str) -> None:
        """Report that a failed task works again; without a failure nothing happens."""
        self._works(name, None)

    async def close(self, within_s: float = CLOSE_S) -> None:
        """Cancel everything and wait for it, within a bound; nothing is reported any more."""
        self._closed = True
        tasks = [each.task for each in self._kept if each.task is not None]
        for kept in list(self._kept):
            kept.close()
        for task in list(self._once):
            self.cancel(task)
        if tasks or self._once:
            await asyncio.wait({*tasks, *self._once}, timeout=within_s)

    # ------------------------------------------------------------ what becomes of them

    def _once_ended(self, task: asyncio.Task[Any], failed: Callable[[str], None] | None) -> None:
        name, unwanted = self._once.pop(task), task in self._unwanted
        self._unwanted.discard(task)
        error = None if task.cancelled() else task.exception()
        if failed is None or unwanted or self._closed or not (task.cancelled() or error):
            return
        text = self._text(name, error, "was cancelled", None)
        self._failed(name, text, error, failed)
        self._down.discard(name)

    def _set(self, name: str, wait_s: float, call: Callable[[], object], timer: Timer) -> None:
        loop = asyncio.get_running_loop()
        timer._handle = loop.call_later(wait_s, self._call_timer, name, call, timer)

    def _call_timer(self, name: str, call: Callable[[], object], timer: Timer) -> None:
        timer._handle = None
        try:
            call()
        except BaseException as error:  # any error is logged, and the call is repeated
            if not is_theirs(error):
                raise
            wait_s = self._backoffs.setdefault(name, Backoff()).wait_s()
            if not self._closed:
                self._set(name, wait_s, call, timer)
            self._failed(name, self._text(name, error, "", wait_s), error, None)
        else:
            if self._backoffs:
                self._backoffs.pop(name, None)
                self._works(name, None)

    def _do(self, name: str, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            call(*args)
        except BaseException as error:  # any error is logged; entries are blocked until success
            if not is_theirs(error):
                raise
            self._failed(name, self._text(name, error, "", None), error, None)
        else:
            if self._down:
                self._works(name, None)

    def _text(
        self, name: str, error: BaseException | None, how: str, wait_s: float | None
    ) -> str:  # fmt: skip
        outcome = how if error is None else f"failed with {self.show(error)}"
        at = "" if error is None else f" ({_where(error)})"
        then = "" if wait_s is None else f"; it is started again in {wait_s:.1f} s"
        return f"{self.owner}: the task {name!r} {outcome}{at}{then}"

    def _failed(
        self, name: str, text: str, error: BaseException | None, down: Callable[[str], None] | None
    ) -> None:
        if self._closed:
            return
        self._down.add(name)
        blocks = down is None
        self._report(TaskChange(self.owner, name, "down", text, error, blocks=blocks))
        if down is not None:
            down(text)

    def _works(self, name: str, up: Callable[[], None] | None) -> None:
        if name not in self._down:
            return
        self._down.discard(name)
        if self._closed:
            return
        text = f"{self.owner}: the task {name!r} works again"
        self._report(TaskChange(self.owner, name, "up", text, blocks=up is None))
        if up is not None:
            up()
