"""How a rule is compiled in a plan: inlined into its caller, or called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["at", "by_hand", "entry", "kernel", "prefetch", "routine"]

F = TypeVar("F", bound=Callable[..., object])


def kernel(rule: F) -> F:
    """Mark a rule of the hot path: when compiled, it is inlined."""
    return rule


def routine(rule: F) -> F:
    """Mark a rule that is rarely executed: when compiled, it is called instead of inlined."""
    return rule


def entry(signature: str) -> Callable[[F], F]:
    """Mark an entry point: compiled for these argument types, the last a table of arrays."""
    return lambda rule: rule


def by_hand(rule: F) -> F:
    """Mark a function called rarely and only between two decision times: it is never compiled."""
    return rule


def at(i: int) -> int:
    """Return a cursor as an index; when compiled, it is assumed never to be negative."""
    return i


def prefetch(row: object, i: int) -> None:
    """Prefetch an array element that is read soon; without effect when not compiled."""
