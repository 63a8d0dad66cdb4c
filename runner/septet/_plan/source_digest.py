"""A digest of source code without comments, docstrings and layout.

Compiled code is named by it, so that a changed comment compiles nothing. Each file is parsed once;
its digest is stored under the hash of its bytes, and so is that of a package.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Final

from septet._cache_folder import cache_folder, claim, is_ours, write_whole
from septet._host.imports import files_of
from septet._host.sources import code_digest
from septet._kernel.garbage_collection import collector_off
from septet._text import decode_json

__all__ = ["meaning_digest", "meaning_of"]

MOST: Final = 5_000
"""Files and packages whose meaning is kept; beyond that all are read again."""
_OF_STATEMENTS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of a statement that list others, or parts with statements."""


def meaning_of(source: bytes) -> str:
    """Return a digest of Python code that no comment, docstring or layout changes.

    Code that cannot be read as Python is hashed as it stands.
    """
    try:
        tree = ast.parse(source)
        text = ast.dump(_without_docstrings(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return hashlib.sha256(source).hexdigest()
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    waiting: list[ast.AST] = [tree]  # what has docstrings is a statement: no expression is visited
    while waiting:
        node = waiting.pop()
        for name in _OF_STATEMENTS:
            waiting += found if isinstance(found := getattr(node, name, None), list) else []
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def meaning_digest(package: str) -> str:
    """Return the digest of a package's code, or its version where it is too large to be edited."""
    raw = code_digest(package)
    return raw if raw.startswith(("version ", "none")) else _digest(package, raw)


@lru_cache(maxsize=256)
def _digest(package: str, raw: str) -> str:
    path_of_digests = cache_folder() / "texts" / "meanings.json"
    digests = _read(path_of_digests)
    if raw in digests:  # no file is read a second time for a package that has not changed
        return digests[raw]
    digest = hashlib.sha256()
    with collector_off():
        for path in files_of(package):
            source = path.read_bytes()
            name = hashlib.sha256(source).hexdigest()
            if name not in digests:
                digests[name] = meaning_of(source)
            digest.update(f"{path.name} {digests[name]}\n".encode())
    digests[raw] = digest.hexdigest()
    _write(path_of_digests, digests)
    return digests[raw]


def _read(path: Path) -> dict[str, str]:
    """Return the stored digests; none where they cannot be read, or are too many."""
    try:
        stored = decode_json(path.read_bytes() if is_ours(path) else b"{}")
    except (OSError, ValueError):
        return {}
    is_sound = isinstance(stored, dict) and len(stored) <= MOST
    return {str(name): str(value) for name, value in stored.items()} if is_sound else {}


def _write(path: Path, digests: dict[str, str]) -> None:
    """Store the digests; where nothing can be written they are computed again."""
    with contextlib.suppress(OSError):
        claim(path.parent)
        write_whole(path, json.dumps(digests))
