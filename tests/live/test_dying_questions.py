"""Background tasks that are there only now and then: each is killed under a supervisor."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import septet
import septet_plugins
from septet import messages as m
from septet._data.source import Request
from septet._drill.venue import Fault
from septet._host.background_tasks import Backoff, Kept, Tasks
from septet._live.circuit_breaker import PluginCaller
from septet._live.clock import ManualClock
from septet._live.market_data.series import SeriesLine, SeriesPoller
from septet._live.supervisor import Supervisor
from septet.plugin.live import QuoteSeen
from septet_plugins.data.ccxt_books import Books
from septet_schemas.times import Poll
from tests.data.test_book import Still
from tests.execution.helpers import SYMBOLS, Received, WallTime, account, limit, local_venue, read
from tests.live.test_dying_tasks import ALWAYS, TASKS, until
from tests.live.test_market import START, Silent, make_handler
from tests.live.test_series import DAY, table

NOW_AND_THEN = {
    "outside series", "book of", "end of maintenance", "breaker", "clock of the venue",
    "unlisted symbols",
}  # fmt: skip
KEEPS = ("keep", "_keep", "_every")
BESIDE = {"metrics at", "answers"}
"""Killed in the other file, under a name with a port, and in the tests of the chat."""


class Process:
    """A supervisor as a live process has one, its log and its inbox."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.put: list[m.Event] = []
        self.supervisor = Supervisor(
            WallTime(), lambda level, name, fields: self.rows.append((name, fields)),
            lambda: [self.put.append],
        )  # fmt: skip
        self.starts = 0

    def kept(self, name: str) -> list[Kept]:
        return [each for _, each in self.supervisor.kept() if each.name == name]

    async def kill(self, name: str) -> None:
        """Kill a task, and see it started again."""
        await until(lambda: self.kept(name) and self.kept(name)[0].task is not None)
        [kept] = self.kept(name)
        before = kept.starts
        assert kept.task is not None
        assert kept.task.cancel()  # they catch what a question raises; this nobody catches
        await until(lambda: kept.starts > before)
        self.starts = kept.starts

    def assert_restarted(self, owner: str, name: str) -> None:
        """Assert what was logged, and that a block began and ended."""
        assert self.starts == 2
        text = [
            (event, fields["plugin"], fields["text"])
            for event, fields in self.rows
            if fields.get("task") == name
        ]
        assert [(event, plugin) for event, plugin, _ in text] == [
            ("task_failed", owner), ("task_works", owner),
        ]  # fmt: skip
        assert "it is started again in" in text[0][2]
        states = [
            each.state
            for each in self.put
            if isinstance(each, m.FeedChanged | m.VenueChanged) and name in f"{each}"
        ]
        assert states in (["down", "live"], ["down", "up"])


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setattr(Backoff, "wait_s", lambda self, lived_s=0.0: 0.02)
    monkeypatch.setitem(Tasks.keep.__kwdefaults__ or {}, "works_after_s", 0.05)
    return Process()


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_a4_the_polling_of_outside_series(process: Process) -> None:
    rows = [(-2, -1, 5.0)]
    clock = ManualClock(START)

    class Reads:
        def fetch(self, line: SeriesLine, request: Request) -> None: ...

        def read(self, line: SeriesLine, request: Request) -> Any:
            return table(*rows), ()

    async def scene() -> None:
        request = Request(symbols=("A",), bar_ns=60 * 10**9)
        handler = make_handler(Silent(), clock, process.put.append)
        handler._tasks = process.supervisor.of()
        handler._series = SeriesPoller(
            [SeriesLine("fear", Poll(DAY))], request, clock, PluginCaller(clock.now_ns),
            reader=Reads(),
        )  # fmt: skip

        def points() -> list[m.Event]:
            return [each for each in process.put if isinstance(each, m.SeriesPoint)]

        handler.bars.resume("A", START - 60 * 10**9, 100.0)
        handler.give([], catch_up_ns=0, fresh=True)
        handler.start()
        await until(points)
        rows.append((22, 23, 6.0))
        clock.advance(2 * DAY)
        await process.kill("outside series")
        await until(lambda: len(points()) == 2)  # the one that runs now asks on schedule
        await until(lambda: not process.supervisor._all[0]._down)
        await handler.close()

    run(scene())
    process.assert_restarted("septet", "outside series")


def test_a4_the_request_for_an_order_book(process: Process) -> None:
    received: list[Any] = []
    asked = 0

    async def fetch(symbol: str, limit: Any, params: Any) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()  # an answer that does not come
        return {"nonce": 10, "bids": [[100.0, 1.0]], "asks": [[101.0, 1.0]]}

    async def scene() -> None:
        client = SimpleNamespace(
            id="binance", markets={"A/B": {"id": "AB"}}, fetch_order_book=fetch
        )
        tasks = process.supervisor.of("ccxt", "feed")
        books = Books(client, ("A/B",), Still(), received.append, tasks)
        books._resync("A/B")
        await until(lambda: asked)
        await process.kill("book of A/B")
        await until(lambda: any(isinstance(each, QuoteSeen) for each in received))
        await until(lambda: not process.kept("book of A/B"))

    run(scene())
    process.assert_restarted("ccxt", "book of A/B")


async def shut(live: Any, venue: Any) -> None:
    venue.inject(Fault(code="E20", duration_ms=1_000))
    for _ in range(4):
        await live.holdings()


async def unanswered(live: Any, venue: Any) -> None:
    code = {"status": 500, "code": -1001}
    venue.inject(Fault(code="E1", target="all", times=12, parameters=code))
    for _ in range(6):
        await live.holdings()


async def refused(live: Any, venue: Any) -> None:
    for rest in (live._main, live._quick):
        rest.client.options["timeDifference"] = -90_000
    await live.holdings()


async def unlisted(live: Any, venue: Any) -> None:
    venue.inject(Fault(code="E24", symbol="ETH/USDT", duration_ms=500))
    await live.refresh_markets()


VENUE = {
    "end of maintenance": shut, "breaker": unanswered, "clock of the venue": refused,
    "unlisted symbols": unlisted,
}  # fmt: skip


@pytest.mark.parametrize("name", VENUE)
def test_a4_the_polling_until_a_venue_is_available(process: Process, name: str) -> None:
    fails: Callable[..., Any] = VENUE[name]

    async def scene() -> None:
        async with local_venue() as venue:
            received = Received()

            def sink(event: m.Event) -> None:
                received(event)

            tasks = process.supervisor.of("ccxt (main)", "venue")
            live: Any = account(venue.urls).connect(
                name="main", clock=WallTime(), read=read, tasks=tasks
            )
            await live.open(SYMBOLS, sink)
            await received.until_state("up")
            received.forget()
            await fails(live, venue)
            await process.kill(name)
            await until(lambda: not process.kept(name))
            if name not in ("clock of the venue", "unlisted symbols"):
                await received.until_state("up")
            await until(lambda: live._link._below == "up")
            assert await live.holdings() is not None
            assert isinstance(await live.submit(limit("a-1")), m.Acked)
            await live.close()

    run(scene())
    process.assert_restarted("ccxt (main)", name)


def test_every_task_that_is_kept_is_killed_by_a_test() -> None:
    """A task that is new in the code is added to one of these tests."""
    found: set[str] = set()
    for package in (septet, septet_plugins):
        assert package.__file__ is not None
        for path in Path(package.__file__).parent.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if not any(f".{name}(" in text for name in KEEPS):
                continue
            for call in ast.walk(ast.parse(text)):
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and call.func.attr in KEEPS
                    and call.args
                    and (name := _beginning(call.args[0]))
                ):
                    found.add(name)
    known = ALWAYS | TASKS["streams"] | TASKS["polls"] | NOW_AND_THEN | BESIDE
    assert {name for name in found if not any(each.startswith(name) for each in known)} == set()
    assert {"breaker", "user stream", "stream of"} <= found


def _beginning(name: ast.expr) -> str:
    """Return the text that the name of a task begins with; empty where it is handed on."""
    if isinstance(name, ast.JoinedStr):
        name = name.values[0]
    return name.value.strip() if isinstance(name, ast.Constant) and type(name.value) is str else ""
