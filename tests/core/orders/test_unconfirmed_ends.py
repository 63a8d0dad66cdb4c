"""A19: a report that an order ended before it was full ends nothing until a query agrees."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from tests.core.orders.bench import FINAL_AFTER, Bench

LEVEL = 90.0
ENDS = ("expired", "cancelled", "rejected")


def protected(bench: Bench) -> m.Submit:
    """Begin with a position, and send its stop."""
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    return bench.only(m.Submit)


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("by", ["answer", "stream"])
def test_an_entry_reported_ended_that_was_filled_is_not_sent_again(state: Any, by: str) -> None:
    bench = Bench()
    order = bench.order(1)
    if by == "answer":
        bench.ack(order, state=state)
    else:
        bench.ack(order)
        bench.show(order, state)
    assert 1 not in bench.ended
    assert bench.only(m.Query).client_id == order.client_id
    bench.want(2)
    bench.after_s(1)
    assert bench.take(m.Submit) == [], "the symbol waits for the query"
    bench.take(m.Refresh)
    bench.show(order, "filled", 1.0, by="query")
    assert "fills" in {each.what for each in bench.take(m.Refresh)}, "asked for in the same turn"
    assert bench.alerted("unreadable") == ["error"]
    bench.execute(order, 1.0, listed=True)
    assert bench.position[0] == 1.0
    assert bench.ended[1].state == "filled"
    assert bench.alerted("disputed_fill") == []
    assert bench.alerted("late_fill") == []


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("filled", [0.0, 0.4])
def test_one_query_that_agrees_ends_it_without_a_block(state: Any, filled: float) -> None:
    bench = Bench()
    order = bench.order(1)
    if filled:
        bench.execute(order, filled)
    bench.ack(order, state=state, filled=filled)
    bench.only(m.Query)
    assert 1 not in bench.ended
    assert bench.guards.blocked(0) == ""
    bench.show(order, state, filled, by="query")
    assert bench.ended[1].state == state
    assert bench.guards.blocked(0) == ""
    assert bench.take(m.Query) == []
    assert [each.event for each in bench.alerts] == (
        ["rejected_order"] if state == "rejected" else []
    )
    bench.want(2)
    assert len(bench.take(m.Submit)) == 1


def test_without_an_answer_to_the_query_entries_are_blocked_by_name() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order, state="expired")
    bench.after_s(10)
    assert bench.guards.blocked(0) == "unknown_order"
    assert len(bench.take(m.Query)) > 3, "asked again"
    bench.show(order, "expired", by="query")
    assert bench.guards.blocked(0) == ""
    assert bench.ended[1].state == "expired"


def test_an_execution_that_comes_meanwhile_is_booked_at_once() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order, state="cancelled")
    bench.execute(order, 1.0)
    assert bench.position[0] == 1.0
    assert bench.ended[1].state == "filled"
    assert bench.alerted("disputed_fill") == []


def test_an_order_that_no_query_finds_has_ended_after_the_bound() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order, state="rejected")
    bench.miss(order.client_id)
    assert 1 not in bench.ended, "the read may be stale"
    bench.after_s(FINAL_AFTER + 1)
    bench.miss(order.client_id)
    assert bench.ended[1].state == "rejected"
    assert bench.alerted("order_vanished") == []


def test_a_reduction_does_not_wait_for_an_entry_reported_ended() -> None:
    bench = Bench()
    bench.hold(1.0)
    entry = bench.order(1, 0.5, reduces=False)
    bench.ack(entry, state="expired")
    bench.want(2, -1.0)
    assert bench.only(m.Submit).quantity == 1.0


def test_a_reduction_reported_ended_is_sent_again_only_after_the_query() -> None:
    bench = Bench()
    bench.hold(1.0)
    sale = bench.order(1, -1.0)
    bench.ack(sale, state="expired")
    bench.after_s(FINAL_AFTER + 5)
    assert bench.take(m.Submit) == [], "it may have been filled"
    bench.show(sale, "filled", 1.0, by="query")
    bench.execute(sale, 1.0, listed=True)
    bench.after_s(5)
    assert bench.take(m.Submit) == []
    assert bench.position[0] == 0.0


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("by", ["answer", "stream"])
def test_a_stop_reported_ended_that_rests_stays_the_only_one(state: Any, by: str) -> None:
    bench = Bench()
    stop = protected(bench)
    if by == "answer":
        bench.ack(stop, state=state)
    else:
        bench.ack(stop)
        bench.show(stop, state)
    assert bench.only(m.Query).client_id == stop.client_id
    assert not bench.core.protected(0), "the engine watches the level as well"
    bench.show(stop, "open", by="query")
    bench.after_s(FINAL_AFTER + 1)
    assert bench.take(m.Query), "the first read may have been stale"
    bench.show(stop, "open", by="query")
    assert bench.core.protected(0)
    bench.after_s(20)
    assert bench.take(m.Submit) == []
    assert bench.take(m.Cancel) == []
    bench.want(1, -1.0)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0, "the exit leaves as it would without the report"


@pytest.mark.parametrize("answered", [True, False])
def test_a_cancel_of_ours_is_borne_out_by_its_answer_or_soon_by_a_query(*, answered: bool) -> None:
    bench = Bench()
    stop = protected(bench)
    bench.ack(stop)
    bench.want(1, -1.0)
    bench.only(m.Cancel)
    bench.show(stop, "cancelled")
    assert bench.take(m.Submit) == [], "it may have been filled before the cancel arrived"
    assert bench.take(m.Query) == [], "the answer to the cancel is on its way"
    if answered:
        bench.show(stop, "cancelled", by="cancel")
    else:
        bench.after_s(0.25)
        assert bench.only(m.Query).client_id == stop.client_id
        bench.show(stop, "cancelled", by="query")
    assert bench.only(m.Submit).quantity == 1.0
    bench.after_s(1)
    assert bench.take(m.Query) == []


def test_a_stale_read_after_a_true_end_hides_it_for_seconds_only() -> None:
    bench = Bench()
    stop = protected(bench)
    bench.ack(stop)
    bench.show(stop, "cancelled")
    bench.show(stop, "open", by="query")
    bench.take(m.Query)
    bench.after_s(2)
    assert bench.take(m.Query), "asked again within the bound"
    bench.show(stop, "cancelled", by="query")
    bench.after_s(1)
    assert bench.only(m.Submit).quantity == 1.0


def test_it_survives_a_restart() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order, state="expired")
    bench.take(m.Query)
    bench.crash()
    assert bench.only(m.Query).client_id == order.client_id
    bench.want(2)
    assert bench.take(m.Submit) == []
    bench.show(order, "expired", by="query")
    assert len(bench.take(m.Submit)) == 1


@pytest.mark.parametrize("code", ["rejected", "market_closed"])
def test_an_error_in_place_of_an_answer_needs_no_query(code: str) -> None:
    bench = Bench()
    order = bench.order(1)
    bench.reject(order.client_id, code)
    assert bench.ended[1].state == "rejected"
    assert bench.take(m.Query) == []
