"""Rounding that is never worse than asked, ids there and back, and the states of an order."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import ccxt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet import messages as m
from septet._drill.venue import Fault
from septet.plugin.live import Unreadable
from septet_plugins.exchange.markets import (
    market_of,
    plain,
    price_step,
    round_price,
    round_quantity,
)
from septet_plugins.execution.ccxt_orders import IdReader, Ids, Placed, Translator, place
from septet_plugins.execution.ccxt_states import (
    contradicts_itself,
    cumulative_of,
    order_type_of,
    state_of,
)
from tests.data.venue import _EXCHANGE
from tests.execution.helpers import WallTime, connected, local_venue, submit

STEPS = st.sampled_from(["1e-8", "0.00001", "0.001", "0.01", "0.05", "0.5", "1", "5", "100"])
NUMBERS = st.floats(1e-6, 1e7, allow_nan=False)


@pytest.fixture(scope="module")
def client() -> Any:
    made = ccxt.binance({"options": {"crossMarginPairsData": [], "isolatedMarginPairsData": []}})
    market = {**_EXCHANGE["symbols"][0], "orderTypes": ["LIMIT", "MARKET", "STOP_LOSS"]}
    made.set_markets([made.parse_market(market)])
    yield made
    made.session.close()


@given(NUMBERS, STEPS)
def test_a_quantity_is_whole_lots_and_not_more_than_asked(quantity: float, step: str) -> None:
    lot = Decimal(step)
    rounded = round_quantity(quantity, lot)
    assert rounded % lot == 0
    noise = lot * Decimal("1e-6")
    assert Decimal(repr(quantity)) - lot < rounded <= Decimal(repr(quantity)) + noise


@given(NUMBERS, STEPS, st.booleans())
def test_a_price_is_whole_ticks_on_the_side_asked_for(price: float, step: str, up: bool) -> None:
    tick, exact = Decimal(step), Decimal(repr(price))
    rounded = round_price(price, tick, up=up)
    noise = tick * Decimal("1e-6")
    assert rounded % tick == 0
    assert abs(rounded - exact) < tick
    assert rounded >= exact - noise if up else rounded <= exact + noise


@given(st.integers(1, 10**9), STEPS)
def test_what_is_on_the_grid_stays_though_binary_arithmetic_missed_it(n: int, step: str) -> None:
    lot = Decimal(step)
    missed = n * float(lot)
    if missed * 2**-50 < float(lot) * 1e-6:
        assert round_quantity(missed, lot) == n * lot
        assert round_price(missed, lot, up=True) == n * lot


@given(st.decimals(min_value="1e-12", max_value="1e12", places=8))
def test_a_plain_text_is_the_number(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert not ("." in text and text.endswith(("0", ".")))


@given(
    price=st.floats(0.02, 1e5), quantity=st.floats(1e-5, 1e3),
    side=st.sampled_from(["buy", "sell"]), reduces=st.booleans(),
    kind=st.sampled_from(["market", "limit", "stop", "stop_limit"]),
)  # fmt: skip
def test_an_order_goes_out_rounded_and_the_client_rounds_nothing(
    client: Any, price: float, quantity: float, side: Any, reduces: bool, kind: Any
) -> None:
    order = submit(
        "a-1", side=side, order_type=kind, quantity=quantity, reduces=reduces,
        limit_price=price if "limit" in kind else None,
        trigger_price=price if "stop" in kind else None,
    )  # fmt: skip
    placed = place(client, "BTC/USDT", order, "a-1")
    assert isinstance(placed, Placed)
    asked, noise = Decimal(repr(price)), Decimal("1e-8")
    assert Decimal(placed.quantity) <= Decimal(repr(quantity)) + noise
    if placed.price is not None:
        reported = Decimal(placed.price)
        assert reported <= asked + noise if side == "buy" else reported >= asked - noise
    if placed.trigger is not None:
        earlier = Decimal(placed.trigger) * (1 if side == "sell" else -1) >= asked * (
            1 if side == "sell" else -1
        )
        close = abs(Decimal(placed.trigger) - asked) < noise
        assert close or earlier == reduces
    if "stop" not in kind:
        request = client.create_order_request(
            "BTC/USDT", placed.type, side, placed.quantity, placed.price, dict(placed.params)
        )
        assert Decimal(request["quantity"]) == Decimal(placed.quantity)
        assert request.get("price") is None or Decimal(request["price"]) == Decimal(
            placed.price or 0
        )


def test_what_is_less_than_a_lot_is_not_sent(client: Any) -> None:
    assert "less than one lot" in str(place(client, "BTC/USDT", submit("a", quantity=9e-6), "a"))


def test_significant_digits_make_the_tick_depend_on_the_price() -> None:
    class Five:
        precisionMode = ccxt.SIGNIFICANT_DIGITS  # noqa: N815

    market = {"precision": {"price": 5}}
    assert price_step(Five(), market, 61_837.6) == Decimal("1")
    assert price_step(Five(), market, 0.23118) == Decimal("0.00001")


def test_a_market_in_our_words(client: Any) -> None:
    market = market_of(client, "BTC/USDT")
    assert (market.lot, market.tick, market.min_notional) == (1e-5, 0.01, 5.0)
    assert (market.base, market.quote, market.trading) == ("BTC", "USDT", True)


@pytest.mark.parametrize("exchange", ["binance", "okx", "gate", "kraken"])
@given(
    tag=st.from_regex(r"[a-z][a-z0-9]{7}", fullmatch=True),
    parent=st.from_regex(r"[0-9a-z]{1,6}", fullmatch=True), child=st.integers(0, 99),
)  # fmt: skip
def test_ids_come_back_as_they_went(exchange: str, tag: str, parent: str, child: int) -> None:
    ids, own = Ids(exchange), f"{tag}{parent}-{child}"
    there = ids.there(own)
    assert ids.back(there) == own
    assert len(there) <= 32
    if exchange == "okx":
        assert there.isalnum()


@pytest.mark.parametrize(
    ("status", "amount", "filled", "state"),
    [
        ("open", 2.0, 0.0, "open"),
        ("open", 2.0, 1.0, "partially_filled"),
        ("closed", 2.0, 2.0, "filled"),
        ("closed", 2.0, 1.0, "filled"),
        ("closed", 2.0, 0.0, "filled"),
        ("closed", None, 1.0, "filled"),
        ("canceled", 2.0, 1.0, "cancelled"),
        ("expired", 2.0, 1.0, "expired"),
        ("rejected", 2.0, 0.0, "rejected"),
        (None, None, None, "open"),
        ("canceling", 2.0, 0.0, "open"),
    ],
)
def test_where_an_order_stands(status: Any, amount: Any, filled: Any, state: str) -> None:
    assert state_of({"status": status, "amount": amount, "filled": filled}) == state


@pytest.mark.parametrize(
    ("status", "own", "filled", "state", "odd"),
    [
        ("closed", {"status": "FILLED"}, 2.0, "filled", False),
        ("closed", {"status": "FILLED"}, 0.0, "filled", True),
        ("closed", {"X": "FILLED"}, 1.5, "filled", True),
        ("closed", {"orderStatus": "PartiallyFilledCanceled"}, 1.5, "cancelled", False),
        ("open", {"X": "NEW"}, 0.0, "open", False),
        ("open", {"X": "NEW"}, 0.5, "open", True),
        ("open", {"status": "PARTIALLY_FILLED"}, 0.5, "partially_filled", False),
        ("open", {"status": "PARTIALLY_FILLED"}, 0.0, "partially_filled", True),
        ("open", {"status": "PARTIALLY_FILLED"}, 2.0, "partially_filled", True),
        ("open", {}, 2.0, "partially_filled", True),
        ("canceled", {"status": "CANCELED"}, 0.0, "cancelled", False),
        ("canceled", {"status": "CANCELED"}, 2.0, "cancelled", False),
    ],
)
def test_a_status_is_handed_on_as_reported_with_the_quantities_that_contradict_it(
    status: str, own: Any, filled: float, state: str, *, odd: bool
) -> None:
    order = {"status": status, "amount": 2.0, "filled": filled, "info": own}
    assert state_of(order) == state
    assert contradicts_itself(order) is odd


def test_executions_in_an_answer_add_up_to_no_more_than_it_states_is_filled() -> None:
    order = {"status": "closed", "amount": 2.0, "filled": 2.0}
    assert not contradicts_itself({**order, "trades": [{"amount": 0.5}, {"amount": 1.5}]})
    assert contradicts_itself({**order, "trades": [{"amount": 0.7}, {"amount": 1.5}]})


@pytest.mark.parametrize(
    ("info", "filled"),
    [({"e": "executionReport", "z": "0.5"}, 0.5), ({"e": "executionReport", "z": "x"}, None),
     ({"z": "0.5"}, None), (None, None)],
)  # fmt: skip
def test_the_report_of_an_execution_shows_what_is_executed_in_all(info: Any, filled: Any) -> None:
    assert cumulative_of({"info": info}) == filled


def test_a_fill_knows_its_order_by_either_id(client: Any) -> None:
    translator = Translator(client, "main", ["BTC/USDT"], WallTime())
    trade = {
        "symbol": "BTC/USDT", "id": "1", "order": "77", "side": "buy", "amount": 1.0,
        "price": 2.0, "timestamp": time.time_ns() // 10**6, "info": {},
    }  # fmt: skip
    fill = translator.fill(trade)
    assert isinstance(fill, m.Filled)
    assert fill.client_id == ""
    translator.remember("77", "a-1")
    fill = translator.fill(trade)
    assert fill is not None
    assert fill.client_id == "a-1"
    reported = translator.fill({**trade, "info": {"c": "a-2"}})
    assert reported is not None
    assert reported.client_id == "a-2"
    assert translator.fill({**trade, "symbol": "DOGE/USDT"}) is None


def test_an_id_that_is_not_like_all_others_is_none() -> None:
    known, learning, mixed = IdReader(True), IdReader(False), IdReader(False)
    with pytest.raises(Unreadable, match="a whole number, as every id of this venue is"):
        known.read("abc", "trade id")
    for number in range(8):
        assert learning.read(str(number), "trade id") == str(number)
        mixed.read("tx" if number == 3 else number, "trade id")
    with pytest.raises(Unreadable):
        learning.read("abc", "trade id")
    assert [mixed.read(each, "trade id") for each in (8, "abc")] == ["8", "abc"]


@pytest.mark.parametrize(
    ("exchange", "info", "kind"),
    [
        ("binance", {"type": "STOP_LOSS"}, "stop"),
        ("binance", {"o": "STOP_LOSS_LIMIT"}, "stop_limit"),
        ("binance", {"type": "LIMIT_MAKER"}, "limit"), ("binance", {"type": "MARKET"}, "market"),
        ("binance", {"type": "TAKE_PROFIT"}, "take_profit"), ("binance", {}, ""),
        ("kraken", {"descr": {"type": "sell", "ordertype": "stop-loss"}}, "stop"),
        ("kraken", {"order_type": "stop-loss-limit", "side": "sell"}, "stop_limit"),
        ("kraken", {"descr": {"order": "sell 1 XBTUSD @ stop loss 9000"}}, ""),
        ("okx", {"ordType": "optimal_limit_ioc"}, ""), ("binance", None, ""),
    ],
)  # fmt: skip
def test_the_type_of_an_order_is_the_exchanges_word(exchange: str, info: Any, kind: str) -> None:
    assert order_type_of(exchange, {"type": "market", "info": info}) == kind


def test_a_stop_is_reported_with_its_trigger_and_type() -> None:
    """By the answer, a query, a list and the stream: E21 in each is seen by the core."""

    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            await live.submit(submit("a-1", quantity=0.5))
            stop = submit(
                "a-2", side="sell", order_type="stop", trigger_price=90.0, quantity=0.4,
                reduces=True,
            )  # fmt: skip
            terms = [(90.0, "stop")]
            answer = await live.submit(stop)
            assert [(answer.trigger_price, answer.order_type)] == terms
            seen = await live.query(m.Query(client_id="a-2", symbol=0))
            assert [(seen.trigger_price, seen.order_type)] == terms
            listed = (await live.open_orders()).orders
            assert [(each.trigger_price, each.order_type) for each in listed] == terms
            own = lambda: [each for each in received.of(m.OrderSeen) if each.client_id == "a-2"]  # noqa: E731
            await received.until(own)
            assert [(each.trigger_price, each.order_type) for each in own()] == terms
            for number, (field, value) in enumerate(
                [("stopPrice", "80.00000000"), ("type", "TAKE_PROFIT")], 3
            ):
                await live.cancel(m.Cancel(client_id=f"a-{number - 1}", symbol=0))
                venue.inject(Fault(code="E21", parameters={"field": field, "value": value}))
                answer = await live.submit(msgspec.structs.replace(stop, client_id=f"a-{number}"))
                terms = [(answer.trigger_price, answer.order_type)]
                assert terms in ([(80.0, "stop")], [(90.0, "take_profit")])

    asyncio.run(case())
