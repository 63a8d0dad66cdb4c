"""A bound on the time that a check takes, and the line at which it stood when that had passed.

The time is the wall's while a line of the plugin is being run, whatever that waits for. While
septet works around it (it plans, it compiles) or compiled code runs, the process must have used as
much of a processor, too: on a busy machine that work takes long, and is no fault of the plugin.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

from septet._host.guarded_arrays import OURS, StepError

__all__ = ["NotEnded", "run_within"]


WALL_FACTOR: Final = 20
"""Times the bound, on the wall, after which work of a busy machine counts as not ended either."""
PAUSE_S: Final = 0.05


class NotEnded(StepError):
    """What was called did not end in time."""


class _Stop(BaseException):
    """Raised in a thread whose time has passed; no `except Exception` of a plugin keeps it."""


def run_within(seconds: float, call: Callable[[], Any], place: str = "") -> Any:
    """Call a function in a thread of its own; return what it returns, raise what it raises.

    `place` is ``file:line`` of the plugin, reported where no line of its own is known (it stands in
    compiled code).

    Raises
    ------
    NotEnded
        If it has not ended in time, with the line of the plugin at which it stood. The thread is
        then asked to end; what waits in compiled code or in the system goes on until the process
        ends.
    """
    ended: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        try:
            ended.append((call(), None))
        except BaseException as error:  # handed over to the caller
            ended.append((None, error))

    thread = threading.Thread(target=work, name="septet-kit", daemon=True)
    thread.start()
    used_s, ends_s = time.process_time() + seconds, time.monotonic() + WALL_FACTOR * seconds
    thread.join(seconds)
    while (
        thread.is_alive() and time.process_time() < used_s and time.monotonic() < ends_s
        and place and not _is_in_plugin(thread, place)
    ):  # fmt: skip
        thread.join(PAUSE_S)
    if not ended and thread.is_alive():
        where = _line_of(thread, place) or place
        _stop(thread)
        raise NotEnded(f"{where}: did not end within {seconds:g} s; it stands at this line")
    result, error = ended[0]
    if error is not None:
        raise error
    return result


def _is_in_plugin(thread: threading.Thread, place: str) -> bool:
    """Whether a line of the plugin's package is being run, or something that it has called."""
    frame = sys._current_frames().get(thread.ident or 0)
    folder = PurePath(place.rpartition(":")[0]).parent
    while frame is not None:
        if PurePath(frame.f_code.co_filename).is_relative_to(folder):
            return True
        frame = frame.f_back
    return False


def _line_of(thread: threading.Thread, place: str) -> str:
    """Return the innermost line of the plugin's file, else of any file that is not septet's."""
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return ""
    stack = traceback.extract_stack(frame)
    own = [each for each in stack if each.filename == place.rpartition(":")[0]]
    others = [
        each
        for each in stack
        if not each.filename.startswith(OURS) and each.filename != threading.__file__
    ]
    found = own or ([] if place else others)
    return f"{found[-1].filename}:{found[-1].lineno}" if found else ""


def _stop(thread: threading.Thread) -> None:
    """Ask a thread to end at its next line of Python."""
    ident = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_Stop))
