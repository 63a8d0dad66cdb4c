"""Keys that are not implemented yet: any value but the default is rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

__all__ = ["is_later", "later"]


@dataclass(frozen=True, slots=True)
class _Later(BeforeValidator):
    """Marks the validator of a key that is not implemented yet."""


def later(default: object) -> Any:
    """Return a validator that rejects anything but the default: the key is not implemented yet."""

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
    """Return whether the metadata of a field marks its key as not implemented yet."""
    return isinstance(metadata, _Later)
