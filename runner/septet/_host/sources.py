"""Source files of a plugin's code, and their hash.

A verdict of the conformance kit, a compiled plan and a run that goes on are of one source. What a
step calls in another package belongs to it, and so does every value that it reads by a name: a
change there changes what the step computes.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from functools import cache
from importlib.metadata import PackageNotFoundError
from typing import Any

from septet._host.code_dependencies import reached_of
from septet._host.imports import OURS, files_of, is_large
from septet._host.versions import installed_version
from septet.errors import PluginError

__all__ = [
    "code_digest", "package_digest", "packages_and_values", "packages_of", "place_of",
    "source_digest",
]  # fmt: skip


@cache
def package_digest(package: str) -> str:
    """Hash every source file of a package (or of a single module)."""
    digest = hashlib.sha256()
    files = files_of(package)
    if not files:
        return "none"
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def packages_of(declaration: Any) -> tuple[str, ...]:
    """Return the packages of which a declaration runs code, Python's own and septet's left out.

    What a function reaches is what its names stand for, and so on; and what the modules of these
    functions import.
    """
    return reached_of(declaration).packages


def packages_and_values(declaration: Any) -> tuple[tuple[str, ...], str]:
    """Return what `packages_of` does, and a hash of every value that is reached by a name.

    It is empty for septet's own.

    Raises
    ------
    PluginError
        If a step reaches a value of which no hash can be made, with its line.
    """
    reached = reached_of(declaration)
    if reached.unknown:
        raise PluginError(
            "; ".join(f"{each.place}: {each.message}" for each in reached.unknown),
            hint="what a step reads comes through its parameters (tables= makes arrays)",
        )
    return reached.packages, reached.values


def source_digest(declaration: Any) -> str:
    """Hash the sources of all packages a declaration runs code of, and the values it reaches.

    It is empty for septet's own.
    """
    reached = reached_of(declaration)
    parts = [f"{name} {code_digest(name)}" for name in reached.packages]
    parts += [f"values {reached.values}"] * bool(reached.values)
    parts += [str(each) for each in reached.unknown]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""


def code_digest(package: str) -> str:
    """Return the digest of a package's files, or its version where it is too large to be edited."""
    if package.partition(".")[0] not in OURS and is_large(package):
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
