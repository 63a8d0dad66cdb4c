"""Where every effective value came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from septet._config.tree import Key, Node, dotted
from septet_schemas.blocks import UseBlock

__all__ = ["Origin", "flatten", "origins_of"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    `kind` is file, overlay, set, mode, derived or default; `shorthand` says that a bare value
    stands for this key; `text` is how the value was written.
    """

    kind: str
    place: str = ""
    text: str = ""
    shorthand: bool = False

    def __str__(self) -> str:
        words = {"set": self.place, "mode": self.place, "default": "default"}
        shown = words.get(self.kind, self.place)
        if self.kind == "overlay":
            shown = f"{self.place} (overlay)"
        if self.kind == "derived":
            shown = f"from universe.symbols, {self.place}"
        return f"{shown} (short form)" if self.shorthand else shown


_KINDS = {"--set": "set", "--mode": "mode", "derived": "derived", "paper:": "overlay"} | {
    "live:": "overlay"
}


def flatten(value: Any, path: tuple[Key, ...] = ()) -> Iterator[tuple[tuple[Key, ...], Any]]:
    """Yield every leaf of plain data with its path; an empty block or list is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from flatten(each, (*path, key))
    elif isinstance(value, list | tuple) and value and not _short(value):
        for index, each in enumerate(value):
            yield from flatten(each, (*path, index))
    else:
        yield path, value


def _short(value: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(each, str | int | float | bool | None) for each in value)


def origins_of(resolved: Mapping[str, Any], tree: Node, strategy: object) -> dict[str, Origin]:
    """Return the origin of every leaf of the effective configuration, by dotted path."""
    return {dotted(path): _origin(path, tree, strategy) for path, _ in flatten(resolved)}


def _origin(path: tuple[Key, ...], tree: Node, strategy: object) -> Origin:
    node, reached = tree.nearest(path)
    if len(reached) == len(path):
        return _written(node, shorthand=False)
    bare = node.kind == "scalar" and node.value is not None and len(path) == len(reached) + 1
    if bare and path[-1] in _short_keys(reached, strategy):
        return _written(node, shorthand=True)
    return Origin("default")


_SHORT_KEYS: Mapping[str, tuple[str, ...]] = {
    "fee": ("maker", "taker"),
    "slippage": ("fraction",),
    "reentry": ("policy",),
}


def _short_keys(path: tuple[Key, ...], strategy: object) -> tuple[str, ...]:
    """Return the keys that a bare value at `path` stands for."""
    found: Any = strategy
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else getattr(found, str(part), None)
    if isinstance(found, UseBlock):
        short = type(found.config).shorthand
        return (short,) if short else ()
    return _SHORT_KEYS.get(str(path[-1]), ())


def _written(node: Node, *, shorthand: bool) -> Origin:
    return Origin(_KINDS.get(node.layer, "file"), str(node.mark), node.text, shorthand)
