"""A fee that cannot be read loses no execution: its quantity and price go on, and it is marked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._drill.venue import Fault, LocalVenue
from septet._host.adapter_values import with_readable_fee
from septet._live.venue_gate import GatedVenue
from tests.execution.helpers import Received, WallTime, account, local_venue, read, submit

AMOUNTS: tuple[Any, ...] = (
    "99999",
    "-0.0051",
    "NaN",
    "Infinity",
    "1e400",
    "1e30",
    "abc",
    10**30,
    {},
)
"""In the answer, the stream and the list; ``commission`` of an answer, ``n`` of a report."""
CURRENCIES: tuple[Any, ...] = ("ZZTOP", "USDT\x1b[31m", "usd t", "1e400", 10**30)
NAMES = {
    "POST order": ("commission", "commissionAsset"), "report": ("n", "N"),
    "GET myTrades": ("commission", "commissionAsset"),
}  # fmt: skip


def in_session(case: Callable[[LocalVenue, Any, Received], Awaitable[None]]) -> None:
    async def run() -> None:
        async with local_venue(balances={"USDT": "90000000", "BNB": "5"}) as venue:
            received = Received()
            live = GatedVenue(
                account(venue.urls).connect(name="main", clock=WallTime(), read=read), WallTime()
            )
            await live.open(["BTC/USDT"], received)
            await received.until_state("up")
            try:
                await case(venue, live, received)
            finally:
                await live.close()

    asyncio.run(run())


def spoilt(venue: LocalVenue, target: str, field: str, value: Any) -> None:
    venue.inject(Fault(code="A2", target=target, parameters={"field": field, "value": value}))


@pytest.mark.parametrize("target", NAMES)
def test_an_execution_with_a_fee_that_cannot_be_is_handed_on(target: str) -> None:
    async def case(venue: LocalVenue, live: Any, received: Received) -> None:
        count = 0
        for field, values in zip(NAMES[target], (AMOUNTS, CURRENCIES), strict=True):
            for value in values:
                count += 1
                name = f"a-{count}"
                if target == "report":  # only the stream reports it
                    spoilt(venue, "POST order", "fills", [])
                if target != "GET myTrades":
                    spoilt(venue, target, field, value)
                await live.submit(submit(name, quantity=0.1))
                if target == "GET myTrades":
                    spoilt(venue, target, field, value)
                    found = [each for each in await live.fills(0, 0) if each.client_id == name]
                else:
                    await received.until(lambda name=name: reported_of(received, name))  # type: ignore[misc]
                    found = reported_of(received, name)
                (fill,) = found
                expected = (0.1, pytest.approx(0.0001), "BTC")
                assert (fill.quantity, fill.fee, fill.fee_currency) == expected, value
                assert fill.price > 0.0
                assert fill.fee_unread.startswith(("fee: found", "currency of the fee")), value

    in_session(case)


def reported_of(received: Received, client_id: str) -> list[Any]:
    return [each for each in received.of(m.Filled) if each.client_id == client_id]


def test_the_gate_takes_a_fee_that_is_none_from_an_execution_of_any_adapter() -> None:
    good = m.Filled(
        at_ns=1, venue="v", symbol=0, trade_id="7", client_id="a", side="buy",
        venue_order_id="1", venue_ns=1, market_ns=1, quantity=1.0, price=1.0, fee=0.001,
        fee_currency="BTC",
    )  # fmt: skip
    assert with_readable_fee(good) is good
    bad: list[dict[str, Any]] = [
        {"fee": float("nan")}, {"fee": float("inf")}, {"fee_quote": float("nan")}, {"fee": 1e30},
        {"fee_currency": "USDT\x1b[31m"}, {"fee_currency": "x" * 99},
    ]  # fmt: skip
    for each in bad:
        fill = with_readable_fee(msgspec.structs.replace(good, **each))
        assert (fill.fee, fill.fee_currency, fill.fee_quote) == (0.0, "", None)
        assert fill.fee_unread
        assert (fill.quantity, fill.price) == (1.0, 1.0)


def test_a_fee_in_a_currency_that_only_the_account_shows_is_read() -> None:
    """BNB has no market at the local venue; the account is read before any execution."""

    async def case(venue: LocalVenue, live: Any, received: Received) -> None:
        venue.inject(Fault(code="E22", parameters={"fee_currency": "BNB"}))
        await live.submit(submit("a-1", quantity=0.1))
        await received.until(lambda: reported_of(received, "a-1"))
        (fill,) = reported_of(received, "a-1")
        assert (fill.fee_currency, fill.fee_unread) == ("BNB", "")

    in_session(case)


@pytest.mark.parametrize(
    ("reported", "read_as"),
    [({"cost": "0", "currency": None}, (0.0, "USDT", "")), (None, (0.0, "", ""))],
    ids=["zero", "none"],
)
def test_a_fee_of_zero_that_is_stated_is_told_from_none(
    reported: Any, read_as: tuple[float, str, str]
) -> None:
    """Where none is reported the expected fee is booked."""

    async def case(venue: LocalVenue, live: Any, received: Received) -> None:
        trade = {
            "id": "7", "order": "9", "symbol": "BTC/USDT", "side": "buy", "amount": 1.0,
            "price": 100.0, "fee": reported, "info": {},
        }  # fmt: skip
        fill = live._venue._translator.fill(trade, "a-1")
        assert (fill.fee, fill.fee_currency, fill.fee_unread) == read_as

    in_session(case)
