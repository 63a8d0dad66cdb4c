"""Checks of strategies in a process of its own, which is reused.

A check reads any data that a file names and computes with any settings. In the process of a server
it could use up the memory, or end the process. Here it is bounded in time and memory; a check that
exceeds a bound ends its process, and the next check starts another.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from septet._child_process import ChildLost, ChildProcess, ChildSilent, search_path
from septet._jobs.bounds import Bounds, size_text
from septet._jobs.jobs import TooManyJobs
from septet._progress import Progress
from septet.errors import InputError, Problem, SeptetError

__all__ = ["CheckAnswer", "CheckExceeded", "CheckProcess", "CheckRequest"]

MOST_WAITING: Final = 8
_PROGRAM: Final = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "import os; os.dup2(2, 1); "  # what a plugin prints is no part of a server's answers
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from septet._kernel.garbage_collection import collect_seldom; collect_seldom(); "
    "from septet._jobs.check_worker import serve; "
    "serve(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))"
)


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """The subject of a check: a file of a workspace or a text, with `settings` over it.

    A text is checked as if it were the content of the file `beside`, which need not exist. With
    `values` the answer has the effective values. With `is_loaded_only` the data, and everything
    computed from it, is not checked.
    """

    workspace: str
    file: str | None
    text: str | None
    settings: Mapping[str, Any]
    beside: str | None = None
    values: bool = False
    is_loaded_only: bool = False


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """The findings of a check: the first problems, and the number of those `left_out`.

    `values` are key, value and origin, if requested and there is no error.
    """

    ok: bool
    problems: tuple[Problem, ...]
    left_out: int = 0
    values: tuple[tuple[str, str, str], ...] = ()


class CheckExceeded(InputError):
    """A check exceeded its bounds: whether the strategy has a problem is not known."""


class CheckProcess:
    """Checks strategies one at a time in a process that starts with the first check."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = (bounds or Bounds()).here()
        self._child: ChildProcess | None = None
        self._ends: Callable[[], object] | None = None
        self._turn = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    @property
    def pid(self) -> int | None:
        """The id of the process; None if there is none."""
        return None if self._child is None else self._child.pid

    def check(self, wanted: CheckRequest, progress: Progress | None = None) -> CheckAnswer:
        """Check a strategy when its turn comes; an exception of `progress` ends it.

        Raises
        ------
        CheckExceeded
            If it exceeds its bounds.
        TooManyJobs
            If too many are waiting.
        SeptetError
            As `Workspace.check`, except for problems of the file.
        """
        if not self._waiting.acquire(blocking=False):
            raise TooManyJobs(
                f"{MOST_WAITING} checks wait already", hint="check again once one has answered"
            )
        try:
            with self._turn:
                return self._answer(wanted, progress)
        finally:
            self._waiting.release()

    def _answer(self, wanted: CheckRequest, progress: Progress | None) -> CheckAnswer:
        def look() -> None:
            if progress is not None:
                progress("check", 0, None, "")

        # One may have ended while nothing was asked of it: that is no fault of this check.
        if self._child is not None and not self._child.is_running:
            self._end()
        if self._child is None:
            self._child = self._begin()
        try:
            self._child.send(pickle.dumps(wanted))
            answer = pickle.loads(  # noqa: S301
                self._child.receive(time.monotonic() + self._bounds.seconds, look)
            )
        except ChildSilent:
            self._end()
            raise CheckExceeded(
                f"the check took longer than {self._bounds.seconds:g} s and was ended", hint=_LESS
            ) from None
        except (ChildLost, MemoryError):
            self._end()
            raise CheckExceeded(
                "the process of the check ended: the check took more than "
                f"{size_text(self._bounds.memory)}, or a library failed in it",
                hint=_LESS,
            ) from None
        except BaseException:  # an answer that is not read would be taken for the next one's
            self._end()
            raise
        if isinstance(answer, MemoryError):
            self._end()
            raise CheckExceeded(
                f"the check takes more than {size_text(self._bounds.memory)}",
                hint=_LESS,
            )
        if isinstance(answer, SeptetError):
            raise answer
        assert isinstance(answer, CheckAnswer)
        return answer

    def _begin(self) -> ChildProcess:
        limits = [str(int(self._bounds.seconds) + 5), str(self._bounds.memory), *search_path()]
        folder = os.sep if os.getcwd() != os.sep else tempfile.gettempdir()
        quiet: dict[str, Any] = (
            {} if _has_descriptor(sys.stderr) else {"stderr": subprocess.DEVNULL}
        )
        child = ChildProcess(_PROGRAM, limits, cwd=folder, **quiet)
        self._ends = weakref.finalize(self, _ended, child)
        return child

    def _end(self) -> None:
        self._child = None
        if self._ends is not None:
            self._ends()

    def close(self) -> None:
        """End the process at once; a check in progress is rejected."""
        child = self._child
        if child is not None:
            child.kill()
        with self._turn:
            self._end()


def _ended(child: ChildProcess) -> None:
    child.kill()
    child.close()


_LESS: Final = "a shorter span, fewer symbols or features, smaller files of data"


def _has_descriptor(stream: Any) -> bool:
    try:
        return bool(stream.fileno() >= 0)
    except (AttributeError, OSError, ValueError):
        return False
