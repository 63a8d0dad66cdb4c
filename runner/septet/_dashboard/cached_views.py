"""What the pages and the API show of runs, read once for all visitors while nothing has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._dashboard.listing import all_runs
from septet._dashboard.run_page import now_text, run_view
from septet._dashboard.shared_readings import PAUSE_S, SharedReadings
from septet._store.find_runs import open_run
from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._app.run_view import RunView
    from septet._store.run_folder import Run

__all__ = ["OpenedRun", "OpenedRuns", "RunLists", "View", "Views"]

_MAX_VIEWS: Final = 16
_MAX_OPENED: Final = 8


@dataclass(frozen=True, slots=True)
class View:
    """What a run shows, or why it shows nothing, and when it was read."""

    shown: dict[str, Any] | None
    damaged: str
    read_at: str
    run: Run | None = None


class Views(SharedReadings[View]):
    """The views of the runs whose pages were looked at last.

    A run that writes all the time is read once a second for all of them.
    """

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(_view, most=_MAX_VIEWS, pause_s=PAUSE_S, clock_s=clock_s, sleep=sleep)

    def of(self, folder: Path) -> View:
        """Return the view of a run; viewers that ask while it is read wait for the same one."""
        return self.ask(folder, lambda view: view)


def _view(folder: Path, before: View | None) -> View:
    """Read a run; of its journal only what has come since it was read before."""
    read_at = now_text()
    try:
        run = open_run(folder, before.run if before is not None else None)
        return View(run_view(run), "", read_at, run)
    except SeptetError as problem:
        return View(None, problem.message, read_at)


class OpenedRun:
    """A run as it was opened, or why it cannot be; what is asked of it is read then, and kept."""

    def __init__(self, run: Run | None, problem: SeptetError | None = None) -> None:
        self._run, self._problem = run, problem
        self._state: RunView | None = None

    @property
    def run(self) -> Run:
        """The run; SeptetError if it cannot be read."""
        if self._run is None:
            assert self._problem is not None
            raise self._problem.with_traceback(None)
        return self._run

    def state(self) -> RunView:
        """Return how it stands.

        Raises
        ------
        SeptetError
            If its folder cannot be read.
        """
        from septet._app.run_folder_errors import reading_run
        from septet._app.run_view import view_of_run

        if self._state is None:
            with reading_run():
                self._state = view_of_run(self.run)
        return self._state

    @classmethod
    def read(cls, folder: Path, before: OpenedRun | None) -> OpenedRun:
        """Open a run; of its journal only what has come since `before` is read."""
        try:
            return cls(open_run(folder, before._run if before is not None else None))
        except SeptetError as problem:
            return cls(None, problem)


class OpenedRuns(SharedReadings[OpenedRun]):
    """The runs that programs, and pages of orders, asked for last.

    Apart from the views of pages, so that no program's question delays a page.
    """

    def __init__(self) -> None:
        super().__init__(OpenedRun.read, most=_MAX_OPENED)


class RunLists(SharedReadings[list[dict[str, Any]]]):
    """The list of all runs, shared by those that ask before it is begun, and by nobody later."""

    def __init__(self) -> None:
        super().__init__(lambda root, before: all_runs(root), lambda root: None, most=1)

    def of(self, root: Path) -> list[dict[str, Any]]:
        """Return a row for each run under a folder, which is not changed."""
        return self.ask(root, lambda rows: rows)
