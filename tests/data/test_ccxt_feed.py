"""The live feed against the local venue: every closed bar once, books valid or reported invalid."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from septet import messages as m
from septet._drill.venue import Fault, LocalVenue
from septet.errors import DataError, RunError
from septet.plugin.live import (
    BarSeen,
    Clock,
    FeedRequest,
    LiveFeed,
    PrintSeen,
    QuoteSeen,
    StreamDown,
    Streams,
)
from septet_plugins.data.ccxt_history import CcxtHistory, CcxtHistoryConfig
from septet_plugins.data.ccxt_messages import closed_flags, quote_of_book, quote_of_ticker
from septet_plugins.data.ccxt_requests import Requests
from tests.data.helpers import HOUR_NS
from tests.execution.helpers import OPTIONS, SYMBOLS, Received, local_venue

ALL = frozenset({"bars", "trades", "quotes", "book"})


class VenueTime(Clock):
    """Market time as the venue has it: a bar of an hour lasts a fraction of a second."""

    def __init__(self, venue: LocalVenue) -> None:
        self._clock = venue.clock

    @property
    def speed(self) -> float:
        return self._clock.speed

    def now_ns(self) -> int:
        return time.time_ns()

    def market_ns(self) -> int:
        return self._clock.market_ns()


class Ahead(VenueTime):
    """A clock that the venue is behind of."""

    def market_ns(self) -> int:
        return super().market_ns() + 2 * HOUR_NS


def source(venue: LocalVenue, **config: Any) -> CcxtHistory:
    settings: dict[str, Any] = {
        "venue": "binance", "urls": venue.urls, "options": OPTIONS, "rate_limit": False,
        "timeout": "3s", **config,
    }  # fmt: skip
    made = CcxtHistory(CcxtHistoryConfig(**settings))
    assert isinstance(made, Streams)
    return made


def asking(*wants: str, symbols: tuple[str, ...] = SYMBOLS) -> FeedRequest:
    return FeedRequest(symbols, HOUR_NS, frozenset(wants))


@asynccontextmanager
async def listening(
    venue: LocalVenue, *wants: str, **config: Any
) -> AsyncIterator[tuple[Any, Received]]:
    received = Received()
    feed: LiveFeed = source(venue, **config).stream(clock=VenueTime(venue))
    await feed.open(asking(*wants), received)
    try:
        yield feed, received
    finally:
        await feed.close()


def closed(received: Received, symbol: str = "BTC/USDT") -> list[BarSeen]:
    return [each for each in received.of(BarSeen) if each.closed and each.symbol == symbol]


def fresh(received: Received) -> set[str]:
    return {each.symbol for each in received.of(PrintSeen) + received.of(QuoteSeen)}


def test_all_requested_streams_deliver() -> None:
    async def case() -> None:
        async with local_venue(paused=False, bar_wall_ns=400_000_000) as venue:
            feed = source(venue).stream(clock=VenueTime(venue))
            received = Received()
            facts = await feed.open(asking(*ALL), received)
            assert facts.how == dict.fromkeys(ALL, "stream")
            assert facts.markets["BTC/USDT"].tick == 0.01
            await received.until(lambda: len(closed(received)) >= 3 and received.of(PrintSeen))
            await received.until(lambda: [each for each in received.of(QuoteSeen) if each.bids])
            await received.until(lambda: [each for each in received.of(QuoteSeen) if not each.bids])
            await feed.close()
            opens = [each.open_ns for each in closed(received)]
            assert opens == list(range(opens[0], opens[-1] + 1, HOUR_NS))
            for each in received.of(QuoteSeen):
                assert each.bid < each.ask
                assert list(each.bids) == sorted(each.bids, reverse=True)
                assert list(each.asks) == sorted(each.asks)
            assert not received.of(StreamDown)
            numbers = sorted(int(each.trade_id) for each in received.of(PrintSeen))
            first = max(
                min(int(e.trade_id) for e in received.of(PrintSeen) if e.symbol == symbol)
                for symbol in SYMBOLS
            )
            whole = [each for each in numbers if each >= first]
            assert whole == list(range(first, first + len(whole))), "none was lost"

    asyncio.run(case())


def test_history_is_closed_bars_only_page_by_page() -> None:
    async def case() -> None:
        async with (
            local_venue(history=50) as venue,
            listening(venue, "bars", page_bars=7) as (feed, _),
        ):
            now = venue.clock.market_ns()
            found = await feed.bars("BTC/USDT", now - 20 * HOUR_NS, now + 99 * HOUR_NS)
            opens = [each.open_ns for each in found]
            assert opens == list(range(opens[0], opens[-1] + 1, HOUR_NS))
            assert opens[-1] + HOUR_NS <= now
            assert all(each.closed and each.source == "poll" for each in found)
            assert len(found) == 20 or len(found) == 19
            assert await feed.bars("BTC/USDT", now, now + 5 * HOUR_NS) == []
            oldest = await feed.oldest("BTC/USDT")
            assert opens[0] - oldest > 20 * HOUR_NS
            venue.refuse()
            feed._terms = feed._terms.__class__(feed._terms.reach, retries=0)
            with pytest.raises(RunError, match="cannot be reached"):
                await feed.bars("BTC/USDT", now - 20 * HOUR_NS, now)

    asyncio.run(case())


def test_an_adapters_own_fault_is_no_unreadable_value() -> None:
    async def case() -> None:
        received = Received()
        async with local_venue(history=2) as venue:
            feed: Any = source(venue).stream(clock=VenueTime(venue))
            feed._request, feed._sink = asking("bars"), received
            now = venue.clock.market_ns()
            with pytest.raises(RunError, match="is closed"):  # while a back-fill still asks
                await feed.bars("BTC/USDT", now - 5 * HOUR_NS, now)
            feed._client, feed._timeframe = type("Lacking", (), {"id": "binance"})(), "1h"
            feed._requests = Requests(
                feed._client, feed._terms, feed._gate, feed._clock, feed._scrub
            )
            with pytest.raises(AttributeError, match="fetch_ohlcv"):
                await feed.bars("BTC/USDT", now - 5 * HOUR_NS, now)
            assert received.of(m.Unreadable) == []

    asyncio.run(case())


def test_the_newest_row_of_a_venue_that_is_behind_is_not_reported_as_closed() -> None:
    async def case() -> None:
        async with (
            local_venue(history=50) as venue,
            listening(venue, "bars") as (feed, _),
        ):
            venue.market.step(bars=1, ticks=2)
            since = venue.market.open_ns
            feed._clock = Ahead(venue)  # by our clock the bar is over, at the venue it is not
            [early] = await feed.bars("BTC/USDT", since, since + HOUR_NS)
            assert (early.open_ns, early.closed) == (since, None)
            venue.market.step(bars=1, ticks=1)
            [whole] = await feed.bars("BTC/USDT", since, since + HOUR_NS)
            assert (whole.open_ns, whole.closed) == (since, True)
            assert whole.volume > early.volume

    asyncio.run(case())


def test_a_later_page_does_not_show_that_a_forming_bar_was_over() -> None:
    """The bar ends between two pages: the first reported it while it still formed."""

    async def case() -> None:
        async with (
            local_venue(history=50) as venue,
            listening(venue, "bars") as (feed, _),
        ):
            venue.market.step(bars=1, ticks=2)
            since, ask, pages = venue.market.open_ns, feed._ask, list[int]()

            async def ask_and_let_a_bar_end(*question: Any) -> Any:
                page = await ask(*question)
                pages.append(len(page))
                venue.market.step(bars=1, ticks=1)
                return page

            feed._clock, feed._ask = Ahead(venue), ask_and_let_a_bar_end
            found = await feed.bars("BTC/USDT", since, since + 2 * HOUR_NS)
            assert [(each.open_ns, each.closed) for each in found] == [(since, None)]
            assert pages == [1]

    asyncio.run(case())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(code="N7"), Fault(code="N7", parameters={"mode": "reset"}), Fault(code="D5"),
        Fault(code="N10", duration_ms=300),
    ],
    ids=["closed", "reset", "malformed", "flapping"],
)  # fmt: skip
def test_a_lost_connection_is_reported_and_dialled_again(fault: Fault) -> None:
    async def case() -> None:
        async with (
            local_venue(paused=False, bar_wall_ns=200_000_000) as venue,
            listening(venue, "bars", "trades") as (feed, received),
        ):
            await received.until(lambda: closed(received))
            venue.inject(fault)
            await received.until(lambda: received.of(StreamDown))
            received.forget()
            await received.until(lambda: closed(received) and closed(received, "ETH/USDT"))
            await received.until(lambda: received.of(PrintSeen))
            assert feed.dials <= 10

    asyncio.run(case())


@pytest.mark.parametrize("want", ["trades", "quotes", "book"])
def test_every_loss_is_reported_though_the_messages_never_reach_the_client(want: str) -> None:
    async def case() -> None:
        async with (
            local_venue(paused=False, bar_wall_ns=200_000_000) as venue,
            listening(venue, want) as (_, received),
        ):
            for _ in range(3):
                await received.until(lambda: fresh(received) == set(SYMBOLS))
                received.forget()
                venue.inject(Fault(code="N7", parameters={"mode": "reset"}))
                await received.until(lambda: len(received.of(StreamDown)) == len(SYMBOLS))
                assert {each.symbol for each in received.of(StreamDown)} == set(SYMBOLS)
                assert {each.stream for each in received.of(StreamDown)} == {want}
                received.forget()

    asyncio.run(case())


def test_a_burst_loses_no_trade_and_none_overtakes() -> None:
    async def case() -> None:
        factor, step = 50, 10**9  # the copies of a trade have its number, plus so many steps
        async with (
            local_venue(paused=False, bar_wall_ns=400_000_000) as venue,
            listening(venue, "trades") as (_, received),
        ):
            await received.until(lambda: received.of(PrintSeen))
            venue.inject(Fault(code="D6", parameters={"factor": factor}))
            await received.until(lambda: len(received.of(PrintSeen)) > 20 * factor)
            for symbol in SYMBOLS:
                prints = [each for each in received.of(PrintSeen) if each.symbol == symbol]
                numbers = [int(each.trade_id) for each in prints]
                begin = next(at for at, number in enumerate(numbers) if number > step) - 1
                for at in range(begin, len(numbers) - factor, factor):
                    first = numbers[at]
                    assert numbers[at : at + factor] == [first + n * step for n in range(factor)]
            assert not received.of(StreamDown)

    asyncio.run(case())


async def unanswered(*_: object) -> None:
    raise RunError("binance cannot be reached")


def test_a_successor_opens_beside_its_feed_while_no_request_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def case() -> None:
        async with (
            local_venue(paused=False, bar_wall_ns=200_000_000) as venue,
            listening(venue, "bars", "quotes") as (feed, received),
        ):
            await received.until(lambda: closed(received))
            monkeypatch.setattr(Requests, "_ask", unanswered)
            other, received_by_other = feed.successor(), Received()
            facts = await other.open(asking("bars", "quotes"), received_by_other)
            assert facts.markets["BTC/USDT"].tick == 0.01
            await received_by_other.until(lambda: closed(received_by_other))
            received.forget()
            await received.until(lambda: closed(received) and fresh(received))
            await other.close()
            assert not received.of(StreamDown)
            received.forget()
            await received.until(lambda: closed(received) and fresh(received))

    asyncio.run(case())


def test_requests_in_flight_end_before_their_client_is_closed() -> None:
    """What ccxt says to a client that is closed in use is no answer of the exchange."""

    async def case() -> None:
        asked = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read()  # until it is closed by the client
            writer.close()

        async with (
            local_venue() as venue,
            await asyncio.start_server(silent, "127.0.0.1", 0) as server,
            listening(venue, "bars") as (feed, _),
        ):
            port = server.sockets[0].getsockname()[1]
            feed._client.urls["api"]["public"] = f"http://127.0.0.1:{port}/api/v3"
            now = venue.clock.market_ns()
            backfill = asyncio.ensure_future(feed.bars("BTC/USDT", now - 5 * HOUR_NS, now))
            await asked.wait()
            await feed.close()
            assert backfill.done()
            with pytest.raises(RunError, match="the feed of binance is closed"):
                await backfill
            with pytest.raises(RunError, match="the feed of binance is closed"):
                await feed.bars("BTC/USDT", now - 5 * HOUR_NS, now)

    asyncio.run(case())


@pytest.mark.parametrize("kind", ["gap", "crossed"])
def test_a_broken_book_is_reported_and_none_is_shown_until_it_is_whole(kind: str) -> None:
    async def case() -> None:
        async with (
            local_venue(paused=False, bar_wall_ns=400_000_000) as venue,
            listening(venue, "book") as (_, received),
        ):
            await received.until(lambda: len(received.of(QuoteSeen)) > 3)
            venue.inject(Fault(code="D1", symbol="BTCUSDT", parameters={"kind": kind}))
            await received.until(lambda: received.of(StreamDown))
            down = received.of(StreamDown)[0]
            assert (down.stream, down.symbol) == ("book", "BTC/USDT")
            at = received.events.index(down)
            await received.until(
                lambda: [
                    each
                    for each in received.events[at:]
                    if isinstance(each, QuoteSeen) and each.symbol == "BTC/USDT"
                ]
            )
            assert all(each.bid < each.ask for each in received.of(QuoteSeen))

    asyncio.run(case())


def test_where_nothing_streams_everything_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    import ccxt.pro

    describe = ccxt.pro.binance.describe

    def without_streams(self: Any) -> Any:
        reported = describe(self)
        streams = {name: False for name in reported["has"] if name.startswith("watch")}
        return {**reported, "has": {**reported["has"], **streams}}

    monkeypatch.setattr(ccxt.pro.binance, "describe", without_streams)

    async def case() -> None:
        async with local_venue(paused=False, bar_wall_ns=800_000_000) as venue:
            received = Received()
            feed = source(venue, poll="50ms").stream(clock=VenueTime(venue))
            facts = await feed.open(asking(*ALL), received)
            assert facts.how == dict.fromkeys(ALL, "poll")
            assert len(facts.notes) == 4
            await received.until(lambda: len(closed(received)) >= 2)
            await received.until(lambda: received.of(PrintSeen) and received.of(QuoteSeen))
            opens = [each.open_ns for each in closed(received)]
            assert opens == sorted(set(opens)), "each closed bar once, in order"
            assert {each.source for each in received.of(BarSeen)} == {"poll"}
            prints = [(e.symbol, e.trade_id) for e in received.of(PrintSeen)]
            assert len(prints) == len(set(prints))
            await feed.close()

    asyncio.run(case())


def test_what_does_not_exist_is_reported_when_it_is_opened() -> None:
    async def case() -> None:
        async with local_venue() as venue:
            for request, text in [
                (asking("bars", symbols=("BTC/EUR",)), "lists no BTC/EUR"),
                (FeedRequest(SYMBOLS, 7 * HOUR_NS), "has no bars of 7h"),
                (asking("gossip"), "no feed serves 'gossip'"),
            ]:
                feed = source(venue).stream(clock=VenueTime(venue))
                with pytest.raises(DataError, match=text):
                    await feed.open(request, Received())
            feed = source(venue, retries=0).stream(clock=VenueTime(venue))
            venue.refuse()
            with pytest.raises(RunError, match="cannot be reached"):
                await feed.open(asking("bars"), Received())

    asyncio.run(case())


@pytest.mark.parametrize(
    ("exchange", "message", "flags"),
    [
        ("binance", {"e": "kline", "k": {"t": 60_000, "x": True}}, {60_000: True}),
        ("binance", {"stream": "s", "data": {"k": {"t": 1, "x": False}}}, {1: False}),
        ("bybit", {"topic": "kline.1.X", "data": [{"start": 5, "confirm": True}]}, {5: True}),
        ("okx", {"data": [["9", "1", "1", "1", "1", "1", "1", "1", "0"]]}, {9: False}),
        ("gate", {"result": {"t": "2", "w": True}}, {2_000: True}),
        ("kraken", {"data": [{"close": 1}]}, {}),
        ("binance", ["anything"], {}),
        ("okx", {"data": "text"}, {}),
    ],
)
def test_what_a_raw_message_states_of_a_bar(
    exchange: str, message: Any, flags: dict[int, bool]
) -> None:
    assert closed_flags(exchange, message) == flags


def test_quotes_that_are_none() -> None:
    assert quote_of_ticker({"symbol": "A/B", "bid": None, "ask": 1.0}, 5) is None
    assert quote_of_ticker(["no"], 5) is None
    assert quote_of_book("A/B", [], [(1.0, 1.0)], 5) == "a side of the book is empty"
    assert "crossed" in str(quote_of_book("A/B", [(2.0, 1.0)], [(2.0, 1.0)], 5))
    seen = quote_of_ticker({"symbol": "A/B", "bid": 1.0, "ask": 2.0, "timestamp": 3}, 5)
    assert seen is not None
    assert (seen.venue_ns, math.isnan(seen.bid_quantity)) == (3_000_000, False)
