"""The paper venue: what a simulated fill may and may not do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._core.orders.records import Child
from septet._host.venues import Market, QuoteSeen
from septet._live.paper.account import PaperAccount
from septet._live.paper.resting_orders import Resting, resting
from septet._live.paper.venue import PaperVenue
from septet_schemas.simulation import Simulation
from tests.scale import examples

SYMBOL = "BTC/USDT"
BAR_NS = 60_000_000_000
MARKET = Market(
    symbol=SYMBOL, base="BTC", quote="USDT", lot=0.01, tick=0.5, min_notional=5.0, precision=1e-4
)


@dataclass
class FakeClock:
    time_ns: int = 1_000
    speed: float = 1.0

    def now_ns(self) -> int:
        return self.time_ns

    def market_ns(self) -> int:
        return self.time_ns


@dataclass
class VenueHarness:
    """A venue, its clock, and what it reported by itself."""

    venue: PaperVenue
    clock: FakeClock
    received: list[Any] = field(default_factory=list)
    sent: int = 0

    @property
    def fills(self) -> list[m.Filled]:
        return [each for each in self.received if isinstance(each, m.Filled)]

    def quote(self, bid: float, ask: float, shown: float = 100.0, **levels: Any) -> None:
        self.clock.time_ns += 1_000
        seen = QuoteSeen(
            symbol=SYMBOL, venue_ns=self.clock.time_ns, bid=bid, bid_quantity=shown, ask=ask,
            ask_quantity=shown, **levels,
        )  # fmt: skip
        self.venue.quoted(seen)

    async def send(self, side: m.Side, quantity: float, kind: m.OrderKind = "market", **more: Any):
        self.sent += 1
        order = submit(f"t{self.sent}", side, quantity, kind, **more)
        answer = await self.venue.submit(order)
        await asyncio.sleep(0)
        return answer

    async def balances(self) -> dict[str, tuple[float, float]]:
        held = await self.venue.holdings()
        assert held is not None
        return held.balances


def submit(
    client_id: str, side: m.Side, quantity: float, kind: m.OrderKind = "market", **more: Any
) -> m.Submit:
    return m.Submit(
        client_id=client_id, parent=1, symbol=0, side=side, order_type=kind, quantity=quantity,
        reduces=False, deadline_ns=2**62, **more,
    )  # fmt: skip


@given(st.integers(1, 10**9), st.sampled_from([1e-3, 1e-5, 0.1, 1.0, 5.0]))
def test_any_number_of_lots_may_be_ordered(lots: int, lot: float) -> None:
    """A quantity is a decimal: times the scale it misses the whole units by its rounding."""
    account = PaperAccount(cash=1.0, received=False, spot=False)
    market = Market(SYMBOL, "BTC", "USDT", lot, 0.01, precision=min(1e-8, lot))
    account.lay_out([market])
    units = lots * round(lot * 1e8)
    assert account.is_lots(0, units / 1e8)
    assert not account.is_lots(0, (units + 0.5 * lot * 1e8) / 1e8)


async def opened_venue(cash: float = 100_000.0, *, spot: bool = True, **terms: Any) -> VenueHarness:
    terms = {"fills": "quotes", "fee": 0.001, "slippage": 0.01, **terms}
    clock = FakeClock()
    venue = PaperVenue(
        name="paper", clock=clock, simulation=Simulation(**terms), markets={SYMBOL: MARKET},
        cash=cash, bar_ns=BAR_NS, spot=spot,
    )  # fmt: skip
    made = VenueHarness(venue, clock)
    await venue.open([SYMBOL], made.received.append)
    return made


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an asynchronous test as a plain one."""

    def plain() -> None:
        asyncio.run(test())

    plain.__doc__ = test.__doc__
    return plain


def pairs(fills: Sequence[m.Filled]) -> list[tuple[float, float]]:
    return [(each.quantity, each.price) for each in fills]


@run
async def test_market_order_takes_the_other_side_after_it_was_acknowledged() -> None:
    it = await opened_venue()
    it.quote(99.0, 101.0)
    assert isinstance(await it.venue.submit(submit("t1", "buy", 2.0)), m.Acked)
    assert it.fills == []
    await asyncio.sleep(0)
    assert pairs(it.fills) == [(2.0, 101.0)]
    assert (await it.balances())["BTC"] == (2.0, 0.0)
    assert (await it.balances())["USDT"][0] == pytest.approx(100_000 - 202 * 1.001)
    assert it.received[-1].state == "filled"


@run
async def test_only_what_exceeds_the_shown_size_pays_slippage() -> None:
    it = await opened_venue()
    it.quote(99.0, 101.0, shown=1.5)
    await it.send("buy", 2.0)
    assert pairs(it.fills) == [(1.5, 101.0), (0.5, 102.5)]  # 102.01, rounded up to the tick


@run
async def test_orders_share_the_size_of_one_quote() -> None:
    it = await opened_venue()
    it.quote(99.0, 101.0, shown=1.0)
    await it.send("buy", 0.75)
    await it.send("buy", 0.75)
    assert pairs(it.fills) == [(0.75, 101.0), (0.25, 101.0), (0.5, 102.5)]


@run
async def test_an_order_walks_the_book_and_its_remainder_waits_for_the_next() -> None:
    it = await opened_venue(fills="book")
    levels: dict[str, Any] = {"bids": ((99.0, 1.0),), "asks": ((101.0, 1.0), (103.0, 0.5))}
    it.quote(99.0, 101.0, **levels)
    await it.send("buy", 2.0)
    assert pairs(it.fills) == [(1.0, 101.0), (0.5, 103.0)]
    it.quote(99.0, 102.0, **levels | {"asks": ((102.0, 9.0),)})
    assert pairs(it.fills)[2:] == [(0.5, 102.0)]


@run
async def test_participation_leaves_the_rest_to_later_quotes() -> None:
    it = await opened_venue(participation=0.25)
    it.quote(99.0, 101.0, shown=4.0)
    await it.send("buy", 1.5)
    it.quote(99.0, 101.5, shown=4.0)
    assert pairs(it.fills) == [(1.0, 101.0), (0.5, 101.5)]


@run
async def test_latency_waits_for_the_first_quote_after_it() -> None:
    it = await opened_venue(latency=1)
    it.quote(99.0, 101.0)
    await it.send("buy", 1.0)
    it.quote(99.0, 102.0)
    assert it.fills == []
    it.clock.time_ns += BAR_NS
    it.quote(99.0, 103.0)
    assert pairs(it.fills) == [(1.0, 103.0)]


@run
async def test_limit_fills_only_when_traded_through_and_then_makes() -> None:
    it = await opened_venue(fee={"maker": 0.0, "taker": 0.001})
    it.quote(99.0, 101.0)
    await it.send("buy", 1.0, "limit", limit_price=100.0)
    it.quote(98.0, 100.0)
    assert it.fills == []
    it.quote(98.0, 99.5)
    assert pairs(it.fills) == [(1.0, 99.5)]
    assert it.fills[0].maker
    assert it.fills[0].fee == 0.0
    await it.send("buy", 1.0, "limit", limit_price=100.0)
    assert not it.fills[1].maker, "it took what was there when it came"


@run
async def test_stops_trigger_on_the_side_they_trade_with() -> None:
    it = await opened_venue()
    it.quote(99.0, 101.0)
    await it.send("buy", 2.0)
    await it.send("sell", 1.0, "stop", trigger_price=95.0)
    await it.send("sell", 1.0, "stop_limit", trigger_price=95.0, limit_price=94.5)
    it.quote(95.5, 96.0)
    assert len(it.fills) == 1
    it.quote(94.0, 96.0)
    assert pairs(it.fills)[1:] == [(1.0, 94.0)]
    it.quote(95.0, 96.0)
    assert pairs(it.fills)[2:] == [(1.0, 95.0)]


@run
async def test_fee_in_what_is_received_and_nothing_left_after_selling_all() -> None:
    it = await opened_venue(fee={"maker": 0.001, "taker": 0.001, "fee_currency": "base"})
    it.quote(99.0, 100.0)
    await it.send("buy", 1.0)
    assert (it.fills[0].fee, it.fills[0].fee_currency) == (0.001, "BTC")
    assert (await it.balances())["BTC"] == (0.999, 0.0)
    await it.send("sell", 0.99)
    assert it.fills[1].fee_currency == "USDT"
    assert (await it.balances())["BTC"][0] == pytest.approx(0.009)


@run
async def test_cash_that_falls_short_cancels_the_rest() -> None:
    it = await opened_venue(cash=150.0)
    it.quote(99.0, 100.0)
    await it.send("buy", 2.0)
    assert pairs(it.fills) == [(1.49, 100.0)]
    assert (it.received[-1].state, it.received[-1].text) == ("cancelled", "cash")


REJECTIONS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    ("insufficient_funds", ("sell", 1.0), {}),
    ("quantity", ("buy", 0.005), {}),
    ("quantity", ("buy", float("nan")), {}),
    ("quantity", ("buy", -1.0), {}),
    ("bad_price", ("buy", 1.0, "limit"), {}),
    ("bad_price", ("buy", 1.0, "stop"), {"trigger_price": -1.0}),
    ("tick", ("buy", 1.0, "limit"), {"limit_price": 99.25}),
    ("min_notional", ("buy", 0.01), {}),
)


@pytest.mark.parametrize(("code", "order", "prices"), REJECTIONS)
def test_a_rejection_by_the_venue_is_an_answer(
    code: str, order: tuple[Any, ...], prices: dict[str, Any]
) -> None:
    async def refused() -> None:
        it = await opened_venue()
        it.quote(99.0, 101.0)
        answer = await it.send(*order, **prices)
        assert isinstance(answer, m.Rejected)
        assert answer.code == code

    asyncio.run(refused())


@run
async def test_an_id_is_used_once_and_the_final_state_stays() -> None:
    it = await opened_venue()
    it.quote(99.0, 101.0)
    await it.send("buy", 1.0)
    again = await it.venue.submit(submit("t1", "buy", 1.0))
    assert isinstance(again, m.Rejected)
    assert again.code == "duplicate"
    seen = await it.venue.cancel(m.Cancel(client_id="t1", symbol=0))
    assert isinstance(seen, m.OrderSeen)
    assert seen.state == "filled"
    unknown = await it.venue.query(m.Query(client_id="x", symbol=0))
    assert isinstance(unknown, m.NotFound)


@run
async def test_amend_replaces_under_a_new_id() -> None:
    it = await opened_venue()
    it.quote(99.0, 101.0)
    await it.send("buy", 1.0, "limit", limit_price=90.0)
    amend = m.Amend(
        client_id="t1", venue_order_id="paper-t1", new_client_id="t9", parent=1, symbol=0,
        side="buy", quantity=0.5, limit_price=98.0, deadline_ns=2**62,
    )  # fmt: skip
    old, new = await it.venue.amend(amend)
    assert isinstance(old, m.OrderSeen)
    assert isinstance(new, m.Acked)
    assert (old.state, new.client_id) == ("cancelled", "t9")
    larger = m.Amend(
        client_id="t9", venue_order_id="paper-t9", new_client_id="t10", parent=1, symbol=0,
        side="buy", quantity=0.6, limit_price=98.0, deadline_ns=2**62,
    )  # fmt: skip
    refused = await it.venue.amend(larger)
    assert isinstance(refused[0], m.Rejected)
    assert refused[0].code == "quantity"
    it.quote(96.0, 97.0)
    assert pairs(it.fills) == [(0.5, 97.0)]
    late = await it.venue.amend(amend)
    assert isinstance(late[0], m.Rejected)


@run
async def test_kill_switch_leaves_nothing_open_and_locks_nothing() -> None:
    it = await opened_venue()
    it.quote(99.0, 101.0)
    await it.send("buy", 3.0)
    await it.send("sell", 1.0, "limit", limit_price=120.0)
    await it.send("buy", 1.0, "limit", limit_price=90.0)
    assert (await it.balances())["BTC"] == (2.0, 1.0)
    assert (await it.balances())["USDT"][1] == 90.0
    assert len(await it.venue.cancel_all([0])) == 2
    left = await it.venue.open_orders()
    assert left is not None
    assert left.orders == ()
    assert (await it.balances())["BTC"] == (3.0, 0.0)


@run
async def test_an_invalid_market_fills_nothing() -> None:
    for bid, ask in ((101.0, 101.0), (0.0, 1.0), (float("nan"), 1.0), (99.0, float("inf"))):
        it = await opened_venue()
        it.quote(99.0, 101.0)
        it.quote(bid, ask)
        await it.send("buy", 1.0)
        assert it.fills == []


@run
async def test_what_rests_goes_on_after_the_process_has_died() -> None:
    it = await opened_venue()
    child: dict[str, Any] = {
        "client_id": "t1", "parent": 1, "symbol": 0, "sign": 1, "quantity": 2.0, "tolerance": 0.005,
        "kind": "limit", "limit_price": 98.0, "trigger_price": None, "reduces": False,
        "protects": False, "sent_ns": 1, "trace": "",
    }  # fmt: skip
    children = [
        Child(**child, state="partially_filled", counted=0.5),
        Child(**child | {"client_id": "t2"}, state="submitted"),
        Child(**child | {"client_id": "t3"}, state="filled", final_ns=1, counted=2.0),
    ]
    it.venue.restore(resting(children), cash=900.0, units={0: 5_000.0})
    assert (await it.balances())["BTC"] == (0.5, 0.0)
    it.quote(97.0, 97.5)
    assert [(each.trade_id, each.quantity) for each in it.fills] == [("t1:20000", 1.5)]
    unanswered = await it.venue.query(m.Query(client_id="t2", symbol=0))
    assert isinstance(unanswered, m.NotFound)


# -------------------------------------------------------------------------- properties

PRICES = st.integers(150, 250).map(lambda ticks: ticks * 0.5)
STEPS = st.one_of(
    st.tuples(st.just("quote"), PRICES, st.integers(1, 8), st.integers(0, 400)),
    st.tuples(
        st.sampled_from(["market", "limit", "stop", "stop_limit"]),
        st.sampled_from(["buy", "sell"]), st.integers(6, 300), PRICES,
    ),
    st.tuples(st.just("cancel"), st.integers(1, 20)),
    st.tuples(st.just("restart")),
)  # fmt: skip


async def play(it: VenueHarness, steps: Sequence[Any], *, restarts: bool) -> None:
    for step in steps:
        match step:
            case ("quote", bid, spread, shown):
                it.quote(bid, bid + 0.5 * spread, shown=shown / 100)
            case ("cancel", number):
                await it.venue.cancel(m.Cancel(client_id=f"t{number}", symbol=0))
            case ("restart",):
                if restarts:
                    await restart(it)
            case (kind, side, lots, price):
                limit = price if "limit" in kind else None
                trigger = price if "stop" in kind else None
                await it.send(side, lots / 100, kind, limit_price=limit, trigger_price=trigger)


async def restart(it: VenueHarness) -> None:
    """Forget everything but what a core knows: open orders, cash and position."""
    opened = await it.venue.open_orders()
    assert opened is not None
    kept = [
        Resting(each.submit, it.venue._filled(each), each.kind != KINDS[each.submit.order_type])
        for each in it.venue._working()
    ]
    account = it.venue._account
    it.venue.restore(kept, cash=account.cash, units={0: account.held(0)})
    again = await it.venue.open_orders()
    assert again is not None
    assert [(each.client_id, each.filled) for each in again.orders] == [
        (each.client_id, each.filled) for each in opened.orders
    ]


KINDS = {"market": 0, "limit": 1, "stop": 2, "stop_limit": 3}


@given(
    st.lists(STEPS, max_size=60), st.sampled_from(["quote", "base"]),
    st.sampled_from([None, 0.3]),
)  # fmt: skip
@settings(max_examples=examples(60))
def test_fills_explain_the_balances_and_never_exceed_an_order(steps, fee_currency, participation):
    async def check() -> None:
        fee = {"maker": 0.0005, "taker": 0.001, "fee_currency": fee_currency}
        it = await opened_venue(cash=900.0, fee=fee, participation=participation)
        await play(it, steps, restarts=True)
        ids = [each.trade_id for each in it.fills]
        assert len(ids) == len(set(ids))
        cash, held = 900.0, 0.0
        for each in it.fills:
            sign = 1.0 if each.side == "buy" else -1.0
            cash -= sign * each.quantity * each.price
            held += sign * each.quantity
            if each.fee_currency == "BTC":
                held -= each.fee
            else:
                cash -= each.fee
        balances = await it.balances()
        assert sum(balances["USDT"]) == pytest.approx(cash, abs=1e-6)
        assert sum(balances["BTC"]) == pytest.approx(held, abs=1e-9)
        assert cash > -1e-6
        assert held > -1e-9

    asyncio.run(check())


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=examples(30))
def test_the_same_steps_give_the_same_messages(steps):
    async def received() -> list[Any]:
        it = await opened_venue(cash=900.0)
        await play(it, steps, restarts=False)
        return it.received

    assert asyncio.run(received()) == asyncio.run(received())
