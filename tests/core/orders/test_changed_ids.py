"""E23: an order whose client id at the venue contains ours whole is ours, entries included."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._core.orders import NeverSentOrder
from septet._core.orders.ids import is_marked, own_id
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, TAG
from tests.core.orders.test_unexplained import RULE, absent, account, executed, lost, other

OWN = f"{TAG}5-1"
ADDED = ["x-{}", "{}-b7", "x-{}.web:7", "{}_A"]


@pytest.mark.parametrize(
    ("listed", "own"),
    [
        (OWN, OWN), (f"x-{OWN}", OWN), (f"{OWN}-x-7", OWN), (f"aa{OWN}A9", OWN),
        (f"x{TAG}-0-12/7", f"{TAG}-0-12"), (f"x-{OWN}2", f"{OWN}2"), (f"{OWN}x", f"{OWN}x"),
        (f"x-{OWN}:{TAG}6-1", ""), (f"x-{OWN}:{OWN}", OWN), (f"x-{TAG}5", ""), (f"x-{TAG}", ""),
        ("x-broker7", ""), ("", ""),
    ],
)  # fmt: skip
def test_an_id_is_ours_that_contains_exactly_one_of_ours_whole(listed: str, own: str) -> None:
    assert own_id(TAG, listed) == own
    assert is_marked(TAG, listed) == (bool(own) or listed.startswith(TAG))


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("by", ["stream", "list", "execution"])
def test_an_entry_is_booked_and_asked_for_by_the_venues_id(added: str, by: str) -> None:
    bench = Bench()
    order = lost(bench, kind="limit", limit_price=PRICE)
    bench.take(m.Query)
    name = added.format(order.client_id)
    seen = other(order, bench, client_id=name)
    if by == "list":
        bench.list_open(seen)
    elif by == "stream":
        bench.handle(msgspec.structs.replace(seen, by="stream"))
    else:
        executed(bench, order, client_id=name)
        assert bench.position[0] == 1.0
    assert bench.alerted("adopted_order") == ["warning"]
    assert bench.guards.blocked(0) == ""
    if by == "execution":
        assert bench.ended[1].filled == 1.0
        return
    asked = bench.take(m.Query)[-1]
    assert (asked.venue_order_id, asked.by_venue_id) == ("77", True)
    assert bench.states[order.client_id] == "open"
    assert bench.core.records.third_party == {}, "it counts once"
    bench.twin()
    bench.execute(order, 0.4, client_id=name, venue_order_id="77")
    bench.execute(order, 0.2, client_id="", venue_order_id="77")
    assert bench.position[0] == pytest.approx(0.6)
    bench.core.request_cancel(1, "expired", bench.now)
    bench.proceed()
    cancel = bench.only(m.Cancel)
    assert (cancel.venue_order_id, cancel.by_venue_id) == ("77", True)
    bench.show(order, "cancelled", 0.6, by="cancel", client_id=name, venue_order_id="77")
    assert bench.ended[1].filled == pytest.approx(0.6)


def test_that_a_gateway_lengthens_ids_is_reported_loudly_once() -> None:
    bench = Bench()
    for number in (1, 2):
        order = bench.order(number)
        bench.lose(order.client_id)
        name, venue_id = f"x-{order.client_id}", f"7{number}"
        bench.execute(order, 1.0, client_id=name, venue_order_id=venue_id)
    assert bench.alerted("adopted_order") == ["warning", "info"]
    assert bench.position[0] == 2.0


def test_executions_without_any_client_id_are_asked_for_their_orders() -> None:
    """A list of executions need not name them; the order behind one does."""
    bench = Bench()
    order = lost(bench)
    executed(bench, order, client_id="", listed=True)
    bench.take(m.Query)
    bench.miss(order.client_id)
    (asked,) = [each for each in bench.take(m.Query) if not each.client_id]
    assert (asked.venue_order_id, asked.by_venue_id) == ("77", True)
    filled = other(order, bench, client_id=f"x-{order.client_id}", state="filled", filled=1.0)
    bench.handle(msgspec.structs.replace(filled, by="query"))
    bench.after_s(1)
    assert bench.position[0] == 1.0
    assert bench.ended[1].state == "filled"
    assert bench.guards.blocked(0) == ""


def test_an_order_that_was_taken_for_absent_is_cancelled_by_the_venues_id() -> None:
    bench = Bench()
    order = lost(bench, kind="limit", limit_price=PRICE)
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.miss(order.client_id)
    assert bench.states[order.client_id] == "rejected"
    bench.after_s(2 * FINAL_AFTER)
    bench.list_open(other(order, bench, client_id=f"x-{order.client_id}"))
    cancel = bench.only(m.Cancel)
    assert (cancel.venue_order_id, cancel.by_venue_id) == ("77", True)


def test_an_id_that_was_never_sent_is_foreign_whatever_is_put_around_it() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.list_open(other(order, bench, client_id=f"x-{TAG}9-1"))
    assert bench.alerted("foreign_order") == ["critical"]


def doubted(reduces: bool) -> tuple[Bench, m.Submit]:
    """Lose an order that two orders of the venue contain."""
    bench = Bench()
    if reduces:
        bench.hold(1.0)
    order = lost(bench, -1.0 if reduces else 1.0, kind="limit", limit_price=PRICE)
    name = order.client_id
    bench.list_open(
        other(order, bench, client_id=f"x-{name}"),
        other(order, bench, client_id=f"{name}-b", venue_order_id="78"),
    )
    return bench, order


@pytest.mark.parametrize("reduces", [False, True])
def test_of_two_orders_that_contain_it_neither_is_booked(reduces: bool) -> None:
    bench, order = doubted(reduces)
    held = bench.position[0]
    (text,) = [each.text for each in bench.alerts if each.event == RULE]
    assert "order 77" in text
    assert "order 78" in text
    assert "nothing more of either is booked" in text
    for venue_id, name in (("77", f"x-{order.client_id}"), ("78", f"{order.client_id}-b")):
        executed(bench, order, client_id=name, venue_order_id=venue_id)
    account(bench, -2.0 if reduces else 2.0)
    absent(bench, order)
    absent(bench, order)
    bench.twin()
    assert bench.position[0] == held
    assert bench.core.open_order_ids() == [order.client_id]
    assert RULE in {each.rule for each in bench.guards.active()}
    assert len(bench.alerted(RULE)) == 1
    assert bench.take(m.Submit) == []


def test_a_resume_leaves_both_to_others() -> None:
    bench, order = doubted(reduces=False)
    bench.operate("resume")
    assert bench.ended[1].reason == "never_accepted"
    bench.take(m.Cancel)
    bench.list_open(other(order, bench, client_id=f"x-{order.client_id}"))
    executed(bench, order, client_id=f"x-{order.client_id}")
    assert bench.position[0] == 0.0
    assert bench.take(m.Cancel) == [], "it is somebody else's"
    assert bench.guards.blocked(0) == ""


def test_an_order_under_exactly_our_id_stays_ours_beside_a_longer_one() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order)
    executed(bench, order, client_id=f"x-{order.client_id}")
    assert bench.position[0] == 0.0
    assert bench.alerted("foreign_order") == ["critical"]
    assert any(isinstance(each, NeverSentOrder) for each in bench.outcomes), "entries are blocked"
    bench.execute(order, 1.0)
    assert bench.position[0] == 1.0


# ---------------------------------------------------------------- an exit that rests in part


@pytest.mark.parametrize("unlisted", [False, True])
def test_e23_a_resume_takes_over_an_exit_that_rests_in_part(unlisted: bool) -> None:
    bench = Bench()
    bench.hold(1.0)
    order = lost(bench, -1.0, kind="limit", limit_price=PRICE)
    rest: dict[str, Any] = {"state": "partially_filled", "filled": 0.4}
    bench.list_open(other(order, bench, **rest))
    fields = {"client_id": "x-broker7", "venue_order_id": "77", "price": 101.0}
    if not unlisted:
        bench.execute(order, 0.4, **fields)
    absent(bench, order)
    account(bench, -0.4)
    absent(bench, order)
    assert RULE in {each.rule for each in bench.guards.active()}
    bench.take(m.Submit)
    bench.operate("resume")
    bench.twin()
    if unlisted:
        bench.execute(order, 0.4, **fields, listed=True)
    assert bench.position[0] == pytest.approx(0.6)
    assert bench.prices_booked() == [101.0]
    assert bench.core.open_order_ids() == [order.client_id], "the rest goes on where it is"
    assert bench.guards.blocked(0) == ""
    bench.show(
        order, "partially_filled", 0.4, by="query", client_id=order.client_id, venue_order_id="77"
    )
    account(bench, 0.0)
    bench.after_s(10)
    assert bench.take(m.Submit) == [], "it would be sold twice"
    bench.execute(order, 0.6, client_id="x-broker7", venue_order_id="77")
    assert bench.position[0] == pytest.approx(0.0)
    assert bench.ended[1].state == "filled"


def test_e23_a_resume_takes_over_a_stop_that_was_triggered_in_part() -> None:
    """The rest of the position is not naked: the stop is counted on, and replaced by its id."""
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.lose(stop.client_id)
    bench.list_open(other(stop, bench, state="partially_filled", filled=0.4))
    bench.execute(stop, 0.4, client_id="x-broker7", venue_order_id="77", price=90.0)
    absent(bench, stop)
    account(bench, -0.4)
    absent(bench, stop)
    bench.operate("resume")
    bench.proceed()
    assert bench.position[0] == pytest.approx(0.6)
    assert bench.core.protected(0)
    assert bench.take(m.Submit) == []


def test_e23_an_exit_that_was_sent_again_is_cancelled_where_it_rests() -> None:
    """It locks the units of the other; what it sold until then is booked."""
    bench = Bench()
    bench.hold(1.0)
    order = lost(bench, -1.0, kind="limit", limit_price=PRICE)
    bench.list_open(other(order, bench, order_type=""))
    absent(bench, order)
    account(bench, 0.0)
    absent(bench, order)
    again = bench.only(m.Submit)
    bench.ack(again)
    bench.take(m.Cancel)
    bench.operate("resume")
    cancel = bench.only(m.Cancel)
    assert (cancel.venue_order_id, cancel.by_venue_id) == ("77", True)
    assert bench.core.open_order_ids() == [again.client_id]


@pytest.mark.parametrize("named", ["x-{}", "BROKER-7", "upper"])
@pytest.mark.parametrize("by", ["stream", "list", "execution"])
def test_an_answered_stop_that_is_reported_under_another_id_can_be_cancelled(
    named: str, by: str
) -> None:
    """The answer gave the venue's order id: under the client id the venue finds nothing."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    own, venue_id = stop.client_id, f"v-{stop.client_id}"
    name = own.upper() if named == "upper" else named.format(own)
    if by == "list":
        bench.list_open(bench.listed(stop, client_id=name))
    elif by == "stream":
        bench.show(stop, "open", client_id=name, by="stream")
    else:
        bench.execute(stop, 0.25, client_id=name, venue_order_id=venue_id)
    assert bench.alerted("adopted_order") == ["warning"]
    assert bench.core.records.third_party == {}
    bench.want(2, -0.5)
    cancel = bench.only(m.Cancel)
    assert (cancel.client_id, cancel.venue_order_id, cancel.by_venue_id) == (own, venue_id, True)
    bench.handle(m.CancelFailed(at_ns=bench.now, client_id=own, text="busy"))
    asked = bench.take(m.Query)[-1]
    assert (asked.venue_order_id, asked.by_venue_id) == (venue_id, True)
    child = bench.core.records.children[own]
    bench.show(stop, "cancelled", child.counted, by="cancel", client_id=name)
    assert bench.states[own] == "cancelled"
    assert bench.alerted("order_vanished") == bench.alerted("foreign_order") == []
    bench.twin()


def test_a_report_without_a_client_id_changes_nothing() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    bench.list_open(bench.listed(stop, client_id=""))
    assert bench.alerted("adopted_order") == []
    assert not bench.core.records.children[stop.client_id].by_venue_id
