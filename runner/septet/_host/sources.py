"""Which source files a plugin's code comes from, and their hash.

A verdict of the conformance kit, a compiled plan and a run that goes on are of one source. What a
step calls in another package belongs to it: a change there changes what the step computes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, Final

from septet._host.declare import Declaration, Factory, Step
from septet._host.versions import installed_version

__all__ = [
    "callables_of", "code_digest", "names_of", "package_digest", "packages_of", "place_of",
    "source_digest",
]  # fmt: skip

OURS: Final = frozenset({"septet", "septet_plugins", "septet_schemas"})
LIBRARIES: Final = frozenset(
    {"annotated_types", "llvmlite", "numba", "numpy", "polars", "pydantic", "pydantic_core"}
)
"""What every plugin stands on; their versions are recorded with every run."""
MOST_FILES: Final = 400
"""A package of more source files than this goes by its version: nobody edits it beside a plugin."""


@cache
def package_digest(package: str) -> str:
    """Hash every source file of a package (or of a single module)."""
    digest = hashlib.sha256()
    files = _files_of(package)
    if not files:
        return "none"
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _files_of(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # made in memory: there is no file
        spec = None
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        return []
    roots = [Path(each) for each in spec.submodule_search_locations or []]
    files = sorted(path for root in roots for path in root.rglob("*.py"))
    if not files and spec.origin:
        files = [path for path in [Path(spec.origin)] if path.is_file()]
    return files


def callables_of(declaration: Any) -> Iterator[Any]:
    """Yield what of a declaration runs: its step, the functions that describe it, its config."""
    if isinstance(declaration, Step):
        for name in ("function", "closed", "tables", "inner", "outputs", "state"):
            value = getattr(declaration, name)
            if callable(value):
                yield value
        yield from (declaration.lookback, declaration.warmup)
        if declaration.memory is not None:
            yield declaration.memory
    if isinstance(declaration, Factory):
        yield declaration.build
    if isinstance(declaration, Declaration):
        yield from declaration.config.__mro__


def packages_of(declaration: Any) -> tuple[str, ...]:
    """Return the packages of which a declaration runs code, Python's own and septet's left out.

    What a function reaches is what its names stand for, and so on.
    """
    found: set[str] = set()
    seen: set[int] = set()
    waiting = list(callables_of(declaration))
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        root = _root(value)
        if root in OURS or root in LIBRARIES:
            continue
        if root and root not in sys.stdlib_module_names:
            found.add(root)
        waiting += _reached(value)
    return tuple(sorted(found))


def _root(value: Any) -> str:
    named = "__name__" if isinstance(value, types.ModuleType) else "__module__"
    return str(getattr(value, named, "") or "").partition(".")[0]


def _reached(value: Any) -> Iterator[Any]:
    """Yield functions, classes and modules that a function or class names."""
    functions: list[Any] = []
    if inspect.isclass(value):
        functions = [each for each in vars(value).values() if inspect.isfunction(each)]
    elif inspect.isfunction(value):
        functions = [value]
    for function in functions:
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        named = [function.__globals__.get(name) for name in names_of(function.__code__)]
        for each in (*cells, *named):
            if isinstance(each, Declaration):
                yield from callables_of(each)
            elif inspect.isfunction(each) or inspect.isclass(each) or inspect.ismodule(each):
                yield each


def names_of(code: types.CodeType) -> set[str]:
    """Return the names a code object asks for, those of functions inside it included."""
    found = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            found |= names_of(each)
    return found


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that is bound later
        return False


def source_digest(declaration: Any) -> str:
    """Hash the sources of all packages a declaration runs code of; empty for septet's own."""
    packages = packages_of(declaration)
    parts = [f"{name} {code_digest(name)}" for name in packages]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""


def code_digest(package: str) -> str:
    """Return the digest of a package's files, or its version where it is too large to be edited."""
    ours = package.partition(".")[0] in OURS
    if not ours and len(_files_of(package)) > MOST_FILES:
        with contextlib.suppress(PackageNotFoundError):  # in no distribution: its files count
            return f"version {installed_version(package)}"
    return package_digest(package)


def place_of(function: Any) -> str:
    """Return ``file:line`` of a function, a class or a step; empty where there is no source."""
    target = getattr(function, "function", None) or getattr(function, "build", None) or function
    code = getattr(inspect.unwrap(target) if callable(target) else target, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    try:
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return ""
