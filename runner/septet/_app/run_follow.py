"""Follows one run: reads new entries of its journal, and never writes to its folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._app.run_files import file_stamps_of, settled_stamps_of
from septet._app.run_folder_errors import reading_run
from septet._app.run_view import RunView, view_of_fold, view_of_run
from septet._app.runs import standing_in
from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._journal.fold import Fold

__all__ = ["Look", "RunFollower"]

_DATA: Final = ("bar", "quote", "print")
_VERIFY_S: Final = 60.0
"""Interval at which the whole journal is verified while it is followed."""


@dataclass(frozen=True, slots=True)
class Look:
    """Result of reading a run: the last readable view, and how current it is.

    `read_ns` is when `view` was read (wall time). `problem` states why the run cannot be read now,
    or is empty; `gone` is whether its folder no longer exists; `starting` whether its process has
    made no journal yet.
    """

    view: RunView | None
    read_ns: int
    problem: str = ""
    gone: bool = False
    starting: bool = False

    @property
    def is_current(self) -> bool:
        """Whether `view` is the current state of the folder."""
        return not (self.problem or self.gone)

    def age_s(self, now_ns: int) -> float:
        """Return how long ago `view` was read."""
        return max(0, now_ns - self.read_ns) / 1e9


class RunFollower:
    """Reads a run repeatedly; only new entries of its journal are read."""

    def __init__(
        self,
        folder: Path,
        now_ns: Callable[[], int] = time.time_ns,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._now_ns, self._clock_s = now_ns, clock_s
        self._view: RunView | None = None
        self._read_ns = 0
        self._signs: object = None
        self._fold: Fold | None = None
        self._file: tuple[int, int] | None = None
        self._doubt, self._verified_s = "", -_VERIFY_S
        self._data_ns = 0
        self._without_journal = False

    def look(self) -> Look:
        """Return the current state of the run, or the last readable one.

        Errors of the folder are reported in the result and not raised.
        """
        from septet._journal.lease import holder_of
        from septet._store.starting_runs import is_starting, starting_problem

        if file_stamps_of(self.folder) is None:
            return Look(self._view, self._read_ns, "its folder is gone", gone=True)
        if self._view is None and is_starting(self.folder):
            return Look(None, 0, starting_problem(self.folder).message, starting=True)
        try:
            with reading_run():
                signs = settled_stamps_of(self.folder, sleep=lambda seconds: None)
                running = holder_of(self.folder) is not None
                now = None if signs is None else (signs, running)
                if self._view is None or now is None or now != self._signs:
                    self._view = self._read(running)
                    self._signs = None if self._without_journal else now
        except SeptetError as problem:
            if file_stamps_of(self.folder) is None:
                return Look(self._view, self._read_ns, "its folder is gone", gone=True)
            return Look(self._view, self._read_ns, problem.message)
        self._read_ns = self._now_ns()
        return Look(self._view, self._read_ns)

    def _read(self, running: bool) -> RunView:
        from septet._store.find_runs import open_run
        from septet._store.run_folder import JOURNAL, Run

        if not (self.folder / JOURNAL).is_file():
            return view_of_run(open_run(self.folder))
        try:
            view = self._read_journal(self.folder / JOURNAL)
        except SeptetError:
            finding = Run(self.folder).finding
            has_view = self._view is not None and not self._without_journal
            if has_view or running or finding is None or finding.kind != "unreadable":
                raise  # it may be locked, or be restored
            view = view_of_run(open_run(self.folder))
            self._without_journal = True  # every look tries again
            return view
        self._without_journal = False
        if view.is_running:
            return replace(view, problem=view.doubt, exit_status=1 if view.doubt else 0)
        if not view.doubt and Run(self.folder).files_finding is None:
            return view
        stored = view_of_run(open_run(self.folder))  # it determines the source of the figures
        return replace(stored, last_data_ns=self._data_ns)

    def _read_journal(self, path: Path) -> RunView:
        from septet._files import require_no_links
        from septet._journal.fold import Fold
        from septet._journal.journal_check import doubt_of
        from septet._journal.reader import Reader, understood

        require_no_links(self.folder)
        state = path.stat()
        with Reader(path) as journal, understood(path):
            last, file = journal.last_seq, (state.st_dev, state.st_ino)
            if self._fold is None or file != self._file or last < self._fold.seq:
                self._fold, self._file, self._data_ns = Fold(journal.head), file, 0
                self._verified_s = -_VERIFY_S
            fold, self._fold = self._fold, None  # after an error it may contain half an entry
            for entry in journal.read(fold.seq, last):
                fold.take((entry,))
                if entry.kind in _DATA:
                    self._data_ns = entry.at_ns
            if self._clock_s() - self._verified_s >= _VERIFY_S:
                self._doubt, self._verified_s = doubt_of(journal), self._clock_s()
        blocks = [asdict(each) for each in fold.blocks]
        standing = standing_in(self.folder, blocks, self._doubt)
        with understood(path):
            view = view_of_fold(self.folder, fold, standing, self._data_ns)
        self._fold = fold
        return view
