"""A backtest in a process of its own: what it is given on stdin, what it tells on stdout.

One line of JSON comes in (`backtest_process.Backtest`); lines of JSON go out: ``progress``, and at
the end ``run`` (the id of the stored run) or ``error``. What plugins print goes to stderr.

Stdin stays open for as long as the process that started this one lives, and this one ends with it.
No line has a figure of the backtest before its try is in the ledger: whenever the process is
killed, what anybody can have seen is counted.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from septet._app.documents import error_document
from septet._app.run import BacktestRequest, compute_backtest, store_backtest
from septet._app.workspace import Workspace
from septet._text import decode_json
from septet.errors import SeptetError

__all__ = ["main"]

_EVERY_S: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1


class _Told:
    """Writes lines to whoever started the process; who has gone is told nothing more."""

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


def _run(given: dict[str, Any], told: _Told) -> str:
    """Run what was asked for, store it, and return its id."""
    workspace = Workspace(Path(given["workspace"]))
    loaded = workspace.load(
        text=given["text"], beside=given["file"], settings=given["settings"]
    )  # fmt: skip
    request = BacktestRequest(
        face=given["face"], client=given["client"], hypothesis=given["hypothesis"]
    )  # fmt: skip
    result = compute_backtest(loaded, request, log=told.note, progress=told.progress)
    told.progress("store", 0, None, "")
    return store_backtest(result, Path(given["runs"]), report=given["report"]).run_id


def _end_with_parent() -> None:
    """End this process when the one that started it ends, whatever this one does then.

    On Linux the kernel kills it: compiled code may keep the interpreter busy for a long time. The
    end of stdin serves elsewhere, and where the other had ended before the kernel was asked.
    """

    def watch() -> None:
        while os.read(0, 1 << 10):
            pass
        os._exit(1)

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    threading.Thread(target=watch, name="septet-parent", daemon=True).start()


def main() -> None:
    """Run one backtest."""
    told = _Told()
    wanted = sys.stdin.readline()
    if not wanted:  # whoever wanted it has gone
        return
    _end_with_parent()
    try:
        told.send(run=_run(decode_json(wanted), told))
    except SeptetError as error:
        told.send(error=error_document(error))


if __name__ == "__main__":
    main()
