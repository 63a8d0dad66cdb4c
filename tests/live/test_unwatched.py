"""A position of which no price comes is a critical alert that names it and the stop that acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from septet._host.venues import BarSeen, FeedFacts, FeedRequest, QuoteSeen, StreamDown
from septet._live.clock import ManualClock
from septet._live.market_data import feed_in_use
from septet._live.market_data.feed_grid import Grid
from septet._live.market_data.feed_in_use import FeedInUse
from septet._live.market_data.watchdog import Watchdog
from septet._live.unwatched import UNWATCHED_S, UnwatchedPositions, stop_text
from septet.errors import RunError
from tests.live.test_watchdog import MINUTE, SECOND, START, watched

REQUEST = FeedRequest(("BTC/USDT",), MINUTE, frozenset({"bars", "quotes"}))
QUOTE = QuoteSeen("BTC/USDT", 1, 100.0, 1.0, 101.0, 1.0)
BAR = BarSeen("BTC/USDT", START, 1.0, 1.0, 1.0, 1.0, 1.0, True, "stream")


class Positions:
    """Positions whose prices come or not, and the alerts about them."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, str, str]] = []
        self.silent = set[str]()
        self.held = {"BTC/USDT": 4.9, "ETH/USDT": 0.0}
        self.checks = UnwatchedPositions(
            lambda level, event, fields: self.alerts.append((level, event, fields["text"]))
        )

    def check(self, now_s: float) -> list[tuple[str, str]]:
        self.alerts.clear()
        self.checks.check(
            now_s, self.held, lambda symbol: symbol not in self.silent, lambda symbol: "stop 90"
        )
        return [(level, event) for level, event, _ in self.alerts]


def test_a_position_without_prices_is_reported_once_with_the_stop_that_acts() -> None:
    made = Positions()
    assert made.check(0.0) == []
    made.silent |= {"BTC/USDT", "ETH/USDT"}
    assert made.check(1.0) == []
    assert made.check(0.9 + UNWATCHED_S) == []
    assert made.check(1.0 + UNWATCHED_S) == [("critical", "position_unwatched")]
    [(_, _, text)] = made.alerts
    assert text.startswith(
        "BTC/USDT: 4.9 is held, and no price comes for more than 30 s: stop 90; exits"
    )
    assert made.check(500.0) == []
    made.silent.clear()
    assert made.check(501.0) == [("info", "position_watched")]
    made.silent.add("BTC/USDT")
    assert made.check(502.0) == []
    assert made.check(502.0 + UNWATCHED_S) == [("critical", "position_unwatched")]
    made.held["BTC/USDT"] = 0.0
    assert made.check(600.0) == [("info", "position_watched")]


def test_one_live_stream_watches_a_symbol() -> None:
    clock = ManualClock(START)
    dog = watched(clock, "bars", "quotes", symbols=2)
    assert not dog.dog.is_watched(0)
    dog.received("quotes", 0)
    assert (dog.dog.is_watched(0), dog.dog.is_watched(1), dog.dog.is_any_live()) == (
        True, False, True,
    )  # fmt: skip
    clock.advance(31 * SECOND)
    dog.poll()
    assert (dog.dog.is_watched(0), dog.dog.is_any_live()) == (False, False)


class Feed:
    """A feed that is opened, delivers what it is given, and is closed."""

    def __init__(self, *, opens: bool = True) -> None:
        self.opens, self.state = opens, "made"
        self.sink: Callable[[Any], None] = lambda message: None
        self.next: Feed | None = None

    def successor(self) -> Feed:
        assert self.next is not None
        return self.next

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        if not self.opens:
            raise RunError("the exchange cannot be reached")
        self.sink, self.state = sink, "open"
        return FeedFacts("memory", {"bars": "stream"}, {})

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> list[BarSeen]:
        return []

    async def close(self) -> None:
        self.state = "closed"


class Use:
    """A feed in use, and its successor."""

    def __init__(self, *, opens: bool = True) -> None:
        self.first, self.second = Feed(), Feed(opens=opens)
        self.first.next = self.second
        self.received: list[Any] = []
        self.lost = 0
        self.used = FeedInUse(self.first, self.received.append)

    def lose(self) -> None:
        self.lost += 1

    async def renew(self, *, live: bool) -> None:
        await self.used.renew(REQUEST, is_any_live=lambda: live, lost=self.lose)


def test_a_live_feed_is_closed_once_the_next_one_has_data() -> None:
    async def case() -> None:
        use = Use()
        await use.used.open(REQUEST)
        renewing = asyncio.create_task(use.renew(live=True))
        while use.second.state != "open":
            await asyncio.sleep(0)
        use.second.sink(StreamDown("quotes", "", "it connects"))
        use.first.sink(QUOTE)
        await asyncio.sleep(0)
        assert (use.first.state, use.received, use.lost) == ("open", [QUOTE], 0)
        use.second.sink(BAR)
        await renewing
        assert (use.first.state, use.second.state, use.lost) == ("closed", "open", 1)
        use.first.sink(QUOTE)
        use.second.sink(StreamDown("quotes", "", "it ended"))
        assert use.received == [QUOTE, BAR, StreamDown("quotes", "", "it ended")]

    asyncio.run(case())


@pytest.mark.parametrize("opens", [True, False])
def test_a_live_feed_stays_where_the_next_one_cannot_be_opened_or_brings_nothing(
    opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        monkeypatch.setattr(feed_in_use, "OVERLAP_S", 0.0)
        use = Use(opens=opens)
        await use.used.open(REQUEST)
        with pytest.raises(RunError, match="brings no data" if opens else "cannot be reached"):
            await use.renew(live=True)
        assert (use.first.state, use.second.state, use.lost) == ("open", "closed", 0)
        use.first.sink(QUOTE)
        use.second.sink(BAR)
        assert use.received == [QUOTE]

    asyncio.run(case())


def test_where_nothing_is_live_the_next_feed_is_used_at_once() -> None:
    async def case() -> None:
        use = Use()
        await use.used.open(REQUEST)
        await use.renew(live=False)
        assert (use.first.state, use.second.state, use.lost) == ("closed", "open", 1)

    asyncio.run(case())


def test_a_closed_market_needs_no_prices() -> None:
    saturday = 1_700_308_800 * SECOND
    for calendar, is_closed in (("XNYS", True), ("24x7", False)):
        dog = Watchdog(ManualClock(saturday))
        dog.watch("bars", [Grid(calendar, MINUTE)], 30 * SECOND)
        assert dog.is_watched(0) == is_closed


def test_the_stop_that_acts_is_named() -> None:
    manager = SimpleNamespace(records=SimpleNamespace(stops={}, children={}))
    core = SimpleNamespace(orders=manager)
    assert stop_text(core, 0) == stop_text(SimpleNamespace(orders=None), 0) == "no stop acts"
    child = SimpleNamespace(
        is_final=False, exists=True, lost=False, unconfirmed=False, claim=None, delete_ns=0,
        received_ns=2, delete_failed_ns=0, counted=0.0, cancels=False, trigger_price=90.0,
    )  # fmt: skip
    manager.records.stops[0] = SimpleNamespace(child="s1")
    manager.records.children["s1"] = child
    assert stop_text(core, 0) == "only its stop at the venue acts, at 90"
    child.lost = True
    assert stop_text(core, 0) == "no stop acts"
