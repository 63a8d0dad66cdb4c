"""Client ids: deterministic, unique, never reused, and readable.

``<tag><parent base36>-<child>`` for children of a parent, ``<tag>-<symbol base36>-<number>`` for
protective stops; the tag is a letter and seven characters that belong to the run.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Name", "base36", "child_id", "parse", "stop_id"]

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Name(NamedTuple):
    """The parts of a client id. `parent` is -1 for a protective stop, else `symbol` is -1."""

    parent: int
    symbol: int
    number: int


def base36(number: int) -> str:
    """Return a non-negative number in base 36."""
    if number < 36:
        return DIGITS[number]
    digits = DIGITS[number % 36]
    while number := number // 36:
        digits = DIGITS[number % 36] + digits
    return digits


def child_id(tag: str, parent: int, number: int) -> str:
    """Return the id of the n-th child of a parent."""
    return f"{tag}{base36(parent)}-{DIGITS[number] if number < 36 else base36(number)}"


def stop_id(tag: str, symbol: int, number: int) -> str:
    """Return the id of the n-th protective stop of a symbol."""
    return f"{tag}-{base36(symbol)}-{base36(number)}"


def parse(tag: str, client_id: str) -> Name | None:
    """Parse a client id; None if it lacks the tag or was not made here."""
    if not client_id.startswith(tag):
        return None
    parts = client_id[len(tag) :].split("-")
    try:
        numbers = [int(part, 36) for part in parts if part]
    except ValueError:
        return None
    if len(parts) == 2 and len(numbers) == 2:
        return Name(numbers[0], -1, numbers[1])
    if len(parts) == 3 and not parts[0] and len(numbers) == 2:
        return Name(-1, numbers[0], numbers[1])
    return None
