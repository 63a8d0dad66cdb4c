"""Executions of another copy of the run are booked at a resume, where that is exact, and once."""

from __future__ import annotations

from septet import messages as m
from septet._core.orders.ids import child_id
from septet._core.orders.records import NO_ORDER, Booked
from tests.core.orders.bench import Bench
from tests.core.orders.market import LOT, TAG
from tests.core.orders.test_foreign_orders import COPY, copys_stop, shown, unnamed

FIRST, SECOND_ORDER = child_id(TAG, 1, 1, COPY), child_id(TAG, 2, 1, COPY)


def bought(bench: Bench, *, filled: float = 2.0) -> m.Filled:
    """List an execution of 2 by an order of a copy, of which the venue shows `filled`."""
    fill = unnamed(bench, "v1")
    bench.handle(shown(bench, "v1", FIRST, quantity=max(2.0, filled), filled=filled))
    return fill


def booked(bench: Bench) -> list[tuple[float, float, str]]:
    return [
        (each.quantity, each.fill.price, each.client_id) for each in bench.outcomes
        if isinstance(each, Booked) and each.parent == NO_ORDER
    ]  # fmt: skip


def test_nothing_is_booked_before_a_person_resumes_and_everything_once_then() -> None:
    bench = Bench()
    fill = bought(bench)
    assert booked(bench) == []
    bench.operate("resume")
    assert booked(bench) == [(2.0, 100.0, FIRST)]
    assert bench.position[0] == 2.0
    bench.twin()
    bench.handle(fill)
    bench.handle(shown(bench, "v1", FIRST))
    bench.operate("resume")
    assert len(booked(bench)) == 1
    assert "are booked; they changed the cash by -200" in texts(bench)[-1]
    assert [each.what for each in bench.take(m.Refresh)].count("holdings") == 1


def texts(bench: Bench) -> list[str]:
    return [each.text for each in bench.alerts if each.event == "foreign_order"]


def test_executions_go_by_the_time_of_the_venue_whatever_order_is_seen_first() -> None:
    bench = Bench()
    sale = unnamed(bench, "v2", side="sell", price=110.0)
    bench.now -= 60
    unnamed(bench, "v1")
    bench.now += 60
    bench.handle(shown(bench, "v2", SECOND_ORDER, side="sell"))
    bench.handle(shown(bench, "v1", FIRST))
    bench.operate("resume")
    assert [quantity for quantity, _, _ in booked(bench)] == [2.0, -2.0]
    assert booked(bench)[1][1] == sale.price


def test_an_order_of_which_an_execution_is_missing_is_booked_once_it_is_found() -> None:
    bench = Bench()
    bought(bench, filled=3.0)
    bench.operate("resume")
    assert booked(bench) == []
    assert "ledger that lacks" in texts(bench)[-1]
    assert "3 filled, 2 found" in texts(bench)[-1]
    bench.handle(further(bench, 1.0))
    assert booked(bench) == [], "a person is to look once more"
    bench.operate("resume")
    assert [quantity for quantity, _, _ in booked(bench)] == [2.0, 1.0]


def further(bench: Bench, quantity: float) -> m.Filled:
    """Return a further execution of the copy's first order, under its client id."""
    bench.trades += 1
    return m.Filled(
        at_ns=bench.now, venue="v", symbol=0, trade_id=f"y{bench.trades}", client_id=FIRST,
        venue_order_id="v1", venue_ns=bench.now, market_ns=bench.now, side="buy",
        quantity=quantity, price=101.0, fee=0.0, fee_currency="USDT",
    )  # fmt: skip


def test_what_an_order_that_was_booked_executes_later_is_booked_at_once() -> None:
    bench = Bench()
    unnamed(bench, "v1")
    bench.handle(shown(bench, "v1", FIRST, quantity=5.0, state="partially_filled"))
    bench.operate("resume")
    assert len(booked(bench)) == 1
    bench.handle(further(bench, 0.5))
    assert booked(bench)[1] == (0.5, 101.0, FIRST)


def test_a_sale_of_more_than_the_ledger_holds_is_not_booked() -> None:
    """What was bought before it is not known: the folder is older than what can be read."""
    bench = Bench()
    bench.hold(1.0)
    unnamed(bench, "v1", side="sell")
    bench.handle(shown(bench, "v1", FIRST, side="sell"))
    bench.operate("resume")
    assert booked(bench) == []
    assert "sells more" in texts(bench)[-1]


def test_the_stop_of_a_copy_gives_way_to_the_own_one_of_what_is_booked() -> None:
    bench = Bench()
    bought(bench)
    bench.list_open(copys_stop(bench, 2.0))
    bench.now += 1
    bench.core.resolve_disputes(0, "S0", 2.0, LOT, bench.now, bench.now)
    bench.operate("resume")
    assert bench.only(m.Cancel).venue_order_id == "v9"
    bench.core.protect(0, 2.0, 90.0)
    bench.proceed()
    assert bench.take(m.Submit) == [], "the units are locked until the cancel is answered"
    bench.handle(copys_stop(bench, 2.0, state="cancelled", by="cancel"))
    assert bench.only(m.Submit).order_type == "stop"


def test_a_further_child_of_a_known_order_is_a_copys_if_its_execution_is_new() -> None:
    """The copy went on from this start of the process: the number of its order is known here."""
    bench = Bench()
    order = bench.order(1, 1.0)
    bench.execute(order, 1.0)
    bench.show(order, "filled", 1.0)
    bench.after_s(1)
    assert not bench.core.working(1)
    copys = child_id(TAG, 1, 2)
    unnamed(bench, "v8")
    bench.handle(shown(bench, "v8", copys))
    assert bench.alerted("foreign_order") == ["critical"]
    bench.operate("resume")
    assert booked(bench) == [(2.0, 100.0, copys)]
