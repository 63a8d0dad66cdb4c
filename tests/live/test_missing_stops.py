"""Levels of a grid while the stop of what it holds does not act at the venue."""

from __future__ import annotations

from typing import Any

from septet import messages as m
from septet._core.orders.missing_stops import MISSING_NS
from septet._drill.sim.core_subject import core_subjects
from tests.live.test_prices import NOW, SECOND, close_bar

START = NOW + 250 * SECOND


class Run:
    """A grid around 100 in steps of 0.3 %, whose answers the test gives."""

    def __init__(self) -> None:
        self.core: Any = core_subjects(1, forms=("grid",))()
        for n in range(1, 5):
            close_bar(self.core, NOW + 60 * n * SECOND, 100.0)
        self.now, self.trades = START, 0

    def submits(self, found: list[m.Command]) -> list[m.Submit]:
        self.alerts = [each.event for each in found if isinstance(each, m.Alerted)]
        return [each for each in found if isinstance(each, m.Submit)]

    def quote(self, ask: float, seconds: float = 0.1) -> list[m.Submit]:
        self.now += int(seconds * SECOND)
        event = m.Quoted(
            at_ns=self.now, symbol=0, venue_ns=self.now, bid=ask - 0.02, bid_quantity=1.0, ask=ask,
            ask_quantity=1.0, market_ns=self.now,
        )  # fmt: skip
        return self.submits(self.core.handle(event))

    def ack(self, order: m.Submit) -> list[m.Submit]:
        event = m.Acked(
            at_ns=self.now, client_id=order.client_id, venue_order_id=f"v-{order.client_id}",
            state="open", side=order.side, quantity=order.quantity,
            trigger_price=order.trigger_price, order_type=order.order_type,
        )  # fmt: skip
        return self.submits(self.core.handle(event))

    def fill(self, order: m.Submit, price: float) -> list[m.Submit]:
        self.trades += 1
        event = m.Filled(
            at_ns=self.now, venue="sim", symbol=0, trade_id=f"{self.trades}",
            client_id=order.client_id, venue_order_id=f"v-{order.client_id}", venue_ns=self.now,
            market_ns=self.now, side=order.side, quantity=order.quantity, price=price, fee=0.0,
            fee_currency="USDT",
        )  # fmt: skip
        return self.submits(self.core.handle(event))

    def bought(self) -> m.Submit:
        """Buy the first level; return its stop, which is not answered."""
        (entry,) = self.quote(99.6)
        assert (entry.side, entry.order_type) == ("buy", "market")
        self.ack(entry)
        (stop,) = self.fill(entry, 99.6)
        assert (stop.side, stop.order_type) == ("sell", "stop")
        return stop


def test_a_level_is_bought_when_the_stop_of_the_one_before_acts() -> None:
    run = Run()
    stop = run.bought()
    assert run.quote(99.3) == []
    assert run.quote(99.3) == []
    assert run.ack(stop) == []
    (entry,) = run.quote(99.3)
    assert entry.side == "buy"


def test_a_level_that_the_price_has_left_when_the_stop_acts_is_not_bought() -> None:
    run = Run()
    stop = run.bought()
    assert run.quote(99.3) == []
    run.ack(stop)
    assert run.quote(99.6) == []


def test_no_level_is_bought_after_the_bound_and_the_alert_is_raised_once() -> None:
    run = Run()
    stop = run.bought()
    run.core.handle(m.Uncertain(at_ns=run.now, client_id=stop.client_id, text="lost"))
    assert run.quote(99.3, MISSING_NS / SECOND) == []
    assert run.alerts.count("stop_missing") == 1
    assert run.core.guards.symbols_of("unprotected") == [0]
    assert run.quote(98.9, 2) == []
    assert run.alerts.count("stop_missing") == 0
    run.ack(stop)
    assert run.core.guards.blocked(0) == ""
    (entry,) = run.quote(99.3)
    assert entry.side == "buy"


def test_the_level_of_a_rejected_stop_is_tested_by_quotes() -> None:
    run = Run()
    stop = run.bought()
    rejected = m.Rejected(at_ns=run.now, client_id=stop.client_id, code="filter", text="")
    run.core.handle(rejected)
    assert stop.trigger_price is not None
    (sale,) = run.quote(stop.trigger_price - 0.5)
    assert (sale.side, sale.order_type) == ("sell", "market")
