"""Readings that requests share: one serves all that asked before it began, and while it is true.

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
from typing import Final, Generic, TypeVar

from septet._app.run_files import settled_stamps_of

__all__ = ["PAUSE_S", "SharedReadings", "signs_of_run"]

PAUSE_S: Final = 1.0
"""A run that writes all the time is read again so long after the last time, and no earlier."""
_IDLE_S: Final = 300.0
"""A reading that nobody has asked for is let go after so long."""
_Value = TypeVar("_Value")
_Answer = TypeVar("_Answer")


def signs_of_run(folder: Path) -> object | None:
    """Return what is equal while a reading of a run is true; None if no reading stays so."""
    from septet._journal.lease import holder_of

    stamps = settled_stamps_of(folder)
    # A process of another machine ends without a change: its heartbeat becomes too old.
    return None if stamps is None else (stamps, holder_of(folder) is not None)


@dataclass(slots=True)
class _Kept(Generic[_Value]):
    lock: Lock = field(default_factory=Lock)
    value: _Value | None = None
    signs: object = None
    started_s: float = 0.0
    finished_s: float = 0.0
    asked_s: float = 0.0


class SharedReadings(Generic[_Value]):
    """The latest reading of each of the folders that were asked for last.

    Parameters
    ----------
    read : callable
        Reads a folder, given the reading before it, which is not used any more.
    signs : callable
        What changes when a new reading would be another one; see `signs_of_run`. It is asked
        before a folder is read, so that what is written meanwhile is new.
    most : int
        How many are kept.
    pause_s : float
        So long after a reading the next of the same folder begins.
    """

    def __init__(
        self,
        read: Callable[[Path, _Value | None], _Value],
        signs: Callable[[Path], object | None] = signs_of_run,
        *,
        most: int,
        pause_s: float = 0.0,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._read, self._signs, self._most, self._pause_s = read, signs, most, pause_s
        self._clock_s, self._sleep = clock_s, sleep
        self._lock = Lock()
        self._kept: OrderedDict[Path, _Kept[_Value]] = OrderedDict()

    def ask(self, folder: Path, question: Callable[[_Value], _Answer]) -> _Answer:
        """Return what `question` makes of the reading of a folder; one is asked at a time.

        The reading holds all that was written before it was asked for. All that ask before a
        reading begins share it. It is read on from by the next one: only a question may use it.
        """
        asked_s = self._clock_s()
        kept = self._of(folder, asked_s)
        with kept.lock:
            value = kept.value
            # one that began earlier may lack what was written before this question
            is_old = kept.started_s <= asked_s
            if value is None or (is_old and not self._is_true(kept, folder)):
                value = self._renewed(kept, folder)
            return question(value)

    def _of(self, folder: Path, asked_s: float) -> _Kept[_Value]:
        with self._lock:
            kept = self._kept.setdefault(folder, _Kept())
            kept.asked_s = asked_s
            self._kept.move_to_end(folder)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            while next(iter(self._kept.values())).asked_s < asked_s - _IDLE_S:
                self._kept.popitem(last=False)
            return kept

    def _is_true(self, kept: _Kept[_Value], folder: Path) -> bool:
        return kept.signs is not None and self._signs(folder) == kept.signs

    def _renewed(self, kept: _Kept[_Value], folder: Path) -> _Value:
        if kept.value is not None:
            self._sleep(max(0.0, kept.finished_s + self._pause_s - self._clock_s()))
        kept.started_s = self._clock_s()
        kept.signs = self._signs(folder)
        before, kept.value = kept.value, None  # half of it may be read on from when one fails
        found = kept.value = self._read(folder, before)
        kept.finished_s = self._clock_s()
        return found
