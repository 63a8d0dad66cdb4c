"""The unmodified ccxt.pro client trades on the local venue."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from septet._drill.venue import LocalVenue
from tests.drill.venue.client import ID, SYMBOL, Tap, listen, play


def test_markets_and_prices_are_read() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        market = client.market(SYMBOL)
        assert (market["precision"]["amount"], market["precision"]["price"]) == (1e-5, 0.01)
        assert market["active"]
        assert market["limits"]["cost"]["min"] == 5.0
        ticker = await client.fetch_ticker(SYMBOL)
        book = await client.fetch_order_book(SYMBOL)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert ticker["last"] == pytest.approx(book["bids"][0][0], rel=1e-3)
        assert abs(await client.fetch_time() - client.milliseconds()) < 1000
        assert (await client.fetch_status())["status"] == "ok"
        rights = await client.sapiGetAccountApiRestrictions()
        assert (rights["enableWithdrawals"], rights["enableSpotAndMarginTrading"]) == (False, True)

    play(story)


def test_klines_are_the_bars_bit_for_bit() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.market.step(5)
        bars = venue.market.prices[ID].bars
        rows = await client.fetch_ohlcv(SYMBOL, "1h", since=bars.open_ns[0] // 10**6, limit=1000)
        assert len(rows) == 105
        for number, row in enumerate(rows):
            assert row == [
                bars.open_ns[number] // 10**6, bars.open[number], bars.high[number],
                bars.low[number], bars.close[number], bars.volume[number],
            ]  # fmt: skip
        some = await client.fetch_ohlcv(
            SYMBOL, "1h", rows[3][0], 10, {"until": rows[6][0]}
        )  # fmt: skip
        assert some == rows[3:7]
        assert await client.fetch_ohlcv(SYMBOL, "1h", None, 3) == rows[-3:]

    play(story)


def test_a_market_order_takes_the_best_levels() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        best = (await client.fetch_order_book(SYMBOL))["asks"][0]
        order = await client.create_order(
            SYMBOL, "market", "buy", 0.5, None, {"newClientOrderId": "a1"}
        )
        assert (order["status"], order["filled"]) == ("closed", 0.5)
        assert order["average"] == best[0]
        assert order["clientOrderId"] == "a1"
        balance = await client.fetch_balance()
        assert balance["BTC"]["free"] == 10 + 0.5 * 0.999
        seen = await client.fetch_order(None, SYMBOL, {"origClientOrderId": "a1"})
        assert (seen["id"], seen["status"]) == (order["id"], "closed")
        (trade,) = await client.fetch_my_trades(SYMBOL)
        assert (trade["amount"], trade["fee"]) == (0.5, {"cost": 0.0005, "currency": "BTC"})

    play(story)


def test_limit_orders_rest_and_fill_when_traded_through() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        last = (await client.fetch_ticker(SYMBOL))["last"]
        far = await client.create_order(SYMBOL, "limit", "buy", 1, round(last * 0.5, 2))
        near = await client.create_order(SYMBOL, "limit", "sell", 1, round(last * 1.001, 2))
        assert {o["id"] for o in await client.fetch_open_orders(SYMBOL)} == {
            far["id"], near["id"],
        }  # fmt: skip
        assert (await client.fetch_balance())["USDT"]["used"] == far["price"]
        venue.market.step(50)
        filled = await client.fetch_order(near["id"], SYMBOL)
        assert (filled["status"], filled["average"]) == ("closed", near["price"])
        gone = await client.cancel_order(far["id"], SYMBOL)
        assert gone["status"] == "canceled"
        assert await client.fetch_open_orders(SYMBOL) == []
        assert (await client.fetch_balance())["USDT"]["used"] == 0

    play(story)


def test_stops_trigger_and_an_order_is_replaced() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        last = (await client.fetch_ticker(SYMBOL))["last"]
        stop = await client.create_order(
            SYMBOL, "market", "sell", 1, None, {"stopLossPrice": round(last * 0.999, 2)}
        )
        resting = await client.create_order(SYMBOL, "limit", "buy", 0.2, round(last * 0.5, 2))
        moved = await client.edit_order(
            resting["id"], SYMBOL, "limit", "buy", 0.3, round(last * 0.6, 2)
        )
        assert moved["amount"] == 0.3
        assert (await client.fetch_order(resting["id"], SYMBOL))["status"] == "canceled"
        venue.market.step(50)
        assert (await client.fetch_order(stop["id"], SYMBOL))["status"] == "closed"
        await client.cancel_all_orders(SYMBOL)
        assert await client.fetch_open_orders(SYMBOL) == []

    play(story)


def test_rejections_have_the_venues_codes() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        import ccxt

        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(SYMBOL, "market", "sell", 100)
        with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
            await client.create_order(SYMBOL, "market", "buy", 0.00001)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order("1", SYMBOL)
        with pytest.raises(ccxt.OrderNotFound, match="-2013"):
            await client.fetch_order("1", SYMBOL)
        last = (await client.fetch_ticker(SYMBOL))["last"]
        same = {"newClientOrderId": "same"}
        await client.create_order(SYMBOL, "limit", "buy", 1, round(last / 2, 2), same)
        with pytest.raises(ccxt.InvalidOrder, match="Duplicate"):
            await client.create_order(SYMBOL, "limit", "buy", 1, round(last / 2, 2), same)
        await client.cancel_order(None, SYMBOL, {"origClientOrderId": "same"})
        await client.create_order(SYMBOL, "limit", "buy", 1, round(last / 2, 2), same)
        client.secret = "other"
        with pytest.raises(ccxt.AuthenticationError):
            await client.fetch_balance()

    play(story)


def test_the_user_stream_reports_everything_in_order() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        order = await client.create_order(SYMBOL, "market", "buy", 0.5)
        await tap.until(lambda: bool(tap.events("outboundAccountPosition")))
        new, trade = tap.events("executionReport")
        assert (new["x"], trade["x"], trade["X"]) == ("NEW", "TRADE", "FILLED")
        assert str(trade["i"]) == order["id"]
        assert client.orders[0]["filled"] == 0.5
        assert client.myTrades[0]["amount"] == 0.5

    play(story)


def test_streams_carry_klines_trades_quotes_and_the_book() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        bars, tap = venue.market.prices[ID].bars, Tap(client)
        waiting = [
            asyncio.ensure_future(each)
            for each in (
                client.watch_ohlcv(SYMBOL, "1h"), client.watch_trades(SYMBOL),
                client.watch_bids_asks([SYMBOL]), client.watch_ticker(SYMBOL),
                client.watch_order_book(SYMBOL),
            )
        ]  # fmt: skip
        await tap.until(lambda: len(tap.messages) == 5)
        venue.market.step(0, 3)
        candles, trades, quotes, ticker, book = await asyncio.gather(*waiting)
        assert candles[-1][1] == bars.open[100]
        assert trades[-1]["timestamp"] // 3_600_000 == bars.open_ns[100] // (3600 * 10**9)
        assert quotes[SYMBOL]["bid"] < quotes[SYMBOL]["ask"]
        assert ticker["last"] in {trade["price"] for trade in trades}
        assert book["bids"][0][0] == venue.engine.books[ID].best()[0] / 1e8
        venue.market.step(1)
        await tap.until(lambda: tap.events("kline")[-1]["k"]["x"])
        assert client.ohlcvs[SYMBOL]["1h"][-1] == [
            bars.open_ns[100] // 10**6, bars.open[100], bars.high[100], bars.low[100],
            bars.close[100], bars.volume[100],
        ]  # fmt: skip
        held, book = venue.engine.books[ID], client.orderbooks[SYMBOL]
        await tap.until(lambda: book["nonce"] == held.update_id)
        assert [tuple(level) for level in book["bids"]] == [
            (p / 1e8, q / 1e8) for p, q in held.bids.items()
        ]

    play(story)


def test_orders_go_through_the_websocket_api_too() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        order = await client.create_order_ws(SYMBOL, "market", "buy", 0.5)
        assert order["filled"] == 0.5
        held = (await client.fetch_balance_ws())["info"]["balances"]
        assert {"asset": "BTC", "free": "10.49950000", "locked": "0.00000000"} in held
        far = round((await client.fetch_ticker(SYMBOL))["last"] * 0.5, 2)
        resting = await client.create_order_ws(SYMBOL, "limit", "buy", 1, far)
        assert [o["id"] for o in await client.fetch_open_orders_ws(SYMBOL)] == [resting["id"]]
        gone = await client.cancel_order_ws(resting["id"], SYMBOL)
        assert gone["status"] == "canceled"
        seen = await client.fetch_order_ws(resting["id"], SYMBOL)
        assert seen["status"] == "canceled"

    play(story)


def test_time_runs_and_ends() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        while not venue.market.ended:
            await client.watch_ohlcv(SYMBOL, "1h")
            if len(client.ohlcvs[SYMBOL]["1h"]) >= 3:
                break
        opens = [row[0] for row in client.ohlcvs[SYMBOL]["1h"]]
        assert all(b - a == 3_600_000 for a, b in pairwise(opens))
        reading = venue.admin.clock()
        assert reading.speed == 3600 * 10**9 / (40 * 10**6)

    play(story, paused=False, bar_wall_ns=40 * 10**6, ticks_per_bar=5)
