"""The whole adapter at a second exchange: Bybit's protocol, the unmodified client, real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from septet import messages as m
from septet._drill.venue import SymbolConfig, VenueConfig
from septet.errors import InputError
from septet.plugin.live import BarSeen, FeedRequest, LiveVenue, PrintSeen, QuoteSeen
from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms
from septet_plugins.exchange.clients import Terms
from tests.execution.helpers import KEY, SECRET, SYMBOLS, Received, WallTime, account, limit, read
from tests.execution.helpers import submit as market
from tests.wire.bybit import BybitVenue


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


@asynccontextmanager
async def bybit(**changes: Any) -> AsyncIterator[BybitVenue]:
    settings: dict[str, Any] = {
        "symbols": [SymbolConfig(base="BTC"), SymbolConfig(base="ETH")], "api_key": KEY,
        "secret": SECRET, "paused": True, **changes,
    }  # fmt: skip
    async with BybitVenue(VenueConfig(**settings)) as venue:
        yield venue


def connection(venue: BybitVenue, **config: Any) -> LiveVenue:
    settings: dict[str, Any] = {"exchange": "bybit", "options": {}, **config}
    return account(venue.urls, **settings).connect(name="main", clock=WallTime(), read=read)


@asynccontextmanager
async def connected(
    venue: BybitVenue, symbols: Sequence[str] = SYMBOLS, **config: Any
) -> AsyncIterator[tuple[Any, Received]]:
    received = Received()
    live = connection(venue, **config)
    await live.open(symbols, received)
    try:
        await received.until_state("up")
        yield live, received
    finally:
        await live.close()


def test_what_is_found_when_it_is_opened() -> None:
    async def case() -> None:
        async with bybit() as venue:
            live = connection(venue)
            facts = await live.open(SYMBOLS, Received())
            await live.close()
        found = facts.markets["BTC/USDT"]
        assert (found.base, found.quote, found.lot, found.tick) == ("BTC", "USDT", 1e-5, 0.01)
        assert (found.min_notional, found.trading) == (5.0, True)
        assert facts.order_types == {"market", "limit"}
        assert facts.can_withdraw is False
        assert facts.is_test is True
        assert facts.streams_orders
        assert not facts.amends
        assert facts.notes == ("bybit holds no stops here: they die with the process",)

    run(case())


@pytest.mark.parametrize("wrong", ["K", "S"])
def test_a_wrong_key_is_refused_at_the_start(wrong: str) -> None:
    async def case() -> None:
        async with bybit() as venue:
            live = account(venue.urls, exchange="bybit", options={}).connect(
                name="main", clock=WallTime(),
                read=lambda where: "mistyped" if where.name == wrong else read(where),
            )  # fmt: skip
            with pytest.raises(InputError, match="refuses the key"):
                await live.open(SYMBOLS, Received())

    run(case())


def test_a_market_order_from_sending_to_its_fill() -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, received):
            ack = await live.submit(market("a-1"))
            assert isinstance(ack, m.Acked), ack
            assert (ack.state, ack.side, ack.quantity, ack.filled) == ("filled", "buy", 0.5, 0.5)
            await received.until(
                lambda: [each for each in received.of(m.OrderSeen) if each.state == "filled"]
            )
            await received.until(lambda: received.of(m.Filled))
            (fill,) = received.of(m.Filled)
            (true,) = venue.inner.journal.dump().fills
            assert (fill.client_id, fill.venue_order_id) == ("a-1", ack.venue_order_id)
            assert (fill.quantity, fill.price) == (float(true.quantity), float(true.price))
            assert (fill.fee, fill.fee_currency) == (float(true.fee), true.fee_asset)
            assert fill.fee_currency == "BTC", "the fee of a purchase is taken in what it received"
            again = await live.fills(0, 0 if fill.venue_ns < 0 else fill.venue_ns - 10**9)
            assert [each.trade_id for each in again] == [fill.trade_id]
            held = await live.holdings()
            assert held.balances["BTC"] == (0.4995, 0.0)
            await live.submit(market("a-2", side="sell", quantity=0.4))
            await received.until(lambda: len(received.of(m.Filled)) > 1)
            assert received.of(m.Filled)[1].fee_currency == "USDT"

    run(case())


def test_a_limit_order_is_seen_asked_for_and_cancelled() -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, received):
            ack = await live.submit(limit("a-1", 90.129, quantity=0.123456789))
            assert (ack.state, ack.price, ack.quantity) == ("open", 90.12, 0.12345)
            await received.until(
                lambda: [e for e in received.of(m.OrderSeen) if e.client_id == "a-1"]
            )
            seen = await live.query(m.Query(client_id="a-1", symbol=0))
            assert (seen.state, seen.price, seen.by) == ("open", 90.12, "query")
            (open_order,) = (await live.open_orders()).orders
            assert open_order.client_id == "a-1"
            free, locked = (await live.holdings()).balances["USDT"]
            assert locked == pytest.approx(0.12345 * 90.12, abs=1e-6)
            assert free + locked == pytest.approx(10_000.0)
            reported = await live.cancel(m.Cancel(client_id="a-1", symbol=0))
            assert isinstance(reported, m.CancelFailed), (
                "its answer names ids only: it is looked at"
            )
            gone = await live.query(m.Query(client_id="a-1", symbol=0))
            assert (gone.client_id, gone.state) == ("a-1", "cancelled")
            await received.until(
                lambda: [each for each in received.of(m.OrderSeen) if each.state == "cancelled"]
            )
            twice = await live.cancel(m.Cancel(client_id="a-1", symbol=0))
            assert isinstance(twice, m.NotFound)
            assert twice.by == "cancel"
            assert isinstance(await live.query(m.Query(client_id="never", symbol=0)), m.NotFound)
            assert (await live.open_orders()).orders == ()

    run(case())


@pytest.mark.parametrize("fault", ["lose", "drop"])
def test_an_order_whose_answer_is_lost_is_looked_for_and_never_sent_again(fault: str) -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, _):
            setattr(venue, fault, 1)
            assert isinstance(await live.submit(limit("a-1")), m.Uncertain)
            for number in range(60):  # more than its lists show: the look is by our own id
                await live.submit(market(f"b-{number}", quantity=0.06))
            looked = await live.query(m.Query(client_id="a-1", symbol=0))
            assert isinstance(looked, m.OrderSeen if fault == "lose" else m.NotFound)
            assert venue.created().count("a-1") == 1

    run(case())


def test_refusals_are_reported_once_and_by_their_names() -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, _):
            poor = await live.submit(market("a-1", quantity=1_000.0))
            assert (poor.code, poor.by) == ("funds", "venue")
            small = await live.submit(limit("a-2", quantity=0.0001))
            assert (small.code, small.by) == ("filter", "venue")
            await live.submit(limit("a-4"))
            assert (await live.submit(limit("a-4"))).code == "duplicate"
            assert venue.created() == ["a-1", "a-2", "a-4", "a-4"]

    run(case())


def test_too_many_requests_are_a_pause_though_the_status_states_nothing() -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, received):
            await live.submit(limit("a-1"))
            received.forget()
            venue.busy = 1
            assert (await live.submit(limit("a-2"))).code == "rate"
            (limited,) = received.of(m.VenueChanged)
            assert (limited.state, limited.until_ns > time.time_ns()) == ("limited", True)
            second = await live.submit(limit("a-3"))
            assert (second.code, second.by) == ("limited", "gate")
            await live.cancel_all([0])
            assert not venue.engine.open, "a cancel uses the reserve"
            await received.until_state("limited", "up")
            assert venue.created() == ["a-1", "a-2"]

    run(case())


def test_the_kill_switch_leaves_nothing_open_and_asks_nothing_first() -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, _):
            for number in range(4):
                await live.submit(limit(f"a-{number}", 80.0 + number, symbol=number % 2))
            venue.asked.clear()
            await live.cancel_all([0, 1])
            assert [path for path, _ in venue.asked] == ["order/cancel-all"] * 2
            assert (await live.open_orders()).orders == ()
            assert await live.cancel_all([0, 1]) == [], "nothing is open: nothing to report"

    run(case())


def test_after_a_restart_every_open_order_and_fill_is_read() -> None:
    async def case() -> None:
        async with bybit() as venue:
            began = time.time_ns() - 10**9
            async with connected(venue) as (live, _):
                for number in range(30):
                    await live.submit(limit(f"open-{number}", 80.0, quantity=0.1))
                for number in range(130):
                    await live.submit(market(f"a-{number}", quantity=0.06))
            async with connected(venue) as (live, received):
                names = {each.client_id for each in (await live.open_orders()).orders}
                assert names == {f"open-{number}" for number in range(30)}
                for since in (began, began - 30 * 86_400 * 10**9):
                    fills = await live.fills(0, since)
                    assert [f.client_id for f in fills] == [f"a-{n}" for n in range(130)]
                assert received.of(m.OpenOrders)

    run(case())


def test_a_list_of_open_orders_that_may_go_on_is_not_accepted() -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, _):
            for number in range(49):
                await live.submit(limit(f"a-{number}", 80.0, quantity=0.1))
            assert len((await live.open_orders()).orders) == 49
            await live.submit(limit("a-49", 80.0, quantity=0.1))
            assert await live.open_orders() is None

    run(case())


def test_a_lost_stream_is_dialled_again_and_what_was_missed_comes_before_up() -> None:
    async def case() -> None:
        async with bybit() as venue, connected(venue) as (live, received):
            await live.submit(limit("a-1"))
            received.forget()
            venue.mute = True
            assert isinstance(await live.submit(market("a-2")), m.Acked)
            assert not received.of(m.Filled)
            venue.mute = False
            venue.cut()
            await received.until_state("down", "up")
            up = next(n for n, e in enumerate(received.events) if getattr(e, "state", "") == "up")
            (fill,) = [each for each in received.events[:up] if isinstance(each, m.Filled)]
            assert fill.client_id == "a-2"
            received.forget()
            await live.submit(market("a-3"))
            await received.until(
                lambda: [e for e in received.of(m.OrderSeen) if e.state == "filled"]
            )

    run(case())


@pytest.mark.parametrize("streams", [True, False], ids=["streams", "polls"])
@pytest.mark.parametrize("kind", ["quotes", "book", "trades", "bars"])
def test_market_data_is_received(kind: str, streams: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its half of streams the client is that of an exchange which has none."""
    import ccxt.pro

    if not streams:
        monkeypatch.setattr(ccxt.pro, "exchanges", [])
    event_type = {"trades": PrintSeen, "bars": BarSeen}.get(kind, QuoteSeen)

    async def case() -> None:
        async with bybit() as venue:
            venue.market.step(1)
            feed = CcxtFeed(
                FeedTerms(Terms("bybit", urls=venue.urls, rate_limit=False), poll_ns=10**7),
                WallTime(),
            )
            received, request = (
                Received(),
                FeedRequest(SYMBOLS, venue.market.bar_ns, frozenset({kind})),
            )
            facts = await feed.open(request, received)
            assert facts.how == {kind: "stream" if streams else "poll"}
            while streams and len({t for _, topics in venue.joined() for t in topics}) < 2:
                await asyncio.sleep(0.01)
            venue.market.step(1)
            if kind == "bars" and not streams:  # asked for after a close, which is an hour away
                found = await feed.bars("BTC/USDT", 0, 2**62)
                assert [each.closed for each in found[-3:]] == [True, True, None], (
                    "it may be going on"
                )
            else:
                await received.until(
                    lambda: {e.symbol for e in received.of(event_type)} == set(SYMBOLS)
                )
                best = venue.inner.public.best("BTCUSDT")
                await received.until(
                    lambda: (
                        kind not in ("quotes", "book")
                        or [e for e in received.of(QuoteSeen) if e.bid == float(best["bidPrice"])]
                    )
                )
                if kind == "book":
                    assert len(received.of(QuoteSeen)[-1].bids) > 1
                if kind == "bars":
                    await received.until(lambda: [e for e in received.of(BarSeen) if e.closed])
            await feed.close()

    run(case())
