"""Search in the schema and the plugins, for authors of strategy files."""

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

    schema: dict[str, Any] = decode_json(schema_text(Host()))
    return schema


def schema_part(path: str) -> tuple[Any, list[str]]:
    """Return the part of the JSON schema at a dotted path, and the names of its children.

    Raises
    ------
    InputError
        If the path does not exist.
    """
    root = _schema()
    part: Any = root
    for name in path.split(".") if path else ():
        children = _children_of(part, root)
        if name not in children:
            raise InputError(
                f"the schema has no {name[:60]!r} in {path[:80]!r}",
                hint=f"there are {', '.join(sorted(children)[:40]) or 'no keys'}",
            )
        part = children[name]
    return part, sorted(_children_of(part, root))


def _children_of(part: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the children of a part of a schema by name."""
    if not isinstance(part, Mapping):
        return {}
    children = dict(part.get("properties", {}))
    if isinstance(part.get("$defs"), Mapping):
        children["$defs"] = {"properties": part["$defs"]}
    reference = part.get("$ref", "")
    if reference.startswith("#/$defs/"):
        target = root["$defs"].get(reference.removeprefix("#/$defs/"))
        children = {**_children_of(target, root), **children}
    for kind in ("anyOf", "oneOf", "allOf"):
        for each in part.get(kind, ()):
            children = {**_children_of(each, root), **children}
    return children


def found_plugins(query: str = "", layer: str | None = None) -> list[dict[str, Any]]:
    """Return the installed plugins whose name, kind or summary contains every word of `query`.

    Raises
    ------
    InputError
        If there is no such layer.
    """
    entries = list_plugins()["plugins"]
    layers = sorted({each["layer"] for each in entries})
    if layer is not None and layer not in layers:
        raise InputError(f"there is no layer {layer[:40]!r}", hint=f"one of {', '.join(layers)}")
    query_words = query.lower().split()
    return [
        each
        for each in entries
        if layer in (None, each["layer"])
        and all(
            word in f"{each['name']} {each['kind']} {each['summary']}".lower()
            for word in query_words
        )
    ]


def described_plugin(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plugin with its keys and how it is written in a file.

    For an unchecked plugin of another package only the name is given: describing it would run its
    code.
    """
    document = {name: entry[name] for name in ("name", "layer", "kind", "distribution", "summary")}
    document["checked"] = entry["check"]
    if entry["check"] not in ("built in", "kept", "watched"):
        return document
    name = (
        entry["name"]
        if entry["check"] == "built in"
        else f"{entry['distribution']}:{entry['name']}"
    )
    try:
        described = describe_plugin(name)
    except PluginError as error:
        return {**document, "problem": error.message}
    descriptions = [
        each
        for each in described
        if (each["layer"], each["kind"]) == (entry["layer"], entry["kind"])
    ]
    keys = descriptions[0]["keys"] if descriptions else []
    return {**document, "keys": keys, "example": _example(entry["name"], keys)}


def _example(name: str, keys: list[dict[str, Any]]) -> str:
    """Return a block with its required keys, or else with its first key."""
    required = [each for each in keys if each["default"] == "required"]
    keys_shown = required or [each for each in keys if each["default"] != "none"][:1]
    pairs = [
        f"{each['key']}: {'<' + each['type'] + '>' if each in required else each['default']}"
        for each in keys_shown
    ]
    return "{" + ", ".join([f"use: {name}", *pairs]) + "}"
