"""The tree of a strategy file: every value with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

__all__ = ["Key", "Mark", "Node", "Path", "dotted", "merge", "rename_keys"]

Key = str | int
Path = tuple[Key, ...]


class Mark(msgspec.Struct, frozen=True):
    """A place: a file with line and column from 1, or a flag (line 0)."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Node(msgspec.Struct, frozen=True):
    """A value, the marks of its key and itself, and its children.

    `style` and `text` are of scalars: quotes if any, and how it was written; `verbatim` means that
    the characters of `text` stand in the file one by one, on one line. `alias` is where a value
    that stands elsewhere (its anchor) was asked for. `size` counts the nodes below, itself
    included. `flawed` means that a problem was reported here already. `layer` names what laid the
    value over the file: ``--set``, ``--mode``, ``live:``, ``derived:KEY``; empty for the file.
    """

    kind: Literal["map", "list", "scalar"]
    mark: Mark
    value: Any = None
    key: Mark | None = None
    children: Mapping[Key, Node] = msgspec.field(default_factory=dict)
    text: str = ""
    style: str = ""
    verbatim: bool = False
    alias: Mark | None = None
    size: int = 1
    flawed: bool = False
    layer: str = ""

    def plain(self) -> Any:
        """Return the value as plain dicts, lists and scalars."""
        if self.kind == "map":
            return {key: child.plain() for key, child in self.children.items()}
        if self.kind == "list":
            return [child.plain() for child in self.children.values()]
        return self.value

    def at(self, path: Sequence[Key]) -> Node | None:
        """Return the node under a path, None where there is none."""
        node: Node | None = self
        for part in path:
            node = node.children.get(part) if node is not None else None
        return node

    def plain_at(self, path: Sequence[Key]) -> Any:
        """Return the plain value under a path, None where there is none."""
        node = self.at(path)
        return node.plain() if node is not None else None

    def nearest(self, path: Sequence[Key]) -> tuple[Node, Path]:
        """Return the deepest node along a path and the part of the path that reaches it."""
        node, reached = self, 0
        for part in path:
            child = node.children.get(part)
            if child is None:
                break
            node, reached = child, reached + 1
        return node, tuple(path[:reached])

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, Node]]:
        """Yield every node with its path, parents first, in the order of the file."""
        yield path, self
        for key, child in self.children.items():
            yield from child.walk((*path, key))

    @property
    def place(self) -> Mark:
        """Where a reader should look: the key if there is one, else the value."""
        return self.key or self.mark


def merge(base: Node, overlay: Node) -> Node:
    """Lay one tree over another: mappings merge, everything else replaces.

    A block that names another plugin with `use` starts anew: no key of the old one stays.
    """
    if base.kind != "map" or overlay.kind != "map" or _other_plugin(base, overlay):
        return replace(overlay, key=overlay.key or base.key)
    children = dict(base.children)
    for key, child in overlay.children.items():
        children[key] = merge(children[key], child) if key in children else child
    size = 1 + sum(child.size for child in children.values())
    return replace(base, children=children, size=size)


def rename_keys(tree: Node, names: Mapping[Path, str]) -> tuple[Node, dict[Path, Path]]:
    """Return a tree in which keys have other names, and the new paths of those by their old.

    A name that is taken already is given to no second key.
    """
    paths: dict[Path, Path] = {}
    for path, name in names.items():
        new = (*path[:-1], name)
        if tree.at(path) is not None and tree.at(new) is None:
            tree = _renamed(tree, path, name)
            paths[path] = new
    return tree, paths


def _renamed(tree: Node, path: Path, name: str) -> Node:
    first, inner_path = path[0], path[1:]
    children: dict[Key, Node] = {}
    for key, child in tree.children.items():
        inner = _renamed(child, inner_path, name) if key == first and inner_path else child
        children[name if key == first and not inner_path else key] = inner
    return replace(tree, children=children)


def _other_plugin(base: Node, overlay: Node) -> bool:
    plugin, plugin_over = base.children.get("use"), overlay.children.get("use")
    return plugin is not None and plugin_over is not None and plugin.value != plugin_over.value


def dotted(path: Sequence[Key]) -> str:
    """Write a path as it is typed: ``risk.limits.position``, ``universe.symbols.0``."""
    return ".".join(
        f'"{part}"' if isinstance(part, str) and "." in part else str(part) for part in path
    )
