"""Finds values that YAML split at a comma or a brace inside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from septet._config.tree import Key, Mark, Node
from septet.errors import Problem
from septet_schemas.late_patterns import late_pattern

__all__ = ["braced_text", "joined_values"]

_LEADING: Final = late_pattern(r"[+-]?\d{1,3}")
_GROUP: Final = late_pattern(r"\d{3}(\.\d*)?")
_WORD: Final = late_pattern(r"(?:[^\s,{}\[\]\"'#]|\{[^{}\s]*\})+")


def braced_text(line: str, column: int) -> tuple[int, str]:
    """Return the text around a place of a line, and its column, if YAML took its { for a mapping.

    As ``{symbol}.csv``: YAML ends at the closing brace, or in an inline mapping before the opening.
    """
    for word in _WORD.finditer(line):
        text = word[0]
        if word.start() < column < word.end() and "{" in text and not text.endswith(":"):
            return word.start(), text
    return column, ""


def joined_values(
    children: dict[Key, Node], path: str, keys: Sequence[tuple[str, Mark]] = ()
) -> tuple[list[Problem], dict[Key, Node], set[Mark]]:
    """Find values that a comma ended: in ``{a: f(x, y)}`` YAML reads ``a: f(x`` and a key ``y)``.

    `path` is that of the mapping, `keys` are all of its keys as they were read, with those that
    are there twice: in ``{a: 10,000,000}`` that is ``000``.

    Returns
    -------
    problems, children, groups
        One problem for each such value, and the children without the keys that were made of it;
        the value is marked as reported. `groups` are places of digits that were read as keys.
    """
    problems: list[Problem] = []
    groups: set[Mark] = set()
    remaining: dict[Key, Node] = {}
    names = list(children)
    at = 0
    while at < len(names):
        name, node = names[at], children[names[at]]
        at += 1
        cut_off = []
        while at < len(names) and _has_no_value(children[names[at]]):
            cut_off.append(str(names[at]))
            at += 1
        if cut_off and node.kind == "scalar" and not node.style and node.text:
            digits = _digit_groups(str(name), node, keys)
            groups.update(mark for _, mark in digits)
            value = ", ".join([node.text, *cut_off])
            hint = f'quote the whole value: {name}: "{value}"'
            if digits:
                number = "".join([node.text, *(text for text, _ in digits)])
                hint = f"a number has no commas: write {name}: {number}"
            problems.append(_cut(path, str(name), node, hint))
            remaining[name] = replace(node, flawed=True)
            continue
        remaining[name] = node
        remaining.update({each: children[each] for each in cut_off})
    return problems, remaining, groups


def _digit_groups(
    name: str, node: Node, keys: Sequence[tuple[str, Mark]]
) -> list[tuple[str, Mark]]:
    """Return the groups of three digits behind a value, which YAML read as keys."""
    if not _LEADING.fullmatch(node.text):
        return []
    names = [text for text, _ in keys]
    groups = []
    for text, mark in keys[names.index(name) + 1 :] if name in names else ():
        if not _GROUP.fullmatch(text):
            break
        groups.append((text, mark))
    return groups


def _has_no_value(node: Node) -> bool:
    """Whether a key stands alone, without a colon behind it."""
    if node.kind != "scalar" or node.style or node.text or node.key is None:
        return False
    return node.mark.line == node.key.line


def _cut(path: str, name: str, node: Node, hint: str) -> Problem:
    mark = node.mark
    return Problem(
        "a comma ends a value inside { }",
        file=mark.source,
        line=mark.line,
        column=mark.column,
        key=f"{path}.{name}" if path else name,
        found=f"'{node.text}'",
        hint=hint,
    )
