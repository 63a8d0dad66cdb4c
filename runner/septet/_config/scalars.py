"""Reads unquoted scalars of the file, and refuses ambiguous readings of YAML 1.1."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

__all__ = ["Reading", "read_plain"]

_INT: Final = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$")
_HEX: Final = re.compile(r"^[-+]?0x[0-9a-fA-F_]+$")
_OCTAL: Final = re.compile(r"^[-+]?0[0-9_]+$")
_FLOAT: Final = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$"
)
_SIXTY: Final = re.compile(r"^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$")
_BOOL_TRAP: Final = re.compile(r"^(?:yes|no|on|off)$", re.IGNORECASE)
_BOOL: Final = {"true": True, "True": True, "TRUE": True} | {
    "false": False, "False": False, "FALSE": False
}  # fmt: skip
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_ODD: Final = re.compile(r"^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$")
_MAX_DIGITS: Final = 40


class Reading(msgspec.Struct, frozen=True):
    """A scalar's value, and what is wrong with how it was written (empty when nothing is)."""

    value: Any
    problem: str = ""
    expected: str = ""


def read_plain(text: str) -> Reading:
    """Read an unquoted scalar.

    Numbers, `true`, `false` and `null` are what they look like, `1e-3` is a number, a date stays
    text. What YAML 1.1 would silently turn into something else is a problem.
    """
    if text in _NULL:
        return Reading(None)
    if text in _BOOL:
        return Reading(_BOOL[text])
    if _BOOL_TRAP.match(text):
        return _bool_trap(text)
    first = text[0]
    if not (first.isdigit() or first in "+-."):
        return Reading(text)
    return _read_number(text)


def _bool_trap(text: str) -> Reading:
    value = text.lower() in ("yes", "on")
    problem = f"{text} is read as {str(value).lower()} by some YAML readers and as text by others"
    return Reading(value, problem, f"{str(value).lower()}, or '{text}' in quotes")


def _read_number(text: str) -> Reading:
    if _INT.match(text) or _HEX.match(text):
        if len(text) > _MAX_DIGITS:
            return Reading(0, f"a number of {len(text)} digits", f"at most {_MAX_DIGITS} digits")
        return Reading(int(text.replace("_", ""), 16 if "0x" in text else 10))
    if _OCTAL.match(text):
        short = text.replace("_", "").lstrip("+-0") or "0"
        problem = f"{text} begins with 0 and is read in base 8 by some YAML readers"
        return Reading(int(short), problem, f"{short}, or '{text}' in quotes")
    if _SIXTY.match(text):
        problem = f"{text} is read in base 60, as {_sixty(text)}, by some YAML readers"
        return Reading(text, problem, f"'{text}' in quotes")
    if _FLOAT.match(text) and len(text) <= _MAX_DIGITS:
        return Reading(float(text.replace("_", "")))
    if _ODD.match(text):
        return Reading(text, f"{text} is not a number to trade with", "a finite number")
    return Reading(text)


def _sixty(text: str) -> str:
    total = 0.0
    for part in text.lstrip("+-").split(":"):
        total = total * 60 + float(part.replace("_", ""))
    return f"{total:g}"
