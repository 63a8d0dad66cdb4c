"""Numbers inside a text of the file, by their place: `signal.long_if.2` is the second one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from septet._config.tree import Node, dotted
from septet_schemas.late_patterns import late_pattern

__all__ = ["inner_numbers", "is_place_of_number", "node_at", "places_text", "with_number"]

_NUMBER: Final = late_pattern(
    r"(?<![\w.@'\"/:])(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?=R?(?![\w.@]))"
)
"""A number that is not part of a name or a symbol; in a multiple of R, the number before R."""
_SHOWN: Final = 4


def inner_numbers(node: Node | None) -> list[str]:
    """Return the numbers in the text of a value, in order; empty if the value is a number."""
    if node is None or node.kind != "scalar" or not isinstance(node.value, str):
        return []
    return [match[0] for match in _NUMBER.finditer(node.value)]


def is_place_of_number(rest: Sequence[str]) -> bool:
    """Return whether the rest of a path, after a value, is the index of a number inside it."""
    return len(rest) == 1 and rest[0].isdecimal()


def with_number(node: Node, place: str, number: Node) -> Node | None:
    """Return a text with the number at an index, counted from 1, replaced; None without one."""
    text = node.value if node.kind == "scalar" and isinstance(node.value, str) else ""
    numbers = list(_NUMBER.finditer(text))
    at = int(place) - 1 if place.isdecimal() and len(place) < 10 else -1
    if not 0 <= at < len(numbers) or number.kind != "scalar":
        return None
    written = _plain(number.text or str(number.value))
    changed = f"{text[: numbers[at].start()]}{written}{text[numbers[at].end() :]}"
    return Node(
        "scalar", number.mark, changed, key=node.key, text=changed, layer=number.layer,
        alias=number.alias,
    )  # fmt: skip


def _plain(text: str) -> str:
    """Format a share as in expressions: 2% is 0.02."""
    if not re.fullmatch(r"[+-]?[\d.]+%", text):
        return text
    from decimal import Decimal, InvalidOperation

    try:
        return f"{Decimal(text[:-1]) / 100:f}"
    except InvalidOperation:
        return text


def node_at(tree: Node, path: Sequence[str]) -> Node | None:
    """Return the value under a path as written in the file; entries of lists are counted from 0."""
    node: Node | None = tree
    for part in path:
        if node is None:
            return None
        is_entry = node.kind == "list" and part.isdecimal() and len(part) < 10
        node = node.children.get(int(part) if is_entry else part)
    return node


def places_text(path: Sequence[str], numbers: Sequence[str]) -> str:
    """Return the names of the numbers of a text: ``signal.long_if.1 is 1.01``."""
    shown = [f"{dotted((*path, str(n)))} is {each}" for n, each in enumerate(numbers[:_SHOWN], 1)]
    return f"a number inside it is named by its place: {', '.join(shown)}" if shown else ""
