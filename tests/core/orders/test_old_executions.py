"""A3: executions in a list that are older than their order, or that it contradicts."""

from __future__ import annotations

import msgspec
import pytest

from septet import messages as m
from septet._core.orders.recent_fills import RecentFills
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import LOT, PRICE, SECOND


def row(bench: Bench, order: m.Submit, age_s: float, **more: object) -> m.Filled:
    """Let the list of executions show one of the whole order, of so long ago."""
    fill = m.Filled(
        at_ns=bench.now, venue="v", symbol=0, trade_id="9999", client_id=order.client_id,
        venue_order_id=f"v-{order.client_id}", venue_ns=bench.now - round(age_s * SECOND),
        market_ns=bench.now, side=order.side, quantity=order.quantity, price=PRICE, fee=0.0,
        fee_currency="USDT", listed=True,
    )  # fmt: skip
    fill = msgspec.structs.replace(fill, **more)
    bench.handle(fill)
    return fill


def account(bench: Bench, gap: float) -> bool:
    bench.now += 1
    booked = bench.core.resolve_disputes(0, "BTC", gap, LOT, bench.now, bench.now)
    bench.handle(m.Ticked(at_ns=bench.now, market_ns=bench.now))
    return booked


def standing() -> tuple[Bench, m.Submit]:
    """A position with a stop that stands at the venue."""
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.ack(stop)
    return bench, stop


def test_a_listed_execution_older_than_its_order_is_not_booked() -> None:
    bench, stop = standing()
    bench.after_s(1)
    row(bench, stop, 4 * FINAL_AFTER)
    assert bench.position[0] == 1.0
    assert bench.guards.blocked(0) == "disputed_fill"
    bench.after_s(FINAL_AFTER + 1)
    account(bench, 0.0)
    assert bench.position[0] == 1.0
    assert bench.guards.blocked(0) == ""
    assert bench.core.protected(0)


@pytest.mark.parametrize("by", ["list", "query"])
def test_a_listed_execution_that_its_order_contradicts_is_not_booked(by: str) -> None:
    bench, stop = standing()
    bench.after_s(5 * FINAL_AFTER)
    if by == "list":
        bench.list_open(bench.listed(stop))
    else:
        bench.show(stop, "open", by="query")
    row(bench, stop, 4 * FINAL_AFTER)
    assert bench.position[0] == 1.0
    assert bench.guards.blocked(0) == "disputed_fill"
    assert account(bench, -1.0), "the account decides"
    assert bench.position[0] == 0.0


def test_an_execution_while_disconnected_is_booked() -> None:
    bench, stop = standing()
    bench.show(stop, "open", by="query")
    bench.now += 100 * SECOND
    bench.list_open()
    row(bench, stop, 4 * FINAL_AFTER)
    assert bench.position[0] == 0.0
    assert bench.guards.blocked(0) == ""


def test_an_execution_newer_than_what_a_read_must_show_is_booked() -> None:
    bench, stop = standing()
    bench.after_s(30)
    bench.show(stop, "open", by="query")
    row(bench, stop, FINAL_AFTER - 1)
    assert bench.position[0] == 0.0


def test_an_old_execution_of_a_list_explains_no_gap() -> None:
    now, recent = 1_000 * SECOND, RecentFills()
    fill = m.Filled(
        at_ns=now, venue="v", symbol=0, trade_id="1", client_id="", venue_order_id="", side="sell",
        venue_ns=now - 100 * SECOND, market_ns=now, quantity=1.0, price=PRICE, fee=0.0,
        fee_currency="USDT", listed=True,
    )  # fmt: skip
    recent.add(msgspec.structs.replace(fill, venue_ns=now - SECOND), now, 60 * SECOND)
    recent.add(fill, now, 60 * SECOND)
    assert len(recent.lags(now - 10 * SECOND)) == 2, "the newer one alone"
    recent.add(msgspec.structs.replace(fill, listed=False), now, 60 * SECOND)
    assert len(recent.lags(now - 10 * SECOND)) == 3, "received now: no read may show it yet"


@pytest.mark.parametrize("held", [1.0, 0.0])
def test_a_stop_is_no_ghost_while_the_account_holds_what_it_protects(held: float) -> None:
    bench, stop = standing()
    bench.after_s(60)
    bench.execute(stop, 1.0)
    assert bench.position[0] == 0.0
    account(bench, held)
    bench.after_s(FINAL_AFTER + 2)
    bench.take(m.Cancel)
    bench.list_open(bench.listed(stop))
    assert bench.alerted("ghost_order") == ["critical"]
    assert len(bench.take(m.Cancel)) == (0 if held else 1)
