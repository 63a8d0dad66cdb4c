"""A right file, the keys of its blocks, and the file with one value in the place of a block."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import yaml

from septet._config.find_plugins import HostResolver
from septet._config.read import parse_text
from septet._config.schema_lookup import known_keys, own_fields, type_at
from septet._host.plugin_registry import Host
from septet_schemas.strategy import Strategy

__all__ = ["BASE", "HOST", "block_paths", "fields_of", "stated"]

BASE: dict[str, Any] = {
    "version": 1,
    "name": "beginner",
    "account": {"capital": 10000},
    "universe": {"symbols": ["BTC/USDT"], "bar": "1h"},
    "data": {"candles": {"use": "synthetic"}},
    "features": {"fast": {"use": "sma", "period": 20}, "slow": {"use": "sma", "period": 100}},
    "signal": {"use": "rules", "long_if": "fast > slow", "exit_if": "fast < slow"},
    "risk": {"sizing": {"use": "fixed_fraction", "fraction": "50%"}},
    "execution": {"simulation": {"fee": "10bps", "slippage": "5bps"}},
}
HOST = Host()
_NOT_PLAIN = ("paper", "live", "sweep", "schedule", "features")
_EMPTY = parse_text("{" + ", ".join(f"{key}: {{}}" for key in Strategy.model_fields) + "}", "")[0]


def fields_of(path: tuple[str, ...]) -> list[str]:
    """The keys that are served in a block of the file."""
    resolver = HostResolver(HOST)
    place = type_at(Strategy, path, _EMPTY, resolver)
    assert place is not None
    return [key for key, _ in own_fields(place, _EMPTY.at(path), path, resolver, {})]


def block_paths() -> Iterator[tuple[str, ...]]:
    """The paths of the blocks of a file, two keys deep at most."""
    for top in Strategy.model_fields:
        if top in _NOT_PLAIN:
            continue
        paths = [(top,), *((top, key) for key in fields_of((top,)))]
        yield from (path for path in paths if _is_block(path))


def _is_block(path: tuple[str, ...]) -> bool:
    tree, _ = parse_text(yaml.safe_dump(stated(path, {})), "")
    return bool(known_keys(Strategy, path, tree, HostResolver(HOST)))


def stated(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The right file with one value."""
    data = copy.deepcopy(BASE)
    block = data
    for part in path[:-1]:
        block = block.setdefault(part, {})
    block[path[-1]] = value
    return data
