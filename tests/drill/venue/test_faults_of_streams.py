"""Faults of connections, streams and the account: what the client hears, and what is true."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import ccxt
import pytest

from septet._drill.venue import Bars, Fault, LocalVenue, SymbolConfig
from tests.drill.venue.client import SYMBOL, Tap, client_of, config, listen, play
from tests.drill.venue.test_faults_of_requests import buy, rest

HOUR_MS = 3_600_000


async def receive_bars(venue: LocalVenue, client: Any) -> Tap:
    """Subscribe to bars and trades without awaiting what they bring."""
    tap = Tap(client)
    client.waiting = [
        asyncio.ensure_future(client.watch_ohlcv(SYMBOL, "1h")),
        asyncio.ensure_future(client.watch_trades(SYMBOL)),
    ]
    await tap.until(lambda: len(tap.messages) == 2)
    return tap


def closed(tap: Tap) -> list[int]:
    """Which bars were reported closed, counted from the venue's first."""
    start = 1_700_000_000 // 3600 * HOUR_MS
    return [(m["k"]["t"] - start) // HOUR_MS for m in tap.events("kline") if m["k"]["x"]]


@pytest.mark.parametrize("mode", ["close", "reset"])
def test_sockets_close_and_may_be_dialled_again(mode: str) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await receive_bars(venue, client)
        venue.market.step(1)
        await client.waiting[0]
        waits = asyncio.ensure_future(client.watch_ohlcv(SYMBOL, "1h"))
        await asyncio.sleep(0)
        venue.inject(Fault(code="N7", target="market", parameters={"mode": mode}))
        with pytest.raises(ccxt.NetworkError):
            await waits
        received = len(tap.messages)
        again = asyncio.ensure_future(client.watch_ohlcv(SYMBOL, "1h"))
        await tap.until(lambda: len(tap.messages) > received)
        venue.market.step(1)
        assert (await again)[-1]

    play(story)


@pytest.mark.parametrize(("code", "pongs"), [("N8", False), ("N9", True)])
def test_silence_with_and_without_pongs(code: str, *, pongs: bool) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await receive_bars(venue, client)
        venue.market.step(0, 1)
        await tap.until(lambda: len(tap.messages) == 4)
        venue.inject(Fault(code=code))
        venue.market.step(2)
        connection = next(iter(client.clients.values()))
        connection.lastPong = None
        await connection.connection.ping()
        await client.fetch_time()
        if pongs:
            while connection.lastPong is None:
                await client.fetch_time()
        else:
            for _ in range(5):
                await client.fetch_time()
            assert connection.lastPong is None
        assert len(tap.messages) == 4

    play(story)


def test_new_sockets_are_silent_while_it_lasts() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="N8", duration_ms=60_000, target="user"))
        tap = await receive_bars(venue, client)
        deaf = asyncio.ensure_future(
            client.ensure_user_data_stream_ws_subscribe_signature("spot")
        )  # fmt: skip
        while len(venue.sockets) < 3:
            await client.fetch_time()
        venue.market.step(1)
        await tap.until(lambda: closed(tap) == [100])
        assert {s.kind: s.silent for s in venue.sockets} == {"market": False, "user": True}
        assert not deaf.done()
        deaf.cancel()
        await asyncio.gather(deaf, return_exceptions=True)

    play(story)


def test_idle_connections_of_requests_are_cut() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="N7", target="rest"))
        try:
            await buy(client)
        except ccxt.NetworkError:
            assert venue.journal.dump().orders == []
        else:
            assert len(venue.journal.dump().orders) == 1

    play(story)


def test_a_broken_frame_on_the_user_stream() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        broken: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: broken.append(context["exception"])
        )
        venue.inject(Fault(code="D5", target="user"))
        while not broken:
            await client.fetch_time()
        await buy(client)
        assert tap.events("executionReport") == []
        assert len(venue.journal.dump().fills) == 1

    play(story)


def test_flapping_connections() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="N10", duration_ms=60_000, parameters={"period_ms": 30}))
        lost = 0
        while lost < 3:
            # ccxt hands on what aiohttp raises where the socket closes as it subscribes
            with pytest.raises((ccxt.NetworkError, aiohttp.ClientError)):
                await client.watch_trades(SYMBOL)
            lost += 1

    play(story)


def test_unreachable_at_the_start_but_for_the_admin_port() -> None:
    async def run() -> None:
        fault = Fault(code="N11", duration_ms=300)
        async with LocalVenue(config(faults=[fault])) as venue:
            client = client_of(venue)
            with pytest.raises(ccxt.NetworkError):
                await client.fetch_time()
            async with aiohttp.ClientSession() as session:
                at = f"http://127.0.0.1:{venue.admin_port}/septet/"
                async with session.get(at + "clock") as answer:
                    assert (await answer.json())["paused"]
                while not venue.listening:
                    async with session.get(at + "clock"):
                        pass
                assert await client.fetch_time()
                async with session.get(at + "journal") as answer:
                    assert (await answer.json())["fault_counts"] == {"N11": 1}
            await client.close()

    asyncio.run(run())


def test_dark_for_long() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        order = await rest(client, share=0.999)
        await receive_bars(venue, client)
        venue.inject(Fault(code="N12", duration_ms=60_000))
        with pytest.raises(ccxt.NetworkError):
            await asyncio.gather(*client.waiting)
        with pytest.raises(ccxt.NetworkError):
            await client.fetch_open_orders(SYMBOL)
        venue.market.step(20)
        venue.faults.plan[0].until_ns = 0
        venue.stream_faults.look()
        assert (await client.fetch_order(order["id"], SYMBOL))["status"] == "closed"

    play(story)


@pytest.mark.parametrize(
    ("code", "ids"), [("E12", [0, 0, 1]), ("E13", [1, 0]), ("E14", [1])]
)  # fmt: skip
def test_fills_reported_twice_late_or_never(code: str, ids: list[int]) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        venue.inject(Fault(code=code))
        await buy(client, "x1", 0.1)
        await buy(client, "x2", 0.1)

        def fills() -> list[Any]:
            return [m for m in tap.events("executionReport") if m["x"] == "TRADE"]

        await tap.until(lambda: len(fills()) == len(ids))
        assert [m["t"] - 500_000_000 for m in fills()] == ids
        assert len(venue.journal.dump().fills) == 2

    play(story)


def test_the_user_stream_ends_without_a_word_to_the_waiting() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        venue.inject(Fault(code="E17"))
        await tap.until(lambda: bool(tap.events("eventStreamTerminated")))
        await buy(client)
        assert tap.events("executionReport") == []
        await client.ensure_user_data_stream_ws_subscribe_signature("spot")
        await buy(client, "x2")
        await tap.until(lambda: len(tap.events("executionReport")) == 2)

    play(story)


def test_somebody_else_acts_on_the_account() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        venue.inject(
            Fault(code="E18"),
            Fault(code="E18", parameters={"kind": "fill", "side": "SELL"}),
            Fault(code="E18", parameters={"kind": "deposit", "amount": "5"}),
            Fault(code="E18", parameters={"kind": "withdrawal", "amount": "7"}),
        )
        await tap.until(lambda: len(tap.events("balanceUpdate")) == 2)
        assert [m["d"] for m in tap.events("balanceUpdate")] == ["5.00000000", "-7.00000000"]
        (order,) = await client.fetch_open_orders(SYMBOL)
        assert order["clientOrderId"].startswith("web_")
        truth = venue.journal.dump()
        assert {o.owner for o in truth.orders} == {"other"}
        assert [f.owner for f in truth.fills] == ["other"]

    play(story)


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED"])
def test_the_venue_ends_an_order(status: str) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        await rest(client)
        venue.inject(Fault(code="E19", parameters={"status": status}))
        await tap.until(lambda: len(tap.events("executionReport")) == 2)
        last = tap.events("executionReport")[-1]
        assert (last["X"], "x1" in {last["c"], last["C"]}) == (status, True)
        assert venue.journal.dump().orders[0].by == "venue"

    play(story)


@pytest.mark.parametrize("kind", ["gap", "crossed"])
def test_the_book_breaks(kind: str) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = Tap(client)
        first = asyncio.ensure_future(client.watch_order_book(SYMBOL))
        await tap.until(lambda: len(tap.messages) == 1)
        venue.market.step(0, 1)
        book = await first
        venue.inject(Fault(code="D1", parameters={"kind": kind}))
        again = asyncio.ensure_future(client.watch_order_book(SYMBOL))
        await asyncio.sleep(0)
        venue.market.step(0, 2)
        if kind == "gap":
            with pytest.raises(ccxt.ChecksumError):
                await again
        else:
            book = await again
            assert book["bids"][0][0] > book["asks"][0][0]

    play(story)


@pytest.mark.parametrize(
    ("kind", "bars"),
    [("duplicate", [100, 100, 101]), ("late", [100, 101]), ("unclosed", [100, 101])],
)
def test_bars_that_repeat_or_come_late(kind: str, bars: list[int]) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await receive_bars(venue, client)
        venue.inject(Fault(code="D2", parameters={"kind": kind}))
        venue.market.step(2)
        await tap.until(lambda: closed(tap)[-1:] == [101])
        assert closed(tap) == bars
        if kind != "duplicate":
            order = [(m["k"]["t"], m["k"]["x"]) for m in tap.events("kline")]
            first = order[0][0]
            at = order.index((first, True))
            if kind == "late":
                assert order[at - 1] == (first + HOUR_MS, False)
            else:
                assert order[at + 1] == (first, False)

    play(story)


@pytest.mark.parametrize("rest_has_them", [True, False])
def test_bars_that_are_missed(*, rest_has_them: bool) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await receive_bars(venue, client)
        venue.market.step(1)
        venue.inject(Fault(code="D3", parameters={"bars": 2, "rest": rest_has_them}))
        venue.market.step(4)
        await tap.until(lambda: closed(tap)[-1:] == [104])
        assert closed(tap) == [100, 103, 104]
        rows = await client.fetch_ohlcv(SYMBOL, "1h", None, 5)
        assert len({row[0] for row in rows if row[0] >= rows[-1][0] - 4 * HOUR_MS}) == (
            5 if rest_has_them else 3
        )

    play(story)


def test_an_absurd_price_and_a_broken_frame() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await receive_bars(venue, client)
        venue.inject(Fault(code="D4", parameters={"factor": 100}))
        venue.market.step(1)
        await tap.until(lambda: closed(tap) == [100])
        prices = [float(m["p"]) for m in tap.events("trade")]
        assert max(prices) > 50 * min(prices)
        assert sum(price > 50 * min(prices) for price in prices) == 1
        assert sum(float(m["k"]["h"]) > 50 * min(prices) for m in tap.events("kline")) == 1
        received = len(tap.messages)
        loop = asyncio.get_running_loop()
        broken: list[Any] = []
        loop.set_exception_handler(lambda _, context: broken.append(context["exception"]))
        venue.inject(Fault(code="D5"))
        venue.market.step(1)
        while not broken:
            await client.fetch_time()
        assert isinstance(broken[0], ValueError | json.JSONDecodeError)
        assert len(tap.messages) == received

    play(story)


def test_absurd_prices_of_any_number_of_digits() -> None:
    prices = [0.00012345678901234567 * (1 + number / 7) for number in range(120)]
    bars = Bars(
        open_ns=[(1000 + number) * HOUR_MS * 10**6 for number in range(120)], open=prices,
        high=prices, low=prices, close=prices, volume=[1e7] * 120,
    )  # fmt: skip

    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await receive_bars(venue, client)
        venue.inject(Fault(code="D4"))
        venue.market.step(1)
        await tap.until(lambda: bool(closed(tap)))
        assert {float(m["p"]) / prices[100] for m in tap.events("trade")} == {1.0, 10.0}

    play(story, symbols=[SymbolConfig(base="BTC", tick="0.00000001", bars=bars)])


def test_a_burst() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await receive_bars(venue, client)
        venue.inject(Fault(code="D6", duration_ms=60_000))
        venue.market.step(1)
        await tap.until(lambda: closed(tap) == [100])
        trades = [m["t"] for m in tap.events("trade")]
        assert (len(trades), len(set(trades))) == (20 * 50, 20 * 50)

    play(story)


def test_timed_faults_come_at_their_bar_and_again() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="E19", at_bar=3, times=3, parameters={"every_bars": 2}))
        seen = []
        for _ in range(10):
            venue.market.step(1)
            venue.faults.plan[0].ready_ns = 0
            venue.stream_faults.look()
            seen.append(venue.journal.dump().fault_counts.get("E19", 0))
        assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]

    play(story)


def test_an_unknown_fault_is_refused() -> None:
    from septet.errors import InputError

    async def story(venue: LocalVenue, client: Any) -> None:
        with pytest.raises(InputError, match="N5"):
            venue.inject(Fault(code="N5"))

    play(story)
