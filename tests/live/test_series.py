"""Outside series, live: known when they could be, once each, whatever their source does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet import messages as m
from septet._config import load
from septet._data.align import series_as_of
from septet._data.bars import Finding, SeriesTable
from septet._data.source import Request
from septet._live.circuit_breaker import PluginCaller
from septet._live.clock import ManualClock
from septet._live.market_data.feed_grid import Grid
from septet._live.market_data.feed_shelf import Shelf
from septet._live.market_data.series import SeriesLine, SeriesPoller, make_series
from septet.errors import RunError
from septet_schemas.times import Poll
from tests.data.test_http_json import Site
from tests.data.venue import serve

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 20_000 * DAY


def table(*rows: tuple[int, int, float]) -> SeriesTable:
    """Rows of stamp and known (hours after the start) and value."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    stamp, known = (START + each.astype(np.int64) * HOUR for each in columns[:2])
    return SeriesTable("fear", stamp, known, columns[2].copy())


def line() -> SeriesLine:
    return SeriesLine("fear", Poll(DAY, 10 * 60 * SECOND))


def reported(events: list[Any]) -> list[tuple[int, int, float]]:
    return [(each.stamp_ns, each.known_ns, each.value) for each in events]


def take(one: SeriesLine, rows: SeriesTable, hour: int, decided: int) -> list[tuple[Any, ...]]:
    at = START + hour * HOUR
    found = one.take(rows, now_ns=at, market_ns=at, decided_ns=START + decided * HOUR)
    return [((s - START) / HOUR, k - START - round((k - START) / HOUR) * HOUR, v)
            for s, k, v in reported(found)]  # fmt: skip


def test_the_next_poll_is_on_the_schedule() -> None:
    one = line()
    first = one.next_ns(START)
    assert first == START + 10 * 60 * SECOND
    assert one.next_ns(first - 1) == first
    assert one.next_ns(first) == first + DAY


def test_history_keeps_its_times_and_is_given_once() -> None:
    one = line()
    rows = table((0, 1, 5.0), (24, 25, 6.0))
    assert take(one, rows, 30, 0) == [(0.0, 0, 5.0), (24.0, 0, 6.0)]
    assert take(one, rows, 31, 30) == []


def test_a_value_that_comes_after_a_decision_is_known_after_it() -> None:
    one = line()
    take(one, table((0, 1, 5.0)), 2, 0)
    rows = table((0, 1, 5.0), (24, 25, 6.0))
    found = one.take(
        rows, now_ns=START + 27 * HOUR, market_ns=START + 27 * HOUR, decided_ns=START + 26 * HOUR
    )
    assert reported(found) == [(START + 24 * HOUR, START + 26 * HOUR + 1, 6.0)]


def test_a_revision_is_a_new_row_known_when_it_is_seen() -> None:
    one = line()
    take(one, table((0, 1, 5.0)), 2, 0)
    rows = table((0, 1, 5.5))
    found = one.take(
        rows, now_ns=START + 9 * HOUR, market_ns=START + 9 * HOUR, decided_ns=START + 3 * HOUR
    )
    assert reported(found) == [(START, START + 9 * HOUR, 5.5)]
    assert one.counts["revision"] == 1
    assert take(one, rows, 10, 9) == []
    stored = table((0, 1, 5.0), (0, 9, 5.5))  # a store keeps both versions
    assert take(one, stored, 11, 10) == []


def test_a_restart_gives_nothing_twice() -> None:
    rows = table((0, 1, 5.0), (24, 25, 6.0))
    journal = line().take(rows, now_ns=0, market_ns=0, decided_ns=0)
    again = line().fold([*journal, m.Ticked(at_ns=0, market_ns=0)])
    assert take(again, rows, 30, 29) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=20
    )
)
def test_what_a_decision_saw_is_what_a_replay_sees(steps: list[tuple[int, int, int]]) -> None:
    """Points as journalled, looked up by `known_ns`, give each decision what it had."""
    one, shelf = line(), Shelf(["A"], [Grid("24x7", HOUR)], max_ages_ns={"fear": None})
    values: dict[int, float] = {}
    seen: list[tuple[int, float]] = []
    hour, history = 1, True
    for wait, stamp, value in steps:
        values[stamp] = float(value)
        if history and not values:
            continue
        rows = [(s, min(s + 1, hour), v) for s, v in sorted(values.items())]
        now = START + hour * HOUR + SECOND
        for point in one.take(
            table(*rows), now_ns=now, market_ns=now, decided_ns=START + hour * HOUR
        ):
            shelf.take(point)
        hour += 1 + wait
        at = START + hour * HOUR
        (value_then,) = series_as_of(shelf.market(at).series["fear"], np.array([at]))
        seen.append((at, float(value_then)))
    final = shelf.market().series["fear"]
    for at, value_then in seen:
        (again,) = series_as_of(final, np.array([at]))
        assert again == value_then


# ---------------------------------------------------------------- asking


class Source:
    """A source that answers, fails or hands over nonsense, as set."""

    def __init__(self) -> None:
        self.rows: Any = table((0, 1, 5.0))
        self.stored = table((0, 1, 4.0))
        self.asked: list[int] = []

    def fetch(self, line: SeriesLine, request: Request) -> None:
        self.asked.append(request.now_ns)
        if isinstance(self.rows, RunError):
            raise self.rows

    def read(self, line: SeriesLine, request: Request) -> tuple[SeriesTable, tuple[Finding, ...]]:
        assert request.name == line.name
        if isinstance(self.rows, RunError):
            return self.stored, ()
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows, ()


@pytest.fixture
def asked() -> tuple[ManualClock, Source, SeriesPoller]:
    clock, source = ManualClock(START + 2 * HOUR), Source()
    plugins = PluginCaller(clock.now_ns)
    request = Request(symbols=("A",), bar_ns=HOUR)
    return clock, source, SeriesPoller([line()], request, clock, plugins, reader=source)


def ask(poller: SeriesPoller) -> list[m.Event]:
    return asyncio.run(poller.ask(lambda: START + HOUR))


def test_a_series_is_asked_at_once_and_then_on_schedule(
    asked: tuple[ManualClock, Source, SeriesPoller],
) -> None:
    clock, source, poller = asked
    assert len(ask(poller)) == 1
    assert ask(poller) == []
    assert poller.next_wall_ns() == START + DAY + 10 * 60 * SECOND
    clock.reach(START + DAY + 10 * 60 * SECOND)
    source.rows = table((0, 1, 5.0), (24, 24, 6.0))
    assert len(ask(poller)) == 1
    assert source.asked == [START + 2 * HOUR, clock.now_ns()]


@pytest.mark.parametrize("rows", [ValueError("broken"), None, 7])
def test_a_source_that_fails_is_asked_again_and_left_alone_in_the_end(
    asked: tuple[ManualClock, Source, SeriesPoller], rows: Any
) -> None:
    clock, source, poller = asked
    source.rows = rows
    events: list[m.Event] = []
    for _ in range(3):
        events += ask(poller)
        following = poller.next_wall_ns()
        assert following is not None
        assert following <= clock.now_ns() + 2 * SECOND
        clock.reach(following)
    assert [type(each) for each in events] == [m.Quarantined]
    assert len(poller.findings()) == 3
    assert poller.findings() == ()
    source.rows = table((0, 1, 5.0))
    assert len(ask(poller)) == 1


def test_what_was_stored_is_used_while_the_source_is_away(
    asked: tuple[ManualClock, Source, SeriesPoller],
) -> None:
    clock, source, poller = asked
    source.rows = RunError("no network")
    (point,) = ask(poller)
    assert isinstance(point, m.SeriesPoint)
    assert point.value == 4.0
    clock.advance(2 * SECOND)
    assert ask(poller) == []
    source.rows = table((0, 1, 4.0), (2, 2, 6.0))
    clock.advance(2 * SECOND)
    (point,) = ask(poller)
    assert isinstance(point, m.SeriesPoint)
    assert point.value == 6.0


STRATEGY = """\
version: 1
name: moody
universe: {{symbols: [BTC/USD], bar: 15m}}
data:
  candles: {{use: sample}}
  mood:
    {{use: http_json, url: "{url}/fng", select: data.*.value, time: data.*.timestamp,
     known_after: 1h, every: 1h}}
signal: {{use: rules, long_if: close > 1}}
risk: {{sizing: {{use: fixed_fraction, fraction: 10%}}}}
"""


def test_a_real_source_is_downloaded_and_its_revision_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_DATA", str(tmp_path / "store"))
    site = Site((START // SECOND, 40), (START // SECOND + 7_200, 50))
    clock = ManualClock(START + 4 * HOUR)
    with serve(site.respond) as url:
        path = tmp_path / "moody.yaml"
        path.write_text(STRATEGY.format(url=url), encoding="utf-8")
        poller = make_series(load(path), clock, PluginCaller(clock.now_ns))
        first = asyncio.run(poller.ask())
        assert [each[1:] for each in reported(first)] == [
            (START + HOUR, 40.0), (START + 3 * HOUR, 50.0),
        ]  # fmt: skip
        site.rows[1] = (START // SECOND + 7_200, 55)
        clock.advance(HOUR)

        async def once() -> list[m.Event]:
            given_: list[m.Event] = []
            done = asyncio.Event()

            def put(event: m.Event) -> None:
                given_.append(event)
                done.set()

            task = asyncio.create_task(poller.run(put, lambda: START + 4 * HOUR))
            await done.wait()
            task.cancel()
            return given_

        assert reported(asyncio.run(once())) == [(START + 2 * HOUR, START + 5 * HOUR, 55.0)]
    again = make_series(load(path), clock, PluginCaller(clock.now_ns)).fold(first)
    assert len(again.findings()) == 0
