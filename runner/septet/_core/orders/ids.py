"""Client ids: unique, never reused, and readable.

``<tag><parent base36>-<start><child>`` for children of a parent, ``<tag>-<symbol
base36>-<start><number>`` for protective stops. The tag is a letter and seven characters that belong
to the run, `start` are four random characters of the start of the process (none in older journals):
an older copy of the run's folder knows the numbers that are taken no more, and cannot use an id
again.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

__all__ = [
    "DIGITS", "START_LENGTH", "Name", "base36", "child_id", "is_marked", "own_id", "parse",
    "stop_id",
]  # fmt: skip

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
START_LENGTH = 4
"""Characters of an id that belong to a start of the process. Kraken takes 18 in all."""


class Name(NamedTuple):
    """The parts of a client id. `parent` is -1 for a protective stop, else `symbol` is -1.

    `start` belongs to the start of the process that sent it; empty in ids of older journals.
    """

    parent: int
    symbol: int
    number: int
    start: str = ""


def base36(number: int) -> str:
    """Return a non-negative number in base 36."""
    if number < 36:
        return DIGITS[number]
    digits = DIGITS[number % 36]
    while number := number // 36:
        digits = DIGITS[number % 36] + digits
    return digits


def child_id(tag: str, parent: int, number: int, start: str = "") -> str:
    """Return the id of the n-th child of a parent."""
    return f"{tag}{base36(parent)}-{start}{base36(number)}"


def stop_id(tag: str, symbol: int, number: int, start: str = "") -> str:
    """Return the id of the n-th protective stop of a symbol."""
    return f"{tag}-{base36(symbol)}-{start}{base36(number)}"


def parse(tag: str, client_id: str) -> Name | None:
    """Parse a client id; None if it lacks the tag or was not made here."""
    if not client_id.startswith(tag):
        return None
    parts = client_id[len(tag) :].split("-")
    start = parts[-1][:START_LENGTH] if len(parts[-1]) > START_LENGTH else ""
    parts[-1] = parts[-1].removeprefix(start)
    try:
        numbers = [int(part, 36) for part in parts if part]
    except ValueError:
        return None
    if len(parts) == 2 and len(numbers) == 2:
        return Name(numbers[0], -1, numbers[1], start)
    if len(parts) == 3 and not parts[0] and len(numbers) == 2:
        return Name(-1, numbers[0], numbers[1], start)
    return None


def own_id(tag: str, client_id: str) -> str:
    """Return the one id with the tag that a client id is or contains whole; "" for none or two.

    A gateway may add a prefix or a suffix. An id counts as contained only if no digit or lower-case
    letter follows it: ``a1b2c3d45-12`` does not contain ``a1b2c3d45-1``.
    """
    if tag not in client_id:
        return ""
    ids = set(_own_id_pattern(tag).findall(client_id))
    return ids.pop() if len(ids) == 1 else ""


def is_marked(tag: str, client_id: str) -> bool:
    """Return whether a client id begins with the tag, or contains a whole id that has it."""
    return client_id.startswith(tag) or bool(own_id(tag, client_id))


@cache
def _own_id_pattern(tag: str) -> re.Pattern[str]:
    part = "[0-9a-z]+"
    return re.compile(f"{re.escape(tag)}(?:{part}|-{part})-{part}(?![0-9a-z])")
