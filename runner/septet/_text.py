"""Text from files that a stranger may have written, before it is printed, logged or sent.

`visible` escapes what a terminal obeys; `one_line` keeps a value within its line as well, so that
it cannot be taken for a line of the program. `shortened` bounds its length, and
`masked_addresses` leaves out what may be secret in an address. `decode_json` is the
one place where JSON text becomes values: what it returns can be written as UTF-8, and is nested
no deeper than whatever walks it later can follow. `require_shallow` is for values that something
else decoded. `dump_json` writes values as the one JSON that files and commands have.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = [
    "MOST_LEVELS", "breaks_lines", "decode_json", "dump_json", "require_shallow", "is_unicode",
    "masked_addresses", "one_line", "plain_json", "shortened", "unicode_text", "visible",
]  # fmt: skip

MOST_LEVELS: Final = 100
"""How deep lists and mappings may be nested in JSON; a strategy file has at most 40 levels."""

_CONTROLS: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_TURNING: Final = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_HIDDEN: Final = re.compile(f"[{_CONTROLS}{_TURNING}]")
_BREAKING: Final = re.compile(f"[\t\n{_CONTROLS}{_TURNING}]")
_SHORT: Final = {0x09: "\\t", 0x0A: "\\n"}
_STYLE: Final = re.compile(r"(\x1b\[(?:[0-2]|22|3[1-6])?(?:;(?:[0-2]|22|3[1-6]))*m)")
"""Colours and weights as our own messages have them; nothing that hides (black) or moves."""


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number in _SHORT:
        return _SHORT[number]
    return f"\\x{number:02x}" if number < 0x20 else f"\\u{number:04x}"


def visible(text: str, *, styled: bool = False, lines: bool = True) -> str:
    r"""Write characters that a terminal obeys as ``\x1b`` or ``\u202e``.

    `styled` leaves colours and weights as they are, which can neither hide nor move anything.
    Line breaks and tabs stay with `lines`, and are written as ``\n`` and ``\t`` otherwise.
    """
    hidden = _HIDDEN if lines else _BREAKING
    if not hidden.search(text):
        return text
    if not styled:
        return hidden.sub(_escape, text)
    parts = _STYLE.split(text)
    return "".join(part if at % 2 else hidden.sub(_escape, part) for at, part in enumerate(parts))


def one_line(value: object) -> str:
    """Write a value so that it stays within its line: nothing in it begins another."""
    return visible(str(value), lines=False)


def shortened(text: str, most: int) -> str:
    """Cut a text that is longer than `most` characters, and add how long it was."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


_ADDRESS: Final = re.compile(
    r"\b([A-Za-z][A-Za-z0-9+.-]{0,31}://)([^\s'\"<>]*@)?([^\s?#'\"<>]*)([?#][^\s'\"<>]*)?"
)


def masked_addresses(text: str) -> str:
    """Leave a login and a query out of every address in a text: either may hold a secret.

    ``https://me:word@host/x?token=1`` becomes ``https://***@host/x?...``.
    """
    if "://" not in text:
        return text

    def masked(found: re.Match[str]) -> str:
        scheme, login, rest, query = found.groups()
        shown = f"{query[0]}..." if query and len(query) > 1 else query or ""
        return f"{scheme}{'***@' if login else ''}{rest}{shown}"

    return _ADDRESS.sub(masked, text)


_DEEP: Final = f"it is nested more than {MOST_LEVELS} levels deep"
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
"""A surrogate in JSON text, as it is or as an escape; a pair of escapes is a character."""


def require_shallow(value: Any) -> None:
    """Refuse plain data in which lists and mappings are nested more than 100 levels deep.

    Raises
    ------
    ValueError
        If they are.
    """
    level, depth = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        if depth > MOST_LEVELS:
            raise ValueError(_DEEP)
        level = [
            part for each in level for part in (each.values() if isinstance(each, dict) else each)
        ]


def is_unicode(text: str) -> bool:
    """Whether text can be written in UTF-8: a name on a disk may be no such text."""
    return text == unicode_text(text)


def unicode_text(text: str) -> str:
    r"""Return text that can be sent: bytes of a name that are no Unicode become ``\xff``.

    Python reads such a name with halves of surrogate pairs in their place.
    """
    if text.isascii():
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves that no name has
        data = text.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def plain_json(value: Any) -> Any:
    """Return a value JSON can hold: not-a-number and infinity become null, keys become text."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence | set | frozenset):
        return [plain_json(item) for item in value]
    if hasattr(value, "tolist"):
        return plain_json(value.tolist())
    return str(value)


def dump_json(value: Any) -> str:
    """Write readable JSON that every reader accepts."""
    return json.dumps(plain_json(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def decode_json(data: str | bytes) -> Any:
    r"""Read a JSON document: at most 100 levels deep, no text with half of a surrogate pair.

    JSON may write one as an escape such as ``\ud800``. No text with it can be printed, stored
    or sent, wherever it is used later.

    Raises
    ------
    ValueError
        If it is no JSON, no Unicode text, nested too deeply, or holds half of a surrogate pair.
    """
    text = data if isinstance(data, str) else data.decode(json.detect_encoding(data))
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError(_DEEP) from None
    if text.count("[") + text.count("{") > MOST_LEVELS:  # fewer cannot be nested so deeply
        require_shallow(found)
    if _SURROGATE.search(text):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = ord(error.object[error.start])
            raise ValueError(
                f"a text in it holds half of a surrogate pair, \\u{half:04x}"
            ) from None
    return found


def breaks_lines(text: str) -> bool:
    """Whether `one_line` would change a text."""
    return _BREAKING.search(text) is not None
