"""The one form of JSON, whoever asks."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import septet._app
from septet._app.documents import document_of, error_document, to_json
from septet.errors import ConfigError, InputError, Problem

APP = Path(septet._app.__file__).parent


@dataclass(frozen=True, slots=True)
class Answer:
    value: float

    def document(self) -> dict[str, Any]:
        return {"value": self.value}


def test_a_value_has_its_document_in_every_position() -> None:
    assert document_of({"a": [Answer(1.0)], "b": Answer(2.0)}) == {
        "a": [{"value": 1.0}], "b": {"value": 2.0},
    }  # fmt: skip


def test_nan_and_infinity_are_null_and_a_path_is_text() -> None:
    text = to_json({"nan": float("nan"), "inf": float("inf"), "path": Path("a/b"), "ä": (1, 2)})
    assert json.loads(text) == {"nan": None, "inf": None, "path": "a/b", "ä": [1, 2]}
    assert not text.endswith("\n")


def test_problems_keep_their_places() -> None:
    problem = Problem("it is wrong", "x.yaml", 3, 7, "a.b", "one", "two", "write one")
    found = error_document(ConfigError([problem]))
    assert (found["ok"], found["exit_code"], found["error"]) == (False, 2, "ConfigError")
    assert found["problems"] == [
        {
            "severity": "error", "file": "x.yaml", "line": 3, "column": 7, "key": "a.b",
            "message": "it is wrong", "expected": "one", "found": "two", "hint": "write one",
        }
    ]  # fmt: skip
    assert error_document(InputError("x", hint="y"))["problems"] == []


def test_the_application_prints_nothing_and_knows_no_signal() -> None:
    """Import contracts forbid the terminal; these are of the standard library."""
    found = []
    for path in APP.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [each.name for each in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )  # fmt: skip
            found += [f"{path.name}: {name}" for name in names if name in ("signal", "sys")]
            if isinstance(node, ast.Name) and node.id in ("print", "input", "SystemExit"):
                found.append(f"{path.name}:{node.lineno}: {node.id}")
    assert found == []
