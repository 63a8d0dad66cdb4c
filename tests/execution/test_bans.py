"""A ban or a pause that one client received holds for all clients of that host (A10)."""

from __future__ import annotations

import asyncio

import pytest

from septet import messages as m
from septet._drill.venue import Fault, LocalVenue
from septet.errors import RunError
from septet.plugin.live import FeedRequest
from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms
from septet_plugins.exchange.clients import Terms
from septet_plugins.exchange.requests import Barred, Gate, Wire
from tests.execution.helpers import OPTIONS, Received, WallTime, connected, limit, local_venue
from tests.execution.test_gate import NOW, S, Standing

HOUR = 3600 * 10**9


def feed_of(venue: LocalVenue) -> CcxtFeed:
    reach = Terms("binance", urls=venue.urls, options=OPTIONS, rate_limit=False)
    return CcxtFeed(FeedTerms(reach, retries=0), WallTime())


def asked(venue: LocalVenue) -> int:
    return venue.api._number


@pytest.mark.parametrize("first", ["feed", "venue"])
def test_who_was_not_notified_keeps_away_as_well(first: str) -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            feed = feed_of(venue)
            await feed.open(FeedRequest(("BTC/USDT",), HOUR), Received())
            venue.inject(Fault(code="A10", duration_ms=30_000))
            before = asked(venue)
            if first == "feed":
                with pytest.raises(RunError):
                    await feed.bars("BTC/USDT", 0, HOUR)
            else:
                assert await live.holdings() is None
            assert asked(venue) == before + 1
            assert [each.state for each in received.of(m.VenueChanged)][-1] == "banned"
            with pytest.raises(RunError):
                await feed.bars("BTC/USDT", 0, HOUR)
            answer = await live.submit(limit("a-1"))
            assert isinstance(answer, m.Rejected)
            assert (answer.code, answer.by) == ("banned", "gate")
            assert await live.holdings() is None
            assert await live.open_orders() is None
            await live.cancel_all([0])
            late = feed_of(venue)
            with pytest.raises(RunError, match="banned"):
                await late.open(FeedRequest(("BTC/USDT",), HOUR), Received())
            assert asked(venue) == before + 1, "one request, and none after it"
            await feed.close()

    asyncio.run(case())


def test_no_stream_is_dialled_during_a_ban() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            venue.inject(Fault(code="A10", duration_ms=30_000))
            assert await live.holdings() is None
            with pytest.raises(Barred, match="banned"):
                live._main.client.client(f"{venue.ws_url}/stream/another")
            feed = feed_of(venue)
            feed._gate.check(None, "http://elsewhere")
            feed._gate._pause_of(f"{venue.rest_url}/api")
            with pytest.raises(Barred, match="banned"):
                feed._gate.check_dial()

    asyncio.run(case())


def test_each_host_has_its_own_and_those_who_go_there_share_it() -> None:
    clock = Standing()
    one, other, third = Gate(clock), Gate(clock), Gate(clock)
    reported: list[str] = []
    other.on_change = lambda: reported.append("other")
    third.on_change = lambda: reported.append("third")
    for gate in (one, other):
        gate.check(Wire(), "https://a.example/x")
    third.check(Wire(), "https://b.example/x")
    one.answered(418, {"Retry-After": "60"}, "", "https://a.example/y")
    assert reported == ["other"]
    with pytest.raises(Barred, match="banned for 60"):
        other.check(Wire(urgent=True), "https://a.example/z")
    with pytest.raises(Barred):
        other.check_dial()
    third.check(Wire(), "https://b.example/x")
    third.check_dial()
    other.answered(429, {"Retry-After": "90"}, "", "https://a.example/y")
    clock.at = NOW + 61 * S
    with pytest.raises(Barred, match="asked to pause for 29"):
        one.check(Wire(), "https://a.example/x")
    for _ in range(16):  # ten, and six of the ten others: 61 of 90 seconds are over
        one.check(Wire(urgent=True), "https://a.example/x")
    with pytest.raises(Barred):
        other.check(Wire(urgent=True), "https://a.example/x")
