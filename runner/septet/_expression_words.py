"""What to write for text that is no expression: words and signs of other languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["CALLED_WORDS", "SIGN_HINTS", "syntax_problem"]

SIGN_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("%", "percent signs are not in expressions: write 0.02 for 2%"),
    ("&&", "write and instead of &&"),
    ("&", "write and instead of &"),
    ("||", "write or instead of ||"),
    ("|", "write or instead of |"),
    ("<>", "write != instead of <>"),
    ("!", "write not instead of !"),
    ("^", "write ** for powers"),
)
_CLOCK: Final = re.compile(r"\b[0-2]?\d:[0-5]\d\b")
_CAPITALS: Final = re.compile(r"\b(?:AND|OR|NOT|And|Or|Not)\b")
_NOT_SIGN: Final = re.compile(r"!(?!=)")
_SIDE: Final = r"([A-Za-z_]\w{0,63}|\d+(?:\.\d+)?)"
_CROSSES: Final = re.compile(
    rf"\b{_SIDE}\s+(?:is\s+)?cross(?:es|ed|ing)?(?:\s+|_)"
    rf"(above|over|up|below|under|down)\s+{_SIDE}\b",
    re.IGNORECASE,
)
_CROSSES_ALONE: Final = re.compile(rf"\b{_SIDE}\s+cross(?:es|ed)?\s+{_SIDE}\b", re.IGNORECASE)
_FACTOR: Final = re.compile(r"\b(\d+(?:\.\d+)?)(?:\s*[xX]\s*|\s+)([A-Za-z_]\w{0,63})\b")
_COMPARED: Final = re.compile(
    rf"\b{_SIDE}\s+(?:is\s+)?(above|over|greater than|more than|higher than|below|under|less than|"
    rf"lower than|equals|equal to)\s+{_SIDE}\b",
    re.IGNORECASE,
)
_SIGNS: Final = {"e": "==", "b": "<", "u": "<", "l": "<"}
"""Comparisons by the first letter of the word; others mean >."""
CALLED_WORDS: Final[Mapping[str, str]] = {
    "and": "write a > 0 and b > 0, with and between conditions",
    "or": "write a > 0 or b > 0, with or between conditions",
    "not": "write not (a > 0), in small letters",
    "if": "write two conditions with and / or",
    "iff": "write two conditions with and / or",
    "crossover": "write crosses_above(a, b)",
    "crossunder": "write crosses_below(a, b)",
    "shift": "write prev(x, n)",
    "ref": "write prev(x, n)",
    "lag": "write prev(x, n)",
    "pow": "write x ** n",
    **dict.fromkeys(
        (
            "avg",
            "mean",
            "sma",
            "ema",
            "wma",
            "stdev",
            "stddev",
            "std",
            "sum",
            "rsi",
            "atr",
            "highest",
            "lowest",
            "rolling",
        ),
        "a value over several bars is a feature: features: {NAME: {use: sma, period: 20}}",
    ),
}
"""What to write for a word that other languages call as a function."""


def syntax_problem(text: str, offset: int) -> tuple[str, int]:
    """Return what is wrong with a text that is no expression, and the offset of it."""
    if (spoken := _spoken(text)) is not None:
        return spoken
    if text.count("(") != text.count(")"):
        more = "(" if text.count("(") > text.count(")") else ")"
        return f"a {more} without its partner", text.rfind(more)
    reversed_sign = re.search(r"=[<>](?!=)", text)
    if reversed_sign is not None:
        sign = reversed_sign[0]
        return f"write {sign[::-1]} instead of {sign}", reversed_sign.start()
    if re.search(r"(?<![<>=!:])=(?!=)", text):
        return "= is no comparison: write == (or >, <)", text.index("=")
    for mark, hint in SIGN_HINTS:
        at = text.find(mark)
        if mark == "!":
            alone = _NOT_SIGN.search(text)
            at = -1 if alone is None else alone.start()
        if at >= 0:
            return hint, at
    clock = _CLOCK.search(text)
    if clock is not None:
        hour, minute = map(int, clock[0].split(":"))
        hours = f"{{open: 'mon-fri {clock[0]:0>5}-16:00 UTC'}}"
        words = (
            f"{clock[0]} is no number: write {hour} * 60 + {minute}, and compare a feature "
            f"{{use: minute_of_day}} with it; or limit entries by universe.trading_hours: {hours}"
        )
        return words, clock.start()
    word = _CAPITALS.search(text)
    if word is not None:
        return f"write {word[0].lower()} instead of {word[0]}", word.start()
    factor = _FACTOR.search(text)
    if factor is not None and factor[2] not in ("and", "or", "not", "if", "else", "is", "in"):
        number, name = factor.groups()
        return f"write {number} * {name}, where {name} is a feature of the file", factor.start()
    return f"this is not an expression: {text[offset : offset + 20].strip()!r}", offset


def _spoken(text: str) -> tuple[str, int] | None:
    """Return how to write a comparison that stands in words: `fast crosses above slow`."""
    found = _CROSSES.search(text)
    if found is not None:
        way = "above" if found[2].lower() in ("above", "over", "up") else "below"
        return f"write crosses_{way}({found[1]}, {found[3]}) instead of {found[0]}", found.start()
    found = _CROSSES_ALONE.search(text)
    if found is not None:
        one, two = found.groups()
        return f"write crosses_above({one}, {two}) or crosses_below({one}, {two})", found.start()
    found = _COMPARED.search(text)
    if found is not None and found[1].lower() not in ("and", "or", "not"):
        sign = _SIGNS.get(found[2][0].lower(), ">")
        return f"write {found[1]} {sign} {found[3]} instead of {found[0]}", found.start()
    return None
