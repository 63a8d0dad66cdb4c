"""The cache of texts of plans on disk: a stored text needs no folding of rules.

The name of a text is a hash of all its inputs: what its blocks bound, the rules of trading, the
layout, and the planner's own sources. So a stale text cannot be found under it; and one that does
not match the hash at its head is written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import structs

from septet._cache_folder import cache_folder, claim, is_ours, write_whole
from septet._host.sources import package_digest
from septet._plan.plan_text import render_text
from septet._plan.rule_choices import rules_of

__all__ = ["Texts"]

SOURCES: Final = ("septet._plan", "septet._rules", "septet._kernel")


class Texts(msgspec.Struct, frozen=True, dict=True):
    """The text of a plan and of its units, each read from disk where it was rendered before.

    The fields are what `render_text` is given.
    """

    context: Mapping[str, Any]
    imports: Mapping[str, set[str]]
    uses: Mapping[str, str]
    constants: Mapping[str, int]
    arrays: Mapping[str, str]

    @cached_property
    def whole(self) -> str:
        """The text of the plan."""
        return _text_of(self, "")

    def of(self, unit: str) -> str:
        """Return the text of a unit."""
        return _text_of(self, unit)

    @cached_property
    def bound(self) -> bytes:
        """All that the text is made of, in an order that is always the same."""
        named = {module: sorted(names) for module, names in self.imports.items()}
        parts = [self.context, named, self.uses, self.constants, self.arrays]
        return json.dumps(parts, default=structs.asdict).encode()


def _text_of(texts: Texts, unit: str) -> str:
    """Return what `render_text` renders."""
    path = cache_folder() / "texts" / _digest(
        texts.bound, unit.encode(), *(package_digest(each).encode() for each in SOURCES)
    )  # fmt: skip
    try:
        head, _, stored = path.read_bytes().partition(b"\n") if is_ours(path) else (b"", b"", b"")
    except OSError:
        head, stored = b"", b""
    if stored and head.decode("latin-1") == _digest(stored):
        return stored.decode()
    text = render_text(
        texts.context, rules=rules_of(texts.context), imports=texts.imports, uses=texts.uses,
        constants=texts.constants, arrays=texts.arrays, unit=unit,
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
