"""What the benchmarks import from septet exists."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PACKAGES = ("septet", "septet_plugins", "septet_schemas")


def imported(source: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of every import from septet, those inside functions included."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def exists(module: str, name: str) -> bool:
    held = importlib.import_module(module)
    if not name or hasattr(held, name):
        return True
    return hasattr(held, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize(
    "source", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: str(path.relative_to(BENCHMARKS))
)
def test_imports_of_septet_exist(source: Path) -> None:
    found = [pair for pair in imported(source) if pair[0].split(".")[0] in PACKAGES]
    assert [pair for pair in found if not exists(*pair)] == []
