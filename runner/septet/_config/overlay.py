"""Applies overlays to the file: the mode's own keys, then `--mode` and `--set`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from septet._config.inner_numbers import inner_numbers, with_number
from septet._config.read import MAX_DEPTH, parse_text
from septet._config.tree import Key, Mark, Node, dotted, merge
from septet.errors import ConfigError, Problem
from septet_schemas.late_patterns import late_pattern
from septet_schemas.strategy import MODES

__all__ = [
    "Setting",
    "apply_mode",
    "apply_settings",
    "parse_path",
    "parse_setting",
    "put",
    "value_setting",
]

_LONGEST_PATH: Final = 2_000
_DIGITS: Final = 10
"""Fewer than these are the number of an entry."""
_PART: Final = late_pattern(r'"([^"]*)"|\'([^\']*)\'|([^."\']+)')
_NEVER: Final = ("version", "name", "mode", "plugins", "paper", "live")


class Setting(msgspec.Struct, frozen=True):
    """One ``--set path=value``."""

    path: tuple[str, ...]
    node: Node

    @property
    def flag(self) -> str:
        """How it is named in messages; the value stays out, it may be a secret."""
        return f"--set {dotted(self.path)}"


def parse_setting(text: str) -> Setting:
    """Read ``path=value``; the value is YAML.

    Raises
    ------
    ConfigError
        If there is no ``=``, the path is empty, or the value is not YAML.
    """
    text = text.encode("utf-8", "backslashreplace").decode()  # what a shell passes may be no text
    path_text, equals, value = text.partition("=")
    parts = _parts(path_text) if equals else ()
    if not parts:
        raise ConfigError(
            [
                Problem(
                    "this setting cannot be read",
                    file="--set",
                    expected="path=value, such as risk.sizing.fraction=20%",
                    found=path_text[:60] + ("=..." if equals else ""),
                )
            ]
        )
    flag = f"--set {dotted(parts)}"
    if not value.strip():
        return Setting(parts, Node("scalar", Mark(flag), None, layer="--set"))
    node, problems = parse_text(value, flag, flag=True)
    if problems:
        raise ConfigError(problems)
    return Setting(parts, _labelled(node, "--set"))


def value_setting(path: str, value: object) -> Setting:
    """Return the setting that gives a key a value of Python, as `--set` gives it text.

    Raises
    ------
    ConfigError
        If the path cannot be read, or the value is none that a file can hold.
    """
    import yaml

    parts = parse_path(path if isinstance(path, str) else "")
    flag = f"--set {dotted(parts)}"
    try:
        text = yaml.safe_dump(plain_value(value), default_flow_style=True, allow_unicode=True)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        problem = Problem(
            "this value cannot stand in a strategy",
            file=flag,
            expected="a number, a text, true or false, None, a list or a mapping of them",
            found=type(value).__name__,
        )
        raise ConfigError([problem]) from None
    node, problems = parse_text(text, flag, flag=True)
    if problems:
        raise ConfigError(problems)
    return Setting(parts, _labelled(node, "--set"))


def plain_value(value: object) -> object:
    """Return a value as YAML has it: numbers of numpy, dates and paths are no own types there.

    Raises
    ------
    TypeError
        If it is none that a file can hold.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if hasattr(value, "item") and not hasattr(value, "items"):  # a number of numpy, also a float
        return plain_value(value.item())
    if isinstance(value, int | float | str):  # a subclass, such as an enumeration
        return next(kind for kind in (int, float, str) if isinstance(value, kind))(value)
    if isinstance(value, Mapping):
        return {str(key): plain_value(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain_value(part) for part in value]
    for method in ("isoformat", "__fspath__"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(type(value).__name__)


def parse_path(text: str) -> tuple[str, ...]:
    """Read the path of a key; a part with a dot in it stands in quotes.

    Raises
    ------
    ConfigError
        If there is none.
    """
    parts = _parts(text)
    if not parts:
        found = text or "nothing"
        problem = Problem("this key cannot be read", expected="a path such as a.b", found=found)
        raise ConfigError([problem])
    return parts


def _parts(text: str) -> tuple[str, ...]:
    """Take a path apart; empty when it cannot be read."""
    if '""' in text or ".." in text or len(text) > _LONGEST_PATH:
        return ()
    parts = tuple(double or single or bare for double, single, bare in _PART.findall(text.strip()))
    return parts if len(parts) <= MAX_DEPTH else ()


def _labelled(node: Node, layer: str) -> Node:
    children = {key: _labelled(child, layer) for key, child in node.children.items()}
    return replace(node, children=children, layer=layer)


def apply_settings(tree: Node, settings: Sequence[Setting]) -> tuple[Node, list[Problem]]:
    """Lay every setting over the tree, in order."""
    problems: list[Problem] = []
    for setting in settings:
        try:
            tree = put(tree, setting.path, setting.node)
        except IndexError as error:
            problems.append(Problem(error.args[0], file=setting.flag, expected=error.args[1]))
    return tree, problems


def put(tree: Node, path: Sequence[str], node: Node) -> Node:
    """Return a tree with one value replaced, making the blocks on the way.

    A path that ends in a number at a text replaces that number inside of it, counted from 1.

    Raises
    ------
    IndexError
        If the path goes through a list and does not name one of its entries.
    """
    if not path:
        fills = node.kind == "map" and node.children  # an empty block takes the place of what was
        return merge(tree, node) if fills else replace(node, key=node.mark)
    first: Key = path[0]
    if tree.kind == "list":
        first = int(path[0]) if path[0].isdecimal() and len(path[0]) < _DIGITS else path[0]
        if first not in tree.children:
            length = len(tree.children)
            raise IndexError(
                f"{path[0]!r} is not an entry of this list of {length}",
                "a number of an entry of the list",
            )
    if len(path) == 1 and (changed := with_number(tree, path[0], node)) is not None:
        return changed
    if len(path) == 1 and path[0].isdecimal() and tree.kind == "scalar" and tree.value is not None:
        raise _without_number(tree, path[0])
    empty = Node("scalar", node.mark, key=node.mark, layer=node.layer)
    child = put(tree.children.get(first, empty), path[1:], node)
    if tree.kind == "scalar":
        return Node("map", node.mark, key=tree.key, children={first: child}, layer=node.layer)
    old = tree.children.get(first)
    if first == "use" and old is not None and old.value != child.value:
        return replace(tree, children={first: child})
    return replace(tree, children={**tree.children, first: child})


def _without_number(node: Node, number: str) -> IndexError:
    """Return the error for the number of a text that does not have as many."""
    count = len(inner_numbers(node))
    expected = f"the place of one of its numbers, from 1 to {count}"
    if not count:
        expected = "a whole new value for the key in front of it: no number stands in it"
    return IndexError(f"the value has no number {number[:_DIGITS]}", expected)


def apply_mode(tree: Node, mode: str) -> tuple[Node, list[Problem]]:
    """Lay the keys under ``paper:`` or ``live:`` over the file."""
    overlay = tree.children.get(mode) if mode in MODES else None
    if overlay is None or overlay.kind != "map":
        return tree, []
    problems = [
        Problem(
            f"{key} cannot differ between modes",
            file=child.place.source,
            line=child.place.line,
            column=child.place.column,
            key=f"{mode}.{key}",
            hint="write it at the top of the file",
        )
        for key, child in overlay.children.items()
        if key in _NEVER
    ]
    children = {key: child for key, child in overlay.children.items() if key not in _NEVER}
    return merge(
        tree, _labelled(replace(overlay, children=children, key=None), f"{mode}:")
    ), problems
