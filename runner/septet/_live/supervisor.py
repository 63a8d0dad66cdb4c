"""The supervisor of a live process: every background task has an owner, and its end is noticed.

A failure is logged once, with the plugin and the task. A feed's or septet's own task blocks
entries as `feed_down`, a venue's as `venue_down`, until it works again. Reductions continue.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from septet import messages as m
from septet._core.guards import TASK
from septet._host.background_tasks import Kept, TaskChange, Tasks
from septet._host.venues import Clock
from septet._live.shell import Notify

__all__ = ["Put", "SEPTET", "Supervisor"]

SEPTET: Final = "septet"
"""The owner of tasks that belong to no plugin."""
_FRAMES: Final = 8

Kind = Literal["feed", "venue", "septet"]
Put = Callable[[m.Event], None]


class Supervisor:
    """Creates `Tasks`, and turns their failures into log lines and blocks.

    Parameters
    ----------
    clock
        Stamps the events.
    notify
        The log of the process.
    puts
        The inboxes of the strategies that run now.
    """

    def __init__(
        self, clock: Clock, notify: Notify, puts: Callable[[], Sequence[Put]] = lambda: ()
    ) -> None:
        self._clock, self._notify, self._puts = clock, notify, puts
        self._all: list[Tasks] = []

    def of(
        self, owner: str = SEPTET, kind: Kind = "septet", *, notify: Notify | None = None,
        puts: Callable[[], Sequence[Put]] | None = None,
    ) -> Tasks:  # fmt: skip
        """Return the tasks of an owner.

        Parameters
        ----------
        owner
            The plugin's name in the file.
        kind
            The role of the owner, which decides the block that is active while a task is down.
        notify, puts
            The log and the inboxes concerned; those of the whole process by default.
        """
        log, inboxes = notify or self._notify, puts or self._puts

        def report(change: TaskChange) -> None:
            self._log(change, log)
            if change.blocks:
                event = self._event(change, kind)
                for put in inboxes():
                    put(event)

        tasks = Tasks(owner, report)
        self._all.append(tasks)
        return tasks

    def kept(self) -> list[tuple[str, Kept]]:
        """Return every kept task of the process, with its owner."""
        return [(tasks.owner, kept) for tasks in self._all for kept in tasks.kept()]

    def calls(self) -> list[tuple[str, str, asyncio.Task[Any]]]:
        """Return every call in flight: owner, name, task."""
        return [(tasks.owner, *each) for tasks in self._all for each in tasks.calls()]

    def unowned(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a failure without an owner: the exception handler of the loop."""
        error = context.get("exception")
        cause = f"{type(error).__name__}: {error}" if error is not None else ""
        text = f"{context.get('message', 'a task failed')}: {cause}".rstrip(": ")
        self._notify("error", "task_failed", {"text": text, "plugin": "", "task": ""} | _at(error))

    async def close(self) -> None:
        """End all remaining tasks."""
        for tasks in self._all:
            await tasks.close()

    def _log(self, change: TaskChange, notify: Notify) -> None:
        fields = {"text": change.text, "plugin": change.owner, "task": change.task}
        if change.state == "down":
            notify("error", "task_failed", fields | _at(change.error))
        else:
            notify("info", "task_works", fields)

    def _event(self, change: TaskChange, kind: Kind) -> m.Event:
        now_ns, of = self._clock.now_ns(), f"{TASK}{change.task} of {change.owner}"
        if kind == "venue":
            return m.VenueChanged(at_ns=now_ns, venue=of, state=change.state, reason=change.text)
        state: Literal["down", "live"] = "down" if change.state == "down" else "live"
        return m.FeedChanged(at_ns=now_ns, stream=of, symbol=-1, state=state, reason=change.text)


def _at(error: BaseException | None) -> dict[str, Any]:
    """Return where an error was raised, without its message, which may contain a secret."""
    if error is None:
        return {}
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return {"at": [f"{each.filename}:{each.lineno} {each.name}" for each in frames]}
