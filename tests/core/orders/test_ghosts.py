"""Orders of ours that are open at the venue and ended here, and lock what a reduction needs."""

from __future__ import annotations

import pytest

from septet import messages as m
from tests.core.orders.bench import Bench

LEVEL = 90.0


def ghost() -> tuple[Bench, m.Submit]:
    """A position whose stop rests at the venue, though even a query has shown it cancelled."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    bench.end(stop, "cancelled")
    bench.after_s(20)  # long ago, by any bound
    return bench, stop


def refuse(bench: Bench, order: m.Submit, code: str = "funds") -> None:
    """Reject a reduction; the open orders are read."""
    bench.take(m.Refresh)
    bench.reject(order.client_id, code)
    assert "open_orders" in {each.what for each in bench.take(m.Refresh)}


@pytest.mark.parametrize("code", ["funds", "filter"])
@pytest.mark.parametrize("by", ["cancel", "stream", "missing"])
def test_a_refused_stop_finds_what_locks_its_units_and_leaves_right_after(
    code: str, by: str
) -> None:
    bench, old = ghost()
    refuse(bench, bench.only(m.Submit), code)
    bench.now += 1
    bench.list_open(bench.listed(old))
    assert bench.only(m.Cancel).client_id == old.client_id
    assert bench.alerted("ghost_order") == ["critical"]
    assert bench.take(m.Submit) == [], "it waits for the end of the other"
    if by == "missing":
        bench.miss(old.client_id, by="cancel")
    else:
        bench.show(old, "cancelled", by=by)
    again = bench.only(m.Submit)
    assert (again.order_type, again.quantity) == ("stop", 1.0)


def test_a_refused_exit_leaves_right_after_the_end_of_what_locked_its_units() -> None:
    bench, old = ghost()
    bench.reject(bench.only(m.Submit).client_id, "funds")
    bench.after_s(0.5)
    bench.want(1, -1.0)
    bench.reject(bench.only(m.Submit).client_id, "funds")
    bench.after_s(1)
    refuse(bench, bench.only(m.Submit))
    assert bench.take(m.Submit) == [], "the stop's own pause holds"
    bench.now += 1
    bench.list_open(bench.listed(old))
    assert bench.only(m.Cancel).client_id == old.client_id
    bench.show(old, "cancelled", by="cancel")
    assert [(each.order_type, each.quantity) for each in bench.take(m.Submit)] == [("market", 1.0)]


def test_one_that_ended_a_moment_ago_is_cancelled_if_a_reduction_was_refused_since() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    bench.want(1, -1.0)
    bench.show(stop, "cancelled", by="cancel")
    sale = bench.take(m.Submit)[-1]
    bench.take(m.Cancel)
    bench.list_open(bench.listed(stop))
    assert bench.take(m.Cancel) == [], "the list may be older than the cancel"
    bench.now += 1
    refuse(bench, sale)
    bench.list_open(bench.listed(stop))
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).order_type == "market"


def test_a_rejection_that_arrives_after_the_end_of_the_ghost_costs_no_pause() -> None:
    bench, old = ghost()
    stop = bench.only(m.Submit)
    bench.now += 1
    bench.list_open(bench.listed(old))
    bench.show(old, "cancelled", by="cancel")
    assert bench.take(m.Submit) == []
    bench.reject(stop.client_id, "funds")
    assert bench.only(m.Submit).order_type == "stop"


def test_open_orders_are_read_once_a_second_at_most() -> None:
    bench = Bench()
    bench.hold(1.0)
    sale = bench.order(1, -1.0)
    refuse(bench, sale)
    bench.core.request_cancel(1, "expired", bench.now)
    bench.proceed()
    other = bench.order(2, -1.0)
    bench.reject(other.client_id, "funds")
    assert [each.what for each in bench.take(m.Refresh)] == ["holdings"]


def test_the_stop_stands_while_an_exit_that_is_refused_again_waits() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    bench.want(1, -1.0)
    bench.show(stop, "cancelled", by="cancel")
    bench.reject(bench.only(m.Submit).client_id, "rejected")
    assert bench.take(m.Submit) == [], "the first pause is short"
    bench.after_s(1)
    bench.reject(bench.only(m.Submit).client_id, "rejected")
    again = bench.only(m.Submit)
    assert (again.order_type, again.quantity, again.trigger_price) == ("stop", 1.0, LEVEL)
    bench.take(m.Cancel)
    bench.ack(again)
    bench.after_s(1.75)
    assert bench.take(m.Cancel) == []
    bench.after_s(0.25)
    assert bench.only(m.Cancel).client_id == again.client_id, "it makes way when the pause ends"
    bench.show(again, "cancelled", by="cancel")
    assert bench.only(m.Submit).order_type == "market"


def test_no_stop_is_placed_at_a_level_that_the_price_has_reached() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    bench.want(1, -1.0)
    bench.show(stop, "cancelled", by="cancel")
    bench.reject(bench.only(m.Submit).client_id, "rejected")
    bench.after_s(1)
    bench.checks.priced(0, LEVEL - 1.0, bench.now)
    bench.reject(bench.only(m.Submit).client_id, "rejected")
    assert bench.take(m.Submit) == []


def test_a_ghost_of_an_order_forgotten_here_frees_the_reduction_as_well() -> None:
    bench = Bench()
    bench.timing = type(bench.timing)(
        answers_final_after_ns=bench.timing.answers_final_after_ns, remember=0, remember_ns=0
    )
    bench.core = bench.make()
    bench.hold(1.0)
    sale = bench.order(1, -0.5, closes_all=False)
    bench.ack(sale)
    bench.execute(sale, 0.5)
    bench.after_s(1)
    assert sale.client_id not in bench.core.records.children
    refuse(bench, bench.order(2, -0.5))
    bench.list_open(bench.listed(sale))
    assert bench.only(m.Cancel).client_id == sale.client_id
    bench.show(sale, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 0.5


def test_what_was_refused_and_freed_survives_a_restart() -> None:
    bench, old = ghost()
    refuse(bench, bench.only(m.Submit))
    bench.twin()
    bench.now += 1
    bench.list_open(bench.listed(old))
    bench.twin()
    bench.take(m.Cancel)
    bench.show(old, "cancelled", by="cancel")
    assert bench.only(m.Submit).order_type == "stop"
