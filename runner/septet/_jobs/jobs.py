"""Jobs of servers: one at a time in each lane, with progress and cancellation."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from septet._progress import Progress, stoppable
from septet._text import shortened
from septet.errors import Cancelled, InputError, SeptetError

__all__ = ["CHECKS", "LONG", "Job", "Jobs", "Lane", "TooManyJobs", "Work", "bug_of"]

Work = Callable[[Progress], dict[str, Any]]
_LOG = logging.getLogger(__name__)
MOST_KEPT: Final = 50
ENDS_WITHIN_S: Final = 5.0
"""How long a server waits for cancelled jobs when it ends."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue in which one job runs at a time.

    At most `most` jobs are open, and `most_each` of one owner. `is_kept` keeps them listed after
    they have ended.
    """

    name: str
    most: int
    most_each: int
    is_kept: bool = True


LONG: Final = Lane("jobs", most=8, most_each=4)
CHECKS: Final = Lane("checks", most=4, most_each=1, is_kept=False)


class TooManyJobs(InputError):
    """The queue is full; the request can be repeated when a job has ended."""


def bug_of(error: Exception) -> SeptetError:
    """Return the answer to a client for an exception that is a bug of septet."""
    return SeptetError(
        f"a bug of septet: {type(error).__name__}", hint="the log of the server shows it"
    )


class Job:
    """Work in a thread of its own; `error` is set if it failed, `result` if it succeeded."""

    def __init__(
        self, kind: str, work: Work, changed: threading.Condition, lane: Lane = LONG,
        owner: str | None = None,
    ) -> None:  # fmt: skip
        self.id, self.kind, self.lane, self.owner = secrets.token_hex(4), kind, lane, owner
        self.state = "waiting"
        self.result: dict[str, Any] | None = None
        self.error: SeptetError | None = None
        self._work = work
        self._stage, self._done, self._text = "", 0, ""
        self._total: int | None = None
        self._changed = changed
        self._cancel, self._ended = threading.Event(), threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    def cancel(self) -> None:
        """Request that it stops; it does so at its next report of progress, or while it waits."""
        self._cancel.set()
        with self._changed:
            self._changed.notify_all()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it has ended, up to a timeout."""
        self._ended.wait(seconds)

    def document(self) -> dict[str, Any]:
        """Return its state and progress."""
        return {
            "id": self.id, "kind": self.kind, "state": self.state, "stage": self._stage,
            "done": self._done, "total": self._total, "text": shortened(self._text, 200),
        }  # fmt: skip

    def _report(self, stage: str, done: int, total: int | None, text: str, /) -> None:
        self._stage, self._done, self._total, self._text = stage, done, total, text

    def run(self, waiting: deque[Job]) -> None:
        """Do the work when it is first in its lane."""
        report = stoppable(self._report, self._cancel)
        try:
            with self._changed:
                self._changed.wait_for(lambda: waiting[0] is self or self._cancel.is_set())
            report(self.kind, 0, None, "")  # one that was cancelled ends here
            self.state = "running"
            self.result = self._work(report)
            self.state = "done"
        except Cancelled as error:
            self.state, self.error = "cancelled", error
        except SeptetError as error:
            self.state, self.error = "failed", error
        except Exception as error:  # a bug is reported to the client, and shown whole on stderr
            _LOG.error("a job ended by a bug", exc_info=error)
            self.error = bug_of(error)
            self.state = "failed"
        finally:
            with self._changed:
                waiting.remove(self)
                self._changed.notify_all()
            self._ended.set()


class Jobs:
    """The jobs of a server, the latest `MOST_KEPT`; they end with its process.

    `hint` says how to end a job, for the error when too many are open.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._jobs: dict[str, Job] = {}
        self._lock, self._changed = threading.Lock(), threading.Condition()
        self._waiting: dict[str, deque[Job]] = {}
        self._closed = False

    def start(
        self, kind: str, work: Work, lane: Lane = LONG, owner: str | None = None
    ) -> Job:  # fmt: skip
        """Start a job, or queue it.

        Without an `owner` all jobs of the lane are counted, otherwise those of the owner.

        Raises
        ------
        TooManyJobs
            If as many are open as allowed.
        """
        job = Job(kind, work, self._changed, lane, owner)
        with self._lock:
            self._require_free_slot(lane, owner)
            ended = [each.id for each in self._jobs.values() if not each.is_open]
            unlisted = [each for each in ended if not self._jobs[each].lane.is_kept]
            for old in {*ended[: max(0, len(self._jobs) + 1 - MOST_KEPT)], *unlisted}:
                del self._jobs[old]
            self._jobs[job.id] = job
            with self._changed:
                waiting = self._waiting.setdefault(lane.name, deque())
                waiting.append(job)
            if self._closed:
                job.cancel()
        threading.Thread(
            target=job.run, args=(waiting,), name=f"septet-{kind}-{job.id}", daemon=True
        ).start()
        return job

    def _require_free_slot(self, lane: Lane, owner: str | None) -> None:
        opened = [each for each in self._jobs.values() if each.is_open and each.lane == lane]
        own = [each for each in opened if owner is not None and each.owner == owner]
        for found, most, words in (
            (own, lane.most_each, f"{len(own)} of your {lane.name} are open, the limit is "),
            (opened, lane.most, f"{len(opened)} {lane.name} are open, the limit is "),
        ):
            if len(found) >= most:
                names = ", ".join(each.id for each in found)
                raise TooManyJobs(f"{words}{most}", hint=f"{self._hint}: {names}")

    def latest(self) -> list[Job]:
        """Return the open and kept jobs, the latest first."""
        with self._lock:
            found = [each for each in self._jobs.values() if each.is_open or each.lane.is_kept]
        return found[::-1]

    def close(self) -> None:
        """Cancel all open jobs, and every job that is started from now on."""
        with self._lock:
            self._closed = True
        for each in self.latest():
            each.cancel()

    def end(self, within_s: float = ENDS_WITHIN_S) -> bool:
        """Cancel all jobs and wait for them, up to a timeout; return whether all have ended."""
        self.close()
        until = time.monotonic() + within_s
        for each in self.latest():
            each.wait(max(0.0, until - time.monotonic()))
        return not any(each.is_open for each in self.latest())

    def leave(self, status: int, within_s: float = ENDS_WITHIN_S) -> None:
        """End all jobs; if one goes on, end the process at once.

        A thread in native code must not outlive the interpreter: at its finalisation it would abort
        the process. `status` is the exit status if the process ends here.
        """
        if not self.end(within_s):
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(status)

    def find(self, name: str) -> Job:
        """Return a job by its id.

        Raises
        ------
        InputError
            If there is none with this id.
        """
        with self._lock:
            job = self._jobs.get(name)
            job_names = ", ".join(self._jobs) or "none"
        if job is None:
            raise InputError(f"there is no job {name[:40]!r}", hint=f"there are: {job_names}")
        return job
