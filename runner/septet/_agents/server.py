"""The tools over the Model Context Protocol: names, arguments, hints, and errors as answers."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from septet._agents import tool_answers
from septet._agents.armed import LOOK_S, ArmedServer
from septet._agents.tool_answers import compact, readable
from septet._agents.tools import Tools
from septet._app.workspace import Workspace
from septet._jobs.check_process import CheckAnswer, CheckRequest
from septet._jobs.jobs import bug_of
from septet._text import one_line, shortened
from septet.errors import InputError, SeptetError

__all__ = ["make_server", "serve"]

_LOG: Final = logging.getLogger(__name__)
_INSTRUCTIONS: Final = (
    "Write, check and backtest trading strategies in one folder. Begin with guide(topic='work'). "
    "Nothing here trades: going live is a command that a person types. The tool halt is there only "
    "while a person has armed a run."
)
_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_WRITES: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
_SAVES: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)
_HALTS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)
MOST_ANSWER: Final = 32_000
Settings = Annotated[
    dict[str, Any], Field(description='Values by key path: {"features.fast.period": 25}')
]
Cursor = Annotated[int, Field(ge=0, description="`next` of the part before")]
Wait = Annotated[float, Field(ge=0, le=50, description="seconds to wait for the result")]
Axes = Annotated[dict[str, str | list[Any]], Field(description="values by key path")]
Limit = Annotated[int, Field(ge=1, le=tool_answers.MOST_ROWS)]


def _answer(work: Callable[[], dict[str, Any]]) -> CallToolResult:
    """Return the result of a tool, or its error with the problems."""
    try:
        found = work()
    except SeptetError as error:
        return tool_answers.refused(error)
    except Exception as error:  # a bug is reported to the client, and shown whole on stderr
        _LOG.error("a tool ended by a bug", exc_info=error)
        return tool_answers.refused(bug_of(error))
    found = readable(found)
    result = CallToolResult(content=[_text(compact(found))], structured_content=found)
    if len(result.model_dump_json(by_alias=True).encode()) > MOST_ANSWER:
        return tool_answers.refused(
            InputError("the answer is larger than 32 kB", hint="a limit, or fewer columns")
        )
    return result


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def client_name(context: Context[Any, Any]) -> str:
    """Return the name that the client gives itself, as one short line; it is not verified."""
    params = context.session.client_params
    name = "" if params is None else f"{params.client_info.name} {params.client_info.version}"
    return shortened(one_line(name), 80)


def make_server(
    root: Path,
    *,
    look_s: float = LOOK_S,
    check: Callable[[CheckRequest], CheckAnswer] | None = None,
) -> ArmedServer:
    """Return the server of a workspace, which looks for armed runs every `look_s` seconds.

    Strategies are checked by `check`; by default in a process of its own.

    Raises
    ------
    septet.errors.InputError
        If the workspace is not a folder.
    """
    tools = Tools(Workspace(root), check)
    server = ArmedServer(
        armed=tools.armed, jobs=tools.jobs, look_s=look_s, name="septet",
        instructions=_INSTRUCTIONS, version=version("septet"), log_level="WARNING",
    )  # fmt: skip
    _add_writing(server, tools)
    _add_making(server, tools)
    _add_reading(server, tools)
    _add_halt(server, tools)
    return server


def _add_writing(server: MCPServer[Any], tools: Tools) -> None:
    """Add the tools for writing a file."""

    @server.tool(annotations=_READS)
    def guide(topic: str = "work") -> Annotated[CallToolResult, tool_answers.Guide]:
        """Read how to work with septet: work (the order), file, data, traps."""
        return _answer(lambda: tools.guide(topic))

    @server.tool(annotations=_READS)
    def schema(path: str = "") -> Annotated[CallToolResult, tool_answers.Schema]:
        """Read the part of the JSON schema of strategy files at a dotted path, such as risk."""
        return _answer(lambda: tools.schema(path))

    @server.tool(annotations=_READS)
    def plugins(
        query: str = "", layer: str | None = None, limit: Limit = 20, cursor: Cursor = 0
    ) -> Annotated[CallToolResult, tool_answers.Plugins]:
        """Find plugins by words and layer: name, keys, and how one is written in a file."""
        return _answer(lambda: tools.plugins(query, layer, limit, cursor))

    @server.tool(annotations=_READS)
    def data(
        query: str = "", bar: str | None = None, symbol: str | None = None,
        stamp: Literal["open", "close"] | None = None,
        limit: Annotated[int, Field(ge=1, le=20)] = 10, cursor: Cursor = 0,
    ) -> Annotated[CallToolResult, tool_answers.Data]:  # fmt: skip
        """List the data files of the workspace; with `bar` (15m) read them as bars.

        Then each has its symbols, first and last bar, and what is wrong. `symbol` names that of
        a file without such a column, `stamp` states which end of a bar its time is.
        """
        return _answer(lambda: tools.data(query, bar, symbol, stamp, limit, cursor))

    @server.tool(annotations=_READS)
    def check(
        file: str | None = None, text: str | None = None, settings: Settings | None = None
    ) -> Annotated[CallToolResult, tool_answers.Checked]:
        """Check a file of the workspace or a text: every problem with line, expected and hint."""
        return _answer(lambda: tools.check(file, text, settings or {}))

    @server.tool(annotations=_READS)
    def explain(
        file: str, path: str = "", settings: Settings | None = None,
        limit: Limit = 100, cursor: Cursor = 0,
    ) -> Annotated[CallToolResult, tool_answers.Explained]:  # fmt: skip
        """Read the effective values of a file, defaults included, each with its origin."""
        return _answer(lambda: tools.explain(file, path, settings or {}, limit, cursor))


def _add_making(server: MCPServer[Any], tools: Tools) -> None:
    """Add the tools that write a file or a run."""

    @server.tool(annotations=_SAVES)
    def save(
        file: str, text: str, replaces: str | None = None
    ) -> Annotated[CallToolResult, tool_answers.Saved]:
        """Write a strategy file; `replaces` is the hash that save answered for what it replaces."""
        return _answer(lambda: tools.save(file, text, replaces))

    @server.tool(annotations=_WRITES)
    def run(
        file: str, hypothesis: str, context: Context[Any, Any], settings: Settings | None = None,
        wait_s: Wait = 20.0,
    ) -> Annotated[CallToolResult, tool_answers.Ran]:  # fmt: skip
        """Run a backtest. `hypothesis` is one sentence, written before; the ledger keeps it.

        What is not done after `wait_s` goes on as a job.
        """
        client = client_name(context)
        return _answer(lambda: tools.run(file, settings or {}, hypothesis, client, wait_s))

    @server.tool(annotations=_WRITES)
    def sweep(
        file: str, axes: Axes, hypothesis: str, context: Context[Any, Any],
        method: Literal["grid", "random", "tpe"] | None = None,
        trials: Annotated[int, Field(ge=1, le=2_000)] | None = None, goal: str | None = None,
        wait_s: Wait = 20.0,
    ) -> Annotated[CallToolResult, tool_answers.Swept]:  # fmt: skip
        """Backtest many settings; every one counts as a try.

        `axes` are values by key path, a list or a range: {"features.fast.period": "5..50:5"}.
        What is not done after `wait_s` goes on as a job.
        """
        client = client_name(context)
        section = {"method": method, "trials": trials, "goal": goal, "where": None}
        return _answer(lambda: tools.sweep(file, axes, section, hypothesis, client, wait_s))

    @server.tool(annotations=_READS)
    def job(
        id: str,  # noqa: A002 - the name of the argument on the wire
        cancel: bool = False, wait_s: Wait = 0.0,
    ) -> Annotated[CallToolResult, tool_answers.Job]:  # fmt: skip
        """Read how far a job is and what it found; `cancel` asks it to stop."""
        return _answer(lambda: tools.job(id, cancel, wait_s))


def _add_reading(server: MCPServer[Any], tools: Tools) -> None:
    """Add the tools that read stored runs."""

    @server.tool(annotations=_READS)
    def runs(
        strategy: str | None = None, limit: Limit = 20, cursor: Cursor = 0
    ) -> Annotated[CallToolResult, tool_answers.Listed]:
        """List the stored runs, the latest first, each with verdict and tries at its time."""
        return _answer(lambda: tools.runs(strategy, limit, cursor))

    @server.tool(annotations=_READS)
    def table(
        run: str, name: str, columns: list[str] | None = None, start: str | None = None,
        end: str | None = None, every: int | None = None, limit: Limit = 50, cursor: Cursor = 0,
    ) -> Annotated[CallToolResult, tool_answers.Rows]:  # fmt: skip
        """Read rows of a table of a run: trades, orders, fills, equity, decisions and others.

        `start` and `end` are times (UTC); `every` takes the first of so many rows.
        """
        return _answer(
            lambda: tools.table(
                run, name, columns, limit, cursor, start=start, end=end, every=every
            )
        )

    @server.tool(annotations=_READS)
    def why(run: str, order: str) -> Annotated[CallToolResult, tool_answers.Why]:
        """Read why an order was made; `order` is its id, or SYMBOL@TIME for a decision."""
        return _answer(lambda: tools.why(run, order))

    @server.tool(annotations=_READS)
    def diff(
        a: str, b: str, limit: Limit = 50, cursor: Cursor = 0
    ) -> Annotated[CallToolResult, tool_answers.Compared]:
        """Compare two runs: the settings in which they differ, and the figures of both."""
        return _answer(lambda: tools.diff(a, b, limit, cursor))


def _add_halt(server: MCPServer[Any], tools: Tools) -> None:
    """Add the kill switch, which exists while a person has armed a run."""

    @server.tool(annotations=_HALTS)
    def halt(
        run: str, reason: str, context: Context[Any, Any], wait_s: Wait = 10.0
    ) -> Annotated[CallToolResult, tool_answers.Stopped]:
        """Halt an armed paper or live run: its resting orders are cancelled, no entry is sent.

        Its positions are kept. A person clears it with septet resume. `reason` is one sentence.
        """
        client = client_name(context)
        return _answer(lambda: tools.halt(run, reason, client, wait_s))


def serve(root: Path) -> None:
    """Serve a workspace over stdin and stdout until the client leaves; logs go to stderr.

    Its jobs are cancelled as soon as stdin is closed.
    """
    logging.basicConfig(level=logging.WARNING, format="septet mcp: %(message)s")
    server = make_server(root)
    # The protocol takes over the descriptors: what is printed meanwhile goes to stderr.
    try:
        with contextlib.redirect_stdout(sys.__stdout__):
            server.run("stdio")
    except BaseException as error:
        server.jobs.leave(130 if isinstance(error, KeyboardInterrupt) else 1)
        raise
    server.jobs.leave(0)
