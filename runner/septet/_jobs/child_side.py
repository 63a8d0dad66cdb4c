"""The child side of work for a server: a document on stdin, reports on stdout.

One line of JSON comes in. Lines of JSON go out: ``progress``, and at the end ``result``, ``error``,
or ``memory`` if there was not enough. What plugins print goes to stderr. Stdin stays open as long
as the parent process lives, and the child ends with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from septet._app.documents import error_document
from septet._jobs.bounds import bound_memory
from septet._text import decode_json
from septet.errors import SeptetError

__all__ = ["Reports", "serve_one"]

_EVERY_S: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1


class Reports:
    """Writes lines to the parent process; after the parent has ended nothing is written."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._last_s, self._stage = float("-inf"), ""

    def send(self, **line: Any) -> None:
        try:
            self._out.write(json.dumps(line) + "\n")
            self._out.flush()
        except BrokenPipeError:
            os._exit(1)

    def progress(self, stage: str, done: int, total: int | None, text: str, /) -> None:
        now_s = time.monotonic()
        if stage != self._stage or now_s - self._last_s >= _EVERY_S:
            self._last_s, self._stage = now_s, stage
            self.send(progress=[stage, done, total, text[:200]])

    def note(self, text: str) -> None:
        self.send(progress=["note", 0, None, text[:200]])


def _end_with_parent() -> None:
    """End this process when its parent ends.

    On Linux the kernel kills it, because compiled code may keep the interpreter busy for a long
    time. On other systems, and if the parent had ended before the kernel was asked, the end of
    stdin serves.
    """

    def watch() -> None:
        while os.read(0, 1 << 10):
            pass
        os._exit(1)

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    threading.Thread(target=watch, name="septet-parent", daemon=True).start()


def serve_one(work: Callable[[dict[str, Any], Reports], Any]) -> None:
    """Do one piece of work and report its result or error; the first argument bounds its memory."""
    bound_memory(int(sys.argv[1]))
    reports = Reports()
    line = sys.stdin.readline()
    if not line:  # whoever requested it is gone
        return
    _end_with_parent()
    try:
        reports.send(result=work(decode_json(line), reports))
    except SeptetError as error:
        reports.send(error=error_document(error))
    except MemoryError:
        reports.send(memory=True)
