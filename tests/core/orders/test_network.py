"""Faults of the network, as the orders see them: N1 to N6, N13, and a process that ends."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from septet import messages as m
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND


def test_n1_lost_after_accept_is_resolved_by_a_query_and_never_sent_again() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.lose(order.client_id)
    assert bench.states[order.client_id] == "unknown"
    assert bench.guards.blocked(0) == "unknown_order"
    assert bench.only(m.Query).client_id == order.client_id
    bench.after_s(0.5)
    bench.show(order, "open", by="query")
    assert bench.states[order.client_id] == "open"
    assert bench.guards.blocked(0) == ""
    bench.execute(order, 1.0)
    assert bench.ended[1].state == "filled"
    assert bench.take(m.Submit) == []


def test_n2_lost_before_accept_is_absent_only_after_the_bound() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.lose(order.client_id)
    bench.after_s(FINAL_AFTER - 1)
    bench.miss(order.client_id)
    assert bench.states[order.client_id] == "unknown"
    bench.after_s(2)
    bench.read()
    bench.miss(order.client_id, asked_ns=bench.now - 2 * SECOND)
    assert bench.states[order.client_id] == "unknown", "it was asked too early"
    bench.miss(order.client_id)
    assert bench.ended[1].state == "rejected"
    assert bench.ended[1].reason == "never_accepted"


def test_n2_a_reduction_that_was_never_accepted_gets_a_new_id() -> None:
    bench = Bench()
    bench.hold(1.0)
    order = bench.order(1, -1.0)
    bench.lose(order.client_id)
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.miss(order.client_id)
    again = bench.only(m.Submit)
    assert again.client_id != order.client_id
    assert (again.parent, again.quantity) == (1, 1.0)


@pytest.mark.parametrize("stop", [False, True])
def test_a_jump_of_the_clock_makes_no_answer_final(stop: bool) -> None:
    """Half a second after a sale was sent the clock is set ahead: "no such order" is not yet true.

    Its bound, and that of reads of the account, counts anew from the jump.
    """
    bench = Bench()
    bench.hold(1.0)
    if stop:
        bench.core.protect(0, 1.0, 90.0)
        bench.proceed()
        order = bench.only(m.Submit)
    else:
        order = bench.order(1, -1.0)
    bench.lose(order.client_id)
    bench.after_s(0.5)
    bench.jump_s(FINAL_AFTER + 60)
    for _ in range(int(FINAL_AFTER) - 1):
        bench.after_s(1)
        bench.read()
        bench.miss(order.client_id)
        assert bench.states[order.client_id] == "unknown"
        assert bench.take(m.Submit) == []
    bench.twin()
    bench.after_s(2)
    bench.read()
    bench.miss(order.client_id)
    assert bench.states[order.client_id] == "rejected"
    assert bench.only(m.Submit).client_id != order.client_id


def test_a_pause_of_the_venue_is_not_over_because_the_clock_jumped() -> None:
    bench = Bench()
    bench.hold(1.0)
    until_ns = bench.now + 120 * SECOND
    bench.handle(
        m.VenueChanged(at_ns=bench.now, venue="v", state="banned", until_ns=until_ns, reason="418")
    )
    bench.jump_s(300)
    bench.want(1, -1.0)
    bench.after_s(119)
    assert bench.take(m.Submit) == []
    assert bench.guards.blocked(0) == "venue_banned"
    bench.after_s(2)
    assert bench.only(m.Submit).quantity == 1.0
    assert bench.guards.blocked(0) == ""


def test_a_clock_that_is_right_again_at_a_start_prolongs_no_bound() -> None:
    bench = Bench()
    bench.jump_s(86_400)
    order = bench.order(1)
    bench.now -= 86_400 * SECOND
    bench.handle(
        m.Started(
            at_ns=bench.now, session=2, run_id="r", mode="live", strategy="s", origin_ns=0,
            market_ns=bench.now, fingerprints={},
        )
    )  # fmt: skip
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.miss(order.client_id)
    assert bench.states[order.client_id] == "rejected"


def test_jumps_within_a_bound_of_each_other_add_up() -> None:
    bench = Bench()
    before_ns = bench.now
    for _ in range(2):
        bench.jump_s(100)
        bench.after_s(1)
    bound_ns = bench.timing.answers_final_after_ns
    assert bench.core.complete_until_ns(bench.now) == before_ns + 2 * SECOND - bound_ns
    bench.after_s(FINAL_AFTER + 1)
    assert bench.core.complete_until_ns(bench.now) == bench.now - bound_ns
    bench.jump_s(30)
    assert bench.core.complete_until_ns(bench.now) == bench.now - 30 * SECOND - bound_ns


def test_n2_queries_come_with_growing_pauses() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.lose(order.client_id)
    times = []
    for _ in range(80):
        if bench.take(m.Query):
            times.append(bench.now)
        bench.after_s(0.25)
    pauses = [(b - a) / SECOND for a, b in itertools.pairwise(times)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_n3_an_answer_after_the_timeout_resolves_it() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.lose(order.client_id)
    bench.after_s(1)
    bench.ack(order)
    assert bench.states[order.client_id] == "open"
    assert bench.guards.blocked(0) == ""


def test_n4_a_request_accepted_late_is_found() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.lose(order.client_id)
    bench.after_s(2)
    bench.miss(order.client_id)
    bench.after_s(2)
    bench.execute(order, 1.0)
    assert bench.ended[1].state == "filled"


def test_n4_beyond_the_bound_it_is_cancelled_and_its_fills_are_still_booked() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.lose(order.client_id)
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.miss(order.client_id)
    bench.take(m.Cancel)
    bench.show(order, "open")
    assert bench.only(m.Cancel).client_id == order.client_id
    assert bench.alerted("ghost_order") == ["critical"]
    fill = bench.execute(order, 0.5)
    assert bench.position[0] == 0.0, "one word of a stream is not enough for an ended order"
    bench.handle(msgspec.structs.replace(fill, listed=True))
    assert bench.position[0] == 0.5
    assert bench.alerted("late_fill") == ["critical"]


def test_n5_a_request_without_any_answer_becomes_unknown() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.after_s(21)
    assert bench.states[order.client_id] == "unknown"
    assert bench.take(m.Query)


def test_n6_an_unanswered_delete_is_queried_before_the_next() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    bench.core.request_cancel(1, "expired", bench.now)
    bench.proceed()
    assert bench.only(m.Cancel).client_id == order.client_id
    bench.take(m.Query)
    bench.handle(m.CancelFailed(at_ns=bench.now, client_id=order.client_id, text="timeout"))
    assert bench.take(m.Cancel) == []
    assert len(bench.take(m.Query)) == 1
    bench.after_s(1)
    assert bench.take(m.Cancel) == [], "nobody has seen it since"
    bench.show(order, "open", by="query")
    assert len(bench.take(m.Cancel)) == 1
    bench.show(order, "cancelled", by="cancel")
    assert bench.ended[1].state == "cancelled"
    assert bench.ended[1].reason == "expired"


def test_n6_a_delete_without_any_answer_is_one_that_failed() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    bench.core.request_cancel(1, "expired", bench.now)
    bench.proceed()
    bench.take(m.Query)
    for _ in range(16):
        bench.after_s(1)
        assert len(bench.take(m.Cancel)) <= 1
        bench.show(order, "open", by="query")
    assert len(bench.take(m.Cancel)) == 1


def test_n13_a_wrong_body_is_unknown_like_any_other() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.lose(order.client_id)
    bench.show(order, "filled", 1.0, by="query")
    assert bench.states[order.client_id] == "open" or not bench.ended
    bench.execute(order, 1.0)
    assert bench.ended[1].state == "filled"


def test_p1_a_restart_doubts_what_had_no_answer_and_sends_nothing_twice() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.crash()
    assert bench.states[order.client_id] == "unknown"
    assert bench.take(m.Submit) == []
    assert [each.client_id for each in bench.take(m.Query)] == [order.client_id]
    bench.crash()
    assert bench.take(m.Submit) == [], "a second restart changes nothing"
    bench.show(order, "filled", 1.0, by="query")
    bench.execute(order, 1.0)
    assert bench.position[0] == 1.0


def test_p1_a_restart_asks_to_be_woken_again() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    asked = bench.take(m.Wake)[-1].at_ns
    bench.crash()
    assert bench.only(m.Wake).at_ns < asked
    bench.show(order, "open", by="query")
    bench.crash()
    assert bench.take(m.Wake)


def test_nothing_is_done_twice_and_quotes_cost_nothing() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    assert bench.proceed() == []
    bench.core.touch(0)
    assert bench.proceed() == []


def test_p1_ids_go_on_after_a_restart() -> None:
    bench = Bench()
    bench.hold(1.0)
    first = bench.order(1, -1.0)
    bench.crash()
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.miss(first.client_id)
    assert bench.only(m.Submit).client_id not in {first.client_id}


def test_while_an_order_is_unknown_entries_end_and_a_reduction_waits_with_an_alarm() -> None:
    bench = Bench()
    bench.hold(1.0)
    order = bench.order(1)
    bench.lose(order.client_id)
    bench.want(2, -1.0)
    assert bench.take(m.Submit) == []
    bench.after_s(31)
    assert bench.alerted("reduction_waits") == ["critical"]
    bench.execute(order, 1.0)
    assert bench.only(m.Submit).quantity == 2.0, "sized when it is sent"


def test_a_venue_that_is_back_gets_the_reduction_at_once() -> None:
    bench = Bench()
    bench.hold(1.0)
    for number in range(7):
        order = bench.order(1, -1.0) if number == 0 else bench.take(m.Submit)[-1]
        bench.reject(order.client_id, "banned", by="gate")
        bench.after_s(2**number if number < 6 else 10)
    assert bench.take(m.Submit) == []
    bench.handle(m.VenueChanged(at_ns=bench.now, venue="v", state="up"))
    assert bench.only(m.Submit).parent == 1


def test_a_request_is_not_waited_for_longer_than_it_may_take_to_leave() -> None:
    bench = Bench()
    order = bench.order(1, deadline_ns=bench.now + 2 * SECOND)
    assert order.deadline_ns == bench.now + 2 * SECOND
    bench.reject(order.client_id, "deadline", by="gate")
    assert bench.ended[1].reason == "deadline"


def test_a_waiting_reduction_is_reported_again_ever_less_often() -> None:
    """An order that the venue keeps open and will not cancel: the alarm comes again."""
    bench = Bench()
    bench.hold(1.0)
    resting = bench.order(1, -0.5, kind="limit", limit_price=1.2 * PRICE, reduces=True)
    bench.ack(resting)
    bench.want(2, -1.0, closes_all=True)
    for _ in range(40):
        bench.after_s(5)
        for each in bench.take(m.Cancel):
            bench.handle(m.CancelFailed(at_ns=bench.now, client_id=each.client_id, text="no"))
        bench.show(resting, "open")
    assert bench.alerted("reduction_waits") == ["critical"] * 3, "after 30, 60 and 120 s"
    assert "close the position there by hand" in bench.alerts[-1].text
