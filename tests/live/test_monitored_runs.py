"""Whole runs that are watched: rows, halts, alarms of latency, and the metrics that show them.

They run in virtual time, which does not pass while the pages are asked: no load makes one late.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet import messages as m
from septet._host.venues import BarSeen, FeedFacts, FeedRequest, QuoteSeen
from septet._journal.reader import Reader
from septet._live import process
from septet._live.clock import ManualClock
from septet._live.kill_switch import ask_resume
from septet._live.process import LiveResult, run_live
from septet._live.replay import JOURNAL, replay
from septet._live.wiring import WIRING, Wiring
from tests.live.feeds import HOUR_NS, MARKET_NS, MemoryFeed, World
from tests.live.scripted import START_NS, MemoryVenue
from tests.live.test_metrics import Scraper, free_port
from tests.live.virtual_time import VirtualTimeLoop

BAR_WALL_NS = 20_000_000_000
AFTER_S = 1.0
"""How long after each bar the pages are asked (virtual time)."""
HALT = "monitoring.churn={use: turnover, window: 1d, above: 10%, verdict: halt}"


class Pages(Scraper):
    """Asks both pages after each bar, in a thread that the virtual time waits for."""

    def look(self) -> None:
        threading.Thread(target=self._look, name="plugin that asks", daemon=True).start()

    def _look(self) -> None:
        status, body = self.ask("healthz")
        self.metrics.append(self.ask("metrics")[1])
        self.health.append((status, json.loads(body)))


class Quoting(MemoryFeed):
    """Shows the best prices with every bar, and has the pages asked after it."""

    def __init__(self, clock: Any, pages: Pages, *, quotes: bool) -> None:
        super().__init__(clock)
        self.pages, self.quotes = pages, quotes

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        def both(seen: BarSeen) -> None:
            now_ns = self.clock.now_ns()
            if self.quotes:
                sink(QuoteSeen(seen.symbol, now_ns, seen.close - 0.1, 9.0, seen.close + 0.1, 9.0))
            sink(seen)
            if seen.symbol == request.symbols[-1]:
                asyncio.get_running_loop().call_later(AFTER_S, self.pages.look)

        return await super().open(request, both)


class Watched(World):
    """Runs in memory and in virtual time, whose pages are asked after each bar."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.time = ManualClock(START_NS, speed=HOUR_NS / BAR_WALL_NS, market_ns=MARKET_NS)
        self.clock = self.time  # type: ignore[assignment]  # one that nobody waits for
        self.pages = Pages(free_port())

    def run(self, *sets: str, mode: str = "paper", venue: Any = None, bars: int) -> LiveResult:
        live = venue is not None
        metrics = f"monitoring.metrics.prometheus=127.0.0.1:{self.pages.port}"
        wiring = Wiring(
            self.core, (lambda *_: venue) if live else WIRING.venue,
            lambda loaded, clock, tasks: Quoting(clock, self.pages, quotes=live),
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "new_loop", lambda: VirtualTimeLoop(self.time))
            return run_live(
                [self.load(mode=mode, sets=[metrics, *sets])], self.options(bars=bars),
                confirm=lambda question: True, clock=self.clock, wiring=wiring, signals=False,
            )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SEPTET_COMPILE", "never")
    return Watched(tmp_path)


def _commands(folder: Path, kind: Any) -> list[Any]:
    with Reader(folder / JOURNAL) as journal:
        return [e for entry in journal.read() for e in entry.commands if isinstance(e, kind)]


def test_a_monitor_halts_a_run_and_a_person_resumes_it(
    world: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """Its readings are in the table, the halt in journal, metrics, health and exit status."""
    result = world.run(HALT, bars=20)
    [(run, end)] = result.ends
    folder = run.location.folder
    assert (result.exit_code, end.how) == (3, "halted")
    table = pl.read_parquet(folder / "monitoring.parquet")
    churn = table.filter(pl.col("metric") == "churn")
    assert churn.height
    assert "halt" in set(churn["verdict"])
    assert table.filter(pl.col("metric") == "slippage").height
    [tripped] = [e for e in _commands(folder, m.Tripped) if e.rule == "monitoring.churn"]
    assert (tripped.then, tripped.clears_when) == ("cancel_all", "manual")
    shown = world.pages.metrics[-1]
    assert 'rule="monitoring.churn"' in shown
    assert any(
        line.startswith("septet_alarm_flag{") and 'verdict="halt"' in line
        for line in shown.splitlines()
    )
    halted = [
        status for status, health in world.pages.health
        if any("monitoring.churn" in each for each in health["runs"][0]["reasons"])
    ]  # fmt: skip
    assert halted
    assert set(halted) == {503}
    placed = [each for each in _commands(folder, m.Placed) if each.side == "buy"]
    assert len(placed) == 1, "its first entry tripped the halt"

    ask_resume(folder, name="ann", reason="looked", now_ns=world.clock.now_ns())
    [(run, _)] = world.run(HALT, bars=40).ends
    assert run.location.folder == folder
    cleared = [e.rule for e in _commands(folder, m.Cleared)]
    assert "monitoring.churn" in cleared
    placed = [each for each in _commands(folder, m.Placed) if each.side == "buy"]
    assert len(placed) > 1, "entries go on once a person has resumed the run"
    found = replay(folder)
    assert found.differences == 0, str(found.first)
    assert "Error handling request" not in caplog.text, "metrics are served from the start on"


class Slow(MemoryVenue):
    """Accepts every order after a while."""

    async def submit(self, order: m.Submit) -> m.Event:
        await asyncio.sleep(0.05)
        return await super().submit(order)


def test_a_slow_venue_is_an_alarm_in_journal_table_log_and_metrics(
    world: Watched,
) -> None:
    alarm = "monitoring.fills.latency_alarm=20ms"
    alerts = "monitoring.alerts={use: log, events: [verdict]}"
    clock: Any = world.clock
    [(run, _)] = world.run(
        alarm, alerts, mode="live", venue=Slow(clock), bars=16
    ).ends  # fmt: skip
    folder = run.location.folder
    read = [each for each in _commands(folder, m.Watched) if each.metric == "latency"]
    assert read
    assert all(each.value > 0.02 and each.verdict == "warn" for each in read)
    reported = [each for each in _commands(folder, m.Alerted) if each.event == "latency"]
    assert len(reported) == len(read)
    table = pl.read_parquet(folder / "monitoring.parquet")
    assert table.filter(pl.col("metric") == "latency").height == len(read)
    lines = [json.loads(each) for each in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    assert any("the venue took" in str(each.get("text")) for each in lines)
    shown = world.pages.metrics[-1]
    assert "septet_venue_answer_seconds{" in shown
    assert any(
        line.startswith("septet_alarm_flag{") and 'metric="latency"' in line
        for line in shown.splitlines()
    )
