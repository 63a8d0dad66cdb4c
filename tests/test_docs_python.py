"""Every example of docs/python.md runs, top to bottom, and every public name is in it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import septet

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the page defines, read from top to bottom in a folder with the strategies."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(ROOT / "strategies", folder / "strategies")
    found: dict[str, Any] = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, snippet in enumerate(SNIPPETS):
            exec(compile(snippet, f"snippet {number} of python.md", "exec"), found)
    return found


def test_every_example_runs(names: dict[str, Any]) -> None:
    assert len(SNIPPETS) >= 9
    assert names["won"] > 0
    assert names["why"].symbol == "BTC/USD"
    assert names["folder"].name == names["run"].id
    assert names["swept"].settings.height == 9
    assert names["chosen"].settings.keys() == {"features.fast.period", "features.slow.period"}


def test_every_public_name_is_in_the_page() -> None:
    types_only = {"Data", "Engine", "Method", "Mode", "Settings", "Table", "__version__"}
    shown = {"Cancel", "Progress", "Problem"}  # by their parameter, or by what they hold
    missing = [
        name
        for name in septet.__all__
        if name not in types_only | shown and not re.search(rf"\b{name}\b", TEXT, re.IGNORECASE)
    ]
    assert missing == []


@pytest.mark.parametrize("kind", ["Strategy", "Run", "Sweep"])
def test_every_method_is_in_the_page(kind: str) -> None:
    public = [name for name in vars(getattr(septet, kind)) if not name.startswith("_")]
    assert [name for name in public if f"{name}" not in TEXT] == []
