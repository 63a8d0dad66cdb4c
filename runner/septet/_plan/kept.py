"""Texts of plans on disk: one that was written before folds no rule again.

The name of a text hashes all it is made from: what its blocks bound, the rules of trading, the
layout, and the planner's own sources. So a stale text cannot be found under it; and one that does
not match the hash at its head is written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from septet._plan.cache import cache_folder, claim, is_ours, package_digest, write_whole
from septet._plan.rule_choices import rules_of
from septet._plan.text import render_text

__all__ = ["text_of"]

SOURCES: Final = ("septet._plan", "septet._rules", "septet._kernel")


def text_of(
    context: Mapping[str, Any],
    *,
    imports: Mapping[str, set[str]],
    uses: Mapping[str, str],
    constants: Mapping[str, int],
    arrays: Mapping[str, str],
) -> str:
    """Return what `render_text` renders, read from disk where it was rendered before."""
    named = {module: sorted(names) for module, names in imports.items()}
    bound = json.dumps([context, named, uses, constants, arrays], default=asdict)
    path = cache_folder() / "texts" / _digest(
        bound.encode(), *(package_digest(each).encode() for each in SOURCES)
    )  # fmt: skip
    try:
        head, _, kept = path.read_bytes().partition(b"\n") if is_ours(path) else (b"", b"", b"")
    except OSError:
        head, kept = b"", b""
    if kept and head.decode("latin-1") == _digest(kept):
        return kept.decode()
    text = render_text(
        context, rules=rules_of(context), imports=imports, uses=uses, constants=constants,
        arrays=arrays,
    )  # fmt: skip
    # A disk that is full or read-only costs the next process time, and this one nothing.
    with contextlib.suppress(OSError):
        claim(path.parent)
        write_whole(path, f"{_digest(text.encode())}\n{text}")
    return text


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}\n".encode())
        digest.update(part)
    return digest.hexdigest()
