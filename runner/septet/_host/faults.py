"""Where in a stranger's file something went wrong: one line, instead of a page of the compiler."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from septet._host.declare import Declaration
from septet._host.sources import callables_of

__all__ = ["compiler_fault", "is_compilers", "line_in", "raised_in"]

_FILE: Final = re.compile(r'File "([^"]+)", line (\d+)')
_NOISE: Final = (
    "Failed in",
    "During:",
    "^",
    "File ",
    "There are",
    "- Of which",
    "<source",
    "Enable",
)
_OURS: Final = str(Path(__file__).resolve().parents[1])


def is_compilers(error: BaseException) -> bool:
    """Whether an exception is the compiler's, without importing it to name them."""
    return type(error).__module__.partition(".")[0] in ("numba", "llvmlite")


def compiler_fault(error: BaseException) -> str:
    """Return ``file:line: what is wrong`` of a compiler's error; the file is the step's."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    places = [(file, line) for file, line in _FILE.findall(text) if not file.startswith(_OURS)]
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith(_NOISE)]
    words = next((line for line in told if _says_something(line)), told[0] if told else "no reason")
    words = re.sub(r"\s+", " ", words)[:200].rstrip(" :")
    return f"{places[-1][0]}:{places[-1][1]}: {words}" if places else words


def _says_something(line: str) -> bool:
    """Whether a line of the compiler's names a cause: not a heading, not a list of signatures."""
    return not line.startswith((">>>", "def ", "No implementation of function")) or "set" in line


def line_in(error: BaseException, declarations: Iterable[Declaration]) -> tuple[Any, str]:
    """Return the declaration in whose file an exception arose, and ``file:line``; None if none."""
    files = {
        each.__code__.co_filename: declaration
        for declaration in declarations
        for each in callables_of(declaration)
        if hasattr(each, "__code__")
    }
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files and not frame.filename.startswith(_OURS):
            return files[frame.filename], f"{frame.filename}:{frame.lineno}"
    return None, ""


def raised_in(error: BaseException) -> str:
    """Return ``file:line`` of the last frame outside of septet; empty if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith(_OURS)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""
