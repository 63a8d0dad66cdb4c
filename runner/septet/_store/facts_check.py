"""Checks the facts of a stored run: types, ranges, and an existing time zone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final
from zoneinfo import ZoneInfo

from septet._results.result import HaltEvent, RunFacts
from septet_schemas.late_patterns import late_pattern

__all__ = ["halts_in", "wrong_fact"]

_CLOCK: Final = late_pattern(r"([01]\d|2[0-3]):[0-5]\d")
_LARGEST: Final = (1 << 63) - 1
_POSITIVE: Final = ("bar_ns", "initial_capital", "days_a_year")
"""Facts that figures are divided by."""
_COUNTS: Final = ("bars", "seconds", "seconds_total", "seed")
_EXPECTED: Final = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "tuple[str, ...]": "a list of texts",
}  # fmt: skip


def halts_in(manifest: Mapping[str, Any]) -> list[HaltEvent]:
    """Return the halts of a manifest.

    Raises
    ------
    ValueError
        One is not what a run writes; its text is the reason.
    """
    halts = manifest.get("halts", [])
    if not isinstance(halts, list):
        raise ValueError(f"halts {halts!r:.80}, expected a list")
    known = {each.name: each for each in fields(HaltEvent)}
    for place, halt in enumerate(halts, 1):
        if not isinstance(halt, Mapping):
            raise ValueError(f"as halt {place} {halt!r:.80}, expected keys with values")
        for key in [*halt, *(name for name, each in known.items() if each.default is MISSING)]:
            if key not in known or key not in halt:
                word = "the key" if key not in known else "no"
                raise ValueError(
                    f"in halt {place} {word} {key!r:.80}; a halt has {', '.join(known)}"
                )
            kind, _, empty = str(known[key].type).partition(" | ")
            if not (_is_of(halt[key], kind) or (empty and halt[key] is None)):
                raise ValueError(
                    f"in halt {place} {key} {halt[key]!r:.80}, expected {_EXPECTED[kind]}"
                )
    return [HaltEvent(**halt) for halt in halts]


def wrong_fact(facts: RunFacts) -> str:
    """Return which fact is not what a run writes; empty if all are."""
    for each in fields(facts):
        value, kind = getattr(facts, each.name), str(each.type)
        if not _is_of(value, kind):
            return f"{each.name} {value!r:.80}, expected {_EXPECTED[kind]}"
    if not _CLOCK.fullmatch(facts.day_start):
        return f"day_start {facts.day_start!r:.80}, expected a time such as 00:00"
    if not _is_zone(facts.time_zone):
        return f"time_zone {facts.time_zone!r:.80}, expected a name such as Europe/Berlin"
    clock, _, zone = facts.session_close.partition(" ")
    if facts.session_close and not (_CLOCK.fullmatch(clock) and _is_zone(zone)):
        return f"session_close {facts.session_close!r:.80}, expected such as 16:00 America/New_York"
    for name in _POSITIVE:
        if getattr(facts, name) <= 0:
            return f"{name} {getattr(facts, name)!r:.80}, expected more than 0"
    for name in _COUNTS:
        if getattr(facts, name) < 0:
            return f"{name} {getattr(facts, name)!r:.80}, expected 0 or more"
    if facts.end_ns < facts.start_ns:
        return f"end_ns {facts.end_ns} before start_ns {facts.start_ns}"
    return ""


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # what the zone's files raise for names of none
        return False
    return True


def _is_of(value: Any, kind: str) -> bool:
    if kind == "tuple[str, ...]":
        return isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and abs(value) <= _LARGEST
    if kind == "float":
        return isinstance(value, int | float) and abs(value) <= _LARGEST and math.isfinite(value)
    return isinstance(value, str)
