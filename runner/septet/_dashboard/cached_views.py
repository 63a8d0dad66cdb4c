"""What the pages of runs show, read once for all viewers while nothing has changed.

Reading a run verifies and folds its whole journal: many viewers, and a run that writes several
times a second, must not take the processors from the runs themselves.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from septet._app.run_files import file_stamps_of
from septet._dashboard.run_page import now_text, run_view
from septet._store.find_runs import open_run
from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["View", "Views"]

_PAUSE_S: Final = 1.0
"""A run that writes all the time is read again so long after the last time, and no earlier."""
_MAX_VIEWS: Final = 16
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class View:
    """What a run shows, or why it shows nothing, and when it was read."""

    shown: dict[str, Any] | None
    damaged: str
    read_at: str
    run: Run | None = None


@dataclass(slots=True)
class _CachedView:
    lock: Lock = field(default_factory=Lock)
    view: View | None = None
    signs: object = None
    started_s: float = 0.0
    finished_s: float = 0.0


class Views:
    """The views of the runs that were looked at last."""

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock_s, self._sleep = clock_s, sleep
        self._lock = Lock()
        self._kept: OrderedDict[Path, _CachedView] = OrderedDict()

    def of(self, folder: Path) -> View:
        """Return the view of a run; viewers that ask while it is read wait for the same one."""
        return self.ask(folder, lambda view: view)

    def ask(self, folder: Path, question: Callable[[View], _Answer]) -> _Answer:
        """Return what `question` makes of the view of a run; one is asked at a time.

        All that ask before a reading begins share it: a run that writes all the time is read once
        a second for all of them.
        The run of a view is read on from by the next one: only a question may use it.
        """
        asked_s = self._clock_s()
        with self._lock:
            kept = self._kept.setdefault(folder, _CachedView())
            self._kept.move_to_end(folder)
            while len(self._kept) > _MAX_VIEWS:
                self._kept.popitem(last=False)
        with kept.lock:
            # a view whose reading began earlier may lack what was written before this question
            is_old = kept.started_s <= asked_s
            if kept.view is None or (is_old and file_stamps_of(folder) != kept.signs):
                if kept.view is not None:
                    self._sleep(max(0.0, kept.finished_s + _PAUSE_S - self._clock_s()))
                kept.started_s = self._clock_s()
                kept.signs = file_stamps_of(folder)  # before it is read: what is written now is new
                kept.view = _read(folder, kept.view)
                kept.finished_s = self._clock_s()
            return question(kept.view)


def _read(folder: Path, before: View | None) -> View:
    """Read a run; of its journal only what has come since it was read before."""
    read_at = now_text()
    try:
        run = open_run(folder, before.run if before is not None else None)
        return View(run_view(run), "", read_at, run)
    except SeptetError as problem:
        return View(None, problem.message, read_at)
