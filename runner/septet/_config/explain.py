"""Where every effective value came from."""

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
    """Where a value came from.

    `kind` is file, overlay, set, mode, derived or default; `shorthand` states that a bare value
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
            shown = f"from {self.place}"
        return f"{shown} (short form)" if self.shorthand else shown


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
    if len(reached) < len(path):  # a key that the file may leave out, as groups: {NAME: ...} does
        without = (*path[: len(reached)], *path[len(reached) + 1 :])
        inside = tree.at(without) if len(without) > len(reached) else None
        if inside is not None and inside.key is not None and node.kind == "map":
            return _written(inside, shorthand=False)
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
    found: Any = strategy
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else getattr(found, str(part), None)
    if isinstance(found, UseBlock):
        short = type(found.config).shorthand
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
        """Return it as plain data."""
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
    """Return every effective value, or `key` and what is below it.

    Raises
    ------
    InputError
        If no key has that name.
    """
    resolver = LenientResolver(HostResolver(host))
    plain = _as_tree(resolved)
    entries = []
    for path, value in flatten(resolved):
        origin = origins[dotted(path)]
        shown = _masked(_shown(path, value, origin, plain, resolver))
        entries.append(Entry(dotted(path), _masked(value), shown, origin))
    if key is None:
        return entries
    chosen = [e for e in entries if e.key == key or e.key.startswith(f"{key}.")]
    if not chosen:
        heads = {".".join(e.key.split(".")[:n]) for e in entries for n in range(1, 8)}
        raise InputError(f"no key is called {key!r}", hint=closest(key, sorted(heads)))
    return chosen


def _masked(value: Any) -> Any:
    """Leave logins and queries out of addresses, as in every message."""
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
"""What no value means where that is not nothing."""


def _as_tree(value: Any) -> Node:
    """Return plain data as a tree without places."""
    here = Mark("")
    if isinstance(value, Mapping):
        return Node("map", here, children={key: _as_tree(each) for key, each in value.items()})
    if isinstance(value, list):
        return Node("list", here, children=dict(enumerate(map(_as_tree, value))))
    return Node("scalar", here, value)


def _shown(
    path: tuple[Key, ...], value: Any, origin: Origin, plain: Node, resolver: LenientResolver
) -> str:
    """Write a value the way a strategy file does."""
    if origin.text and not isinstance(value, Mapping | list | bool):
        return origin.text if value is not None else "none"
    if value is None:
        return _MEANS.get(dotted(path), "none")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and _is_fraction(path, plain, resolver):
        return _fraction_text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(str(each) for each in value)}]"
    if isinstance(value, Mapping):
        return "{}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_fraction(path: tuple[Key, ...], plain: Node, resolver: LenientResolver) -> bool:
    place = type_at(Strategy, path, plain, resolver)
    return place is not None and any(
        getattr(each, "func", None) in (parse_fraction, *DISTANCE_PARSERS)
        for each in metadata_of(place)
    )


def _fraction_text(value: float) -> str:
    """Write a fraction as percent, or as basis points where that is shorter to read."""
    if value and abs(value) < 0.01 and round(value * 1e4, 6) == round(value * 1e4):
        return f"{value * 1e4:g}bps"
    return f"{value * 100:g}%"
