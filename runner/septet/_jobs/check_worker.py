"""The process that checks strategies for a server: see `check_process`."""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path
from typing import Any, Final

from septet._app.explain import explain_values
from septet._app.workspace import Workspace
from septet._child_process import framed, read_message
from septet._jobs.bounds import bound_memory
from septet._jobs.check_process import CheckAnswer, CheckRequest
from septet.errors import ConfigError, Problem, SeptetError

__all__ = ["check_here", "serve"]

_MOST_PROBLEMS: Final = 200


def check_here(wanted: CheckRequest) -> CheckAnswer:
    """Check a strategy in this process.

    Raises
    ------
    SeptetError
        As `Workspace.check`, except for problems of the file.
    """
    workspace = Workspace(Path(wanted.workspace))
    given: dict[str, Any] = {
        "file": wanted.file, "text": wanted.text, "settings": wanted.settings,
        "beside": wanted.beside,
    }  # fmt: skip
    try:
        if wanted.is_loaded_only:
            return _answered(True, workspace.load(**given).warnings)
        checked = workspace.check(**given)
    except ConfigError as error:
        return _answered(False, error.problems)
    shown = explain_values(checked.loaded) if wanted.values else ()
    values = tuple((each.key, each.shown, str(each.origin)) for each in shown)
    return _answered(True, checked.problems, values)


def _answered(
    ok: bool, problems: tuple[Problem, ...], values: tuple[tuple[str, str, str], ...] = ()
) -> CheckAnswer:
    """Return an answer with the first problems."""
    left_out = max(0, len(problems) - _MOST_PROBLEMS)
    return CheckAnswer(ok, problems[:_MOST_PROBLEMS], left_out, values)


def serve(answers: int, seconds: int, memory: int) -> None:
    """Answer checks until the process that sends them ends.

    A check that takes longer than `seconds` ends this process. On Linux the process is limited to
    `memory` bytes, and a library that fails to allocate ends it too.
    """
    bound_memory(memory)
    # Neither a plugin nor what it starts may read the tasks.
    tasks = os.fdopen(os.dup(0), "rb")
    null_device = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_device, 0)
    os.close(null_device)
    with tasks, os.fdopen(answers, "wb") as out:
        while (task := read_message(tasks)) is not None:
            signal.alarm(seconds)
            out.write(framed(_answer(task)))
            out.flush()
            signal.alarm(0)


def _answer(task: bytes) -> bytes:
    try:
        return pickle.dumps(check_here(pickle.loads(task)))  # noqa: S301
    except (SeptetError, MemoryError) as error:
        error.__traceback__ = error.__context__ = error.__cause__ = None
        return pickle.dumps(error)
