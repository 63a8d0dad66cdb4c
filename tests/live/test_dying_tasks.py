"""Every background task of a running process is killed, once each, on the local venue."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._config import load
from septet._drill.process_faults import KilledError, end_task
from septet._host.background_tasks import Backoff, Kept, Tasks
from septet._journal.reader import Reader
from septet._live import start as begin
from septet._live.clock import clock_from
from septet._live.process import _Process
from septet._live.run_location import JOURNAL
from septet._live.supervisor import Supervisor
from septet._live.wiring import WIRING
from septet_plugins.data import ccxt_feed
from septet_plugins.execution import ccxt_venue
from tests.cli.local import OPTIONS, STRATEGY, store_credential
from tests.cli.worlds import world

PATIENCE_S = 60.0
ROUNDS = 3
ALWAYS = {"alerts", "care of killed", "clock", "memory", "reads of the account", "venue's clock"}
TASKS = {
    "streams": {"stream of bars BTC/USDT", "stream of quotes BTC/USDT", "user stream"},
    "polls": {"closes of bars", "polls of quotes BTC/USDT", "polls of the account"},
}
"""Those of every live run, and those of one over streams or polls; the metrics have a port."""
MONITORING = """\
monitoring:
  alerts: {{use: log, events: [fill, block, error]}}
  metrics: {{prometheus: 127.0.0.1:{port}}}
"""


async def until(met: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not met():
            await asyncio.sleep(0.01)


class Timers:
    """Lets each timer of the process raise when it rings for the first time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.raised: set[tuple[str, str]] = set()
        self.armed = False
        later = Tasks.later

        def raising(tasks: Tasks, name: str, wait_s: float, call: Callable[[], object]) -> Any:
            def ring() -> None:
                if self.armed and (tasks.owner, name) not in self.raised:
                    self.raised.add((tasks.owner, name))
                    raise KilledError("killed by a test")
                call()

            return later(tasks, name, wait_s, ring)

        monkeypatch.setattr(Tasks, "later", raising)


async def kill_each(process: _Process, timers: Timers) -> set[tuple[str, str]]:
    """Kill every task of the process, one after the other; return owner and name of each."""
    supervisor = process.supervisor
    await until(lambda: any(kept.name == "clock" for _, kept in supervisor.kept()))
    every: set[tuple[str, str]] = set()
    for _ in range(ROUNDS):
        every |= await kill_once(supervisor)
        await until(lambda: not any(each._down for each in supervisor._all))
    timers.armed = True
    await until(lambda: {"journal writer", "market timer"} <= {name for _, name in timers.raised})
    timers.armed = False  # what rings from here on could not work again before the end
    await until(lambda: not any(each._down for each in supervisor._all))
    return every


def poll_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the exchange be one that streams nothing, as ccxt states of many."""
    for module in (ccxt_feed, ccxt_venue):
        make = module.opened_client

        async def polled(*words: Any, make: Any = make, **more: Any) -> Any:
            client = await make(*words, **more)
            client.has = {
                name: False if name.startswith("watch") else can for name, can in client.has.items()
            }
            return client

        monkeypatch.setattr(module, "opened_client", polled)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def fetched(port: int, page: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {page} HTTP/1.0\r\n\r\n".encode())
    try:
        return await reader.read()
    finally:
        writer.close()


async def kill_once(supervisor: Supervisor) -> set[tuple[str, str]]:
    """Kill every task that is kept now; return owner and name of each."""
    killed: set[tuple[str, str]] = set()
    while new := [each for each in supervisor.kept() if (each[0], each[1].name) not in killed]:
        owner, kept = new[0]
        await until(lambda kept=kept: kept.task is not None or kept.done)
        await until(_ended(kept))
        killed.add((owner, kept.name))
    return killed


def _ended(kept: Kept) -> Callable[[], bool]:
    """Return a call that kills a task until it has ended: polls take one error as an answer."""
    starts = kept.starts

    def ended() -> bool:
        if kept.done or kept.starts > starts:
            return True
        if kept.task is not None:
            end_task(kept.task)
        return False

    return ended


def links(path: Path) -> tuple[set[str], set[str]]:
    """Return which links went down by a journal, and which work."""
    down, works = set[str](), set[str]()
    with Reader(path) as journal:
        for each in journal.read():
            event = each.event
            if isinstance(event, m.FeedChanged | m.VenueChanged):
                name = event.stream if isinstance(event, m.FeedChanged) else event.venue
                (down if event.state == "down" else works).add(name)
    return down, works


@pytest.mark.parametrize("ways", ["streams", "polls"])
def test_a4_each_background_task_is_killed_and_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: str
) -> None:
    port = free_port()
    if ways == "polls":
        poll_only(monkeypatch)
    monkeypatch.setattr(Backoff, "wait_s", lambda self, lived_s=0.0: 0.05)
    monkeypatch.setitem(Tasks.keep.__kwdefaults__ or {}, "works_after_s", 0.2)
    for name, value in {"LOCAL_KEY": "k", "LOCAL_SECRET": "s"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store_credential(tmp_path / "config")
    with world(tmp_path, bar_ns=3_600 * 10**9, bar_wall_ns=500_000_000, history=1_200) as venue:
        path = tmp_path / "killed.yaml"
        urls, options = json.dumps(venue.urls), json.dumps(OPTIONS)
        path.write_text(
            STRATEGY.format(name="killed", capital=1_000, urls=urls, options=options)
            + MONITORING.format(port=port),
            encoding="utf-8",
        )
        files, timers = [load(path, mode="live")], Timers(monkeypatch)
        options_ = begin.Options(out=tmp_path / "runs")
        process = _Process(
            files, options_, lambda text: True, clock_from(venue.admin), WIRING, signals=False
        )

        async def scene() -> tuple[set[tuple[str, str]], int]:
            run = asyncio.ensure_future(process.run())
            killing = asyncio.ensure_future(kill_each(process, timers))
            await asyncio.wait({run, killing}, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                killing.cancel()
                run.result()
            killed, journal = killing.result(), process.runs[0].journal
            assert journal is not None
            seq = journal.seq
            await until(lambda: journal.seq > seq + 3)  # it goes on
            assert b"septet_decisions_total" in await fetched(port, "/metrics")
            alerts = process.runs[0].alerts
            sent = alerts.counts.sent
            alerts.failed("task_failed", "reported after all of them were killed")
            await until(lambda: alerts.counts.sent > sent)
            process._stop("SIGTERM")
            await run
            return killed, seq

        killed, _ = asyncio.run(scene())
        place = process.runs[0].location.folder
    with (place / "log.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    given = {
        event: {(each["plugin"], each["task"]) for each in rows if each["event"] == event}
        for event in ("task_failed", "task_works")
    }
    metrics = f"metrics at 127.0.0.1:{port}"
    assert {name for _, name in killed} == ALWAYS | TASKS[ways] | {metrics}
    assert killed | timers.raised <= given["task_failed"]
    assert given["task_failed"] <= given["task_works"]
    down, works = links(place / JOURNAL)
    assert down <= works, "every link that went down came back"
    own = {f"task {name} of {owner}" for owner, name in killed | timers.raised}
    blocked = {each for each in own if each in down}
    assert {"bars", "quotes", "binance"} <= down
    beside = {"task alerts of septet", f"task {metrics} of septet"}
    assert not beside & down, "what no order needs blocks none"
    assert own - blocked - beside <= {
        f"task {name} of {owner}" for owner, name in killed if owner != "septet"
    }, "a task of septet has a block of its own; a link reports it itself"
