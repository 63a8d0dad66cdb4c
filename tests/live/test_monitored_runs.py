"""Whole runs that are watched: rows, halts, alarms of latency, and the metrics that show them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet import messages as m
from septet._host.venues import BarSeen, FeedFacts, FeedRequest, QuoteSeen
from septet._journal.reader import Reader
from septet._live.kill_switch import ask_resume
from septet._live.process import LiveResult, run_live
from septet._live.replay import JOURNAL, replay
from septet._live.wiring import Wiring
from tests.live.feeds import MemoryFeed, World
from tests.live.scripted import MemoryVenue
from tests.live.test_metrics import Scraper, free_port

WALL_NS = 150_000_000
ON_TIME = "data.candles.decide_within=1h"  # a busy machine makes no decision late
HALT = "monitoring.churn={use: turnover, window: 1d, above: 10%, verdict: halt}"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SEPTET_COMPILE", "never")
    return World(tmp_path, bar_wall_ns=WALL_NS)


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    made = Scraper(free_port())
    made.start()
    yield made
    made.over.set()
    made.join()


def _ran(
    world: World, scraper: Scraper, *sets: str, mode: str = "paper", venue: Any = None, bars: int
) -> LiveResult:
    metrics = f"monitoring.metrics.prometheus=127.0.0.1:{scraper.port}"
    wiring = world.wiring
    if venue is not None:
        wiring = Wiring(world.core, lambda *_: venue, lambda loaded, clock, tasks: Quoting(clock))
    return run_live(
        [world.load(mode=mode, sets=[metrics, ON_TIME, *sets])], world.options(bars=bars),
        confirm=lambda question: True, clock=world.clock, wiring=wiring, signals=False,
    )  # fmt: skip


def _commands(folder: Path, kind: Any) -> list[Any]:
    with Reader(folder / JOURNAL) as journal:
        return [e for entry in journal.read() for e in entry.commands if isinstance(e, kind)]


def test_a_monitor_halts_a_run_and_a_person_resumes_it(
    world: World, scraper: Scraper, caplog: pytest.LogCaptureFixture
) -> None:
    """Its readings are in the table, the halt in journal, metrics, health and exit status."""
    result = _ran(world, scraper, HALT, bars=20)
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
    shown = scraper.metrics[-1]
    assert 'rule="monitoring.churn"' in shown
    assert any(
        line.startswith("septet_alarm_flag{") and 'verdict="halt"' in line
        for line in shown.splitlines()
    )
    halted = [
        status for status, health in scraper.health
        if any("monitoring.churn" in each for each in health["runs"][0]["reasons"])
    ]  # fmt: skip
    assert halted
    assert set(halted) == {503}
    placed = [each for each in _commands(folder, m.Placed) if each.side == "buy"]
    assert len(placed) == 1, "its first entry tripped the halt"

    ask_resume(folder, name="ann", reason="looked", now_ns=world.clock.now_ns())
    [(run, _)] = _ran(world, scraper, HALT, bars=40).ends
    assert run.location.folder == folder
    cleared = [e.rule for e in _commands(folder, m.Cleared)]
    assert "monitoring.churn" in cleared
    placed = [each for each in _commands(folder, m.Placed) if each.side == "buy"]
    assert len(placed) > 1, "entries go on once a person has resumed the run"
    found = replay(folder)
    assert found.differences == 0, str(found.first)
    assert "Error handling request" not in caplog.text, "metrics are served from the start on"


class Quoting(MemoryFeed):
    """Shows the best prices with every bar."""

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        def both(seen: BarSeen) -> None:
            now_ns = self.clock.now_ns()
            sink(QuoteSeen(seen.symbol, now_ns, seen.close - 0.1, 9.0, seen.close + 0.1, 9.0))
            sink(seen)

        return await super().open(request, both)


class Slow(MemoryVenue):
    """Accepts every order after a while."""

    async def submit(self, order: m.Submit) -> m.Event:
        await asyncio.sleep(0.05)
        return await super().submit(order)


def test_a_slow_venue_is_an_alarm_in_journal_table_log_and_metrics(
    world: World, scraper: Scraper
) -> None:
    alarm = "monitoring.fills.latency_alarm=20ms"
    alerts = "monitoring.alerts={use: log, events: [verdict]}"
    clock: Any = world.clock
    [(run, _)] = _ran(
        world, scraper, alarm, alerts, mode="live", venue=Slow(clock), bars=16
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
    shown = scraper.metrics[-1]
    assert "septet_venue_answer_seconds{" in shown
    assert any(
        line.startswith("septet_alarm_flag{") and 'metric="latency"' in line
        for line in shown.splitlines()
    )
