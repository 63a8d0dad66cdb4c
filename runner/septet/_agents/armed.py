"""A server whose tool `halt` exists only while a run of its workspace is armed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from mcp.server.lowlevel import NotificationOptions
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged
from mcp.shared.message import SessionMessage
from mcp_types import CallToolResult, InputRequiredResult, Tool
from pydantic import ValidationError

from septet._agents.tool_answers import refused
from septet._jobs.jobs import Jobs
from septet._text import one_line, shortened
from septet.errors import InputError

__all__ = ["LOOK_S", "ArmedServer"]

HALT: Final = "halt"
LOOK_S: Final = 0.5
_MOST_ARGUMENTS: Final = 10


class ArmedServer(MCPServer[Any]):
    """Lists and calls `halt` while `armed` names a run, and notifies the client of changes.

    A client of the protocol of 2026 receives the change on its notification stream, an earlier
    client by a notification. The server has one client: the one that sent the last request.
    """

    def __init__(
        self, *, armed: Callable[[], tuple[str, ...]], jobs: Jobs, look_s: float = LOOK_S,
        **more: Any,
    ) -> None:  # fmt: skip
        self._armed, self._look_s, self.jobs = armed, look_s, jobs
        self._bus = InMemorySubscriptionBus()
        self._session: Any = None
        super().__init__(
            subscriptions=self._bus, lifespan=_watched, middleware=[self._remember], **more
        )

    async def _remember(self, ctx: Any, call_next: Callable[[Any], Any]) -> Any:
        self._session = ctx.session
        return await call_next(ctx)

    async def list_tools(self) -> list[Tool]:
        """Return the present tools; their schemas forbid unknown arguments."""
        tools = [
            each.model_copy(
                update={"input_schema": {**each.input_schema, "additionalProperties": False}}
            )
            for each in await super().list_tools()
        ]
        return tools if self._armed() else [each for each in tools if each.name != HALT]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; an unknown name or invalid arguments are answered like other errors."""
        tools = {tool.name: tool for tool in await self.list_tools()}
        if name not in tools:
            known = ", ".join(sorted(tools))
            return refused(InputError(
                f"Unknown tool: {shortened(one_line(name), 100)}", hint=f"one of {known}"
            ))  # fmt: skip
        names = list(tools[name].input_schema.get("properties", {}))
        hint = f"{name} takes {', '.join(names) or 'no arguments'}"
        if unknown := set(arguments) - set(names):
            first = shortened(one_line(min(unknown)), 100)
            return refused(InputError(f"{name} has no argument {first!r}", hint=hint))
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            return refused(_wrong_arguments(name, error.__cause__, hint))

    async def run_stdio_async(self) -> None:
        """Serve over stdin and stdout, and announce that the list of tools changes."""
        server = self._lowlevel_server
        announced = server.create_initialization_options(NotificationOptions(tools_changed=True))
        async with stdio_server() as (reading, writing), anyio.create_task_group() as tasks:
            to_server, from_input = anyio.create_memory_object_stream[SessionMessage | Exception]()
            tasks.start_soon(self._pass_on, reading, to_server)
            await server.run(from_input, writing, announced)

    async def _pass_on(self, reading: Any, to_server: Any) -> None:
        """Pass messages to the server; when the client has left, cancel its jobs."""
        async with to_server:
            async for message in reading:
                await to_server.send(message)
            self.jobs.close()

    async def watch(self) -> None:
        """Look for armed runs until cancelled, and notify the client of changes."""
        armed = self._armed()
        while True:
            await anyio.sleep(self._look_s)
            armed_now = await anyio.to_thread.run_sync(self._armed)
            if bool(armed_now) != bool(armed):
                await self._bus.publish(ToolsListChanged())
                if self._session is not None:
                    await self._session.send_tool_list_changed()
            armed = armed_now


def _wrong_arguments(name: str, error: ValidationError, hint: str) -> InputError:
    """Return the error for invalid arguments, each with what was expected and found."""
    parts = []
    for wrong in error.errors(include_url=False)[:_MOST_ARGUMENTS]:
        place = shortened(one_line(".".join(map(str, wrong["loc"]))), 100)
        if wrong["type"] == "missing":
            parts.append(f"{place} is missing")
            continue
        expected = wrong["msg"].removeprefix("Input should be ")
        found = shortened(one_line(repr(wrong["input"])), 80)
        parts.append(f"{place}: expected {shortened(one_line(expected), 200)}, found {found}")
    more = error.error_count() - len(parts)
    return InputError(
        f"{name}: {'; '.join(parts)}{f'; and {more} more' if more else ''}", hint=hint
    )


@asynccontextmanager
async def _watched(server: MCPServer[Any]) -> AsyncIterator[dict[str, Any]]:
    async with anyio.create_task_group() as tasks:
        if isinstance(server, ArmedServer):
            tasks.start_soon(server.watch)
        yield {}
        tasks.cancel_scope.cancel()
