"""Imports from numba that are not its public interface; no other module has any.

numba's `njit`, its types and `numba.extending` are public. What makes plans quick to compile and
vectors of four blocks is not: it is taken from versions that were tried, and only from those.

Two groups. Without `compiler` parts of a plan are compiled as numba does by itself: slower, to the
same bits. Without `lowering` nothing can be compiled, and plans run as plain Python: slower still,
to the same bits. A version that was not tried (`is_known`) compiles nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any, Final

__all__ = ["LOWEST", "TOO_NEW", "compiler", "instruction", "is_known", "kinds_of_numba", "lowering"]

LOWEST: Final = (0, 61)
"""The lowest numba that was tried; the continuous integration runs it."""
TOO_NEW: Final = (0, 70)
"""The first numba that was not: the bound of `pyproject.toml`."""


@cache
def is_known() -> bool:
    """Whether the numba that is installed is one of those tried; asked without importing it."""
    try:
        numbers = re.match(r"(\d+)\.(\d+)", version("numba"))
    except PackageNotFoundError:
        return False
    return numbers is not None and LOWEST <= (int(numbers[1]), int(numbers[2])) < TOO_NEW


def kinds_of_numba() -> Any:
    """Return numba's types, which are public."""
    from numba import types as kinds

    return kinds


@cache
def lowering() -> SimpleNamespace:
    """Return what writes instructions: LLVM's, numba's arrays, conversions and templates.

    `ir`, `cgutils`, `arrayobj`, `Conversion`, `AbstractTemplate`, `infer_global`, `signature`;
    and of `numba.extending`, which is public, `intrinsic`, `lower_builtin`, `lower_cast`, `models`,
    `register_model`.
    """
    from numba import extending
    from numba.core import cgutils, typeconv
    from numba.core.typing import templates
    from numba.np import arrayobj

    modules: Any = (cgutils, typeconv, arrayobj)
    return SimpleNamespace(
        ir=modules[0].ir, cgutils=cgutils, arrayobj=modules[2], Conversion=modules[1].Conversion,
        AbstractTemplate=templates.AbstractTemplate, infer_global=templates.infer_global,
        signature=templates.signature, intrinsic=extending.intrinsic,
        lower_builtin=extending.lower_builtin, lower_cast=extending.lower_cast,
        models=extending.models, register_model=extending.register_model,
    )  # fmt: skip


def instruction(function: Callable[..., Any], *, literal: bool = False) -> Callable[..., Any]:
    """Make an intrinsic of the function that types and generates it; `literal`: of constants."""
    defined: Callable[..., Any] = lowering().intrinsic(prefer_literal=literal)(function)
    return defined


@cache
def compiler() -> SimpleNamespace | None:
    """Return numba's compiler, its options, its libraries and its functions' types, or None.

    `Compiler`, `Flags`, `JITCodeLibrary`, `BaseFunction`.
    """
    if not is_known():
        return None
    try:
        from numba.core.codegen import JITCodeLibrary
        from numba.core.compiler import Compiler, Flags
        from numba.core.types.functions import BaseFunction
    except ImportError:
        return None
    return SimpleNamespace(
        Compiler=Compiler, Flags=Flags, JITCodeLibrary=JITCodeLibrary, BaseFunction=BaseFunction
    )
