"""The journals of a list of runs, verified once for as long as they are not written.

A list is asked for again and again, by many viewers: the hashes of a journal are followed anew
only where its files have changed, and of a run that goes on at most once a minute.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._store.damage_messages import JOURNAL

if TYPE_CHECKING:
    from septet._journal.journal_check import JournalFinding
    from septet._store.run_folder import Run

__all__ = ["MOST_BYTES", "ListedJournals", "listed_finding"]

MOST_BYTES: Final = 256 << 20
"""Larger journals are verified when their run is shown, not in a list."""
_VERIFY_S: Final = 60.0
_KEPT: Final = 4_096
_FILES: Final = (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-tail")


@dataclass(frozen=True, slots=True)
class _Verified:
    signs: tuple[object, ...]
    at_s: float
    finding: JournalFinding | None


class ListedJournals:
    """Defects of the journals of listed runs."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, _Verified] = OrderedDict()

    def finding_of(self, run: Run) -> JournalFinding | None:
        """Return the defect of the journal of a run that has one; None if it is intact."""
        from septet._journal.lease import holder_of

        signs = _signs_of(run.folder)
        with self._lock:
            kept = self._kept.get(run.folder)
        if kept is not None:
            is_recent = self._clock_s() - kept.at_s < _VERIFY_S
            if kept.signs == signs or (is_recent and holder_of(run.folder) is not None):
                return kept.finding
        if _size_of(run.folder) > MOST_BYTES:
            return None
        found = _Verified(signs, self._clock_s(), run.finding)
        with self._lock:
            self._kept[run.folder] = found
            self._kept.move_to_end(run.folder)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found.finding


def _signs_of(folder: Path) -> tuple[object, ...]:
    """Return stamps that change when a file of a journal is written, replaced or removed.

    A reader creates an empty WAL, and changes its ctime at every opening.
    """
    found: list[object] = []
    for name in _FILES:
        try:
            state = os.lstat(folder / name)
        except OSError:
            found.append(None)
            continue
        status = state.st_ctime_ns if name == JOURNAL else None
        whole = (state.st_size, state.st_mtime_ns, status, state.st_ino)
        found.append(whole if state.st_size else None)
    return tuple(found)


def _size_of(folder: Path) -> int:
    try:
        return os.lstat(folder / JOURNAL).st_size
    except OSError:
        return 0


_LISTED: Final = ListedJournals()


def listed_finding(run: Run) -> JournalFinding | None:
    """Return the defect of the journal of a listed run; None if there is none."""
    return _LISTED.finding_of(run)
