"""A stop that rests at the venue, whose level prices have passed, and that is not executed."""

from __future__ import annotations

from typing import Any

import msgspec

from septet import messages as m
from septet._drill.sim.core_subject import core_subjects
from tests.live.test_prices import NOW, SECOND, close_bar

START = NOW + 130 * SECOND


def quote(core: Any, seconds: float, bid: float) -> list[m.Command]:
    at_ns = START + int(seconds * SECOND)
    found: list[m.Command] = core.handle(
        m.Quoted(
            at_ns=at_ns, symbol=0, venue_ns=at_ns, bid=bid, bid_quantity=1.0, ask=bid + 0.02,
            ask_quantity=1.0, market_ns=at_ns,
        )
    )  # fmt: skip
    return found


def protected(units: float = 1_000_000.0) -> tuple[Any, str]:
    """Hold units (a hundredth) bought at 100, with a stop at 99 that rests at the venue."""
    core: Any = core_subjects(1)()
    for n in range(1, 3):
        close_bar(core, NOW + 60 * n * SECOND, 100.0)
    core._carry(core.engine.adopt(0, units, 100.0, NOW + 121 * SECOND))
    core._protect(0)
    found = quote(core, 0, 99.5)
    (stop,) = (each for each in found if isinstance(each, m.Submit))
    assert (stop.order_type, stop.trigger_price) == ("stop", 99.0)
    core.handle(
        m.Acked(
            at_ns=START + SECOND, client_id=stop.client_id, venue_order_id="7", state="open",
            side="sell", quantity=stop.quantity, trigger_price=99.0, order_type="stop",
        )
    )  # fmt: skip
    assert core.orders.protected(0)
    return core, stop.client_id


def ended(
    core: Any, stop: str, seconds: float, filled: float = 0.0, trigger: float = 99.0
) -> list[m.Command]:
    """Report the stop as cancelled."""
    found: list[m.Command] = core.handle(
        m.OrderSeen(
            at_ns=START + int(seconds * SECOND), client_id=stop, venue_order_id="7", symbol=0,
            side="sell", state="cancelled", quantity=0.01, filled=filled, trigger_price=trigger,
            order_type="stop", by="cancel",
        )
    )  # fmt: skip
    return found


def part_filled(core: Any, stop: str, seconds: float) -> None:
    at_ns = START + int(seconds * SECOND)
    core.handle(
        m.Filled(
            at_ns=at_ns, venue="sim", symbol=0, trade_id="1", client_id=stop, venue_order_id="7",
            venue_ns=at_ns, market_ns=at_ns, side="sell", quantity=0.004, price=98.9, fee=0.0,
            fee_currency="USDT",
        )
    )  # fmt: skip


def cancels(found: list[m.Command]) -> list[str]:
    return [each.client_id for each in found if isinstance(each, m.Cancel)]


def sales(found: list[m.Command]) -> list[tuple[str, float]]:
    return [(each.order_type, each.quantity) for each in found if isinstance(each, m.Submit)]


def alarms(found: list[m.Command]) -> list[str]:
    alerts = (each for each in found if isinstance(each, m.Alerted))
    return [each.level for each in alerts if each.event == "stop_overdue"]


def test_a_stop_that_the_venue_does_not_execute_is_replaced_by_an_exit() -> None:
    core, stop = protected()
    assert quote(core, 2, 98.9) == []
    assert cancels(quote(core, 11, 98.0)) == []
    found = quote(core, 12, 98.0)
    assert alarms(found) == ["critical"]
    assert cancels(found) == [stop]
    assert sales(found) == []
    assert sales(ended(core, stop, 13)) == [("market", 0.01)]


def test_prices_that_come_back_in_time_begin_anew() -> None:
    core, _ = protected()
    for seconds, bid in ((2, 98.9), (8, 99.2), (9, 98.9), (13, 98.9), (18, 98.9)):
        assert cancels(quote(core, seconds, bid)) == []
    assert alarms(quote(core, 19, 98.9)) == ["critical"]


def test_the_rest_of_a_stop_that_was_filled_in_part_is_sold_at_market() -> None:
    """It executes, so that the price does not matter any more."""
    core, stop = protected()
    part_filled(core, stop, 2)
    quote(core, 3, 99.5)
    found = quote(core, 13, 99.5)
    assert alarms(found) == ["critical"]
    assert cancels(found) == [stop]
    assert alarms(quote(core, 14, 99.5)) == []
    assert sales(ended(core, stop, 15, 0.004)) == [("market", 0.006)]


def test_a_level_that_the_trigger_is_rounded_away_from_is_acted_on_at_once() -> None:
    """The price has not reached the trigger, so that the venue has nothing to execute."""
    core, stop = protected()
    core.orders.records.stops[0].trigger = 97.0
    core.orders.records.children[stop] = msgspec.structs.replace(
        core.orders.records.children[stop], trigger_price=97.0
    )
    found = quote(core, 2, 98.5)
    assert alarms(found) == [], "the venue is not accused"
    assert cancels(found) == [stop]
    assert sales(ended(core, stop, 3, trigger=97.0)) == [("market", 0.01)]
