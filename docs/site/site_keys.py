"""The keys of a strategy file, and those of plugins, from the JSON Schema: tables for the site."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["KEYS_PAGE", "Keys", "cell", "slug"]

KEYS_PAGE: Final = "reference/keys.md"
_LAYER_OF: Final = {
    "alerts": "monitoring", "candles": "data", "feature": "features", "halt": "risk",
    "limit": "risk", "model": "models", "monitor": "monitoring", "order": "execution",
    "regime": "signals", "series": "data", "signal": "signals", "sizing": "risk", "stop": "risk",
    "venue": "execution",
}  # fmt: skip
_SHOWN: Final = 14
"""So many values of a choice are listed; of more, these and a count."""
_INTRODUCTION: Final = """\
# Keys of a strategy file

Made from the JSON Schema that `septet schema` writes. [The strategy file](../yaml.md) explains how
the keys work together; the keys of a block with `use:` are those of its [plugin](plugins/data.md).
A key without a default is required where its block is written. `septet explain FILE` prints the
effective value of every key of a file.

"""


def slug(heading: str) -> str:
    """Return the anchor that Python-Markdown gives a heading."""
    kept = re.sub(r"[^\w\s-]", "", heading).strip().lower()
    return re.sub(r"[-\s]+", "-", kept)


def cell(text: str) -> str:
    """Return a text as one cell of a table; a bracket that is no link becomes a parenthesis."""
    plain = re.sub(r"(?<![\w`\])])\[([^\]`]*)\](?!\()", r"(\1)", " ".join(text.split()))
    return plain.replace("|", "\\|")


def _duration(nanoseconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if nanoseconds % (length * 10**9) == 0:
            return f"{nanoseconds // (length * 10**9)}{unit}"
    return f"{nanoseconds / 10**6:g}ms"


def _default(schema: Mapping[str, Any]) -> str:
    """Return a default as a file writes it; nothing where the key must be given."""
    if "default" not in schema:
        return ""
    value = schema["default"]
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict) and set(value) == {"bar_count", "duration_ns"}:
        bars = value["bar_count"]
        return f"`{_duration(value['duration_ns']) if value['duration_ns'] else f'{bars} bars'}`"
    if isinstance(value, str):
        return f"`{value}`" if value else '`""`'
    if isinstance(value, dict) and value:
        return "the defaults of its keys"
    return f"`{json.dumps(value)}`"


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {
        "exclusiveMinimum": "above", "minimum": "at least",
        "exclusiveMaximum": "below", "maximum": "at most",
    }  # fmt: skip
    said = [f"{word} {schema[key]:g}" for key, word in signs.items() if key in schema]
    return "".join(f", {each}" for each in said)


class Keys:
    """The tables of one schema.

    Parameters
    ----------
    schema : mapping
        What `septet schema` writes.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema["$defs"]
        self._places: dict[str, str] = {}
        self._sections: list[tuple[str, Mapping[str, Any]]] = []
        self._walk("the file", schema)
        for name, each in self._definitions.items():
            if self._is_shared(name) and name not in self._places:
                self._visit(name, name.removeprefix("ModelKeys.").removeprefix("CandleKeys."), each)

    def page(self) -> str:
        """Return the page of all keys that belong to no plugin."""
        parts = [_INTRODUCTION]
        for path, schema in self._sections:
            parts.append(f"## {path}\n\n{schema.get('description', '')}\n\n")
            parts.append(self.table(schema, here=KEYS_PAGE) + "\n")
        return "".join(parts)

    def plugin(self, kind: str, name: str, here: str) -> str:
        """Return the table of a plugin's keys; nothing where it has none."""
        schema = self._definitions.get(f"{kind}_{name}")
        return "" if schema is None else self.table(schema, here=here)

    def table(self, schema: Mapping[str, Any], here: str) -> str:
        """Return one table: a row for each key of an object."""
        rows = [
            (key, self._words(each, here), self._default_of(schema, key, each))
            for key, each in sorted(schema.get("properties", {}).items())
            if key != "use" or "const" not in each
        ]
        rows += [
            ("NAME", self._words(each, here), "")
            for each in schema.get("patternProperties", {})
            for each in [schema["patternProperties"][each]]
        ]
        if not rows:
            return "It takes no keys.\n"
        lines = ["| key | value | default |", "|---|---|---|"]
        lines += [f"| `{key}` | {cell(value)} | {cell(default)} |" for key, value, default in rows]
        return "\n".join(lines) + "\n"

    def _default_of(self, schema: Mapping[str, Any], key: str, each: Mapping[str, Any]) -> str:
        return "**required**" if key in schema.get("required", ()) else _default(each)

    def _is_shared(self, name: str) -> bool:
        """Return whether a definition belongs to the file rather than to one plugin."""
        kind = name.partition("_")[0]
        return kind not in _LAYER_OF or "_" not in name

    def _visit(self, name: str, path: str, schema: Mapping[str, Any]) -> None:
        if name in self._places:
            return
        self._places[name] = path
        self._walk(path, schema)

    def _walk(self, path: str, schema: Mapping[str, Any]) -> None:
        """Give an object its section, and then the objects in it theirs."""
        self._sections.append((path, schema))
        for key, each in sorted(schema.get("properties", {}).items()):
            inner = key if path == "the file" else f"{path}.{key}"
            for found in self._objects(each):
                name = found.get("$ref", "").rpartition("/")[2]
                if not name and "properties" in found:
                    self._walk(inner, found)
                elif name and self._is_shared(name):
                    self._visit(name, inner, self._definitions[name])

    def _objects(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield what stands under a key, each alternative by itself."""
        if "$ref" in schema or "properties" in schema:
            yield schema
        for each in schema.get("anyOf", ()):
            yield from self._objects(each)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from self._objects(schema[key])
        for each in schema.get("patternProperties", {}).values():
            yield from self._objects(each)

    def _words(self, schema: Mapping[str, Any], here: str) -> str:
        """Return in words what a value may be."""
        if "$ref" in schema:
            return self._link(schema["$ref"].rpartition("/")[2], here)
        if "anyOf" in schema and "description" not in schema:
            said = [self._words(each, here) for each in schema["anyOf"]]
            return " or ".join(dict.fromkeys(each for each in said if each != "nothing"))
        if "enum" in schema:
            values = [str(each) for each in schema["enum"] if each is not None]
            more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
            return ", ".join(f"`{each}`" for each in values[:_SHOWN]) + more
        if "const" in schema:
            return f"`{schema['const']}`"
        return str(schema.get("description") or self._plain(schema, here))

    def _plain(self, schema: Mapping[str, Any], here: str) -> str:
        """Return what a value of a JSON type may be."""
        kind = schema.get("type")
        if kind == "array":
            return f"a list: {self._words(schema.get('items', {}), here) or 'anything'}"
        if kind == "object" or "properties" in schema:
            return self._mapping(schema, here)
        if kind == "null":
            return "not implemented yet" if schema.get("default", 0) is None else "nothing"
        if "else" in schema:
            return self._words(schema["else"], here)
        names = {
            "string": "text", "number": "a number", "integer": "a whole number",
            "boolean": "`true` or `false`",
        }  # fmt: skip
        kinds = kind if isinstance(kind, list) else [kind]
        said = " or ".join(names[each] for each in kinds if each in names)
        return said + _bounds(schema)

    def _mapping(self, schema: Mapping[str, Any], here: str) -> str:
        inner = [*schema.get("patternProperties", {}).values()]
        if isinstance(schema.get("additionalProperties"), dict):
            inner.append(schema["additionalProperties"])
        said = " or ".join(dict.fromkeys(self._words(each, here) for each in inner))
        return f"by name: {said}" if said else "a block of keys"

    def _link(self, name: str, here: str) -> str:
        up = "../" * (here.count("/") - 1)
        kind, block, _ = name.rpartition("_block")
        if block:
            return f"a [plugin of the kind {kind}]({up}plugins/{_LAYER_OF[kind]}.md)"
        if name in self._places:
            path = self._places[name]
            return f"the keys of [{path}]({up}keys.md#{slug(path)})"
        kind, _, own = name.partition("_")
        schema = self._definitions[name]
        inner = ", ".join(f"`{key}`" for key in schema.get("properties", {}) if key != "use")
        return f"the keys {inner}" if inner else own
