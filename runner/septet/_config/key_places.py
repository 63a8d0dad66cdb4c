"""Finds the block to which a misplaced key belongs, by walking the schema."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from septet._config.renamed_keys import RENAMED, name_now
from septet._config.schema_lookup import blocks_named, inner_types, own_fields, type_of
from septet._config.tree import Node, Path, dotted
from septet_schemas.blocks import Resolver
from septet_schemas.strategy import Strategy

__all__ = ["KeyPlaces", "belongs_under", "gathered", "misplaced_blocks", "shown_at"]

_DEPTH: Final = 4
_SAME: Final = 0.8
"""A key this similar to a key of its block is a misspelling of it."""
_ALMOST: Final = 0.85
_SHOWN: Final = 2
_NOT_WALKED: Final = frozenset(("features", "sweep", "paper", "live", "schedule"))
_OWN_KEYS: Final = frozenset(("features", "model", "data", "sweep"))
"""Blocks whose keys share names with other keys and have a meaning of their own."""
_DECIDE: Final = ("grid", "buy_every")
_USUAL: Final = {"signal": "rules", "sizing": "fixed_fraction"}
"""The plugin that is meant if a block does not name one."""


class KeyPlaces(msgspec.Struct, frozen=True, dict=True):
    """The blocks to which unknown keys of a file belong; its schema is walked once for all."""

    model: type[BaseModel]
    tree: Node
    resolver: Resolver
    _places_of_key: dict[Path, list[Path]] = msgspec.field(default_factory=dict)

    def of(self, path: Path, own_keys: list[str]) -> list[Path]:
        """Return where the unknown key at `path` belongs; empty where its own block has it.

        `here` are the keys of its own block. A key of the same top-level block comes first.
        """
        if path not in self._places_of_key:
            self._places_of_key[path] = self._search(path, own_keys)
        return self._places_of_key[path]

    def _search(self, path: Path, own_keys: list[str]) -> list[Path]:
        name, top = str(path[-1]), path[0]
        if name == "use" or (len(path) > 1 and top in _OWN_KEYS) or name_now(name, own_keys):
            return []
        similar = difflib.get_close_matches(
            name.lower(), [each.lower() for each in own_keys], 1, _SAME
        )
        if similar and len(path) > 1:
            return []
        if len(path) == 1 and _is_feature(self.tree.at(path), self.resolver):
            return [("features", name)]
        every = self._every(name)
        exact = [each for each in every if each[-1] == name]
        if similar and not exact:
            return []
        candidates = exact or [each for each in every if each[-1] == RENAMED.get(name.lower())]
        if not candidates and name.isidentifier():
            close = difflib.get_close_matches(name.lower(), self._names, 1, _ALMOST)
            candidates = [each for each in every if each[-1] in close]
        candidates = [each for each in candidates if each[:-1] != path[:-1]]
        blocks = self.tree.children
        candidates.sort(key=lambda each: each[0] not in blocks)  # first, blocks that the file has
        if candidates and candidates[0][0] in blocks:
            candidates = [each for each in candidates if each[0] in blocks]
        of_block = [each for each in candidates if each[0] == top]
        return of_block or (candidates if len(path) == 1 or exact else [])

    def _every(self, name: str) -> list[Path]:
        """Return the path of each key, and of each block of which a plugin has the name."""
        kinds = {block: None for _, block in self._walked if block is not None}
        fits = {block for block in kinds if _resolves(self.resolver, *block, name)}
        return [
            path if block is None else (*path, name)
            for path, block in self._walked
            if block is None or block in fits
        ]

    @cached_property
    def _names(self) -> list[str]:
        return sorted({str(path[-1]) for path, block in self._walked if block is None})

    @cached_property
    def _walked(self) -> list[tuple[Path, tuple[str, str] | None]]:
        """The paths of the schema's keys, and of blocks that name a plugin: its layer and kind."""
        return list(_walk(self.model, self.tree, self.resolver))


def belongs_under(name: str, places: Sequence[Path]) -> str:
    """Return the hint for a key that belongs elsewhere, with the block to write."""
    parents = [dotted(key_path[:-1]) or "the top level of the file" for key_path in places[:_SHOWN]]
    first = places[0]
    subject = name if first[-1] == name else f"{name} is {first[-1]} here, and"
    parents_text = " or ".join(parents)
    return f"{subject} belongs {_under(parents_text)}: write {shown_at(first)}"


def _under(parent: str) -> str:
    return f"at {parent}" if parent.startswith("the top") else f"under {parent}"


def shown_at(key_path: Path, value: str = "...") -> str:
    """Format a key inside the blocks it belongs to: ``universe: {bar: ...}``."""
    text = f"{key_path[-1]}: {value}"
    for part in reversed(key_path[:-1]):
        text = f"{part}: {{{text}}}"
    return text


def misplaced_blocks(misplaced: Sequence[Path], wrong_paths: Sequence[Path]) -> frozenset[Path]:
    """Return the blocks that are not simply missing: their keys stand elsewhere.

    A portfolio, a grid and regular buys need no signal and no sizing. `wrong` are all paths with
    an error: a portfolio counts only beside an error of its own.
    """
    blocks: set[Path] = {key_path[:1] for key_path in misplaced if len(key_path) > 1}
    decides = any(key_path[-1] in _DECIDE for key_path in misplaced) or any(
        path[:1] == ("portfolio",) for path in wrong_paths
    )
    return frozenset(blocks | {("signal",), ("risk", "sizing")} if decides else blocks)


def gathered(tree: Node, resolver: Resolver) -> Node:
    """Return a tree whose features stand under `features`, for what else is wrong in it."""
    features_node = tree.children.get("features")
    stray = {
        key: node
        for key, node in tree.children.items()
        if key not in Strategy.model_fields and _is_feature(node, resolver)
    }
    if not stray or (features_node is not None and features_node.kind != "map"):
        return tree
    first = next(iter(stray.values()))
    base = features_node if features_node is not None else Node("map", first.mark, key=first.key)
    others = {key: node for key, node in tree.children.items() if key not in stray}
    features = replace(base, children={**base.children, **stray})
    return replace(tree, children={**others, "features": features})


def _is_feature(node: Node | None, resolver: Resolver) -> bool:
    use = node.children.get("use") if node is not None else None
    return use is not None and _resolves(resolver, "features", "feature", str(use.value))


def _resolves(resolver: Resolver, layer: str, kind: str, name: str) -> bool:
    try:
        resolver.resolve(layer, kind, name)
    except PydanticCustomError:
        return False
    return True


def _walk(
    model: type[BaseModel], tree: Node, resolver: Resolver
) -> Iterator[tuple[Path, tuple[str, str] | None]]:
    """Yield the path of each key of the schema, and each block with the plugins it may name."""
    level: list[tuple[Any, Node | None, Path]] = [(type_of(model), tree, ())]
    while level:
        type_of_key, node, path = level.pop(0)
        for block in blocks_named(type_of_key):
            yield path, (block.layer, block.kind)
        for key, inner in own_fields(type_of_key, node, path, resolver, _USUAL):
            if key in _NOT_WALKED and not path:
                yield (key,), None
                continue
            yield (*path, key), None
            if len(path) + 1 < _DEPTH:
                child = node.children.get(key) if node is not None else None
                level += [(each, child, (*path, key)) for each in inner_types(inner)]
