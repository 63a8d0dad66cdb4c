"""A wrong value at any key of a strategy is answered as a document, with its problems."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from septet._agents.server import make_server
from tests.agents.conftest import called
from tests.python.samples import TEXT, written

SHIPPED = Path(__file__).parents[2] / "strategies"
WRONG = [
    "foo", "Mars/X", "", "1", -1, 1e300, [], ["a"], {}, {"a": {"b": 1}}, None, True, "$", "2020",
]  # fmt: skip
DRAWN = 8
"""Keys and values of a file that are tried."""


@pytest.mark.parametrize("name", ["cross", *sorted(each.stem for each in SHIPPED.glob("*.yaml"))])
def test_a_wrong_value_is_answered_as_a_document(workspace: Path, name: str) -> None:
    written(workspace)
    shipped = SHIPPED / f"{name}.yaml"
    text = shipped.read_text("utf-8") if shipped.exists() else TEXT
    tree = yaml.safe_load(text)
    draws = random.Random(f"{name} 11")
    every = [(key, value) for key in _keys(tree) for value in WRONG]
    chosen = draws.sample(every, min(DRAWN, len(every)))
    calls: list[tuple[str, dict[str, Any]]] = []
    for at, (key, value) in enumerate(chosen):
        if at % 2:
            calls.append(("check", {"text": text, "settings": {key: value}}))
        else:
            calls.append(("check", {"text": yaml.safe_dump(_with(text, key.split("."), value))}))
    answers, _ = asyncio.run(called(make_server(workspace), *calls))
    for (key, value), answer in zip(chosen, answers, strict=True):
        assert "bug of septet" not in str(answer.document), (key, value, answer.document)
        assert "ok" in answer.document, (key, value, answer.document)


def _keys(part: Any, key: str = "") -> Iterator[str]:
    """Yield the path of every key of a tree."""
    for name, value in part.items() if isinstance(part, dict) else ():
        yield f"{key}{name}"
        yield from _keys(value, f"{key}{name}.")


def _with(text: str, path: list[str], value: Any) -> Any:
    tree = yaml.safe_load(text)
    part = tree
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return tree
