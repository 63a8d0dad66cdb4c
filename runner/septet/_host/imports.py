"""Finds the packages and files that the text of a module imports, without importing them."""

from __future__ import annotations

import ast
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["MOST_FILES", "OURS", "files_of", "imported_by", "is_followed", "is_large"]

OURS: Final = frozenset({"septet", "septet_plugins", "septet_schemas"})
LIBRARIES: Final = frozenset(
    {"annotated_types", "llvmlite", "numba", "numpy", "polars", "pydantic", "pydantic_core"}
)
"""What every plugin stands on; their versions are recorded with every run."""
MOST_FILES: Final = 400
"""A package of more source files than this goes by its version: nobody edits it beside a plugin."""


def is_followed(root: str) -> bool:
    """Whether a package is neither septet's, nor a library's, nor Python's."""
    return root not in OURS and root not in LIBRARIES and root not in sys.stdlib_module_names


def files_of(package: str) -> list[Path]:
    """Return every source file of a package, in order; nothing where it is not installed."""
    roots = _roots_of(package)
    return sorted(
        path for root in roots for path in ([root] if root.is_file() else root.rglob("*.py"))
    )


@cache
def is_large(package: str) -> bool:
    """Whether a package has too many files to be edited beside a plugin."""
    return package not in OURS and len(files_of(package)) > MOST_FILES


def imported_by(module: str, followed: set[str]) -> set[str]:
    """Return the packages that a module's text imports, those of modules it imports included.

    `seen` are modules that were followed before; those followed here are added.
    """
    roots: set[str] = set()
    waiting, most = [module], len(followed) + MOST_FILES
    while waiting and len(followed) < most:
        name = waiting.pop()
        if name in followed:
            continue
        followed.add(name)
        path = _file_of(name)
        if path is None:
            continue
        stat = path.stat()
        for each in _imports_in(path, name, stat.st_mtime_ns, stat.st_size):
            root = each.partition(".")[0]
            if is_followed(root) and _roots_of(root):
                roots.add(root)
                waiting += [] if is_large(root) else [each]
    return roots


def _file_of(module: str) -> Path | None:
    """Return the file of a module, found without importing what it lies in."""
    root, *parts = module.split(".")
    for folder in _roots_of(root):
        if folder.is_file():
            return None if parts else folder
        path = folder.joinpath(*parts)
        for each in (path / "__init__.py", path.with_suffix(".py")):
            if each.is_file() and (parts or each.name == "__init__.py"):
                return each
    return None


def _roots_of(package: str) -> list[Path]:
    """Return the folders of a package, or its one file; nothing where it is not installed."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # made in memory: there is no file
        return []
    if spec is None:
        return []
    folders = [Path(each) for each in spec.submodule_search_locations or []]
    return folders or [path for path in [Path(spec.origin or "")] if path.is_file()]


@cache
def _imports_in(path: Path, module: str, changed_ns: int, size: int) -> tuple[str, ...]:
    """Return the modules a file names in its imports, and what is imported from them."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ()
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names |= dict.fromkeys([base, *(f"{base}.{each.name}" for each in node.names)])
    return tuple(each for each in names if each)
