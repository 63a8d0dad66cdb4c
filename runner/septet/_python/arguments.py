"""Checks of the arguments of public functions, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from septet.errors import InputError

__all__ = [
    "require", "require_choice", "require_count", "require_flag", "require_path", "require_seconds",
    "require_text", "require_callbacks",
]  # fmt: skip


def _named(value: object) -> str:
    kind = type(value).__name__
    return "None" if value is None else f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def require(fits: bool, name: str, expected: str, value: object, hint: str = "") -> None:
    """Raise unless an argument fits.

    Raises
    ------
    InputError
        With its name, what was expected and what was found.
    """
    if not fits:
        raise InputError(f"{name}: expected {expected}, found {_named(value)}", hint=hint)


def require_text(name: str, value: Any, hint: str = "", *, optional: bool = False) -> None:
    """Raise unless the argument is a text."""
    require(isinstance(value, str) or (optional and value is None), name, "a text", value, hint)


def require_flag(name: str, value: Any) -> None:
    """Raise unless the argument is True or False."""
    require(isinstance(value, bool), name, "True or False", value)


def require_path(name: str, value: Any, *, optional: bool = False) -> None:
    """Raise unless the argument is a path: a text or a path object."""
    fits = isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)
    require(fits or (optional and value is None), name, "a path", value, "a text or a pathlib.Path")


def require_count(name: str, value: Any, *, least: int | None = 1, optional: bool = False) -> None:
    """Raise unless the argument is a whole number, at least `least`."""
    if optional and value is None:
        return
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    require(is_integer, name, "a whole number", value)
    if least is not None and value < least:
        raise InputError(f"{name} was {value}", hint=f"{least} or more")


def require_seconds(name: str, value: Any) -> None:
    """Raise unless the argument is a number of seconds."""
    fits = isinstance(value, Real) and not isinstance(value, bool)
    require(fits, name, "a number of seconds", value)
    if not value >= 0:
        raise InputError(f"{name} was {value}", hint="0 or more seconds")


def require_choice(
    name: str, value: Any, choices: Sequence[str], *, optional: bool = False
) -> None:
    """Raise unless the argument is one of some words."""
    if optional and value is None:
        return
    words = ", ".join(choices)
    require(isinstance(value, str), name, f"one of {words}", value)
    if value not in choices:
        raise InputError(f"there is no {name} {value[:80]!r}", hint=f"one of {words}")


def require_callbacks(progress: Any, cancel: Any = None) -> None:
    """Raise unless `progress` can be called, and `cancel` has a method `is_set`."""
    require(
        progress is None or callable(progress), "progress", "a function", progress,
        "it is called with (stage, done, total, text)",
    )  # fmt: skip
    require(
        cancel is None or callable(getattr(cancel, "is_set", None)), "cancel",
        "an object with is_set()", cancel, "a threading.Event fits",
    )  # fmt: skip
