"""Faults of the venue, as the orders see them: E5 to E21, one test or more for each."""

from __future__ import annotations

import itertools
import math

import msgspec
import pytest

from septet import messages as m
from septet._core.orders import Ended, NeverSentOrder, ThirdPartyActivity, Timing
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND, TAG


def test_an_order_is_sent_acknowledged_and_filled() -> None:
    bench = Bench()
    order = bench.order(1, trace="b7")
    assert (order.client_id, order.trace) == (f"{TAG}1-1", "b7")
    bench.ack(order)
    bench.execute(order, 0.4)
    bench.execute(order, 0.6)
    states = [each.state for each in bench.take(m.Changed)]
    assert states == ["submitted", "open", "partially_filled", "filled"]
    assert bench.ended[1] == Ended(1, 0, "filled", "", 1.0)
    assert bench.core.open_order_ids() == []


def test_one_order_of_a_symbol_is_on_its_way_at_a_time() -> None:
    bench = Bench()
    first = bench.order(1)
    bench.want(2)
    assert bench.take(m.Submit) == []
    bench.ack(first)
    bench.execute(first, 1.0)
    assert bench.only(m.Submit).parent == 2


def test_a_reduction_precedes_an_entry_and_resting_entries_are_cancelled() -> None:
    bench = Bench()
    bench.hold(2.0)
    first = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(first)
    bench.want(2)
    bench.want(3, -1.0)
    assert bench.only(m.Cancel).client_id == first.client_id
    bench.show(first, "cancelled", by="cancel")
    order = bench.only(m.Submit)
    assert (order.parent, order.quantity) == (3, 2.0)
    assert bench.ended[1].reason == "superseded"
    bench.execute(order, 2.0)
    assert bench.only(m.Submit).parent == 2


def test_entries_that_spend_proceeds_wait_for_the_reductions_of_their_time() -> None:
    bench = Bench()
    bench.hold(1.0)
    sale = bench.order(1, -1.0)
    bench.want(2, symbol=1, spends=True)
    bench.want(3, symbol=1)
    assert bench.take(m.Submit) == [], "orders of a symbol keep their order"
    bench.execute(sale, 1.0)
    assert bench.only(m.Submit).parent == 2


def test_an_entry_waits_for_one_that_was_given_up_and_may_still_fill() -> None:
    bench = Bench()
    given_up = bench.order(1)
    bench.lose(given_up.client_id)
    bench.core.request_cancel(1, "expired", bench.now)
    bench.want(2, symbol=1, spends=True)
    assert bench.take(m.Submit) == [], "limits shared by both symbols count it no more"
    bench.execute(given_up, 1.0)
    assert bench.only(m.Submit).parent == 2


def test_e20_an_entry_that_waits_too_long_is_dropped() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.order(1, -1.0)
    for number in range(2, 6):
        bench.want(number, symbol=1, spends=True, deadline_ns=bench.now + 5 * SECOND)
    bench.after_s(6)
    assert [bench.ended[number].reason for number in range(2, 6)] == ["deadline"] * 4
    assert {bench.ended[number].state for number in range(2, 6)} == {"expired"}
    assert bench.take(m.Submit) == []


def test_e20_a_reduction_waits_without_limit() -> None:
    bench = Bench()
    bench.hold(1.0)
    entry = bench.order(1)
    bench.want(2, -1.0, deadline_ns=bench.now + SECOND)
    bench.after_s(20)
    bench.execute(entry, 1.0)
    assert bench.only(m.Submit).parent == 2


def test_a_cancel_before_anything_was_sent_ends_it_at_once() -> None:
    bench = Bench()
    bench.order(1)
    bench.want(2)
    bench.core.request_cancel(2, "expired", bench.now)
    bench.proceed()
    assert bench.ended[2].state == "cancelled"


@pytest.mark.parametrize("code", ["insufficient_funds", "clock", "filter"])
def test_e5_a_rejected_entry_ends_once(code: str) -> None:
    bench = Bench()
    order = bench.order(1)
    bench.reject(order.client_id, code)
    bench.after_s(100)
    assert bench.ended[1].state == "rejected"
    assert bench.ended[1].reason == code
    assert bench.take(m.Submit) == []
    assert bench.alerted("rejected_order") == ["error"]


def test_e5_a_rejected_reduction_is_tried_again_with_growing_pauses() -> None:
    bench = Bench()
    bench.hold(1.0)
    order = bench.order(1, -1.0)
    times, names = [bench.now], {order.client_id}
    for _ in range(8):
        bench.reject(order.client_id, "filter")
        while not (found := bench.take(m.Submit)):
            bench.after_s(0.25)
        order = found[0]
        names.add(order.client_id)
        times.append(bench.now)
    pauses = [(b - a) // SECOND for a, b in itertools.pairwise(times)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert len(names) == 9
    assert bench.alerted("rejected_order") == ["error", "error"] + ["critical"] * 6


def test_e6_a_duplicate_is_adopted_after_a_query() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.reject(order.client_id, "duplicate")
    assert bench.states[order.client_id] == "unknown"
    bench.only(m.Query)
    bench.show(order, "partially_filled", 0.4, by="query")
    bench.execute(order, 0.4)
    bench.execute(order, 0.6)
    assert bench.ended[1].state == "filled"
    assert bench.take(m.Submit) == []


def test_e7_a_coarser_lot_sizes_what_is_sent_next() -> None:
    bench = Bench()
    bench.hold(1.2345)
    bench.guards.handle(_filters(bench, 0.001))
    bench.handle(_filters(bench, 0.1))
    assert bench.order(1, -1.0).quantity == 1.2
    assert bench.guards.blocked(0) == "filters_changed"


def test_e7_a_finer_lot_lets_less_than_the_old_lot_be_missing() -> None:
    bench = Bench()
    bench.handle(_filters(bench, 0.1))
    bench.hold(0.7)
    sale = bench.order(1, -0.7)
    bench.ack(sale)
    bench.handle(_filters(bench, 0.01))
    bench.execute(sale, 0.65)
    assert bench.take(m.Submit) == [], "the rest is still open: sent again it would sell too much"
    bench.execute(sale, 0.05)
    assert bench.ended[1].state == "filled"
    assert bench.alerted("late_fill") == []


def _filters(bench: Bench, lot: float, *, trading: bool = True) -> m.FiltersChanged:
    return m.FiltersChanged(
        at_ns=bench.now, symbol=0, lot=lot, tick=0.01, min_notional=1.0, trading=trading
    )


def test_e8_a_halted_symbol_takes_no_entries_and_lets_reductions_try() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.handle(_filters(bench, 0.001, trading=False))
    bench.want(1)
    assert bench.ended[1].reason == "symbol_halted"
    assert bench.order(2, -1.0).reduces


def test_e9_the_stop_follows_the_position() -> None:
    bench = Bench()
    bench.hold(0.4)
    bench.core.protect(0, 0.4, 90.0)
    bench.proceed()
    stop = bench.only(m.Submit)
    assert (stop.order_type, stop.quantity, stop.trigger_price) == ("stop", 0.4, 90.0)
    bench.ack(stop)
    bench.hold(1.0)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    assert bench.only(m.Cancel).client_id == stop.client_id
    assert bench.take(m.Submit) == [], "the old one first"
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0


@pytest.mark.parametrize("reduces", [False, True])
def test_e10_partial_then_expired(reduces: bool) -> None:
    bench = Bench()
    bench.hold(1.0 if reduces else 0.0)
    order = bench.order(1, -1.0 if reduces else 1.0)
    bench.ack(order)
    bench.execute(order, 0.3)
    bench.end(order, "expired", 0.3)
    if reduces:
        again = bench.only(m.Submit)
        assert again.quantity == 0.7
        bench.execute(again, 0.7)
        assert bench.ended[1].state == "filled"
    else:
        assert bench.ended[1] == Ended(1, 0, "expired", "", 0.3)
        assert bench.take(m.Submit) == []


def test_e11_a_fill_beats_a_cancel() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    bench.core.request_cancel(1, "expired", bench.now)
    bench.proceed()
    bench.miss(order.client_id, by="cancel")
    assert 1 not in bench.ended, "not found on a cancel means look"
    assert bench.take(m.Query)
    bench.show(order, "filled", 1.0, by="query")
    assert 1 not in bench.ended, "its fill is not there yet"
    bench.execute(order, 1.0)
    assert bench.ended[1].state == "filled"
    assert bench.position[0] == 1.0


def test_e12_a_fill_received_twice_counts_once() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order)
    fill = bench.execute(order, 0.4)
    bench.handle(fill)
    bench.crash()
    bench.handle(fill)
    bench.handle(_at_rest(fill))
    assert bench.position[0] == 0.4
    assert bench.by_parent[1] == 0.4


def _at_rest(fill: m.Filled) -> m.Filled:
    """Return the fill as a read shows it: without our id."""
    return msgspec.structs.replace(fill, client_id="")


def test_e13_disorder_changes_nothing() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.show(order, "filled", 1.0)
    bench.execute(order, 0.6)
    bench.show(order, "partially_filled", 0.6)
    bench.execute(order, 0.4)
    bench.ack(order)
    bench.show(order, "open", 0.0)
    assert bench.ended[1] == Ended(1, 0, "filled", "", 1.0)
    assert bench.states[order.client_id] == "filled"


def test_e14_a_lost_fill_is_requested_until_it_is_found() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order)
    bench.end(order, "cancelled", 0.7)
    bench.take(m.Refresh)
    assert 1 not in bench.ended, "a final state is not accepted before its fills"
    bench.after_s(10)
    asked = [each for each in bench.take(m.Refresh) if each.what == "fills"]
    assert len(asked) == 5
    assert {each.symbols for each in asked} == {(0,)}
    bench.after_s(25)
    assert bench.alerted("lost_fill") == ["error", "critical"], "the block, and later an alarm"
    bench.execute(order, 0.7)
    assert bench.ended[1] == Ended(1, 0, "cancelled", "", 0.7)


def test_e14_a_fill_without_our_id_waits_until_its_order_is_known() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.lose(order.client_id)
    bench.execute(order, 1.0, client_id="")
    assert bench.position[0] == 0.0
    bench.show(order, "filled", 1.0, by="query")
    assert bench.position[0] == 1.0
    assert bench.ended[1].state == "filled"


def test_e15_a_fill_before_the_ack() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.execute(order, 0.5)
    assert bench.states[order.client_id] == "partially_filled"
    bench.ack(order)
    assert bench.states[order.client_id] == "partially_filled"
    bench.execute(order, 0.5)
    assert bench.ended[1].state == "filled"


def test_e16_a_stale_read_moves_nothing_back() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    bench.execute(order, 0.5)
    bench.show(order, "open", 0.0, by="query")
    bench.miss(order.client_id)
    bench.list_open(asked_ns=bench.now)
    assert bench.states[order.client_id] == "partially_filled"
    assert bench.take(m.Query) == [], "a list that may be old proves nothing"


def test_an_open_order_missing_from_the_list_is_queried() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    bench.after_s(FINAL_AFTER + 1)
    bench.list_open()
    assert bench.only(m.Query).client_id == order.client_id


def test_an_order_the_venue_has_forgotten_ends_with_an_alarm_after_its_fills_were_asked() -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    bench.after_s(FINAL_AFTER + 1)
    bench.miss(order.client_id)
    assert bench.take(m.Refresh)
    bench.after_s(FINAL_AFTER + 1)
    bench.miss(order.client_id)
    assert bench.ended[1].reason == "vanished"
    assert bench.alerted("order_vanished") == ["critical"]


def test_an_order_that_is_open_at_the_venue_and_final_here_is_cancelled() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.reject(order.client_id, "filter")
    bench.after_s(FINAL_AFTER + 1)
    bench.list_open(bench.listed(order))
    assert bench.only(m.Cancel).client_id == order.client_id
    assert bench.alerted("ghost_order") == ["critical"]


def test_e18_an_order_of_somebody_else_is_reported_once_and_counts_into_limits() -> None:
    bench = Bench()
    other = m.OrderSeen(
        at_ns=bench.now, client_id="web_1", venue_order_id="v9", symbol=0, side="buy",
        state="open", quantity=5.0, filled=1.0, price=99.0,
    )  # fmt: skip
    bench.handle(other)
    bench.list_open(other)
    assert bench.outcomes == [ThirdPartyActivity(0, "web_1", 4.0)]
    assert bench.alerted("third_party_order") == ["warning"]
    assert bench.core._lifecycle.open_quantity(0) == (4.0, 0.0)
    assert bench.core.band(0) == (0.0, 0.0)  # nothing of it will be booked
    bench.list_open()
    assert bench.core.band(0) == (0.0, 0.0)


def test_e18_a_fill_of_somebody_else_is_not_booked() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order)
    fill = bench.execute(order, 3.0, client_id="web_1", venue_order_id="v9")
    bench.handle(fill)
    assert bench.position[0] == 0.0
    assert [type(each) for each in bench.outcomes] == [ThirdPartyActivity]


def test_s4_an_order_with_our_mark_that_was_never_sent_is_foreign() -> None:
    bench = Bench()
    order = bench.order(1)
    stranger = bench.listed(order, client_id=f"{TAG}zz-1", venue_order_id="v9")
    bench.list_open(stranger)
    bench.list_open(stranger)
    (found,) = [each for each in bench.outcomes if isinstance(each, NeverSentOrder)]
    assert found.client_id == f"{TAG}zz-1"
    bench.execute(order, 1.0, client_id=f"{TAG}1-2", venue_order_id="v8")
    assert sum(isinstance(each, NeverSentOrder) for each in bench.outcomes) == 2
    assert bench.position[0] == 0.0


def test_e21_an_answer_that_differs_counts_though_the_fill_was_faster() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.execute(order, 1.0)
    bench.ack(order, quantity=2.0, filled=1.0, state="filled")
    assert bench.position[0] == 1.0
    assert bench.guards.blocked(0) == "ack_mismatch"
    bench = Bench()
    order = bench.order(1)
    bench.show(order, "open")
    bench.ack(order, quantity=2.0)
    assert bench.only(m.Cancel).client_id == order.client_id
    assert bench.guards.blocked(0) == "ack_mismatch"


@pytest.mark.parametrize("echo", [{"side": "sell"}, {"quantity": 2.0}, {"price": 101.0}])
def test_e21_an_ack_that_differs_is_cancelled_and_blocks_the_symbol(
    echo: dict[str, object],
) -> None:
    bench = Bench()
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order, **echo)
    assert bench.only(m.Cancel).client_id == order.client_id
    assert bench.guards.blocked(0) == "ack_mismatch"
    assert bench.alerted("ack_mismatch") == ["critical"]
    bench.show(order, "cancelled", by="cancel")
    assert bench.ended[1].reason == "ack_mismatch"
    bench.want(2)
    assert bench.ended[2].reason == "ack_mismatch"
    bench.operate("resume")
    assert bench.order(3).parent == 3


def test_e22_a_reduction_is_sized_to_what_is_there_net_of_fees() -> None:
    bench = Bench()
    bench.hold(0.99951)
    assert bench.order(1, -1.0).quantity == 0.999


def test_dust_ends_a_reduction() -> None:
    bench = Bench()
    bench.hold(0.0004)
    bench.want(1, -1.0)
    assert bench.ended[1].state == "cancelled"
    assert bench.ended[1].reason == "flat"


def test_a_part_of_a_position_is_reduced_by_no_more_than_asked() -> None:
    bench = Bench()
    bench.hold(3.0)
    order = bench.order(1, -1.0, closes_all=False)
    assert order.quantity == 1.0
    bench.execute(order, 1.0)
    assert bench.ended[1].state == "filled"
    assert bench.take(m.Submit) == []


def test_a_blocked_flip_still_closes() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.guards.trip("safe_mode", bench.now)
    order = bench.order(1, -3.0, reduces=False)
    assert (order.quantity, order.reduces) == (1.0, True)
    bench.execute(order, 1.0)
    assert bench.ended[1].filled == 1.0
    assert bench.take(m.Submit) == []


def test_memory_is_bounded_and_a_repeat_of_a_forgotten_fill_is_not_counted() -> None:
    bench = Bench()
    bench.timing = bench.core._lifecycle.timing = _short(bench)
    fills = []
    for number in range(1, 200):
        order = bench.order(number, 0.01)
        bench.now += SECOND
        fills.append(bench.execute(order, 0.01))
    records = bench.core.records
    assert max(len(records.children), len(records.trades), len(records.venue_ids)) <= 16
    for fill in fills:
        bench.handle(fill)
        bench.handle(_at_rest(fill))
    assert round(bench.position[0], 9) == 1.99
    assert bench.alerted("late_fill") == []
    assert not [each for each in bench.outcomes if isinstance(each, ThirdPartyActivity)]
    bench.now += SECOND
    bench.execute(order, 0.5, client_id=f"{TAG}1-1", venue_order_id="v9")
    assert bench.alerted("foreign_order") == ["critical"], "a copy of the run has sent it"
    assert round(bench.position[0], 9) == 1.99


def _short(bench: Bench) -> Timing:
    return msgspec.structs.replace(bench.timing, remember=16)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0])
def test_c4_invalid_numbers_do_no_harm(bad: float) -> None:
    bench = Bench()
    bench.want(1, kind="limit", limit_price=bad)
    assert bench.ended[1].state == "rejected"
    bench.hold(1.0)
    order = bench.order(2)
    bench.execute(order, bad)
    bench.execute(order, 1.0, price=bad)
    assert bench.alerted("bad_fill") == ["critical"] * 2
    bench.execute(order, 1.0)
    assert bench.position[0] == 2.0
