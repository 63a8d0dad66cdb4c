"""A stop that cannot stand at the venue is reported at once: the engine watches the level alone."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from septet import messages as m
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND, TICK


def held(quantity: float, level: float, **instrument: float) -> Bench:
    bench = Bench()
    for name, value in instrument.items():
        setattr(bench.checks.symbols[0].instrument, name, value)
    bench.hold(quantity)
    bench.core.protect(0, quantity, level)
    bench.proceed()
    return bench


def unplaced(bench: Bench) -> list[str]:
    return [each.text for each in bench.alerts if each.event == "stop_unplaced"]


@pytest.mark.parametrize(
    ("level", "instrument", "why"),
    [
        (0.0, {}, "no price"), (-3.0, {}, "no price"), (math.inf, {}, "no price"),
        (0.4 * TICK, {"min_notional": 0.0}, "less than one tick"),
        (1e-4, {}, "worth less than"),
        (0.9 * PRICE, {"min_notional": 0.95 * PRICE}, "worth less than"),
    ],
)  # fmt: skip
def test_a_level_at_which_no_stop_can_stand_is_reported_once(
    level: float, instrument: dict[str, float], why: str
) -> None:
    bench = held(1.0, level, **instrument)
    assert bench.take(m.Submit) == []
    (message,) = unplaced(bench)
    assert why in message
    assert "the engine watches the level" in message
    assert not bench.core.protected(0)
    bench.core.protect(0, 1.0, level)
    bench.after_s(120)
    assert len(unplaced(bench)) == 1
    bench.core.restore(bench.core.snapshot())
    bench.core.protect(0, 1.0, 0.98 * PRICE)
    bench.proceed()
    assert bench.only(m.Submit).trigger_price == 0.98 * PRICE
    bench.core.protect(0, 0.0, 0.0)
    bench.proceed()
    bench.core.protect(0, 1.0, -1.0)
    bench.proceed()
    assert len(unplaced(bench)) == 2, "another position, another time"


@pytest.mark.parametrize(
    ("quantity", "instrument"),
    [
        (0.0, {}), (1.0, {"min_notional": 1.1 * PRICE}), (1.0, {"min_quantity": 2.0}),
        (0.0004, {}),
    ],
)  # fmt: skip
def test_what_no_order_can_sell_is_not_reported_of_its_stop(
    quantity: float, instrument: dict[str, float]
) -> None:
    bench = held(quantity, 0.9 * PRICE, **instrument)
    assert bench.take(m.Submit) == []
    assert unplaced(bench) == []


def test_a_rate_that_holds_a_stop_back_is_reported() -> None:
    bench = Bench()
    bench.checks.limits = type(bench.checks.limits)(reductions_per_minute=0)
    bench.hold(1.0)
    bench.core.protect(0, 1.0, 0.9 * PRICE)
    bench.proceed()
    (message,) = unplaced(bench)
    assert "(rate)" in message


def test_a_stop_that_the_venue_rejects_is_an_alarm_at_once() -> None:
    bench = held(1.0, 0.9 * PRICE)
    bench.reject(bench.only(m.Submit).client_id, "filter")
    assert bench.alerted("stop_lost") == ["critical"]
    assert f"the engine watches the level {0.9 * PRICE:.12g}" in bench.alerts[-1].text
    assert not bench.core.protected(0), "the engine's own test acts"


def test_the_stop_of_another_position_does_not_wait_for_that_of_the_last() -> None:
    """The venue ends stop after stop: the pause that grows is of one position alone."""
    bench = held(1.0, 0.9 * PRICE)
    for _ in range(4):
        bench.reject(bench.only(m.Submit).client_id, "filter")
        bench.after_s(70)
    bench.reject(bench.only(m.Submit).client_id, "filter")
    bench.proceed()
    assert bench.take(m.Submit) == [], "it waits"
    bench.core.protect(0, 0.0, 0.0)
    bench.hold(0.0)
    bench.proceed()
    bench.hold(2.0)
    bench.core.protect(0, 2.0, 0.95 * PRICE)
    bench.proceed()
    assert bench.only(m.Submit).quantity == 2.0


def test_a_stop_that_ends_when_nothing_is_held_alarms_nobody() -> None:
    bench = held(1.0, 0.9 * PRICE)
    stop = bench.only(m.Submit)
    bench.core.protect(0, 0.0, 0.0)
    bench.hold(0.0)
    bench.reject(stop.client_id, "filter")
    assert bench.alerted("stop_lost") == []


def test_a_stop_of_which_nobody_knows_whether_it_stands_is_reported_at_once() -> None:
    bench = held(1.0, 0.9 * PRICE)
    bench.lose(bench.only(m.Submit).client_id)
    assert bench.alerted("stop_unconfirmed") == ["error"]
    assert "1 may be without one" in bench.alerts[-1].text


@pytest.mark.parametrize(
    "echo",
    [
        {"side": "buy"}, {"quantity": 0.2}, {"trigger_price": 80.0}, {"order_type": "market"},
        {"order_type": "take_profit"},
    ],
)  # fmt: skip
def test_e21_a_stop_that_differs_is_placed_again_after_growing_pauses(
    echo: dict[str, object],
) -> None:
    """Each answer differs: two thousand orders went out within half a minute."""
    bench = Bench()
    bench.hold(0.4)
    bench.core.protect(0, 0.4, 90.0)
    bench.proceed()
    sent = 0
    for _ in range(30 * 4):
        for stop in bench.take(m.Submit):
            sent += 1
            bench.ack(stop, **echo)
            bench.show(stop, "cancelled", by="cancel")
        bench.after_s(0.25)
        bench.handle(m.Ticked(at_ns=bench.now, market_ns=bench.now))
    assert 4 <= sent <= 6, "after 1, 2, 4, 8 and 16 s"
    assert bench.guards.blocked(0) == "ack_mismatch"


def standing_stop() -> tuple[Bench, m.Submit]:
    bench = held(1.0, 90.0)
    stop = bench.only(m.Submit)
    bench.ack(stop, trigger_price=90.0, order_type="stop")
    assert bench.core.protected(0)
    assert bench.guards.blocked(0) == ""
    return bench, stop


DIFFERENT = [{"trigger_price": 80.0}, {"order_type": "limit"}, {"symbol": 1}]


@pytest.mark.parametrize("differs", DIFFERENT)
@pytest.mark.parametrize("by", ["list", "query", "stream"])
def test_e21_a_stop_that_a_later_report_shows_otherwise_is_replaced(
    differs: dict[str, Any], by: Any
) -> None:
    bench, stop = standing_stop()
    bench.after_s(20)
    bench.take(m.Submit)

    def tell() -> None:
        seen = bench.listed(stop, trigger_price=90.0, order_type="stop")
        seen = msgspec.structs.replace(seen, by=by, **differs)
        if by == "list":
            bench.list_open(seen)
        else:
            bench.handle(seen)

    tell()
    assert bench.guards.blocked(0) == "ack_mismatch"
    assert not bench.core.protected(0), "the engine watches the level"
    cancels = bench.take(m.Cancel)
    assert {each.client_id for each in cancels} == {stop.client_id}
    assert {each.symbol for each in cancels} >= {differs.get("symbol", 0)}
    assert bench.take(m.Submit) == [], "two stops would sell twice"
    tell()
    assert len([each for each in bench.alerts if each.event == "ack_mismatch"]) == (
        2 if "symbol" in differs else 1
    ), "once for each symbol"
    if "symbol" in differs:
        bench.after_s(FINAL_AFTER + 1)
        bench.miss(stop.client_id)
        bench.after_s(FINAL_AFTER + 1)
        bench.miss(stop.client_id)
    else:
        bench.show(stop, "cancelled", by="cancel")
    bench.after_s(0.25)
    again = bench.only(m.Submit)
    assert (again.quantity, again.trigger_price) == (1.0, 90.0)


def test_e21_a_trigger_that_the_venue_rounds_within_half_a_tick_is_the_same() -> None:
    bench = held(1.0, 90.0)
    stop = bench.only(m.Submit)
    bench.ack(stop, trigger_price=90.0 + 0.4 * TICK, order_type="stop")
    assert bench.core.protected(0)


@pytest.mark.parametrize(
    "differs", [{"order_type": "market"}, {"order_type": "stop", "trigger_price": 101.0}]
)
def test_e21_an_entry_of_another_type_is_cancelled(differs: dict[str, Any]) -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order, **differs)
    assert bench.only(m.Cancel).client_id == order.client_id
    assert bench.guards.blocked(0) == "ack_mismatch"


def test_e21_the_pause_counts_from_when_the_stop_was_sent_and_is_reported() -> None:
    """A cancel that is confirmed late makes no pause longer."""
    bench = held(1.0, 90.0)
    for pause_s in (1, 2, 4):
        stop, sent_ns = bench.only(m.Submit), bench.now
        bench.ack(stop, trigger_price=80.0)
        bench.after_s(0.75)
        bench.show(stop, "cancelled", by="cancel")
        (said,) = [each for each in bench.alerts if each.event == "stop_lost"][-1:]
        assert f"placed again in {pause_s - 0.75:.3g} s, at 2023-11-14T" in said.text
        while not (sent := [each for each in bench.commands if isinstance(each, m.Submit)]):
            bench.after_s(0.25)
        assert len(sent) == 1
        assert bench.now - sent_ns == pause_s * SECOND


def ticks(bench: Bench, tick: float) -> None:
    bench.handle(
        m.FiltersChanged(
            at_ns=bench.now, symbol=0, lot=0.001, tick=tick, min_notional=0.0, trading=True
        )
    )


def test_a_tick_that_moves_a_stop_far_from_its_level_is_reported_until_it_is_moved_back() -> None:
    """It rests there, since the process may die; the engine watches the level."""
    level = 0.9385 * PRICE
    bench = held(1.0, level, tick=0.5 * PRICE)
    far = bench.only(m.Submit)
    assert far.trigger_price == 0.5 * PRICE
    (message,) = unplaced(bench)
    assert f"with ticks of {0.5 * PRICE:.12g} its trigger is {0.5 * PRICE:.12g}" in message
    assert bench.guards.blocked(0) == "unprotected"
    bench.ack(far, trigger_price=0.5 * PRICE, order_type="stop")
    bench.after_s(30)
    assert bench.guards.blocked(0) == "unprotected", "it acts at half of the price"
    assert not bench.core.is_left_to_stop(0, 0.9 * PRICE, 1.0, bench.now)
    assert len(unplaced(bench)) == 1
    bench.core.restore(bench.core.snapshot())
    bench.take(m.Submit)
    ticks(bench, TICK)
    assert bench.only(m.Cancel).client_id == far.client_id
    bench.show(far, "cancelled", by="cancel")
    near = bench.only(m.Submit)
    assert near.trigger_price == pytest.approx(level, abs=TICK)
    bench.ack(near, trigger_price=near.trigger_price, order_type="stop")
    assert bench.guards.blocked(0) == ""
    assert bench.core.protected(0)


@pytest.mark.parametrize(
    ("level", "tick"), [(0.97, 0.01), (0.999, 0.009), (0.9385, 0.0001), (0.9, 0.05)]
)
def test_a_stop_within_the_tick_of_a_cheap_coin_is_where_it_should_be(
    level: float, tick: float
) -> None:
    bench = held(1.0, level * PRICE, tick=tick * PRICE)
    bench.ack(bench.only(m.Submit))
    assert unplaced(bench) == []
    assert bench.guards.blocked(0) == ""
