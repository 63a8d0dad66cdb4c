"""How a rule is compiled in a plan: inlined into its caller, or called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["at", "by_hand", "entry", "kernel", "prefetch", "routine"]

F = TypeVar("F", bound=Callable[..., object])


def kernel(rule: F) -> F:
    """Mark a rule of the hot path: compiled, it is inlined."""
    return rule


def routine(rule: F) -> F:
    """Mark a rule that acts seldom: compiled, it is called."""
    return rule


def entry(signature: str) -> Callable[[F], F]:
    """Mark what the host calls: compiled for these types, the last that of a table of arrays."""
    return lambda rule: rule


def by_hand(rule: F) -> F:
    """Mark what is called between two decision times, and seldom: it is never compiled."""
    return rule


def at(i: int) -> int:
    """Return a cursor as an index; compiled, one that is never negative."""
    return i


def prefetch(row: object, i: int) -> None:
    """Ask the memory for an element that is read soon; compiled, and without effect otherwise."""
