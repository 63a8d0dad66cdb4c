"""Exits that the venue keeps open, does not confirm, or has no time for."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from tests.core.orders.bench import Bench
from tests.core.orders.market import SECOND


def test_an_exit_that_the_venue_keeps_open_is_reported_once() -> None:
    """The stop was cancelled for it, so that nothing closes the position."""
    bench = Bench()
    bench.hold(1.0)
    exit_order = bench.order(1, -1.0)
    bench.ack(exit_order)
    for _ in range(9):
        bench.after_s(3)
        bench.show(exit_order, "open", by="query")
    assert bench.alerted("exit_unfilled") == []
    for _ in range(9):
        bench.after_s(3)
        bench.show(exit_order, "open", by="query")
    assert bench.alerted("exit_unfilled") == ["critical"]
    bench.take(m.Alerted)
    bench.show(exit_order, "filled", 1.0, by="query")
    for _ in range(12):  # another alarm of the same order
        bench.after_s(3)
    assert bench.alerted("lost_fill") == ["error", "critical"]
    bench.execute(exit_order, 1.0)
    assert bench.ended[1].filled == 1.0
    bench.twin()


@pytest.mark.parametrize("state", ["limited", "banned", "maintenance"])
def test_a_stop_is_not_given_up_while_the_venue_asks_for_a_pause(state: Any) -> None:
    """The exit would be rejected, and the position be without both."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    until_ns = bench.now + 60 * SECOND
    bench.handle(
        m.VenueChanged(at_ns=bench.now, venue="v", state=state, until_ns=until_ns, reason="429")
    )
    bench.want(1, -1.0)
    bench.after_s(59)
    assert (bench.take(m.Cancel), bench.take(m.Submit)) == ([], [])
    bench.after_s(2)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.twin()


def pause(bench: Bench, seconds: int) -> None:
    until_ns = bench.now + seconds * SECOND
    bench.handle(
        m.VenueChanged(at_ns=bench.now, venue="v", state="limited", until_ns=until_ns, reason="429")
    )


def test_a_stop_filled_in_part_that_is_overdue_stays_until_the_end_of_a_pause() -> None:
    """Its cancel may leave, from the reserve, and the exit of the rest may not."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    bench.execute(stop, 0.4)
    pause(bench, 60)
    for _ in range(59):
        bench.after_s(1)
        bench.core.is_left_to_stop(0, 89.0, 0.6, bench.now)
    bench.proceed()
    assert bench.take(m.Cancel) == []
    assert bench.core.protected(0)
    (alert,) = [each.text for each in bench.alerts if each.event == "stop_overdue"]
    assert "after the venue's pause, it is cancelled" in alert
    bench.after_s(1)
    assert bench.only(m.Cancel).client_id == stop.client_id, "without another quote"
    bench.twin()


@pytest.mark.parametrize(
    ("held", "level"), [(0.5, 90.0), (1.5, 90.0), (1.0, 95.0)], ids=["less", "more", "moved"]
)
def test_a_stop_is_not_replaced_while_the_venue_asks_for_a_pause(held: float, level: float) -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    pause(bench, 60)
    bench.hold(held)
    bench.core.protect(0, held, level)
    bench.proceed()
    bench.after_s(59)
    assert bench.take(m.Cancel) == []
    assert bench.core.protected(0) is (level == 90.0), "the engine watches a level that moved"
    bench.after_s(1)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    again = bench.only(m.Submit)
    assert (again.quantity, again.trigger_price) == (held, level)


def test_a_cancel_of_a_stop_is_not_repeated_while_the_venue_asks_for_a_pause() -> None:
    """The first was rejected by the answer that asked for the pause."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    bench.want(1, -1.0)
    assert bench.only(m.Cancel).client_id == stop.client_id
    pause(bench, 60)
    bench.handle(m.CancelFailed(at_ns=bench.now, client_id=stop.client_id, text="429"))
    for _ in range(19):
        bench.show(stop, "open", by="query")
        bench.after_s(3)
    assert (bench.take(m.Cancel), bench.take(m.Submit)) == ([], [])
    bench.after_s(3)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0


def test_a_pause_sends_no_exit_and_no_stop_and_its_end_sends_both_at_once() -> None:
    """Without a stop at the venue as well: each of them might prolong the pause."""
    bench = Bench()
    bench.hold(1.0)
    exit_order = bench.order(1, -1.0)
    pause(bench, 15)
    name = exit_order.client_id
    bench.handle(m.Rejected(at_ns=bench.now, client_id=name, code="rate", text="429", by="venue"))
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    for _ in range(7):  # the account, a query and a quote may all come meanwhile
        bench.after_s(1)
    pause(bench, 22)
    for _ in range(21):
        bench.after_s(1)
    assert bench.take(m.Submit) == []
    bench.after_s(1)
    assert bench.only(m.Submit).order_type == "market"
    bench.twin()


def test_a_pause_places_no_stop_until_its_end() -> None:
    bench = Bench()
    bench.hold(1.0)
    pause(bench, 15)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    bench.after_s(14)
    assert bench.take(m.Submit) == []
    bench.after_s(1)
    assert bench.only(m.Submit).order_type == "stop"
    bench.twin()


def test_at_the_end_of_a_pause_exits_and_stops_leave_before_all_else() -> None:
    bench = Bench()
    bench.hold(1.0)
    pause(bench, 15)
    bench.core.protect(0, 1.0, 90.0)
    bench.after_s(5)
    bench.handle(m.VenueChanged(at_ns=bench.now, venue="v", state="up", until_ns=0, reason=""))
    inside = m.Alerted | m.Wake | m.Changed
    found = [each for each in bench.commands if not isinstance(each, inside)]
    assert isinstance(found[0], m.Submit), found
    assert found[0].order_type == "stop"


def quote(bench: Bench, bid: float) -> None:
    bench.handle(
        m.Quoted(
            at_ns=bench.now, symbol=0, venue_ns=bench.now, bid=bid, bid_quantity=1.0,
            ask=bid + 0.5, ask_quantity=1.0,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bid", "leaves"), [(97.5, False), (99.0, False), (99.5, True)], ids=["below", "at", "beyond"]
)
def test_the_exit_of_a_level_that_had_to_wait_leaves_beyond_its_level_only(
    bid: float, leaves: bool
) -> None:
    """It waits behind a stop whose state is not known; an exit of another kind leaves anyway."""
    for level in (99.0, None):
        bench = Bench()
        stop = bench.hold_with_stop(1.0, 90.0)
        quote(bench, 99.5)
        bench.want(1, -1.0, limit_price=level)
        assert bench.only(m.Cancel).client_id == stop.client_id
        bench.after_s(6)
        quote(bench, bid)
        bench.show(stop, "cancelled", by="cancel")
        sent = bench.take(m.Submit)
        if leaves or level is None:
            (request,) = [each for each in sent if each.reason != "protective_stop"]
            assert (request.order_type, request.limit_price) == ("market", None)
            bench.twin()
            continue
        assert [each.order_type for each in sent] == ["stop"], "the position is protected again"
        assert (bench.ended[1].state, bench.ended[1].reason) == ("expired", "level_left")
        bench.twin()


@pytest.mark.parametrize("reason", ["signal", "stop", "target", "take", "time_limit", "rebalance"])
@pytest.mark.parametrize("waits_for", ["unknown stop", "pause"])
def test_a_reduction_that_had_to_wait_is_sold_at_market_whatever_the_price(
    reason: str, waits_for: str
) -> None:
    bench = Bench()
    bench.hold(1.0)
    quote(bench, 99.5)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    stop = bench.only(m.Submit)
    if waits_for == "pause":
        bench.ack(stop)
        pause(bench, 30)
    else:
        bench.lose(stop.client_id)
    bench.want(1, -0.5, reason=reason, closes_all=False)
    bench.after_s(29)
    quote(bench, 93.0)
    assert bench.take(m.Submit) == []
    bench.after_s(2)
    if waits_for != "pause":
        bench.show(stop, "open", by="query")
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    sent = bench.only(m.Submit)
    assert (sent.order_type, sent.quantity, sent.reason) == ("market", 0.5, reason)


def test_the_cancel_of_a_stop_alone_does_not_withdraw_the_exit_of_a_level() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    quote(bench, 99.5)
    bench.want(1, -1.0, limit_price=99.0)
    quote(bench, 98.9)
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).order_type == "market"


def test_the_exit_of_a_level_that_a_pause_held_back_is_decided_anew() -> None:
    bench = Bench()
    bench.hold(1.0)
    quote(bench, 99.5)
    pause(bench, 15)
    bench.want(1, -1.0, limit_price=99.0)
    bench.want(2, -1.0)
    bench.after_s(14)
    quote(bench, 98.0)
    bench.after_s(2)
    assert bench.ended[1].reason == "level_left"
    assert bench.only(m.Submit).order_type == "market", "that of the exit"


def test_a_stop_without_a_position_is_cancelled_whatever_the_venue_asks_for() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    pause(bench, 60)
    bench.hold(0.0)
    bench.core.protect(0, 0.0, 0.0)
    bench.proceed()
    assert bench.only(m.Cancel).client_id == stop.client_id


def test_a_flatten_keeps_a_stop_while_the_venue_asks_for_a_pause() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    entry = bench.order(1, 0.5, kind="limit", limit_price=95.0)
    bench.ack(entry)
    pause(bench, 60)
    bench.operate("flatten")
    bench.want(2, -1.0)
    bench.after_s(59)
    assert bench.take(m.CancelAll) == [] == bench.take(m.Submit)
    assert {each.client_id for each in bench.take(m.Cancel)} == {entry.client_id}
    assert bench.core.protected(0)
    bench.after_s(8)
    assert bench.take(m.CancelAll)[-1].flattens
    bench.show(entry, "cancelled", by="cancel")
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0


def test_a_plain_halt_cancels_the_stop_whatever_the_venue_asks_for() -> None:
    bench = Bench()
    bench.hold_with_stop(1.0, 90.0)
    pause(bench, 60)
    bench.operate("halt")
    assert not bench.only(m.CancelAll).flattens


def test_the_end_of_a_pause_ends_the_wait_of_an_exit() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    states: tuple[tuple[Any, int], ...] = (("limited", bench.now + 3_600 * SECOND), ("up", 0))
    for state, until_ns in states:
        bench.handle(
            m.VenueChanged(at_ns=bench.now, venue="v", state=state, until_ns=until_ns, reason="")
        )
        bench.want(1, -1.0) if until_ns else None
    bench.proceed()
    assert bench.only(m.Cancel).client_id == stop.client_id


def test_an_exit_whose_state_is_unknown_for_long_is_an_alarm() -> None:
    """Until it is known, the position has neither a stop nor another exit."""
    bench = Bench()
    bench.hold(1.0)
    exit_order = bench.order(1, -1.0)
    bench.lose(exit_order.client_id)
    bench.after_s(29)
    assert bench.alerted("exit_unconfirmed") == []
    bench.after_s(12)
    assert bench.alerted("exit_unconfirmed") == ["critical"]
    bench.twin()


def lot_has_grown(bench: Bench) -> None:
    """Report that the venue takes tenths only."""
    bench.handle(
        m.FiltersChanged(
            at_ns=bench.now, symbol=0, lot=0.1, tick=0.01, min_notional=1.0, trading=True
        )
    )


def test_e7_an_exit_that_a_filter_rejects_leaves_as_soon_as_the_filters_are_read() -> None:
    """They were read every five minutes: until then each exit was rejected as the first one."""
    bench = Bench()
    bench.hold(0.875)
    exit_order = bench.order(1, -0.875)
    bench.reject(exit_order.client_id, "filter", by="venue")
    assert [each.what for each in bench.take(m.Refresh)].count("filters") == 1
    assert bench.take(m.Submit) == []
    lot_has_grown(bench)
    assert bench.only(m.Submit).quantity == 0.8


def test_e7_a_stop_that_a_filter_rejects_rests_as_soon_as_the_filters_are_read() -> None:
    bench = Bench()
    bench.hold(0.875)
    bench.core.protect(0, 0.875, 90.0)
    bench.proceed()
    bench.reject(bench.only(m.Submit).client_id, "filter", by="venue")
    assert "filters" in {each.what for each in bench.take(m.Refresh)}
    lot_has_grown(bench)
    assert bench.only(m.Submit).quantity == 0.8


def test_filters_are_read_once_for_many_rejections() -> None:
    bench = Bench()
    for number in range(1, 6):
        bench.reject(bench.order(number).client_id, "filter", by="venue")
        bench.after_s(0.25)
        bench.read()
    assert [each.what for each in bench.take(m.Refresh)].count("filters") == 1
