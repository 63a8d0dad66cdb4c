"""A workspace, and a client of the SDK that calls its tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.server.mcpserver.tools.base import Tool

from septet._agents.server import make_server
from septet._jobs.check_worker import check_here

__all__ = ["Answer", "Call", "call", "called", "described_tools", "workspace"]


@dataclass(frozen=True)
class Answer:
    """What a tool answered: its document, whether it is an error, and its size on the wire."""

    document: dict[str, Any]
    is_error: bool
    size: int

    def __getitem__(self, key: str) -> Any:
        return self.document[key]


Call = Callable[..., Answer]


def _read(result: Any) -> Answer:
    text = result.content[0].text
    found = result.structured_content
    if not result.is_error:
        assert found == json.loads(text)
    else:
        found = json.loads(text) if text.startswith("{") else {"message": text}
    return Answer(found, bool(result.is_error), len(result.model_dump_json(by_alias=True).encode()))


async def called(
    target: Any, *calls: tuple[str, dict[str, Any]]
) -> tuple[list[Answer], dict[str, Any]]:
    """Call tools one after another in one session; return the answers and the tools."""
    async with Client(target) as client:
        tools = {each.name: each for each in (await client.list_tools()).tools}
        return [_read(await client.call_tool(name, given)) for name, given in calls], tools


@pytest.fixture(scope="session", autouse=True)
def described_tools() -> Iterator[None]:
    """Describe each tool once: the SDK makes models and schemas of it for every server anew.

    Two servers have the same functions but for what these are about.
    """
    describe, known = Tool.from_function, dict[object, Tool]()

    def described(fn: Callable[..., Any], **given: Any) -> Tool:
        key = fn.__code__, repr(given)
        if key not in known:
            known[key] = describe(fn, **given)
        return known[key].model_copy(update={"fn": fn})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tool, "from_function", described)
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace, beside which lies what belongs to others."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def call(workspace: Path) -> Call:
    """Call a tool of the workspace in this process, in which strategies are checked, too."""

    def one(name: str, /, **given: Any) -> Answer:
        server = make_server(workspace, check=check_here)
        return asyncio.run(called(server, (name, given)))[0][0]

    return one


def over_stdio(folder: Path, environment: dict[str, str]) -> Any:
    """Return a transport to `septet mcp` in a process of its own."""
    import sys

    program = str(Path(sys.executable).parent / "septet")
    return stdio_client(
        StdioServerParameters(command=program, args=["mcp", str(folder)], env=environment)
    )
