"""The text of a strategy file sent by an agent: its size, its hash, and its keys."""

from __future__ import annotations

import hashlib
from typing import Final

from septet._text import shortened
from septet.errors import ConfigError, InputError

__all__ = ["MOST_TEXT", "require_small_text", "require_strategy_keys", "text_hash"]

MOST_TEXT: Final = 200_000
"""Largest size in bytes of a strategy file, and of the settings laid over it."""


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def require_small_text(text: str, subject: str = "the text is") -> None:
    """Reject a text larger than `MOST_TEXT`.

    Raises
    ------
    InputError
        With its size and the limit.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_TEXT:
        raise InputError(f"{subject} {size:,} bytes long, the limit is {MOST_TEXT:,}")


def require_strategy_keys(text: str, file: str) -> None:
    """Reject a text that is not a mapping with keys of a strategy; values are not checked.

    Raises
    ------
    ConfigError, InputError
        With the invalid YAML, or the unknown keys.
    """
    from septet._config.read import check_text, parse_text
    from septet_schemas.strategy import Strategy

    tree, problems = parse_text(check_text(text, file), file)
    errors = [each for each in problems if each.severity == "error"]
    if errors:
        raise ConfigError(errors)
    keys = [str(key) for key in tree.children] if tree.kind == "map" else []
    unknown = [key for key in keys if key not in Strategy.model_fields]
    if not keys or unknown:
        fault = f"{shortened(unknown[0], 80)!r} is no key of one" if unknown else "it has no keys"
        raise InputError(
            f"this text is no strategy: {fault}",
            hint="only strategy files are written, right or not yet; guide(topic='file') shows one",
        )
