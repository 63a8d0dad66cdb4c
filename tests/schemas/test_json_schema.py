"""The JSON Schema that editors use: it is committed, complete, and agrees with the loader."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import Field

from septet._config.json_schema import MARKER, committed_schema_path, schema_text, strategy_schema
from septet._host.plugin_registry import Host
from septet_schemas.base import Config
from septet_schemas.units import Fraction
from tests.config.plugins import fixed_host

ROOT = Path(__file__).parents[2]
VALID = ROOT / "tests" / "config" / "valid"


@cache
def fixed_schema() -> dict[str, Any]:
    return strategy_schema(fixed_host())


def built_ins() -> Host:
    """Our own plugins alone, whatever else is installed."""
    import importlib.metadata

    from septet_plugins import manifest

    return Host(manifests=[("septet", importlib.metadata.version("septet"), manifest)])


def plain(path: Path) -> Any:
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))


def complaints(data: Any) -> list[tuple[Any, ...]]:
    validator = jsonschema.Draft202012Validator(fixed_schema())
    return [tuple(error.absolute_path) for error in validator.iter_errors(data)]


def test_the_committed_schema_is_current() -> None:
    """After a plugin or a key has changed: SEPTET_REGENERATE=1, or `septet schema --out`."""
    path = committed_schema_path(ROOT)
    text = schema_text(built_ins())
    if os.environ.get("SEPTET_REGENERATE") == "1":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, (
        "schemas/strategy.schema.json is stale: septet schema --out schemas/strategy.schema.json"
    )


def test_every_key_is_described() -> None:
    """Editors, `septet plugins show` and the reference show the docstring of a field."""
    missing = [
        f"{place}: {key}"
        for place, node in _objects(strategy_schema(built_ins()))
        for key, each in node.get("properties", {}).items()
        if not each.get("description")
    ]
    assert missing == []


def _objects(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every object below a schema; conditions name keys without describing them."""
    if isinstance(node, dict):
        yield place, node
    for key, each in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(each, dict | list) and key != "if" and f"{place}/{key}" != "/else":
            yield from _objects(each, f"{place}/{key}")


class Parent(Config):
    one: int = Field(default=1, alias="first")
    """The first
    number."""
    two: int = 2
    three: Fraction = 0.5
    """A share of all."""


class Child(Parent):
    two: int = 3
    """Described here alone."""
    one: int = Field(default=7, alias="first")


def test_a_key_is_described_by_the_docstring_of_its_field_and_by_how_it_is_written() -> None:
    properties = Child.model_json_schema()["properties"]
    assert properties["first"]["description"] == "The first number."
    assert properties["two"]["description"] == "Described here alone."
    assert properties["three"]["description"] == (
        "A share of all. Written as a fraction: 10%, 5bps or 0.1."
    )


def test_a_model_without_a_source_has_no_descriptions() -> None:
    names: dict[str, Any] = {"Config": Config, "__name__": "made_up"}
    exec("class Made(Config):\n    one: int = 1\n    'Never read.'\n", names)
    assert "description" not in names["Made"].model_json_schema()["properties"]["one"]


def test_it_is_a_schema_without_markers() -> None:
    schema = fixed_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert MARKER not in json.dumps(schema)


def test_every_reference_is_defined() -> None:
    text = json.dumps(fixed_schema())
    wanted = set(text.split('"#/$defs/')[1:])
    names = {each.partition('"')[0] for each in wanted}
    assert names <= set(fixed_schema()["$defs"])


def test_every_plugin_is_there() -> None:
    definitions = fixed_schema()["$defs"]
    for entry in fixed_host().components():
        name = entry.component.name
        if name in ("unimportable", "misplaced"):
            continue
        assert any(key.endswith(f"_{name}") for key in definitions), name


@pytest.mark.parametrize("path", sorted(VALID.glob("*.yaml")), ids=lambda path: path.stem)
def test_valid_files_pass(path: Path) -> None:
    assert complaints(plain(path)) == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("features", "fast", "perod"), 20),
        (("features", "fast", "use"), "smaa"),
        (("features", "fast", "period"), "20 trades"),
        (("signal", "use"), "kelly"),
        (("signal", "threshold"), 0.3),
        (("risk", "sizing", "fraction"), "half"),
        (("risk", "limits"), {"position": "ten"}),
        (("risk", "limits"), {"position": {"maxx": "10%"}}),
        (("risk", "halts"), {"drawdown": {"above": "15%", "then": "panic"}}),
        (("risk", "stops"), {"mine": {"distance": "1%"}}),
        (("universe", "bar"), "1 hour"),
        (("mode",), "bactest"),
        (("executon",), {}),
    ],
)
def test_what_the_loader_refuses_the_schema_refuses(where: tuple[str, ...], value: object) -> None:
    data = plain(VALID / "smallest.yaml")
    node = data
    for part in where[:-1]:
        node = node[part]
    node[where[-1]] = value
    assert complaints(data)


def test_short_forms_pass() -> None:
    data = plain(VALID / "smallest.yaml")
    data["risk"]["limits"] = {"position": "10%", "orders_per_minute": 3}
    data["risk"]["stops"] = {"stop_loss": "4%", "time_limit": "5d"}
    data["risk"]["halts"] = {"drawdown": {"above": "10%"}}
    data["risk"]["rebalance"] = "never"
    data["signal"]["reentry"] = "immediate"
    assert complaints(data) == []
    data["risk"]["rebalance"] = {"band": "20%"}
    data["signal"]["reentry"] = {"after": "5 bars"}
    assert complaints(data) == []


def test_a_plugin_with_a_name_of_ours_is_offered_with_its_distribution() -> None:
    uses = fixed_schema()["$defs"]["feature_block"]["properties"]["use"]["enum"]
    assert "ema" in uses  # septet's: a name alone always means that
    assert "septet:ema" not in uses
    assert "stranger:ema" in uses
