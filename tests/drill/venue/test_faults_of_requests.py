"""Faults of orders and queries: what the client is answered, and what is true."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from septet._drill.venue import Fault, LocalVenue
from tests.drill.venue.client import ID, SYMBOL, listen, open_both, play


async def buy(client: Any, name: str = "x1", amount: float = 0.5) -> Any:
    return await client.create_order(
        SYMBOL, "market", "buy", amount, None, {"newClientOrderId": name}
    )


async def rest(client: Any, name: str = "x1", share: float = 0.5) -> Any:
    last = (await client.fetch_ticker(SYMBOL))["last"]
    price = round(last * share, 2)
    return await client.create_order(
        SYMBOL, "limit", "buy", 1, price, {"newClientOrderId": name}
    )  # fmt: skip


async def ask(client: Any, name: str = "x1") -> Any:
    return await client.fetch_order(None, SYMBOL, {"origClientOrderId": name})


def fault_counts(venue: LocalVenue) -> dict[str, int]:
    return venue.journal.dump().fault_counts


@pytest.mark.parametrize(
    ("fault", "error", "executed"),
    [
        (Fault(code="N1"), ccxt.NetworkError, True),
        (Fault(code="N2"), ccxt.NetworkError, False),
        (Fault(code="N3", parameters={"delay_ms": 700}), ccxt.RequestTimeout, True),
        (Fault(code="E1", parameters={"executed": True}), ccxt.ExchangeError, True),
        (Fault(code="E1", parameters={"executed": False}), ccxt.ExchangeError, False),
        (Fault(code="E1", parameters={"executed": True, "status": 504}), ccxt.ExchangeError, True),
        (Fault(code="E5"), ccxt.InsufficientFunds, False),
        (Fault(code="E6"), ccxt.InvalidOrder, True),
    ],
    ids=["N1", "N2", "N3", "E1 executed", "E1 not", "E1 504", "E5", "E6"],
)
def test_an_order_that_goes_wrong(
    fault: Fault, error: type[Exception], *, executed: bool
) -> None:  # fmt: skip
    async def story(venue: LocalVenue, client: Any) -> None:
        client.timeout = 400
        venue.inject(fault)
        with pytest.raises((error, ccxt.RequestTimeout, ccxt.ExchangeNotAvailable)):
            await buy(client)
        truth = venue.journal.dump()
        assert [o.client_id for o in truth.orders] == (["x1"] if executed else [])
        assert truth.fault_counts == {fault.code: 1}
        assert truth.faults[0].client_id == "x1"
        if executed:
            assert (await ask(client))["status"] == "closed"
        else:
            with pytest.raises(ccxt.OrderNotFound):
                await ask(client)
        assert (await buy(client, "x2"))["status"] == "closed"

    play(story)


@pytest.mark.parametrize("code", ["A2", "A18", "A19"])
def test_a_false_answer_waits_for_one_that_the_client_reads(code: str) -> None:
    """One that comes after the timeout is read by nobody, so its content changes nothing."""

    async def story(venue: LocalVenue, client: Any) -> None:
        client.timeout = 400
        venue.inject(Fault(code="N3", parameters={"delay_ms": 700}))
        venue.inject(Fault(code=code, target="POST order"))
        with pytest.raises(ccxt.RequestTimeout):
            await buy(client)
        assert venue.journal.dump().fault_counts == {"N3": 1}
        await asyncio.gather(buy(client, "x2"), return_exceptions=True)
        occurred = [
            (each.code, each.client_id) for each in venue.journal.dump().faults if each.client_id
        ]
        assert occurred == [("N3", "x1"), (code, "x2")]

    play(story)


def test_a_request_that_is_executed_late() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        venue.inject(Fault(code="N4", parameters={"delay_ms": 200}))
        with pytest.raises(ccxt.NetworkError):
            await buy(client)
        with pytest.raises(ccxt.OrderNotFound):
            await ask(client)
        await tap.until(lambda: len(tap.events("executionReport")) == 2)
        assert (await ask(client))["status"] == "closed"

    play(story)


def test_a_late_request_obeys_its_receive_window() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="N4", parameters={"delay_ms": 150}))
        client.options["recvWindow"] = 100
        with pytest.raises(ccxt.NetworkError):
            await buy(client)
        await asyncio.gather(*venue.trading.pending())
        assert venue.journal.dump().orders == []

    play(story)


def test_a_cancel_without_an_answer() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        order = await rest(client)
        client.timeout = 300
        venue.inject(Fault(code="N6"))
        with pytest.raises(ccxt.RequestTimeout):
            await client.cancel_order(order["id"], SYMBOL)
        assert (await ask(client))["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(order["id"], SYMBOL)

    play(story)


def test_an_answer_with_a_wrong_body() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="N13"))
        assert (await buy(client))["id"] is None
        assert (await ask(client))["filled"] == 0.5
        venue.inject(Fault(code="N13", parameters={"body": "<html>sorry</html>"}))
        answer = await buy(client, "x2")
        assert answer["id"] is None
        assert len(venue.journal.dump().orders) == 2

    play(story)


@pytest.mark.parametrize(("code", "status"), [("E2", "429"), ("E3", "418")])
def test_a_pause_and_a_ban(code: str, status: str) -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code=code, duration_ms=60_000))
        with pytest.raises(ccxt.DDoSProtection, match=status):
            await buy(client)
        assert 58 <= int(client.last_response_headers["Retry-After"]) <= 60
        assert venue.journal.dump().orders == []
        venue.faults.plan[0].until_ns = 0
        venue.stream_faults.look()
        await buy(client)

    play(story)


def test_limits_of_weight_are_counted_and_lead_to_a_ban() -> None:
    from septet._drill.venue import Limits

    async def story(venue: LocalVenue, client: Any) -> None:
        await client.fetch_time()
        assert int(client.last_response_headers["X-MBX-USED-WEIGHT-1M"]) > 0
        for _ in range(2):
            with pytest.raises(ccxt.DDoSProtection, match="429"):
                await refuse(client)
        with pytest.raises(ccxt.DDoSProtection, match="418"):
            await refuse(client)

    async def refuse(client: Any) -> None:
        for _ in range(200):
            await client.fetch_open_orders(SYMBOL)

    play(story, limits=Limits(weight_per_minute=300, ban_after=3))


def test_clocks_that_differ() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="E4", duration_ms=60_000, parameters={"skew_ms": 20_000}))
        with pytest.raises(ccxt.InvalidNonce):
            await buy(client)
        assert await client.fetch_time() - client.milliseconds() > 19_000
        await client.load_time_difference()
        client.options["adjustForTimeDifference"] = True
        assert (await buy(client))["status"] == "closed"

    play(story)


def test_filters_change_and_a_symbol_is_halted() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="E7", parameters={"lot": "0.1", "min_quantity": "0.1"}))
        with pytest.raises(ccxt.InvalidOrder, match="LOT_SIZE"):
            await buy(client, amount=0.55)
        await client.load_markets(True)
        assert client.market(SYMBOL)["precision"]["amount"] == 0.1
        (number,) = venue.inject(Fault(code="E8", symbol=ID))
        with pytest.raises(ccxt.ExchangeError, match="Market is closed"):
            await buy(client)
        await client.load_markets(True)
        assert not client.market(SYMBOL)["active"]
        venue.faults.plan[number].until_ns = 0
        venue.stream_faults.look()
        assert (await buy(client))["status"] == "closed"

    play(story)


def test_an_order_that_fills_in_parts() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        venue.inject(Fault(code="E9", parameters={"portion": 0.25, "delay_ms": 100}))
        order = await buy(client, amount=0.4)
        assert (order["filled"], order["status"]) == (0.1, "open")
        await tap.until(lambda: len(tap.events("executionReport")) == 3)
        assert (await ask(client))["status"] == "closed"
        venue.inject(Fault(code="E10", parameters={"portion": 0.5}))
        order = await buy(client, "x2", amount=0.4)
        assert (order["filled"], order["status"]) == (0.2, "expired")

    play(story)


def test_a_fill_that_beats_the_cancel() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        order = await rest(client)
        venue.inject(Fault(code="E11"))
        with pytest.raises(ccxt.OrderNotFound, match="-2011"):
            await client.cancel_order(order["id"], SYMBOL)
        assert (await ask(client))["status"] == "closed"

    play(story)


def test_a_fill_before_the_ack() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        tap = await listen(client)
        venue.inject(Fault(code="E15", parameters={"delay_ms": 400}))
        placing = asyncio.ensure_future(buy(client))
        await tap.until(lambda: len(tap.events("executionReport")) == 2)
        assert not placing.done()
        assert (await placing)["filled"] == 0.5

    play(story)


def test_stale_reads() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        await rest(client)
        before = await client.fetch_balance()
        venue.inject(Fault(code="E16", times=0, parameters={"stale_ms": 30_000}))
        with pytest.raises(ccxt.OrderNotFound, match="-2013"):
            await ask(client)
        assert await client.fetch_open_orders(SYMBOL) == []
        assert await client.fetch_my_trades(SYMBOL) == []
        stale = await client.fetch_balance()
        assert (before["USDT"]["used"] > 0, stale["USDT"]["used"]) == (True, 0)
        assert fault_counts(venue)["E16"] == 4

    play(story)


def test_maintenance_comes_and_goes() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="E20", duration_ms=60_000))
        for work in (buy, ask):
            with pytest.raises(ccxt.ExchangeNotAvailable):
                await work(client)
        venue.faults.plan[0].until_ns = 0
        venue.stream_faults.look()
        await buy(client)

    play(story)


def test_an_ack_that_differs_from_the_request() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="E21"))
        assert (await buy(client))["amount"] == 1.0
        assert (await ask(client))["amount"] == 0.5

    play(story)


def test_an_order_that_is_listed_under_another_client_id() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="E23"))
        made = await client.create_order(
            SYMBOL, "limit", "buy", 0.5, 90.0, {"newClientOrderId": "mine"}
        )
        assert made["clientOrderId"] == "x-mine"
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, SYMBOL, {"origClientOrderId": "mine"})
        (listed,) = await client.fetch_open_orders(SYMBOL)
        assert (listed["clientOrderId"], listed["id"]) == ("x-mine", made["id"])

    play(story)


def test_fees_in_another_asset() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        venue.inject(Fault(code="E22", parameters={"fee_currency": "BNB"}))
        await buy(client)
        (trade,) = await client.fetch_my_trades(SYMBOL)
        assert trade["fee"]["currency"] == "BNB"

    play(story, balances={"USDT": "10000", "BTC": "10", "BNB": "1"})


def test_questions_can_be_struck_too() -> None:
    async def story(venue: LocalVenue, client: Any) -> None:
        client.timeout = 300
        venue.inject(
            Fault(code="N6", target="query"),
            Fault(code="E1", target="query"),
            Fault(code="N13", target="query", parameters={"body": "[]"}),
        )
        with pytest.raises(ccxt.RequestTimeout):
            await client.fetch_balance()
        with pytest.raises(ccxt.OperationFailed):
            await client.fetch_open_orders(SYMBOL)
        assert await client.fetch_my_trades(SYMBOL) == []

    play(story)


def test_the_truth_adds_up_whatever_strikes() -> None:
    plan = [
        Fault(code=code, probability=0.25, times=0, parameters={"delay_ms": 20})
        for code in ("N1", "N2", "N4", "N13", "E1", "E6", "E9", "E10", "E11", "E21")
    ]

    async def story(venue: LocalVenue, client: Any) -> None:
        for number in range(60):
            side = "buy" if number % 2 else "sell"
            fields = {"newClientOrderId": f"x{number}"}
            with suppress(ccxt.BaseError):
                await client.create_order(SYMBOL, "market", side, 0.5, None, fields)
            with suppress(ccxt.BaseError):
                await rest(client, f"y{number}", 0.999)
                await client.cancel_order(None, SYMBOL, {"origClientOrderId": f"y{number}"})
            venue.market.step(0, 1)
        await asyncio.gather(*venue.trading.pending())
        truth = venue.journal.dump()
        held = {"BTC": Decimal(10), "USDT": Decimal(10_000)}
        for fill in truth.fills:
            sign = 1 if fill.side == "BUY" else -1
            held["BTC"] += sign * Decimal(fill.quantity)
            held["USDT"] -= sign * Decimal(fill.quote_quantity)
            held[fill.fee_asset] -= Decimal(fill.fee)
        shown = {a: Decimal(free) + Decimal(locked) for a, (free, locked) in truth.balances.items()}
        assert shown == held
        done = {o.order_id: Decimal(o.executed) for o in truth.orders if Decimal(o.executed)}
        for fill in truth.fills:
            done[fill.order_id] -= Decimal(fill.quantity)
        assert set(done.values()) == {0}
        assert len({o.client_id for o in truth.orders}) == len(truth.orders)
        assert len(truth.fault_counts) >= 8

    play(story, faults=plan)


def test_the_same_seed_strikes_the_same_orders() -> None:
    async def occurred() -> list[str]:
        fault = Fault(code="N13", probability=0.3, times=0)
        async with open_both(faults=[fault]) as (venue, client):
            for number in range(30):
                await buy(client, f"x{number}", 0.1)
            return [each.client_id for each in venue.journal.dump().faults]

    first, second = asyncio.run(occurred()), asyncio.run(occurred())
    assert first == second
    assert 3 <= len(first) <= 20
