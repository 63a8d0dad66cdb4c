"""Every name that the table of renamed keys gives is a key of today, and none that it takes is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import pytest

from septet._config.pydantic_problems import closest
from septet._config.read import parse_text
from septet._config.renamed_keys import RENAMED, name_now
from septet._config.tree import Path, rename_keys

SCHEMA = FilePath(__file__).parents[2] / "schemas" / "strategy.schema.json"


def keys_of(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for each in schema.values():
            yield from keys_of(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from keys_of(each)


KEYS = frozenset(keys_of(json.loads(SCHEMA.read_text("utf-8"))))


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_key_leads_to_one_that_is_there(old: str, new: str) -> None:
    assert new in KEYS
    assert closest(old, ["unlike", new]) == f"did you mean {new}?"
    assert closest(f"some.{old}", [f"some.{new}"]) == f"did you mean some.{new}?"
    assert name_now(old, ["unlike"]) == ""


def test_a_tree_is_given_other_names() -> None:
    tree, _ = parse_text("a: {x: 1, y: 2}\nb: 3\n", "x.yaml")
    names: dict[Path, str] = {("a", "x"): "z", ("b",): "a", ("a", "gone"): "w", ("a", "y"): "z"}
    changed, paths = rename_keys(tree, names)
    assert changed.plain() == {"a": {"z": 1, "y": 2}, "b": 3}
    assert paths == {("a", "x"): ("a", "z")}
    assert list(changed.plain()["a"]) == ["z", "y"]
