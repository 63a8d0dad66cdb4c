"""Work in a child process, which ends at any point when it is cancelled.

Neither the fit of a model nor an uncompiled plan can be interrupted, and both would keep a server
from answering. The child also ends with the server, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from septet._jobs.bounds import LONG_WORK, Bounds, size_text
from septet._progress import Progress
from septet._text import decode_json
from septet.errors import ConfigError, InputError, Problem, SeptetError

__all__ = ["LESS", "result_of"]

LESS: Final = "a shorter span, fewer symbols, features or settings, smaller files of data"

_PROGRAM: Final = (
    "from septet._kernel.garbage_collection import collect_seldom; collect_seldom(); "
    "import importlib, sys; importlib.import_module(sys.argv[2]).main()"
)
_LOOK_S: Final = 0.1
_LAST_S: Final = 10.0
_LONGEST: Final = 4 << 20
"""Bytes of one line that a process reports."""
_LAST_WORDS: Final = ("result", "error", "memory")


class _TooLong(Exception):
    """The work exceeded its bound of time."""


def result_of(
    module: str, given: Mapping[str, Any], progress: Progress, bounds: Bounds = LONG_WORK
) -> Any:
    """Run a worker module on a document in a new process; return its result.

    The process is bounded in time and limited to the memory of `Bounds.here`. The module reads one
    document from stdin and writes lines, as `child_side.serve_one` does.

    Raises
    ------
    InputError
        If it exceeds its bounds: the process is killed.
    SeptetError
        If the work failed, problems of the file included.
    Cancelled
        If `progress` raised it: the process is killed.
    """
    # -P: nothing is imported from the folder where the server was started.
    bounds = bounds.here()
    ends = time.monotonic() + bounds.seconds
    child = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", _PROGRAM, str(bounds.memory), module],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        # Open for as long as this process lives: its end is how the child knows of ours.
        child.stdin.write(json.dumps(given).encode() + b"\n")
        child.stdin.flush()
        message = _followed(child.stdout.fileno(), progress, ends)
        child.wait(_LAST_S)
    except _TooLong:
        _end(child)
        raise InputError(
            f"the work took longer than {bounds.seconds:,.10g} s and was ended", hint=LESS
        ) from None
    except BaseException:  # whatever ends the work ends its process
        _end(child)
        raise
    finally:
        child.wait()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
    if message.get("memory") or not message:
        failed = "" if message else ", or a library failed in its process"
        raise InputError(f"the work takes more than {size_text(bounds.memory)}{failed}", hint=LESS)
    if "error" in message:
        raise _error_of(message["error"])
    return message["result"]


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and the processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _followed(source: int, progress: Progress, ends: float) -> dict[str, Any]:
    """Forward what a process reports until it ends; return its last report."""
    last: list[Any] = ["start", 0, None, ""]
    unread, message = b"", dict[str, Any]()
    with selectors.DefaultSelector() as ready:
        ready.register(source, selectors.EVENT_READ)
        while True:
            progress(*last)  # asks as well whether to go on
            if time.monotonic() > ends:
                raise _TooLong
            if not ready.select(_LOOK_S):
                continue
            part = os.read(source, 1 << 16)
            if not part or len(unread) > _LONGEST:
                return message
            *lines, unread = (unread + part).split(b"\n")
            for line in lines:
                reported = decode_json(line.decode())
                last = reported.get("progress", last)
                message |= {name: reported[name] for name in _LAST_WORDS if name in reported}


def _error_of(document: dict[str, Any]) -> SeptetError:
    """Return the error that a process reported as a document."""
    problems = [Problem(**each) for each in document["problems"]]
    if problems:
        return ConfigError(problems)
    return SeptetError(document["message"], hint=str(document["hint"]))
