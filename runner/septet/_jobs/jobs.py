"""Long work: one job at a time, each with progress, and stopped when it is asked to."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from septet._progress import Progress, stoppable
from septet._text import shortened
from septet.errors import Cancelled, InputError, SeptetError

__all__ = ["Job", "Jobs", "Work", "bug_of"]

Work = Callable[[Progress], dict[str, Any]]
_LOG = logging.getLogger(__name__)
MOST_OPEN: Final = 8
MOST_KEPT: Final = 50
ENDS_WITHIN_S: Final = 5.0
"""So long a server waits at its end for what it cancelled."""


def bug_of(error: Exception) -> SeptetError:
    """Return what a client receives for an exception that septet did not expect."""
    return SeptetError(
        f"a bug of septet: {type(error).__name__}", hint="the log of the server shows it"
    )


class Job:
    """Work of a thread of its own. `error` is what ended it, `result` what it found."""

    def __init__(self, kind: str, work: Work) -> None:
        self.id, self.kind = secrets.token_hex(4), kind
        self.state = "waiting"
        self.result: dict[str, Any] | None = None
        self.error: SeptetError | None = None
        self._work = work
        self._stage, self._done, self._text = "", 0, ""
        self._total: int | None = None
        self._cancel, self._ended = threading.Event(), threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    def cancel(self) -> None:
        """Ask it to stop: it does between two parts of its work."""
        self._cancel.set()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, at most so long."""
        self._ended.wait(seconds)

    def document(self) -> dict[str, Any]:
        """Return how far it is."""
        return {
            "id": self.id, "kind": self.kind, "state": self.state, "stage": self._stage,
            "done": self._done, "total": self._total, "text": shortened(self._text, 200),
        }  # fmt: skip

    def _report(self, stage: str, done: int, total: int | None, text: str, /) -> None:
        self._stage, self._done, self._total, self._text = stage, done, total, text

    def run(self, turn: threading.Lock) -> None:
        """Do the work once it is its turn."""
        try:
            with turn:
                self.state = "running"
                report = stoppable(self._report, self._cancel)
                report(self.kind, 0, None, "")
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
            self._ended.set()


class Jobs:
    """The jobs of a server, the latest `MOST_KEPT`; they end with its process.

    `hint` states how one is ended, where too many are open.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._jobs: dict[str, Job] = {}
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._closed = False

    def start(self, kind: str, work: Work) -> Job:
        """Begin work, or let it wait for its turn.

        Raises
        ------
        InputError
            If too many wait already.
        """
        job = Job(kind, work)
        with self._lock:
            waiting = [each.id for each in self._jobs.values() if each.is_open]
            if len(waiting) >= MOST_OPEN:
                raise InputError(
                    f"{len(waiting)} jobs are open, the limit is {MOST_OPEN}",
                    hint=f"{self._hint}: {', '.join(waiting)}",
                )
            ended = [each.id for each in self._jobs.values() if not each.is_open]
            for old in ended[: max(0, len(self._jobs) + 1 - MOST_KEPT)]:
                del self._jobs[old]
            self._jobs[job.id] = job
            if self._closed:
                job.cancel()
        threading.Thread(
            target=job.run, args=(self._turn,), name=f"septet-{kind}-{job.id}", daemon=True
        ).start()
        return job

    def latest(self) -> list[Job]:
        """Return the jobs that are kept, the latest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def close(self) -> None:
        """Ask all that are open to stop, and each that is begun from now on."""
        with self._lock:
            self._closed = True
        for each in self.latest():
            each.cancel()

    def leave(self, status: int, within_s: float = ENDS_WITHIN_S) -> None:
        """Cancel all that are open and wait for them; what goes on ends with the process, now.

        A thread in native code must not outlive the interpreter: as that is finalised, it aborts
        the process. `status` is that of the process if it ends here.
        """
        self.close()
        until = time.monotonic() + within_s
        for each in self.latest():
            each.wait(max(0.0, until - time.monotonic()))
        if any(each.is_open for each in self.latest()):
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
            If there is none.
        """
        with self._lock:
            job = self._jobs.get(name)
            job_names = ", ".join(self._jobs) or "none"
        if job is None:
            raise InputError(f"there is no job {name[:40]!r}", hint=f"there are: {job_names}")
        return job
