"""The names that a plan imports when all of its text runs as plain Python, uncompiled.

A short history is finished before a compiler would have started. The text is that of the compiled
plan, and so are its bits, with one exception: plain Python raises where compiled code divides by
zero or takes the root of a negative number. `is_arithmetic` recognises such an error.
"""

from __future__ import annotations

import linecache
import os
import re
from functools import lru_cache
from types import CodeType, ModuleType
from typing import Any, Final

from septet._host.declare import Step
from septet._host.guarded_arrays import watched
from septet._host.imports import OURS
from septet._host.step_arrays import sealed
from septet._kernel.numba_inside import LOWEST, TOO_NEW, is_known
from septet._plan.uncompiled import *  # noqa: F403 - whatever a plan may import, it finds here
from septet.errors import InputError

__all__ = ["COMPILE", "compile_choice", "is_arithmetic", "plain_module", "use"]

COMPILE: Final = "SEPTET_COMPILE"
"""Environment variable: ``auto``, ``always`` or ``never``."""

IMPORTS = "from septet._plan.{} import"
_BEGINS: Final = re.compile(r"^(?=@)", re.M)
"""Where a function of a plan begins: each has one decorator, at the start of a line."""
_OF_MATHS = ("math domain error", "math range error", "cannot convert float")
"""How errors of `math` and of making a whole number of NaN begin."""


def use(target: Any, watch: bool = False) -> Any:  # type: ignore[no-redef]  # in its place
    """Return a step or a helper unchanged; with `watch` every read of it is checked.

    Steps of other packages get inputs that they cannot make writeable.
    """
    if not isinstance(target, Step):
        return target
    function = watched(target) if watch else target.function
    assert function is not None
    if function.__module__.partition(".")[0] in OURS and not watch:
        return function
    return sealed(function, target.parameters)


def compile_choice() -> str:
    """Return when plans are compiled: ``auto`` (short backtests are not), ``always``, ``never``.

    Never with a numba that was not tried: plain Python gives the same bits.

    Raises
    ------
    InputError
        If the environment variable has a value that it may not have, or ``always`` with such a
        numba.
    """
    choice = os.environ.get(COMPILE) or "auto"
    if choice not in ("auto", "always", "never"):
        raise InputError(
            f"{COMPILE} is {choice!r}", hint="it may be auto (the default), always or never"
        )
    if choice == "never" or is_known():
        return choice
    first, last = ".".join(map(str, LOWEST)), ".".join(map(str, TOO_NEW))
    if choice == "always":
        raise InputError(
            f"{COMPILE} is 'always', and the numba that is installed is not one of those tried",
            hint=f"install numba>={first},<{last}, or leave {COMPILE} out: plans then run as "
            "plain Python, to the same bits",
        )
    return "never"


def plain_module(name: str, text: str, flavour: str) -> ModuleType:
    """Make a module of a plan's text that no compiler sees; `flavour` is what the text imports."""
    imported = IMPORTS.format(flavour)
    assert text.count(imported) == 1, "a plan imports what it is made of once"
    text = text.replace(imported, IMPORTS.format("plain"))
    file = f"<{name}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    module = ModuleType(name)
    for code in _codes_of(text, file):
        exec(code, module.__dict__)  # noqa: S102
    return module


@lru_cache(maxsize=256)
def _codes_of(text: str, file: str) -> tuple[CodeType, ...]:
    """Compile a text to bytecode, cached: the settings of a sweep and the tests share one text.

    Most functions of a plan are those of similar plans, and are compiled once for all of them.
    """
    codes, line = list[CodeType](), 1
    for part in _BEGINS.split(text):
        codes.append(_placed(_part_code(part), file, line - 1))
        line += part.count("\n")
    return tuple(codes)


@lru_cache(maxsize=8192)
def _part_code(part: str) -> CodeType:
    return compile(part, "", "exec", dont_inherit=True)


def _placed(code: CodeType, file: str, before: int) -> CodeType:
    """Return code, and all that is defined in it, at its place in a file: `before` lines later."""
    return code.replace(
        co_filename=file,
        co_firstlineno=code.co_firstlineno + before,
        co_consts=tuple(
            _placed(each, file, before) if isinstance(each, CodeType) else each
            for each in code.co_consts
        ),
    )


def is_arithmetic(error: BaseException | None) -> bool:
    """Whether plain Python raised an error where compiled code gives inf, NaN or some number."""
    visited = set[int]()
    while error is not None and id(error) not in visited:  # causes may form a circle
        if isinstance(error, ArithmeticError):
            return True
        if isinstance(error, ValueError) and str(error).startswith(_OF_MATHS):
            return True
        visited.add(id(error))
        error = error.__cause__
    return False
