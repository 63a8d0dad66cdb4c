"""A value that cannot be true, in any field of anything that a venue reports, does no harm.

The local venue's own answers and reports, the real client, and a bad value in one field at a time:
no exception leaves the adapter, no number that is none gets into an event, and the next word of the
venue is read as before.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._drill.venue import Fault, LocalVenue
from septet._drill.venue.false_values import VALUES
from septet._live.venue_gate import GatedVenue
from septet.plugin.live import FeedRequest, LiveVenue
from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms
from septet_plugins.exchange.clients import Terms
from tests.execution.helpers import (
    OPTIONS,
    Received,
    WallTime,
    account,
    connected,
    limit,
    local_venue,
    read,
    submit,
)

ORDER = (
    "symbol", "orderId", "clientOrderId", "price", "origQty", "executedQty",
    "cummulativeQuoteQty", "status", "type", "side", "transactTime", "workingTime",
)  # fmt: skip
FILLS = ("qty", "commission", "commissionAsset", "tradeId")
REPORT = ("s", "c", "S", "o", "q", "p", "x", "X", "i", "l", "z", "L", "n", "N", "T", "t", "m", "Z",
          "C", "E")  # fmt: skip
TRADE = ("symbol", "id", "orderId", "price", "qty", "commission", "commissionAsset", "time",
         "isBuyer", "isMaker")  # fmt: skip


IDS = ("trade_id", "venue_order_id")
"""The local venue's are whole numbers."""


def bad_numbers(value: Any, path: str = "") -> list[str]:
    """Where in an event a number or an id is none; written apart from the code under test."""
    if path.endswith(IDS) and isinstance(value, str):
        return [path] if value.strip("0123456789") else []
    if isinstance(value, float):
        return [path] if math.isnan(value) or math.isinf(value) or abs(value) > 1e18 else []
    if isinstance(value, msgspec.Struct):
        value = {each: getattr(value, each) for each in value.__struct_fields__}
    if isinstance(value, dict):
        return [bad for key, each in value.items() for bad in bad_numbers(each, f"{path}.{key}")]
    if isinstance(value, (list, tuple)):
        return [bad for each in value for bad in bad_numbers(each, path)]
    return []


class Session:
    """A connection behind the gate, and everything that came of it."""

    def __init__(self, venue: LocalVenue, live: Any, received: Received) -> None:
        self.venue, self.live, self.received = venue, live, received
        self.answers: list[Any] = []
        self.count = 0

    def client_id(self) -> str:
        self.count += 1
        return f"a-{self.count}"

    async def spoiled(
        self, target: str, name: str, value: Any, act: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Do something while one answer has a bad value."""
        (number,) = self.venue.inject(
            Fault(code="A2", target=target, parameters={"field": name, "value": value})
        )
        answer = await act()
        self.answers.append(answer)
        strike = self.venue.faults.plan[number]
        assert strike.count, f"{target} did not come by"
        return answer

    def check(self) -> None:
        for each in [*self.answers, *self.received.events]:
            assert not bad_numbers(each), each
            if isinstance(each, m.Event):
                again = msgspec.json.decode(msgspec.json.encode(each), type=m.EVENTS)
                assert again == each, "the journal reads it back as it was"
        for fill in self.received.of(m.Filled):
            assert fill.quantity > 0
            assert fill.price > 0
            assert fill.trade_id not in ("", "-1", "None")
            assert abs(fill.fee) <= fill.quantity * max(fill.price, 1.0)


def in_session(case: Callable[[Session], Awaitable[None]], **config: Any) -> None:
    """Run a case with a connection that is up; anything unhandled in the loop is an error."""

    async def run() -> None:
        loose: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, reported: loose.append(reported))
        async with local_venue(balances={"USDT": "90000000", "BTC": "1000"}, **config) as venue:
            received = Received()
            live: LiveVenue = GatedVenue(
                account(venue.urls).connect(name="main", clock=WallTime(), read=read), WallTime()
            )
            await live.open(["BTC/USDT"], received)
            await received.until_state("up")
            session = Session(venue, live, received)
            try:
                await case(session)
                clean = await live.submit(submit(session.client_id(), quantity=0.1))
                assert isinstance(clean, m.Acked), "the next answer is read as before"
                await received.until(
                    lambda: [e for e in received.of(m.Filled) if e.client_id == clean.client_id]
                )
                states = [each.state for each in received.of(m.VenueChanged)]
                assert states == ["up"], "the account's stream stayed"
            finally:
                await live.close()
            session.check()
        assert not loose

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["market", "limit"])
def test_the_answer_to_an_order(kind: str) -> None:
    async def case(session: Session) -> None:
        fields = (*ORDER, *(FILLS if kind == "market" else ()))
        for name in fields:
            for value in VALUES:
                made = submit if kind == "market" else limit
                order = made(session.client_id(), quantity=0.1)
                answer = await session.spoiled(
                    "POST order", name, value, partial(session.live.submit, order)
                )
                assert isinstance(answer, (m.Acked, m.Uncertain)), (name, value, answer)
                assert answer.client_id == order.client_id

    in_session(case)


def test_reports_of_the_accounts_stream() -> None:
    async def case(session: Session) -> None:
        for name in REPORT:
            for value in VALUES:
                order = submit(session.client_id(), quantity=0.1)
                await session.spoiled("report", name, value, partial(session.live.submit, order))

    in_session(case)


@pytest.mark.parametrize(
    ("target", "fields", "method"),
    [
        ("GET order", ORDER, "query"),
        ("GET openOrders", ORDER, "open_orders"),
        ("GET myTrades", TRADE, "fills"),
        ("GET account", ("free", "locked", "asset"), "holdings"),
        ("GET time", ("serverTime",), "skew"),
        ("GET exchangeInfo", ("stepSize", "tickSize", "minQty", "maxQty", "minNotional", "status",
                              "baseAsset", "symbol"), "refresh_markets"),
        ("DELETE order", ORDER, "cancel"),
        ("DELETE openOrders", ORDER, "cancel_all"),
    ],
)  # fmt: skip
def test_what_is_read(target: str, fields: Sequence[str], method: str) -> None:
    async def case(session: Session) -> None:
        live = session.live
        filled = await live.submit(submit(session.client_id(), quantity=0.1))
        assert isinstance(filled, m.Acked)
        resting = ""
        for name in fields:
            for value in VALUES:
                if not resting or target.startswith("DELETE"):
                    resting = session.client_id()
                    await live.submit(limit(resting, quantity=0.1))
                calls: dict[str, Callable[[], Awaitable[Any]]] = {
                    "query": partial(live.query, m.Query(client_id=resting, symbol=0)),
                    "cancel": partial(live.cancel, m.Cancel(client_id=resting, symbol=0)),
                    "cancel_all": partial(live.cancel_all, [0]),
                    "open_orders": live.open_orders, "holdings": live.holdings,
                    "skew": live.skew, "refresh_markets": live.refresh_markets,
                    "fills": partial(live.fills, 0, 0),
                }  # fmt: skip
                answer = await session.spoiled(target, name, value, calls[method])
                if method in ("query", "cancel") and answer is not None:
                    assert answer.client_id == resting
        await live.refresh_markets()
        await live.cancel_all([0])

    in_session(case)


def test_a_balance_of_another_asset_is_left_out_and_one_of_ours_makes_the_read_none() -> None:
    async def case(session: Session) -> None:
        live, venue = session.live, session.venue
        venue.engine.transfer("DOGE", 5 * 10**8, 1)
        falsify = venue.api.trading.account

        def spoiled(asset: str) -> Any:
            def account_(call: Any) -> Any:
                answer = falsify(call)
                for row in answer.body["balances"]:
                    if row["asset"] == asset:
                        row["free"] = "-Infinity"
                return answer

            return account_

        for asset, readable in (("DOGE", True), ("BTC", False), ("USDT", False)):
            venue.api._table["GET", "/api/v3/account"] = msgspec_replace(
                venue.api._table["GET", "/api/v3/account"], spoiled(asset)
            )
            held = await live.holdings()
            assert (held is not None) is readable
            if held is not None:
                assert "DOGE" not in held.balances
                assert held.balances["BTC"][0] > 0
        reported = [each for each in session.received.of(m.Unreadable) if each.about == "balance"]
        assert [each.text.partition(":")[0] for each in reported] == ["DOGE", "BTC", "USDT"]

    in_session(case)


def msgspec_replace(endpoint: Any, handle: Any) -> Any:
    import dataclasses

    return dataclasses.replace(endpoint, handle=handle)


def test_a_kind_is_reported_once_though_it_goes_on() -> None:
    async def case(session: Session) -> None:
        for _ in range(5):
            await session.spoiled("GET account", "free", "NaN", session.live.holdings)
        reported = session.received.of(m.Unreadable)
        assert [(each.about, each.text.partition(":")[0]) for each in reported] == [
            ("balance", "BTC"),
            ("balance", "USDT"),
        ]
        assert "found 'NaN'" in reported[0].text

    in_session(case)


def test_bars_prices_and_trades_of_a_feed() -> None:
    async def case() -> None:
        async with local_venue(bar_wall_ns=200_000_000, paused=False) as venue:
            received = Received()
            reach = Terms("binance", urls=venue.urls, options=OPTIONS, rate_limit=False)
            feed = CcxtFeed(FeedTerms(reach), WallTime())
            request = FeedRequest(
                ("BTC/USDT",), 3600 * 10**9, frozenset({"bars", "quotes", "trades"})
            )
            await feed.open(request, received)
            fields = {"trade": "pqtTE", "bookTicker": "bBaA", "kline": "tohlcvxE"}
            bend, left = venue.streams.bend, [
                (kind, name, value) for kind, names in fields.items() for name in names
                for value in VALUES
            ]  # fmt: skip

            def bending(kind: str, symbol: str, body: dict[str, Any]) -> list[dict[str, Any]]:
                from septet._drill.venue.false_values import falsify

                out = bend(kind, symbol, body)
                word = kind.partition("_")[0]
                ours = next((each for each in left if each[0] == word), None)
                if ours is None or not out:
                    return out
                left.remove(ours)
                return [falsify(out[0], ours[1], ours[2])[0], *out]

            venue.streams.bend = bending
            await received.until(lambda: not left)
            count = len(received.events)
            await received.until(lambda: len(received.events) > count + 10)
            await feed.close()
            assert feed.dials == 0, "no stream was lost"

    asyncio.run(case())


def test_an_adapter_that_checks_nothing_is_checked_all_the_same() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):

            class Careless:
                def __getattr__(self, name: str) -> Any:
                    return getattr(live, name)

                async def submit(self, order: m.Submit) -> m.Event:
                    return m.Acked(at_ns=1, client_id=order.client_id, venue_order_id="1",
                                   state="open", side="buy", quantity=1.0,
                                   filled=math.inf)  # fmt: skip

                async def holdings(self) -> m.Holdings:
                    return m.Holdings(at_ns=1, balances={"BTC": (math.nan, 0.0)}, asked_ns=1)

                async def fills(self, symbol: int, since_ns: int) -> list[m.Filled]:
                    good = m.Filled(
                        at_ns=1, venue="v", symbol=0, trade_id="7", client_id="a", side="buy",
                        venue_order_id="1", venue_ns=1, market_ns=1, quantity=1.0, price=1.0,
                        fee=0.0, fee_currency="BTC",
                    )  # fmt: skip
                    bad: list[dict[str, Any]] = [
                        {"quantity": 1e400}, {"trade_id": "-1"},
                        {"venue_ns": 2**62}, {"price": -1.0},
                    ]  # fmt: skip
                    return [good, *(msgspec.structs.replace(good, **each) for each in bad)]

            received = Received()
            careless: Any = Careless()
            gated = GatedVenue(careless, WallTime())
            gated._sink = received
            assert isinstance(await gated.submit(submit("a-1")), m.Uncertain)
            assert await gated.holdings() is None
            assert len(await gated.fills(0, 0) or ()) == 1
            assert {each.about for each in received.of(m.Unreadable)} == {
                "order",
                "balance",
                "fill",
            }

    asyncio.run(case())
