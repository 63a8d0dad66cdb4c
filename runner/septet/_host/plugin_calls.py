"""Calls of other packages' code: any exception becomes an error with the plugin and its line.

Code of a package may raise anything: an exception, `SystemExit` by `sys.exit`, a
`KeyboardInterrupt` that nobody pressed. Ctrl-C of the person at the terminal stays what it is.
"""

from __future__ import annotations

import dis
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from septet.errors import PluginError, RunError, SeptetError

__all__ = [
    "OURS", "STANDARD", "plugin_errors", "fault_text", "is_in", "is_theirs", "root_of", "title_of",
    "words_of",
]  # fmt: skip

OURS: Final = str(Path(__file__).resolve().parents[1])
_RAISE: Final = dis.opmap["RAISE_VARARGS"]
STANDARD: Final = (str(Path(dis.__file__).parent),)
LONGEST: Final = 2_000
"""Characters of an exception's words that are shown."""


def is_theirs(error: BaseException) -> bool:
    """Whether code raised something by itself, and neither a person nor the runtime did.

    A `KeyboardInterrupt` is raised by code where a ``raise`` statement of another package stands
    at its end; Ctrl-C comes between two instructions of whatever runs.
    """
    if isinstance(error, Exception):
        return True
    if _is_cancelled(error):
        return False
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return isinstance(error, SystemExit)
    code, place = at.tb_frame.f_code, at.tb_lasti
    if is_in(code.co_filename, (OURS, _click())):
        return False
    if not isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    raises = place >= 0 and code.co_code[place] == _RAISE and code.co_code[place + 1] > 0
    library = is_in(code.co_filename, STANDARD) and "site-packages" not in code.co_filename
    return raises and not library


def _is_cancelled(error: BaseException) -> bool:
    import asyncio  # a backtest in which no code raises needs no event loop

    return isinstance(error, asyncio.CancelledError)


def _click() -> str:
    import click

    return str(Path(click.__file__).parent)


def is_in(file: str, folders: tuple[str, ...]) -> bool:
    return any(file.startswith(f"{folder}/") for folder in folders)


def words_of(error: BaseException) -> str:
    """Return the text of an exception; its own method may raise anything, or end the process."""
    try:
        return str(error)[:LONGEST]
    except BaseException as error_of_text:  # its own method may raise anything
        if not is_theirs(error_of_text):
            raise
        return "(its message cannot be read)"


def fault_text(error: BaseException, root: str = "") -> str:
    """Return `` at file:line: type: words`` of what code of a package raised.

    The line is the last of the package `root`, or else the last outside of septet.
    """
    place = _place(error, root)
    message = words_of(error)
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f" at {place}: {text}" if place else f": {text}"


def _place(error: BaseException, root: str) -> str:
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((OURS, "<frozen "))
    ]
    frames_of_root = [each for each in frames if root and root_of(each[0]) == root] or frames
    if not frames_of_root:
        return ""
    frame, line = frames_of_root[-1]
    return f"{frame.f_code.co_filename}:{line}"


def root_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def title_of(block: Any) -> str:
    """Return how a block of a strategy file is named in an error."""
    return f"the {block.kind} {block.use.rpartition(':')[2]} of {block.distribution}"


@contextmanager
def plugin_errors(block: Any, key: str, *, running: bool = False) -> Iterator[None]:
    """Run code of the plugin that a block of the strategy file names.

    Parameters
    ----------
    block
        The block.
    key
        Its dotted key, from the top of the file.
    running
        Whether a run has begun: the error is then one of running, with its exit status.

    Raises
    ------
    PluginError, RunError
        In place of whatever was raised, naming plugin, file and line. Errors of septet pass, and
        so does what septet's own plugins raise.
    """
    try:
        yield
    except SeptetError:
        raise
    except BaseException as error:  # code of another package may raise anything
        build = getattr(block.declaration, "build", None) or block.declaration
        root = str(getattr(build, "__module__", "")).partition(".")[0]
        if not is_theirs(error) or block.distribution == "septet":
            raise
        kind = RunError if running else PluginError
        raise kind(
            f"{title_of(block)} failed{fault_text(error, root)}",
            hint=f"report it to {block.distribution}, or take {key} out of the file",
            key=f".{key}",
        ) from error
