"""E24 at the account: a symbol that the exchange no longer lists does not stop the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from septet import messages as m
from septet._drill.venue import Fault, LocalVenue
from septet._live.venue_gate import GatedVenue
from septet_plugins.exchange import listing
from tests.execution.helpers import (
    SYMBOLS,
    Received,
    WallTime,
    account,
    connected,
    limit,
    local_venue,
    read,
    submit,
)

GONE = Fault(code="E24", symbol="BTC/USDT")
BTC, ETH = 0, 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again without the pauses of an exchange that is far away."""
    monkeypatch.setattr(listing, "_FIRST_S", 0.05)
    monkeypatch.setattr(listing, "_APART_S", 0.0)


def run(case: Coroutine[Any, Any, None]) -> None:
    asyncio.run(case)


def list_again(venue: LocalVenue) -> None:
    for each in venue.faults.plan:
        each.until_ns = 0
    venue.stream_faults.look()


def changes(received: Received) -> list[tuple[int, bool]]:
    """Return what was found, without the first read that lacks a symbol: it is listed so far."""
    found = received.of(m.FiltersChanged)
    return [(each.symbol, each.listed) for each in found if each.trading or not each.listed]


def test_e24_a_refused_read_finds_it_and_the_others_are_read_on() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            assert (await live.submit(limit("a-1", symbol=ETH))).state == "open"
            venue.inject(GONE)
            assert await live.open_orders() is None, "whether it is listed is not known yet"
            await received.until(lambda: changes(received) == [(BTC, False)])
            found = await live.open_orders()
            assert [each.client_id for each in found.orders] == ["a-1"]
            await received.until_state("up")
            answer = await live.submit(submit("a-2", symbol=BTC))
            assert (answer.code, answer.by) == ("symbol", "venue")
            list_again(venue)
            await received.until(lambda: changes(received) == [(BTC, False), (BTC, True)])
            assert (await live.submit(submit("a-3", symbol=BTC))).state == "filled"

    run(case())


def test_e24_answers_of_one_moment_that_lack_a_symbol_are_not_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may be incomplete: the exits of the symbol would wait for the next one."""
    monkeypatch.setattr(listing, "_APART_S", 60.0)

    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            venue.inject(GONE)
            first = await live.refresh_markets()
            assert [(each.symbol, each.listed, each.trading) for each in first] == [
                (BTC, True, False)
            ]
            assert await live.refresh_markets() == []
            list_again(venue)
            assert [each.trading for each in await live.refresh_markets()] == [True]
            await received.until_state("up")
            assert all(listed for _, listed in changes(received))

    run(case())


def test_e24_a_venue_is_opened_without_it_and_takes_it_up_later() -> None:
    async def case() -> None:
        async with local_venue(GONE) as venue:
            received = Received()
            live: Any = account(venue.urls).connect(name="main", clock=WallTime(), read=read)
            facts = await live.open(SYMBOLS, received)
            assert list(facts.unlisted) == ["BTC/USDT"]
            assert list(facts.markets) == ["ETH/USDT"]
            assert "stop" in facts.order_types
            await received.until_state("up")
            assert (await live.submit(submit("a-1", symbol=ETH))).state == "filled"
            await received.until(lambda: received.of(m.Filled))
            holdings = await live.holdings()
            assert holdings is not None
            list_again(venue)
            await received.until(lambda: changes(received) == [(BTC, True)])
            assert (await live.submit(submit("a-2", symbol=BTC))).state == "filled"
            await received.until(lambda: {each.symbol for each in received.of(m.Filled)} == {0, 1})
            await live.close()

    run(case())


def test_e24_nothing_is_sent_or_asked_of_it() -> None:
    """The gate answers for every adapter: no call of it can delay what is read of the others."""

    async def case() -> None:
        async with local_venue(GONE) as venue:
            made = account(venue.urls).connect(name="main", clock=WallTime(), read=read)
            live, received = GatedVenue(made, WallTime()), Received()
            await live.open(SYMBOLS, received)
            await received.until_state("up")
            about_orders = ("order", "openOrders", "myTrades", "allOrders")
            before = counts(venue, about_orders)
            order = m.Cancel(client_id="a-1", symbol=BTC)
            amend = m.Amend(
                client_id="a-1", new_client_id="a-2", parent=1, symbol=BTC, side="buy",
                quantity=1.0, deadline_ns=time.time_ns() + 10**10, limit_price=1.0,
                venue_order_id="1",
            )  # fmt: skip
            refused = await live.submit(submit("a-1", symbol=BTC))
            assert isinstance(refused, m.Rejected)
            assert (refused.code, refused.by) == ("symbol", "local")
            assert isinstance(await live.cancel(order), m.CancelFailed)
            assert [type(each) for each in await live.amend(amend)] == [m.Rejected, m.CancelFailed]
            assert await live.query(m.Query(client_id="a-1", symbol=BTC)) is None
            assert await live.fills(BTC, 0) == []
            assert await live.cancel_all([BTC]) == []
            assert counts(venue, about_orders) == before
            await live.close()

    run(case())


def counts(venue: LocalVenue, ends: tuple[str, ...]) -> dict[str, int]:
    """Return how often the venue was asked by each request that ends so."""
    found = venue.journal.request_counts
    return {name: count for name, count in found.items() if name.endswith(ends)}
