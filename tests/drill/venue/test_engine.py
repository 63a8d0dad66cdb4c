"""The matching engine alone: money is conserved, orders end by the rules."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from septet._drill.venue.amounts import SCALE, exact, text, units
from septet._drill.venue.config import Fees, SymbolConfig
from septet._drill.venue.engine import MatchingEngine, Report
from septet._drill.venue.orders import FINAL, WHOLE_PPM, Asked, Order, Rejection

ID = "BTCUSDT"
CENT = SCALE // 100
BALANCES = {"USDT": "10000", "BTC": "10", "BNB": "1"}


def engine_of(**changes: Any) -> MatchingEngine:
    """An engine at a price of 100, each level of the book worth about 1,000."""
    symbol = SymbolConfig(base="BTC", level_notional="1000", percent_up="1000")
    engine = MatchingEngine([symbol], BALANCES, **changes)
    engine.move(ID, units("100"), units("5"), 0)
    return engine


def asked(side: str = "BUY", kind: str = "MARKET", **fields: Any) -> Asked:
    """A request with amounts as texts."""
    amounts: dict[str, Any] = {
        name: units(fields.pop(name))
        for name in ("quantity", "quote_quantity", "price", "stop")
        if name in fields
    }
    return Asked(ID, side, kind, fields.pop("client_id", "c"), **amounts, **fields)


def rejected(engine: MatchingEngine, order: Asked) -> int:
    with pytest.raises(Rejection) as caught:
        engine.place(order, 1)
    return caught.value.code


def test_a_market_order_walks_the_book() -> None:
    engine = engine_of()
    levels = list(engine.books[ID].asks.items())
    order = engine.place(asked(quantity="20"), 1)
    assert order.status == "FILLED"
    assert [fill.price for fill in order.fills] == [p for p, _ in levels[: len(order.fills)]]
    assert len(order.fills) >= 2
    assert sum(fill.quantity for fill in order.fills) == units("20")


def test_a_market_order_beyond_the_book_expires() -> None:
    engine = engine_of()
    engine.ledger.pay("BTC", -units("10000"))
    order = engine.place(asked("SELL", quantity="4000"), 1)
    assert (order.status, order.left > 0) == ("EXPIRED", True)
    assert not engine.books[ID].bids


def test_quote_quantity_buys_for_that_much() -> None:
    engine = engine_of()
    order = engine.place(asked(quote_quantity="1000"), 1)
    assert units("999") < order.quote_executed <= units("1000")


@pytest.mark.parametrize(
    ("order", "status", "executed"),
    [
        (asked("BUY", "LIMIT", quantity="1", price="100.01", tif="IOC"), "FILLED", "1"),
        (asked("BUY", "LIMIT", quantity="90", price="100.01", tif="IOC"), "EXPIRED", None),
        (asked("BUY", "LIMIT", quantity="90", price="100.01", tif="FOK"), "EXPIRED", "0"),
        (asked("BUY", "LIMIT", quantity="90", price="100.01"), "PARTIALLY_FILLED", None),
        (asked("BUY", "LIMIT_MAKER", quantity="1", price="99"), "NEW", "0"),
        (asked("SELL", "STOP_LOSS", quantity="1", stop="99"), "NEW", "0"),
    ],
)
def test_what_becomes_of_an_order_at_once(order: Asked, status: str, executed: str | None) -> None:
    placed = engine_of().place(order, 1)
    assert placed.status == status
    assert executed is None or placed.executed == units(executed)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (asked(quantity="1.000001"), -1013),
        (asked(quantity="0.01"), -1013),
        (asked("BUY", "LIMIT", quantity="1", price="100.001"), -1013),
        (asked("BUY", "LIMIT", quantity="1", price="1"), -1013),
        (asked("BUY", "LIMIT_MAKER", quantity="1", price="101"), -2010),
        (asked("SELL", "STOP_LOSS", quantity="1", stop="101"), -2010),
        (asked("SELL", quantity="11"), -2010),
        (asked("BUY", "LIMIT", quantity="1"), -1102),
        (asked("BUY", "PEGGED", quantity="1"), -1116),
        (asked(quantity="1", price="100"), -1106),
    ],
)
def test_what_is_rejected(order: Asked, code: int) -> None:
    assert rejected(engine_of(), order) == code


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    engine = engine_of()
    limit = asked("BUY", "LIMIT", quantity="1", price="90")
    first = engine.place(limit, 1)
    assert rejected(engine, limit) == -2010
    engine.cancel(first, 2)
    second = engine.place(limit, 3)
    assert second.order_id != first.order_id
    assert engine.find(ID, None, "c") is second


@pytest.mark.parametrize(("kind", "triggers"), [("STOP_LOSS", "98.99"), ("TAKE_PROFIT", "101.01")])
def test_stops_become_orders_when_touched(kind: str, triggers: str) -> None:
    engine = engine_of()
    level = "99" if kind == "STOP_LOSS" else "101"
    order = engine.place(asked("SELL", kind, quantity="2", stop=level), 1)
    engine.move(ID, units("100.00"), units("1"), 2)
    assert order.status == "NEW"
    engine.move(ID, units(triggers), units("1"), 3)
    assert order.status == "FILLED"
    assert engine.ledger.locked["BTC"] == 0


def test_participation_bounds_what_a_resting_order_gets() -> None:
    engine = engine_of(participation="0.1")
    order = engine.place(asked("BUY", "LIMIT", quantity="1", price="99"), 1)
    engine.move(ID, units("98"), units("5"), 2)
    assert order.executed == units("0.5")


@pytest.mark.parametrize("then", ["rest", "expire"])
def test_a_part_is_filled_and_the_rest_waits_or_expires(then: str) -> None:
    engine = engine_of()
    order = engine.place(asked(quantity="2"), 1, portion=500_000, then=then)
    assert order.executed == units("1")
    engine.resume(order.order_id, 2)
    assert order.status == ("FILLED" if then == "rest" else "EXPIRED")


def test_an_order_may_wait_before_its_first_execution() -> None:
    engine = engine_of()
    order = engine.place(asked(quantity="2"), 1, portion=0, then="rest")
    assert (order.status, order.executed) == ("NEW", 0)
    engine.resume(order.order_id, 2)
    assert order.status == "FILLED"


@pytest.mark.parametrize("how", ["resume", "execute"])
def test_an_order_that_waits_expires_where_its_money_is_gone(how: str) -> None:
    engine = engine_of()
    order = engine.place(asked(quantity="20"), 1, portion=0, then="rest")
    engine.transfer("USDT", -units("9000"), 2)
    if how == "resume":
        engine.resume(order.order_id, 3)
    else:
        engine.execute(order, 3)
    assert (order.status, order.executed) == ("EXPIRED", 0)


def test_a_stop_is_not_resumed_before_it_is_triggered() -> None:
    engine = engine_of()
    stop = asked("SELL", "STOP_LOSS", quantity="2", stop="99")
    order = engine.place(stop, 1, portion=500_000, then="rest")
    engine.resume(order.order_id, 2)
    assert (order.status, order.triggered) == ("NEW", False)
    engine.move(ID, units("98.99"), units("1"), 3)
    assert order.status == "FILLED"


def test_nothing_is_matched_while_a_symbol_does_not_trade() -> None:
    engine = engine_of()
    limit = engine.place(asked("BUY", "LIMIT", quantity="1", price="99", client_id="a"), 1)
    stop = engine.place(asked("SELL", "STOP_LOSS", quantity="1", stop="99", client_id="b"), 1)
    waits = engine.place(asked(quantity="1", client_id="c"), 1, portion=0, then="rest")
    engine.change_rules(ID, trading=False)
    engine.move(ID, units("98"), units("1"), 2)
    engine.resume(waits.order_id, 3)
    assert {each.status for each in (limit, stop, waits)} == {"NEW"}
    engine.change_rules(ID, trading=True)
    engine.move(ID, units("98"), units("1"), 4)
    engine.resume(waits.order_id, 5)
    assert {each.status for each in (limit, stop, waits)} == {"FILLED"}


def test_a_part_is_no_more_than_what_is_left() -> None:
    engine = engine_of()
    engine.change_rules(ID, lot=units("0.01"))
    order = engine.place(asked("BUY", "LIMIT", quantity="0.06", price="99"), 1, portion=1)
    engine.change_rules(ID, lot=units("0.1"))
    engine.move(ID, units("98"), units("1"), 2)
    assert (order.executed, order.status) == (units("0.06"), "FILLED")


def test_a_fault_may_be_injected_just_before_an_order_executes() -> None:
    met: list[int] = []

    def inject(order: Order, quantity: int) -> None:
        met.append(quantity)
        order.portion, order.then = 250_000, "expire"
        engine.fees = Fees(fee_currency="BNB")

    engine = engine_of(before_execution=inject)
    at_once = engine.place(asked(quantity="2"), 1)
    resting = engine.place(asked("BUY", "LIMIT", quantity="4", price="99", client_id="d"), 1)
    engine.move(ID, units("98"), units("9"), 2)
    assert met == [units("2"), units("4")]
    assert [each.status for each in (at_once, resting)] == ["EXPIRED", "EXPIRED"]
    assert [each.executed for each in (at_once, resting)] == [units("0.5"), units("1")]
    assert {each.fee_asset for each in engine.fills[ID]} == {"BNB"}


def test_balances_as_of_an_earlier_time() -> None:
    engine = engine_of()
    engine.place(asked("SELL", "LIMIT", quantity="3", price="110"), 5)
    engine.transfer("BTC", units("2"), 7)
    found = [engine.ledger.as_of(at_ms)["BTC"] for at_ms in (4, 5, 6, 7)]
    ten, seven, three = units("10"), units("7"), units("3")
    assert found == [(ten, 0), (seven, three), (seven, three), (units("9"), three)]


@pytest.mark.parametrize(
    ("fee_currency", "side", "asset"),
    [
        ("received", "BUY", "BTC"), ("received", "SELL", "USDT"), ("quote", "BUY", "USDT"),
        ("base", "SELL", "BTC"), ("BNB", "BUY", "BNB"), ("DOGE", "BUY", "BTC"),
    ],
)  # fmt: skip
def test_fees_are_paid_in(fee_currency: str, side: str, asset: str) -> None:
    order = engine_of(fees=Fees(fee_currency=fee_currency)).place(asked(side, quantity="1"), 1)
    assert order.fills[0].fee_asset == asset


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_as_text(value: float) -> None:
    assert float(exact(value)) == value
    assert "e" not in exact(value)


@given(st.integers(-(10**20), 10**20))
def test_units_survive_as_text(amount: int) -> None:
    assert units(text(amount)) == amount


class Trading(RuleBasedStateMachine):
    """Any orders and prices: money is conserved and every state is reported once, in order."""

    @initialize(
        fee_currency=st.sampled_from(["received", "quote", "base", "BNB"]),
        participation=st.sampled_from(["1", "0.3"]),
    )
    def start(self, fee_currency: str, participation: str) -> None:
        self.reports: list[Report] = []
        self.engine = engine_of(
            fees=Fees(fee_currency=fee_currency),
            participation=participation,
            notify=self.reports.append,
        )
        self.total = {a: units(amount) for a, amount in BALANCES.items()}
        self.number = 0

    @rule(
        side=st.sampled_from(["BUY", "SELL"]),
        kind=st.sampled_from(
            ["MARKET", "LIMIT", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT",
             "TAKE_PROFIT_LIMIT"]
        ),
        quantity=st.integers(5_000, 800_000),
        price=st.integers(9_000, 11_000),
        stop=st.integers(9_000, 11_000),
        tif=st.sampled_from(["GTC", "IOC", "FOK"]),
        then=st.sampled_from(["", "", "rest", "expire"]),
        portion=st.sampled_from([0, 1, 500_000]),
    )  # fmt: skip
    def place(
        self, side: str, kind: str, quantity: int, price: int, stop: int, tif: str, then: str,
        portion: int,
    ) -> None:  # fmt: skip
        self.number += 1
        # A rejection must leave everything as it was, which the invariants see.
        with suppress(Rejection):
            self.engine.place(
                Asked(
                    ID, side, kind, f"c{self.number}", quantity * 1000,
                    price=price * CENT if "LIMIT" in kind else 0,
                    stop=stop * CENT if "STOP" in kind or "PROFIT" in kind else 0, tif=tif,
                ),
                self.number, portion=portion if then else WHOLE_PPM, then=then,
            )  # fmt: skip

    @rule(price=st.integers(9_000, 11_000), volume=st.integers(0, 10))
    def move(self, price: int, volume: int) -> None:
        self.engine.move(ID, price * CENT, volume * SCALE, self.number)

    @rule(pick=st.integers(0, 100), how=st.sampled_from(["cancel", "expire", "execute", "resume"]))
    def touch(self, pick: int, how: str) -> None:
        working = list(self.engine.open.values())
        if working:
            order = working[pick % len(working)]
            match how:
                case "cancel":
                    self.engine.cancel(order, self.number)
                case "expire":
                    self.engine.expire(order, self.number)
                case "execute":
                    self.engine.execute(order, self.number)
                case _:
                    self.engine.resume(order.order_id, self.number)

    @rule(amount=st.integers(-(10**10), 10**10), asset=st.sampled_from(["USDT", "BTC"]))
    def transfer(self, amount: int, asset: str) -> None:
        with suppress(Rejection):
            self.engine.transfer(asset, amount, self.number)

    @invariant()
    def money_is_conserved(self) -> None:
        ledger = self.engine.ledger
        for asset, total in self.total.items():
            assert ledger.free[asset] + ledger.locked[asset] + ledger.world[asset] == total
            assert ledger.free[asset] >= 0

    @invariant()
    def locks_are_those_of_open_orders(self) -> None:
        for asset in self.total:
            held = sum(o.locked for o in self.engine.open.values() if o.locked_asset == asset)
            assert self.engine.ledger.locked[asset] == held

    @invariant()
    def orders_are_the_sum_of_their_fills(self) -> None:
        for order in self.engine.orders.values():
            assert order.executed == sum(fill.quantity for fill in order.fills) <= order.quantity
            assert (order.order_id in self.engine.open) == (order.status not in FINAL)
            assert (order.status == "FILLED") == (order.left == 0)

    @invariant()
    def reports_are_complete(self) -> None:
        fills: dict[int, int] = {}
        ended: set[int] = set()
        for report in self.reports:
            if isinstance(report.order, Order):
                number = report.order.order_id
                assert number not in ended
                if report.fill is not None:
                    fills[number] = fills.get(number, 0) + report.fill.quantity
                elif report.execution in FINAL:
                    ended.add(number)
        assert fills == {n: o.executed for n, o in self.engine.orders.items() if o.executed}


Trading.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTrading = Trading.TestCase
