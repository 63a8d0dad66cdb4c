"""Parts of the schema, and plugins by words: what an author of strategy files looks up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from septet._app.plugins import describe_plugin, list_plugins
from septet._text import decode_json
from septet.errors import InputError, PluginError

__all__ = ["described_plugin", "found_plugins", "schema_part"]


@cache
def _schema() -> dict[str, Any]:
    from septet._config.json_schema import schema_text
    from septet._host.plugin_registry import Host

    found: dict[str, Any] = decode_json(schema_text(Host()))
    return found


def schema_part(path: str) -> tuple[Any, list[str]]:
    """Return the part of the JSON schema at a dotted path, and the names of what is below it.

    Raises
    ------
    InputError
        If there is no such part.
    """
    root = _schema()
    part: Any = root
    for name in path.split(".") if path else ():
        below = _below(part, root)
        if name not in below:
            raise InputError(
                f"the schema has no {name[:60]!r} in {path[:80]!r}",
                hint=f"there are {', '.join(sorted(below)[:40]) or 'no keys'}",
            )
        part = below[name]
    return part, sorted(_below(part, root))


def _below(part: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a part of a schema has below it, by name."""
    if not isinstance(part, Mapping):
        return {}
    found = dict(part.get("properties", {}))
    if isinstance(part.get("$defs"), Mapping):
        found["$defs"] = {"properties": part["$defs"]}
    reference = part.get("$ref", "")
    if reference.startswith("#/$defs/"):
        target = root["$defs"].get(reference.removeprefix("#/$defs/"))
        found = {**_below(target, root), **found}
    for kind in ("anyOf", "oneOf", "allOf"):
        for each in part.get(kind, ()):
            found = {**_below(each, root), **found}
    return found


def found_plugins(query: str = "", layer: str | None = None) -> list[dict[str, Any]]:
    """Return the installed plugins in whose name, kind or summary every word of `query` stands.

    Raises
    ------
    InputError
        If there is no such layer.
    """
    entries = list_plugins()["plugins"]
    layers = sorted({each["layer"] for each in entries})
    if layer is not None and layer not in layers:
        raise InputError(f"there is no layer {layer[:40]!r}", hint=f"one of {', '.join(layers)}")
    words = query.lower().split()
    return [
        each
        for each in entries
        if layer in (None, each["layer"])
        and all(w in f"{each['name']} {each['kind']} {each['summary']}".lower() for w in words)
    ]


def described_plugin(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plugin with its keys and how it is written in a file.

    A package's plugin that was not checked is named only: describing it would run its code.
    """
    found = {name: entry[name] for name in ("name", "layer", "kind", "distribution", "summary")}
    found["checked"] = entry["check"]
    if entry["check"] not in ("built in", "kept", "watched"):
        return found
    name = (
        entry["name"]
        if entry["check"] == "built in"
        else f"{entry['distribution']}:{entry['name']}"
    )
    try:
        described = describe_plugin(name)
    except PluginError as error:
        return {**found, "problem": error.message}
    same = [
        each
        for each in described
        if (each["layer"], each["kind"]) == (entry["layer"], entry["kind"])
    ]
    keys = same[0]["keys"] if same else []
    return {**found, "keys": keys, "example": _example(entry["name"], keys)}


def _example(name: str, keys: list[dict[str, Any]]) -> str:
    """Write a block with the keys it cannot be without, or else its first one."""
    needed = [each for each in keys if each["default"] == "required"]
    shown = needed or [each for each in keys if each["default"] != "none"][:1]
    pairs = [
        f"{each['key']}: {'<' + each['type'] + '>' if each in needed else each['default']}"
        for each in shown
    ]
    return "{" + ", ".join([f"use: {name}", *pairs]) + "}"
