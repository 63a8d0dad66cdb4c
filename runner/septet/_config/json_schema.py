"""The JSON Schema of strategy files, with every installed plugin's own keys, for editors.

`use:` picks the plugin's model with if/then, which editors complete and validate well. Where a
block's key is its plugin's name (`position: 10%`), that name is a property of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from septet._host.manifests import strangers_code
from septet._host.plugin_registry import BUILT_IN, Host
from septet.errors import PluginError
from septet_schemas.base import Config
from septet_schemas.blocks import config_of
from septet_schemas.keys import GENERIC_KEYS
from septet_schemas.strategy import Strategy

__all__ = ["committed_schema_path", "schema_text", "strategy_schema"]

MARKER: Final = "x-septet-plugin"
Schema = dict[str, Any]


def committed_schema_path(root: Path) -> Path:
    """Return the path of the schema of the built-ins in the repository."""
    return root / "schemas" / "strategy.schema.json"


def schema_text(host: Host) -> str:
    """Write the schema with sorted keys, so that the same plugins yield the same bytes."""
    return json.dumps(strategy_schema(host), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def strategy_schema(host: Host) -> Schema:
    """Return the JSON Schema of a strategy file for the plugins of a host.

    Plugins that cannot be imported are left out; their blocks accept anything.
    """
    schema = Strategy.model_json_schema()
    builder = _Builder(host, schema.setdefault("$defs", {}))
    builder.replace_markers(schema)
    _require_less(schema)
    _overlays(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "strategy.schema.json",
        **schema,
        "title": "septet strategy",
    }


def _require_less(schema: Schema) -> None:
    """Drop titles: pydantic repeats every key in them and editors show both."""
    for node in _nodes(schema):
        properties = node.get("properties")
        if isinstance(properties, dict):
            for each in properties.values():
                if isinstance(each, dict):
                    each.pop("title", None)


def _overlays(schema: Schema) -> None:
    """Let `paper:` and `live:` contain any part of a strategy."""
    for mode in ("paper", "live"):
        schema["properties"][mode] = {
            "type": ["object", "null"],
            "description": f"keys that differ in {mode} mode, such as account: {{capital: 2000}}",
        }


def _nodes(value: Any) -> list[Schema]:
    """Return every object inside a schema, including itself."""
    found: list[Schema] = []
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            found.append(node)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return found


class _Builder:
    """Puts the plugins' models where the schema has markers."""

    def __init__(self, host: Host, definitions: Schema) -> None:
        self.host, self.definitions = host, definitions

    def replace_markers(self, schema: Schema) -> None:
        """Replace every marker below a schema; maps of named blocks get a property a plugin."""
        for node in _nodes(schema):
            for pattern, each in (node.get("patternProperties") or {}).items():
                if each.get(MARKER, {}).get("named"):
                    node["propertyNames"] = {"pattern": pattern}
                    node["additionalProperties"] = each
            extra = node.get("additionalProperties")
            if isinstance(extra, dict) and extra.get(MARKER, {}).get("named"):
                node.pop("patternProperties", None)
                self._named(node, extra.pop(MARKER))
            if MARKER in node:
                self._block(node, node.pop(MARKER))

    def _block(self, node: Schema, marker: Mapping[str, Any]) -> None:
        node.pop("type", None)
        node["$ref"] = f"#/$defs/{self._definition(marker)}"

    def _named(self, node: Schema, marker: Mapping[str, Any]) -> None:
        """Offer every plugin under its own name, with its short form; other names need `use`."""
        name = self._definition(marker)
        node["additionalProperties"] = {"$ref": f"#/$defs/{name}"}
        properties = node.setdefault("properties", {})
        for plugin, model, _ in self._plugins(marker):
            if ":" in plugin:  # the key of a block is a plain word
                continue
            own: Schema = {"$ref": f"#/$defs/{self._own(marker, plugin, model)}"}
            other = {"required": ["use"], "$ref": f"#/$defs/{name}"}
            choice: Schema = {
                "if": {"type": "object", "required": ["use"]},
                "then": other,
                "else": own,
            }
            short = self._short(marker, plugin, model)
            if short is not None:
                choice = {"if": {"type": "object"}, "then": choice, "else": short}
            properties[plugin] = {**choice, "description": _summary(model)}

    def _short(self, marker: Mapping[str, Any], plugin: str, model: type[Config]) -> Schema | None:
        if model.shorthand is None:
            return None
        own = self.definitions[self._own(marker, plugin, model)]
        field: Schema = dict(own["properties"][model.shorthand])
        field.pop("default", None)
        return field

    def _plugins(self, marker: Mapping[str, Any]) -> list[tuple[str, type[Config], str]]:
        found = []
        for entry in self.host.components(marker["layer"]):
            component = entry.component
            if component.kind not in (None, marker["kind"]):
                continue
            try:
                with strangers_code() if entry.distribution != BUILT_IN else nullcontext():
                    model = config_of(self.host.load(entry))
                    if entry.distribution != BUILT_IN:
                        json.dumps(model.model_json_schema())  # a default may not be valid JSON
            except (PluginError, AttributeError):
                continue
            if self._unique(entry):
                found.append((component.name, model, component.summary))
            if entry.distribution != BUILT_IN:
                found.append((entry.qualified, model, component.summary))
        return found

    def _unique(self, entry: Any) -> bool:
        """Whether a plugin's name alone can mean it: septet's own always do."""
        same = [
            other
            for other in self.host.components(entry.component.layer)
            if other.component.name == entry.component.name
            and other.component.kind == entry.component.kind
        ]
        return len(same) == 1 or entry.distribution == BUILT_IN

    def _definition(self, marker: Mapping[str, Any]) -> str:
        """Define a kind's block once: `use` picks the plugin, the rest is its model."""
        name = f"{marker['kind']}_block"
        if name in self.definitions:
            return name
        block: Schema = {"type": "object", "required": ["use"]}
        self.definitions[name] = block
        plugins = self._plugins(marker)
        use: Schema = {"type": "string", "description": f"which {marker['kind']}"}
        block["properties"] = {"use": use}
        if plugins:
            use["enum"] = [plugin for plugin, _, _ in plugins]
            block["allOf"] = [
                {
                    "if": {"properties": {"use": {"const": plugin}}, "required": ["use"]},
                    "then": {"$ref": f"#/$defs/{self._own(marker, plugin, model)}"},
                }
                for plugin, model, _ in plugins
            ]
        return name

    def _own(self, marker: Mapping[str, Any], plugin: str, model: type[Config]) -> str:
        """Define one plugin's keys: its model's, the generic ones, and `use`."""
        name = f"{marker['kind']}_{plugin.replace(':', '_')}"
        if name in self.definitions:
            return name
        self.definitions[name] = {}
        own = self._model(model, name)
        generic = GENERIC_KEYS.get(marker["generic"] or "")
        if generic is not None:
            part = self._model(generic, generic.__name__)
            own["properties"] = {**part.get("properties", {}), **own.get("properties", {})}
            own["required"] = [*own.get("required", []), *part.get("required", [])]
        use = {"const": plugin, "description": _summary(model)}
        own.setdefault("properties", {})["use"] = use
        own["description"] = _summary(model)
        own.pop("title", None)
        if not own.get("required"):
            own.pop("required", None)
        self.definitions[name] = own
        self.replace_markers(own)
        return name

    def _model(self, model: type[Config], prefix: str) -> Schema:
        """Return a model's schema, its inner definitions moved beside ours under a prefix."""
        schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
        for inner, definition in schema.pop("$defs", {}).items():
            self.definitions[f"{prefix}.{inner}"] = definition
            self.replace_markers(definition)
        return schema


def _summary(model: type[Config]) -> str:
    lines = (model.__doc__ or "").strip().splitlines()
    return lines[0] if lines else model.__name__
