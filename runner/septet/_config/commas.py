"""Values that were cut in two by a comma or a brace of their own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from septet._config.tree import Key, Node
from septet.errors import Problem

__all__ = ["braced_text", "joined_values"]

_WORD: Final = re.compile(r"(?:[^\s,{}\[\]\"'#]|\{[^{}\s]*\})+")


def braced_text(line: str, column: int) -> tuple[int, str]:
    """Return the text around a place of a line, and its column, if YAML took its { for a mapping.

    As ``{symbol}.csv``: YAML ends at the closing brace, or in an inline mapping before the opening.
    """
    for word in _WORD.finditer(line):
        text = word[0]
        if word.start() < column < word.end() and "{" in text and not text.endswith(":"):
            return word.start(), text
    return column, ""


def joined_values(children: dict[Key, Node], path: str) -> tuple[list[Problem], dict[Key, Node]]:
    """Find values that a comma ended: in ``{a: f(x, y)}`` YAML reads ``a: f(x`` and a key ``y)``.

    `path` is that of the mapping.

    Returns
    -------
    problems, children
        One problem for each such value, and the children without the keys that were made of it;
        the value is marked as reported.
    """
    problems: list[Problem] = []
    kept: dict[Key, Node] = {}
    names = list(children)
    at = 0
    while at < len(names):
        name, node = names[at], children[names[at]]
        at += 1
        rest = []
        while at < len(names) and _has_no_value(children[names[at]]):
            rest.append(str(names[at]))
            at += 1
        if rest and node.kind == "scalar" and not node.style and node.text:
            whole = ", ".join([node.text, *rest])
            problems.append(_cut(path, str(name), node, whole))
            kept[name] = replace(node, flawed=True)
            continue
        kept[name] = node
        kept.update({each: children[each] for each in rest})
    return problems, kept


def _has_no_value(node: Node) -> bool:
    """Whether a key stands alone, without a colon behind it."""
    if node.kind != "scalar" or node.style or node.text or node.key is None:
        return False
    return node.mark.line == node.key.line


def _cut(path: str, name: str, node: Node, whole: str) -> Problem:
    mark = node.mark
    return Problem(
        "a comma ends a value inside { }",
        file=mark.source,
        line=mark.line,
        column=mark.column,
        key=f"{path}.{name}" if path else name,
        found=f"'{node.text}'",
        hint=f'quote the whole value: {name}: "{whole}"',
    )
