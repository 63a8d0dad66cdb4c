"""What rests at the venue: protective stops, patience, amends, and the kill switch."""

from __future__ import annotations

import itertools

import pytest

from septet import messages as m
from septet._core.orders import StopEnded, Triggered
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND, TAG, TICK

# ---------------------------------------------------------------- protective stops


def protected(quantity: float = 1.0) -> tuple[Bench, m.Submit]:
    bench = Bench()
    bench.hold(quantity)
    bench.core.protect(0, quantity, 90.0)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.ack(stop)
    return bench, stop


def test_a_stop_has_ids_of_its_own_and_moves_only_by_a_tick() -> None:
    bench, stop = protected()
    assert (stop.client_id, stop.parent, stop.side) == (f"{TAG}-0-1", -1, "sell")
    bench.core.protect(0, 1.0, 90.0 + 0.4 * TICK)
    bench.proceed()
    assert bench.take(m.Cancel) == []
    bench.core.protect(0, 1.0, 91.0)
    bench.proceed()
    bench.only(m.Cancel)
    bench.show(stop, "cancelled", by="cancel")
    moved = bench.only(m.Submit)
    assert (moved.client_id, moved.trigger_price) == (f"{TAG}-0-2", 91.0)


def test_a_filled_stop_is_reported_before_its_fill_is_booked() -> None:
    bench, stop = protected()
    bench.execute(stop, 0.4)
    assert bench.outcomes[0] == Triggered(0, stop.client_id, 90.0)
    bench.execute(stop, 0.6)
    names = [type(each).__name__ for each in bench.outcomes]
    assert names == ["Triggered", "Booked", "Booked", "StopEnded"]
    assert bench.outcomes[-1].rest == 0.0  # type: ignore[union-attr]
    assert bench.outcomes[1].parent == -1  # type: ignore[union-attr]
    assert bench.take(m.Submit) == [], "the request was dropped as well"
    bench.hold(2.0)
    bench.core.protect(0, 2.0, 95.0)
    bench.proceed()
    assert bench.only(m.Submit).quantity == 2.0


def test_a_stop_that_ends_partly_filled_is_reported() -> None:
    bench, stop = protected()
    bench.execute(stop, 0.4)
    bench.end(stop, "expired", 0.4)
    assert bench.outcomes[-1] == StopEnded(0, stop.client_id, "expired", 0.4, 0.6)
    bench.after_s(60)
    assert bench.take(m.Submit) == [], "what is left is the engine's to close"


def test_an_entry_waits_for_a_stop_that_has_begun_to_fill() -> None:
    bench, stop = protected()
    bench.execute(stop, 0.4)
    bench.want(2, symbol=1, spends=True)
    assert bench.take(m.Submit) == [], "limits shared by both symbols count it no more"
    bench.execute(stop, 0.6)
    assert bench.only(m.Submit).parent == 2


def test_before_a_reduction_the_stop_is_cancelled_and_final() -> None:
    bench, stop = protected()
    bench.want(1, -1.0)
    assert bench.take(m.Submit) == []
    bench.only(m.Cancel)
    bench.execute(stop, 0.3)
    assert bench.take(m.Submit) == []
    bench.show(stop, "cancelled", 0.3, by="cancel")
    order = bench.only(m.Submit)
    assert (order.parent, order.quantity) == (1, 0.7)


@pytest.mark.parametrize("price", [PRICE, 89.0], ids=["above", "level-reached"])
def test_the_stop_stays_while_an_exit_waits_for_an_entry_in_an_unknown_state(price: float) -> None:
    """The exit cannot leave before the add is known: without its stop the position was naked."""
    bench, stop = protected()
    add = bench.order(1, 0.5)
    bench.lose(add.client_id)
    bench.want(2, -1.0, closes_all=True)
    bench.checks.priced(0, price, bench.now)
    bench.after_s(3)
    assert bench.take(m.Cancel) == [] == bench.take(m.Submit)
    bench.after_s(FINAL_AFTER)
    bench.read(bench.listed(stop))
    bench.miss(add.client_id)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0


def test_no_stop_is_placed_beside_an_exit_that_left_when_an_add_was_reported_ended() -> None:
    """A query shows executions of the add that are missing yet: both would sell the position."""
    bench, stop = protected()
    add = bench.order(1, 0.5)
    bench.ack(add)
    bench.show(add, "expired", 0.2, by="stream")
    bench.want(2, -1.0, closes_all=True)
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0
    bench.show(add, "expired", 0.2, by="query")
    assert bench.take(m.Submit) == []
    bench.after_s(5)
    assert bench.take(m.Submit) == []


def test_the_part_that_an_unknown_add_has_bought_is_protected_while_an_exit_waits() -> None:
    bench, stop = protected()
    add = bench.order(1, 0.5)
    bench.lose(add.client_id)
    bench.want(2, -1.0, closes_all=True)
    bench.execute(add, 0.2)
    bench.core.protect(0, 1.2, 90.0)
    bench.proceed()
    bench.only(m.Cancel)
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.2


def test_e19_a_stop_the_venue_cancels_is_placed_again_with_an_alert() -> None:
    bench, stop = protected()
    assert bench.core.protected(0)
    bench.end(stop, "cancelled")
    assert not bench.core.protected(0), "the engine's own test stands in"
    assert bench.alerted("stop_lost") == ["error"]
    assert bench.take(m.Submit) == []
    bench.after_s(1)
    again = bench.only(m.Submit)
    bench.reject(again.client_id, "would_trigger")
    bench.after_s(1.75)
    assert bench.take(m.Submit) == []
    bench.after_s(0.25)
    bench.reject(bench.only(m.Submit).client_id, "would_trigger")
    assert bench.alerted("stop_lost") == ["error", "critical", "critical"]


def test_a_stop_that_waits_for_its_pause_is_placed_when_the_run_stops() -> None:
    bench, stop = protected()
    bench.end(stop, "cancelled")
    assert bench.take(m.Submit) == []
    bench.operate("stop")
    assert bench.only(m.Submit).trigger_price == stop.trigger_price


def test_a_stop_that_stood_longer_than_the_pause_is_placed_again_at_once() -> None:
    bench, stop = protected()
    for _ in range(4):  # 1, 2, 4 and 8 s after it was sent, at the earliest
        bench.after_s(8)
        bench.end(stop, "cancelled")
        stop = bench.only(m.Submit)
        bench.ack(stop)
    bench.after_s(1)
    bench.end(stop, "cancelled")
    bench.after_s(14.75)
    assert bench.take(m.Submit) == [], "no venue is asked faster than that"
    bench.after_s(0.25)
    assert len(bench.take(m.Submit)) == 1


def test_after_a_restart_the_next_stop_waits_for_the_ids_that_the_venue_knows() -> None:
    bench, stop = protected()
    bench.after_s(30)
    bench.crash()
    bench.take(m.Query)
    bench.show(stop, "cancelled", by="query")
    assert bench.take(m.Submit) == [], "the journal may be an old copy"
    bench.after_s(1)
    assert len(bench.take(m.Submit)) == 1


def test_no_more_is_protected_than_there_is() -> None:
    bench, stop = protected(1.5)
    bench.hold(1.0)
    bench.proceed()
    bench.only(m.Cancel)
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0


def test_a_stop_request_of_none_cancels_the_stop() -> None:
    bench, stop = protected()
    bench.core.protect(0, 0.0, 0.0)
    bench.proceed()
    bench.only(m.Cancel)
    bench.show(stop, "cancelled", by="cancel")
    bench.after_s(10)
    assert bench.take(m.Submit) == []


def test_a_short_position_is_protected_from_above() -> None:
    bench = Bench()
    bench.hold(-1.0)
    bench.core.protect(0, -1.0, 110.005)
    bench.proceed()
    stop = bench.only(m.Submit)
    assert (stop.side, stop.quantity, stop.trigger_price) == ("buy", 1.0, 110.01)
    bench.ack(stop)
    bench.want(1, 1.0, reduces=True)
    bench.only(m.Cancel)
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).side == "buy"


# ---------------------------------------------------------------- limit_then_market


def quote(bench: Bench, bid: float) -> None:
    bench.handle(
        m.Quoted(
            at_ns=bench.now, symbol=0, venue_ns=bench.now, bid=bid, bid_quantity=1.0,
            ask=bid + TICK, ask_quantity=1.0,
        )
    )  # fmt: skip


def patient(*, amends: bool = False, slippage: float = 0.01) -> tuple[Bench, m.Submit]:
    bench = Bench(amends=amends)
    quote(bench, PRICE)
    order = bench.order(
        1, decided_price=PRICE, patience_ns=5 * SECOND, max_slippage=slippage,
        deadline_ns=bench.now + 2 * SECOND,
    )  # fmt: skip
    bench.ack(order)
    return bench, order


def test_it_rests_at_the_best_price_then_takes() -> None:
    bench, order = patient()
    assert (order.order_type, order.limit_price) == ("limit", PRICE)
    bench.execute(order, 0.3)
    bench.after_s(5)
    bench.only(m.Cancel)
    bench.show(order, "cancelled", 0.3, by="cancel")
    take = bench.only(m.Submit)
    assert (take.order_type, take.quantity) == ("market", 0.7)
    bench.execute(take, 0.7)
    assert bench.ended[1].filled == 1.0


def test_without_a_quote_it_takes_at_once() -> None:
    bench = Bench()
    order = bench.order(1, decided_price=PRICE, patience_ns=5 * SECOND)
    assert order.order_type == "market"


def test_it_does_not_take_beyond_its_slippage() -> None:
    bench, order = patient(slippage=0.001)
    quote(bench, PRICE * 1.01)
    bench.after_s(5)
    bench.only(m.Cancel)
    bench.show(order, "cancelled", by="cancel")
    assert bench.ended[1].reason == "max_slippage"
    assert bench.take(m.Submit) == []


def test_it_follows_the_best_price_at_most_once_a_second() -> None:
    bench, order = patient(amends=True)
    quote(bench, PRICE + TICK)
    assert bench.take(m.Amend) == []
    assert bench.now + SECOND in [each.at_ns for each in bench.take(m.Wake)]
    bench.after_s(1)
    amend = bench.only(m.Amend)
    assert (amend.client_id, amend.new_client_id) == (order.client_id, f"{TAG}1-2")
    assert amend.limit_price == PRICE + TICK


def test_a_take_that_the_venue_does_not_fill_is_not_repeated() -> None:
    bench, order = patient()
    bench.after_s(5)
    bench.show(order, "cancelled", by="cancel")
    take = bench.take(m.Submit)[-1]
    bench.end(take, "expired", client_id=take.client_id)
    assert bench.ended[1].state == "expired"


# ---------------------------------------------------------------- amends


def resting(*, amends: bool) -> tuple[Bench, m.Submit]:
    bench = Bench(amends=amends)
    order = bench.order(1, kind="limit", limit_price=PRICE)
    bench.ack(order)
    return bench, order


def test_without_amends_an_order_is_cancelled_and_sent_anew() -> None:
    bench, order = resting(amends=False)
    bench.execute(order, 0.2)
    assert bench.core.amend(1, PRICE + TICK, bench.now)
    bench.proceed()
    bench.only(m.Cancel)
    bench.execute(order, 0.1)
    bench.show(order, "cancelled", 0.3, by="cancel")
    again = bench.only(m.Submit)
    assert (again.quantity, again.limit_price) == (0.7, PRICE + TICK)


def amended() -> tuple[Bench, m.Submit, m.Submit]:
    bench, order = resting(amends=True)
    assert bench.core.amend(1, PRICE + TICK, bench.now)
    bench.proceed()
    amend = bench.only(m.Amend)
    new = m.Submit(
        client_id=amend.new_client_id, parent=1, symbol=0, side="buy", order_type="limit",
        quantity=amend.quantity, reduces=False, deadline_ns=0, limit_price=amend.limit_price,
    )  # fmt: skip
    return bench, order, new


def test_an_amend_leaves_the_new_order() -> None:
    bench, order, new = amended()
    assert not bench.core.amend(1, PRICE, bench.now), "one at a time"
    bench.show(order, "cancelled", by="stream")
    bench.ack(new)
    assert bench.only(m.Query).client_id == order.client_id
    bench.show(order, "cancelled", by="query")
    bench.execute(new, 1.0)
    assert bench.ended[1].filled == 1.0


def test_a_rejected_amend_leaves_the_old_order() -> None:
    bench, order, new = amended()
    bench.reject(order.client_id, "filter")
    assert bench.states[new.client_id] == "rejected"
    assert bench.take(m.Query)
    bench.show(order, "open", by="query")
    bench.execute(order, 1.0)
    assert bench.ended[1].filled == 1.0


def test_an_unknown_amend_is_resolved_on_both_ids() -> None:
    bench, order, new = amended()
    bench.lose(new.client_id)
    asked = {each.client_id for each in bench.take(m.Query)}
    assert asked == {order.client_id, new.client_id}
    bench.show(order, "cancelled", by="query")
    assert 1 not in bench.ended
    bench.show(new, "open", by="query")
    bench.execute(new, 1.0)
    assert bench.ended[1].filled == 1.0


def test_a_replacement_that_could_fill_too_much_is_cut_down() -> None:
    bench, order, new = amended()
    bench.execute(order, 0.4)
    bench.show(order, "cancelled", 0.4, by="cancel")
    bench.ack(new)
    bench.proceed()
    assert bench.only(m.Cancel).client_id == new.client_id
    bench.show(new, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 0.6


# ---------------------------------------------------------------- the kill switch


def test_o1_a_halt_is_first_in_line_and_repeated_until_nothing_is_open() -> None:
    bench, order = resting(amends=False)
    bench.want(2)
    bench.operate("halt")
    assert isinstance(bench.sent[0], m.CancelAll)
    assert bench.ended[2].state == "cancelled"
    times = []
    bench.take(m.CancelAll)
    for _ in range(40):
        bench.after_s(0.25)
        if bench.take(m.CancelAll):
            times.append(bench.now)
    pauses = [(b - a) / SECOND for a, b in itertools.pairwise(times)]
    assert pauses == [1.0, 2.0, 4.0]
    bench.show(order, "cancelled", by="cancel")
    bench.list_open()
    assert bench.alerted("kill_done") == ["info"]
    bench.after_s(30)
    assert bench.take(m.CancelAll) == []


def test_o1_a_list_from_before_or_one_with_our_order_ends_nothing() -> None:
    bench, order = resting(amends=False)
    bench.operate("halt")
    bench.show(order, "cancelled", by="cancel")
    bench.list_open(asked_ns=bench.now)
    assert bench.alerted("kill_done") == []
    bench.after_s(1)
    bench.list_open(bench.listed(order))
    assert bench.alerted("kill_done") == []


def test_o1_a_halt_survives_a_restart() -> None:
    bench, order = resting(amends=False)
    bench.operate("halt")
    bench.show(order, "cancelled", by="cancel")
    bench.after_s(1)
    bench.list_open()
    bench.take(m.CancelAll)
    bench.crash()
    assert bench.take(m.CancelAll)
    bench.want(5)
    assert bench.ended[5].reason == "operator_halt"


def test_o1_an_order_without_an_answer_keeps_the_halt_going() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.operate("halt")
    bench.after_s(1)
    bench.list_open()
    assert bench.alerted("kill_done") == [], "it may be accepted yet"
    bench.lose(order.client_id)
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.miss(order.client_id)
    bench.list_open()
    assert bench.alerted("kill_done") == ["info"]


def test_o1_unsent_orders_are_requested_again_and_only_reductions_are_allowed() -> None:
    bench = Bench()
    entry = bench.order(1)
    assert bench.core.may_send(entry.client_id)
    bench.operate("halt")
    assert not bench.core.may_send(entry.client_id)
    bench.reject(entry.client_id, "cancelled", by="local")
    assert bench.ended[1].state == "cancelled"
    bench.hold(1.0)
    assert bench.core.may_send(bench.order(2, -1.0).client_id)
    bench.operate("resume")
    assert not bench.core.may_send(entry.client_id)


def test_a_guard_withdraws_what_has_not_left_but_not_the_part_that_closes() -> None:
    bench = Bench()
    entry = bench.order(1)
    bench.handle(m.Skewed(at_ns=bench.now, venue="v", skew_ns=10 * SECOND))
    assert not bench.core.may_send(entry.client_id)
    bench.hold(-1.0)
    assert bench.core.may_send(entry.client_id)
    bench.hold(0.0)
    bench.handle(m.Skewed(at_ns=bench.now, venue="v", skew_ns=0))
    assert bench.core.may_send(entry.client_id)


def test_o2_twice_is_once_and_reductions_may_follow() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.operate("halt")
    bench.operate("halt")
    assert bench.order(1, -1.0).reduces
    bench.want(2, symbol=1)
    assert bench.ended[2].reason == "operator_halt"
    bench.operate("resume")
    assert bench.order(3, symbol=1).parent == 3


def test_a_halt_takes_the_stop_and_resuming_puts_it_back() -> None:
    bench, stop = protected()
    bench.operate("halt")
    bench.show(stop, "cancelled", by="cancel")
    bench.after_s(1)
    bench.list_open()
    assert bench.take(m.Submit) == []
    assert bench.alerted("stop_lost") == []
    bench.operate("resume")
    assert bench.only(m.Submit).order_type == "stop"
