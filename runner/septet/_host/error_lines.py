"""Finds the line of a plugin's file that caused an error, in place of the compiler's output."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from septet._host.code_dependencies import callables_of
from septet._host.declare import Declaration
from septet_schemas.late_patterns import late_pattern

__all__ = ["compiler_fault", "is_compilers", "line_in"]

_PLACE: Final = late_pattern(r"at (/[^\n]+?) \((\d+)\)")
_CAUSES: Final = (
    "Untyped global name", "unsupported", "not supported", "Unknown attribute", "Cannot unify",
    "cannot determine Numba type", "NRT required", "missing a required", "too many positional",
    "is not defined", "Unbound", "got an unexpected",
)  # fmt: skip
_LIBRARIES: Final = ("/numba/", "/llvmlite/", "/plan_")
_OURS: Final = str(Path(__file__).resolve().parents[1])


def is_compilers(error: BaseException) -> bool:
    """Whether an exception is the compiler's, without importing the compiler."""
    return type(error).__module__.partition(".")[0] in ("numba", "llvmlite")


def compiler_fault(error: BaseException) -> str:
    """Return ``file:line: what is wrong`` of a compiler's error; the file is the step's."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    strange = (
        f"{file}:{line}: "
        for file, line in _PLACE.findall(text)
        if not file.startswith(_OURS) and not any(each in file for each in _LIBRARIES)
    )
    return next(strange, "") + _cause(text)


def _cause(text: str) -> str:
    """Return the part of a compiler message that names the error."""
    if "setitem" in text and "readonly" in text:
        return "it writes to what it is given to read"
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in lines:
        if any(each in line for each in _CAUSES) and not line.startswith("raise"):
            return line[:200].rstrip(" :")
    return "the compiler takes no such code"


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
