"""Every example of docs/agents.md runs, and every tool is in it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from septet._agents.server import make_server
from septet._app.workspace import LOCAL_SOURCES
from tests.agents.conftest import called

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agents.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_example_runs(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    snippets = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {"__name__": "page"}
    for snippet in snippets:
        exec(compile(snippet, "agents.md", "exec"), names)
    assert len(snippets) == 1
    assert (workspace / "runs").is_dir()


def test_the_entry_of_a_client_is_json() -> None:
    (entry,) = re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert json.loads(entry)["mcpServers"]["septet"]["args"][0] == "mcp"


def test_every_tool_and_every_source_is_in_the_page(workspace: Path) -> None:
    _, tools = asyncio.run(called(make_server(workspace)))
    assert [name for name in (*tools, *LOCAL_SOURCES) if f"`{name}`" not in TEXT] == []
