"""Keys that come later: they stand in the schema with their default, and any value is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

__all__ = ["is_later", "later"]


@dataclass(frozen=True, slots=True)
class _Later(BeforeValidator):
    """Marks the validator of a key that is not served."""


def later(default: object) -> Any:
    """Return a validator that refuses anything but the default: the key is not served yet."""

    def check(value: object) -> object:
        if value == default:
            return value
        only = f"{default}".lower() + ", the only value of this version"
        raise PydanticCustomError(
            "not_yet",
            "not yet: this key is reserved for a later version",
            {"expected": "no such key" if default is None else only, "found": repr(value)},
        )

    return _Later(check)


def is_later(metadata: object) -> bool:
    """Return whether the metadata of a field says that its key is not served yet."""
    return isinstance(metadata, _Later)
