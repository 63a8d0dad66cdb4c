"""Digest of what source code means: comments, docstrings and layout are left out.

What is compiled is named by it, so that a comment compiles nothing. Each file is read as Python
once; what it means is kept by the hash of its bytes, and so is what a whole package means.
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
from septet._text import decode_json

__all__ = ["meaning_digest", "meaning_of"]

MOST: Final = 5_000
"""Files and packages whose meaning is kept; beyond that all are read again."""


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
    for node in ast.walk(tree):
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
    kept = cache_folder() / "texts" / "meanings.json"
    known = _read(kept)
    if raw in known:  # no file is read a second time for a package that has not changed
        return known[raw]
    digest = hashlib.sha256()
    for path in files_of(package):
        source = path.read_bytes()
        name = hashlib.sha256(source).hexdigest()
        if name not in known:
            known[name] = meaning_of(source)
        digest.update(f"{path.name} {known[name]}\n".encode())
    known[raw] = digest.hexdigest()
    _write(kept, known)
    return known[raw]


def _read(kept: Path) -> dict[str, str]:
    """Return what is kept; nothing where it cannot be read, or is too much."""
    try:
        found = decode_json(kept.read_bytes() if is_ours(kept) else b"{}")
    except (OSError, ValueError):
        return {}
    sound = isinstance(found, dict) and len(found) <= MOST
    return {str(name): str(value) for name, value in found.items()} if sound else {}


def _write(kept: Path, known: dict[str, str]) -> None:
    """Keep what was found; where nothing can be written it is found again."""
    with contextlib.suppress(OSError):
        claim(kept.parent)
        write_whole(kept, json.dumps(known))
