"""E24 at the feed: a symbol that the exchange no longer lists does not stop the others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from septet._drill.venue import Fault, LocalVenue
from septet.errors import DataError, RunError
from septet.plugin.live import FeedFacts, LiveFeed, QuoteSeen, StreamDown
from septet_plugins.exchange import listing
from tests.data.test_ccxt_feed import VenueTime, asking, closed, source
from tests.execution.helpers import Received, local_venue

GONE = Fault(code="E24", symbol="BTC/USDT")
REQUEST = asking("bars", "quotes")
ON = replace(REQUEST, goes_on=True)
REASON = "binance no longer lists BTC/USDT"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again without the pauses of an exchange that is far away."""
    monkeypatch.setattr(listing, "_FIRST_S", 0.05)
    monkeypatch.setattr(listing, "_APART_S", 0.0)


def list_again(venue: LocalVenue) -> None:
    for each in venue.faults.plan:
        each.until_ns = 0
    venue.stream_faults.look()


def unlisted(received: Received) -> set[tuple[str, str, str]]:
    downs = [each for each in received.of(StreamDown) if each.unlisted]
    return {(each.stream, each.symbol, each.reason) for each in downs}


BOTH = {("bars", "BTC/USDT", REASON), ("quotes", "BTC/USDT", REASON)}


def quoted(received: Received) -> set[str]:
    return {each.symbol for each in received.of(QuoteSeen)}


async def opened(venue: LocalVenue, received: Received) -> tuple[LiveFeed, FeedFacts]:
    feed = source(venue).stream(clock=VenueTime(venue))
    return feed, await feed.open(ON, received)


def test_e24_a_first_start_is_refused_and_one_that_goes_on_gets_the_others() -> None:
    async def case() -> None:
        async with local_venue(GONE, paused=False, bar_wall_ns=400_000_000) as venue:
            with pytest.raises(DataError, match="binance lists no BTC/USDT"):
                await source(venue).stream(clock=VenueTime(venue)).open(REQUEST, Received())
            received = Received()
            feed, facts = await opened(venue, received)
            assert list(facts.markets) == ["ETH/USDT"]
            await received.until(lambda: len(closed(received, "ETH/USDT")) >= 2)
            await received.until(lambda: "ETH/USDT" in quoted(received))
            assert unlisted(received) == BOTH
            assert not closed(received)
            with pytest.raises(RunError, match=REASON):
                await feed.bars("BTC/USDT", 0, 10**18)
            received.forget()
            list_again(venue)
            await received.until(lambda: closed(received))
            await received.until(lambda: "BTC/USDT" in quoted(received))
            await feed.close()

    asyncio.run(case())


def test_e24_a_refused_request_for_bars_finds_it_in_mid_run() -> None:
    async def case() -> None:
        async with local_venue(paused=False, bar_wall_ns=400_000_000) as venue:
            received = Received()
            feed, _ = await opened(venue, received)
            await received.until(lambda: closed(received) and closed(received, "ETH/USDT"))
            venue.inject(GONE)
            now_ns = venue.clock.market_ns()
            with pytest.raises(RunError, match="refused"):
                await feed.bars("BTC/USDT", now_ns - 4 * REQUEST.bar_ns, now_ns)
            await received.until(lambda: unlisted(received) == BOTH)
            received.forget()
            await received.until(lambda: len(closed(received, "ETH/USDT")) >= 2)
            assert {each.symbol for each in received.of(StreamDown)} <= {"BTC/USDT"}
            await feed.close()

    asyncio.run(case())
