"""Finds the origin of every effective value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from septet._config.find_plugins import HostResolver, LenientResolver
from septet._config.pydantic_problems import closest
from septet._config.schema_lookup import metadata_of, type_at
from septet._config.tree import Key, Mark, Node, dotted
from septet._host.plugin_registry import Host
from septet._text import masked_addresses
from septet.errors import InputError
from septet_schemas.blocks import UseBlock
from septet_schemas.position import DISTANCE_PARSERS
from septet_schemas.strategy import Strategy
from septet_schemas.units import parse_fraction

__all__ = ["Entry", "Origin", "explained", "flatten", "origins_of", "short_keys"]


class Origin(msgspec.Struct, frozen=True):
    """The origin of a value.

    `kind` is file, overlay, set, mode, derived or default; `shorthand` states that a bare value
    stands for this key; `text` is how the value was written.
    """

    kind: str
    place: str = ""
    text: str = ""
    shorthand: bool = False

    def __str__(self) -> str:
        labels = {"set": self.place, "mode": self.place, "default": "default"}
        text = labels.get(self.kind, self.place)
        if self.kind == "overlay":
            text = f"{self.place} (overlay)"
        if self.kind == "derived":
            text = f"from {self.place}"
        return f"{text} (short form)" if self.shorthand else text


_KINDS = {"--set": "set", "--mode": "mode", "paper:": "overlay"} | {"live:": "overlay"}


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
    if len(reached) < len(path):  # a key that the file may leave out, as `groups: {NAME: ...}` does
        shorter = (*path[: len(reached)], *path[len(reached) + 1 :])
        node_inside = tree.at(shorter) if len(shorter) > len(reached) else None
        if node_inside is not None and node_inside.key is not None and node.kind == "map":
            return _written(node_inside, shorthand=False)
    if len(reached) == len(path):
        return _written(node, shorthand=False)
    bare = node.kind == "scalar" and node.value is not None and len(path) == len(reached) + 1
    if bare and path[-1] in short_keys(reached, strategy):
        return _written(node, shorthand=True)
    return Origin("default")


_SHORT_KEYS: Mapping[str, tuple[str, ...]] = {
    "fee": ("maker", "taker"),
    "slippage": ("fraction",),
    "reentry": ("policy",),
}


def short_keys(path: tuple[Key, ...], strategy: object) -> tuple[str, ...]:
    """Return the keys that a bare value at `path` stands for."""
    value: Any = strategy
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, str(part), None)
    if isinstance(value, UseBlock):
        short = type(value.config).shorthand
        return (short,) if short else ()
    return _SHORT_KEYS.get(str(path[-1]), ())


def _written(node: Node, *, shorthand: bool) -> Origin:
    kind, colon, source = node.layer.partition(":")
    if kind == "derived" and colon:
        return Origin("derived", f"{source}, {node.mark}", node.text, shorthand)
    return Origin(_KINDS.get(node.layer, "file"), str(node.mark), node.text, shorthand)


class Entry(msgspec.Struct, frozen=True):
    """One effective value: as plain data, and as a strategy file would write it."""

    key: str
    value: Any
    shown: str
    origin: Origin

    def document(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        origin = {"kind": self.origin.kind, "place": self.origin.place}
        if self.origin.shorthand:
            origin["short_form"] = "yes"
        return {"key": self.key, "value": self.value, "shown": self.shown, "origin": origin}


def explained(
    resolved: Mapping[str, Any],
    origins: Mapping[str, Origin],
    key: str | None,
    *,
    host: Host,
) -> list[Entry]:
    """Return every effective value, or `key` and the values below it.

    Raises
    ------
    InputError
        If no key has that name.
    """
    resolver = LenientResolver(HostResolver(host))
    tree = _as_tree(resolved)
    entries = []
    for path, value in flatten(resolved):
        origin = origins[dotted(path)]
        text = _masked(_shown(path, value, origin, tree, resolver))
        entries.append(Entry(dotted(path), _masked(value), text, origin))
    if key is None:
        return entries
    chosen = [entry for entry in entries if entry.key == key or entry.key.startswith(f"{key}.")]
    if not chosen:
        heads = {".".join(entry.key.split(".")[:n]) for entry in entries for n in range(1, 8)}
        raise InputError(f"no key is called {key!r}", hint=closest(key, sorted(heads)))
    return chosen


def _masked(value: Any) -> Any:
    """Remove logins and queries from addresses, as in every message."""
    return masked_addresses(value) if isinstance(value, str) else value


_MEANS: Mapping[str, str] = {
    "data.candles.adjust": "none (refused where a source has adjusted closes)",
    "data.candles.calendar": "none (what the source states, else 24x7)",
    "data.candles.decide_within": "none (a quarter bar, 60s at most)",
    "data.candles.stamp": "none (what the source states)",
    "execution.simulation.participation": "none (no cap)",
    "model.inputs": "none (every feature)",
    "model.training.expire_after": "none (never)",
    "model.training.purge": "none (the label's horizon)",
    "risk.rebalance": "none (never)",
    "signal.exit.after": "none (the label's horizon with a model, else never)",
    "universe.end": "none (where the data ends)",
    "universe.start": "none (where the data begins)",
}
"""The meaning of a missing value, if it is not simply nothing."""


def _as_tree(value: Any) -> Node:
    """Return plain data as a tree without places."""
    nowhere = Mark("")
    if isinstance(value, Mapping):
        return Node("map", nowhere, children={key: _as_tree(each) for key, each in value.items()})
    if isinstance(value, list):
        return Node("list", nowhere, children=dict(enumerate(map(_as_tree, value))))
    return Node("scalar", nowhere, value)


def _shown(
    path: tuple[Key, ...], value: Any, origin: Origin, tree: Node, resolver: LenientResolver
) -> str:
    """Format a value as in a strategy file."""
    if origin.text and not isinstance(value, Mapping | list | bool):
        return origin.text if value is not None else "none"
    if value is None:
        return _MEANS.get(dotted(path), "none")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and _is_fraction(path, tree, resolver):
        return _fraction_text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(str(each) for each in value)}]"
    if isinstance(value, Mapping):
        return "{}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_fraction(path: tuple[Key, ...], tree: Node, resolver: LenientResolver) -> bool:
    type_of_key = type_at(Strategy, path, tree, resolver)
    return type_of_key is not None and any(
        getattr(each, "func", None) in (parse_fraction, *DISTANCE_PARSERS)
        for each in metadata_of(type_of_key)
    )


def _fraction_text(value: float) -> str:
    """Format a fraction as percent, or as basis points if that is shorter."""
    if value and abs(value) < 0.01 and round(value * 1e4, 6) == round(value * 1e4):
        return f"{value * 1e4:g}bps"
    return f"{value * 100:g}%"
