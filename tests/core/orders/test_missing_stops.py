"""A position whose stop does not act: what is reported, after how long, and what is not sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from septet import messages as m
from septet._core.orders.exposed import UNPROTECTED
from septet._core.orders.missing_stops import MISSING_NS
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND

LEVEL = 90.0
BOUND = MISSING_NS / SECOND
assert BOUND < FINAL_AFTER


def requested() -> tuple[Bench, m.Submit]:
    """Hold 1, with an entry of 1 more that rests and a stop that was sent."""
    bench = Bench()
    bench.ack(bench.order(1, kind="limit", limit_price=95.0))
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    return bench, bench.only(m.Submit)


def rests() -> tuple[Bench, m.Submit]:
    bench, stop = requested()
    bench.ack(stop)
    bench.take(m.Cancel)
    return bench, stop


def never_answered() -> Bench:
    return requested()[0]


def unknown() -> Bench:
    """The request was lost."""
    bench, stop = requested()
    bench.lose(stop.client_id)
    return bench


def rejected() -> Bench:
    """Rejected for longer than the bound: each one that follows is, too."""
    bench, stop = requested()
    bench.reject(stop.client_id, "filter")
    for _ in range(2):
        bench.after_s(2)
        bench.reject(bench.only(m.Submit).client_id, "filter")
    return bench


def cancelled_by_the_venue() -> Bench:
    bench, stop = rests()
    bench.end(stop, "cancelled")
    bench.after_s(1)
    bench.lose(bench.only(m.Submit).client_id)
    return bench


def expired() -> Bench:
    bench, stop = rests()
    bench.end(stop, "expired")
    bench.after_s(1)
    bench.only(m.Submit)  # without an answer
    return bench


def reported_ended() -> Bench:
    """The stream reports an end that no query confirms."""
    bench, stop = rests()
    bench.show(stop, "cancelled")
    return bench


def reported_filled() -> Bench:
    """It is reported filled, and no execution is found."""
    bench, stop = rests()
    bench.show(stop, "filled", 1.0)
    return bench


def replaced() -> Bench:
    """It is moved, and its cancel is not answered."""
    bench, _ = rests()
    bench.core.protect(0, 1.0, LEVEL + 2.0)
    bench.proceed()
    bench.only(m.Cancel)
    return bench


def moved() -> Bench:
    """Its cancel is confirmed, and the next one is not answered."""
    bench, stop = rests()
    bench.core.protect(0, 1.0, LEVEL + 2.0)
    bench.proceed()
    bench.only(m.Cancel)
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).trigger_price == LEVEL + 2.0
    return bench


def restarted() -> Bench:
    """The process was killed before the answer, and begins again without a read of the venue."""
    bench, _ = requested()
    bench.after_s(2)
    bench.crash()
    return bench


def resumed() -> Bench:
    """A halt has cancelled the stop; the one that the resume sends is not answered."""
    bench, stop = rests()
    bench.operate("halt")
    bench.show(stop, "cancelled", by="cancel")
    bench.list_open(bench.listed(m.Submit(
        client_id="t00000010-1", parent=0, symbol=0, side="buy", order_type="limit", quantity=1.0,
        reduces=False, deadline_ns=0,
    )))  # fmt: skip
    bench.after_s(3 * BOUND)
    assert bench.alerted("stop_missing") == [], "a person has cancelled it"
    bench.operate("resume")
    assert bench.only(m.Submit).order_type == "stop"
    return bench


AT_ONCE = {rejected}
"""Causes that are critical, and block, before the bound."""
CAUSES = [
    never_answered, unknown, rejected, cancelled_by_the_venue, expired, reported_ended,
    reported_filled, replaced, moved, restarted,
]  # fmt: skip


def test_each_cause_stands_in_the_table_of_the_documents() -> None:
    text = (Path(__file__).parents[3] / "docs" / "live.md").read_text(encoding="utf-8")
    table = text.split("### A position whose stop does not act")[1].split("\n### ")[0]
    assert f"**After {BOUND:g} s**" in table
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    tests = " ".join(row.rsplit("|", 2)[1] for row in rows)
    assert [each.__name__ for each in [*CAUSES, resumed] if f"`{each.__name__}`" not in tests] == []


def is_reported(bench: Bench) -> bool:
    """Whether the page, `/healthz` and `septet top` show the block, which follows an alert."""
    blocked = bench.guards.symbols_of(UNPROTECTED) == [0]
    named = [each for each in bench.alerts if each.event in ("stop_missing", "stop_lost")]
    assert not blocked or any(each.level == "critical" for each in named)
    return blocked


@pytest.mark.parametrize("make", CAUSES)
def test_a_stop_that_does_not_act_is_reported_after_the_bound_and_entries_are_cancelled(
    make: Callable[[], Bench],
) -> None:
    """Three more purchases filled while no stop rested, and `/healthz` was green."""
    bench = make()
    assert is_reported(bench) == (make in AT_ONCE)
    bench.twin()
    bench.after_s(BOUND - 0.25)
    bench.twin()
    bench.after_s(0.5)
    assert is_reported(bench)
    (cancel,) = (each for each in bench.take(m.Cancel) if not each.reduces)
    assert cancel.client_id.endswith("1-1")
    bench.after_s(FINAL_AFTER)
    assert bench.alerted("stop_missing") == ([] if make in AT_ONCE else ["critical"]), "once"


@pytest.mark.parametrize("make", CAUSES)
def test_the_block_ends_when_the_stop_acts(make: Callable[[], Bench]) -> None:
    bench = make()
    bench.after_s(BOUND + 0.25)
    assert is_reported(bench)
    for _ in range(20):
        bench.after_s(1)
        for order in bench.take(m.Submit):
            bench.ack(order)
        name = bench.core.records.stops[0].child
        child = bench.core.records.children[name]
        if not child.exists or child.unconfirmed or child.claim or child.cancels:
            seen = m.OrderSeen(
                at_ns=bench.now, symbol=0, client_id=name, venue_order_id=f"v-{name}",
                side="sell", quantity=1.0, state="cancelled" if child.cancels else "open",
                filled=0.0, by="query", trigger_price=child.trigger_price, order_type="stop",
            )  # fmt: skip
            bench.handle(seen)
    for order in bench.take(m.Submit):
        bench.ack(order)
    if make is not reported_filled:  # what that is waits for the account
        assert bench.guards.symbols_of(UNPROTECTED) == []
        assert bench.core.protected(0)
        assert not bench.core.lacks_stop(0)


def test_a_resume_measures_from_the_stop_that_it_sends() -> None:
    bench = resumed()
    bench.after_s(BOUND - 0.25)
    assert not is_reported(bench)
    bench.after_s(0.5)
    assert is_reported(bench)


def test_no_entry_is_sent_before_the_stop_acts() -> None:
    """A grid buys level after level at one price: each waits for the stop of the one before."""
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.want(1)
    bench.after_s(1)
    assert bench.take(m.Submit) == []
    assert bench.core.lacks_stop(0)
    bench.ack(stop)
    assert bench.only(m.Submit).side == "buy"


def test_no_entry_is_sent_while_the_stop_covers_less_than_two_thirds() -> None:
    """Its cancel left after the next entry, which was sent in the same turn."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    first = bench.order(1)
    bench.ack(first)
    bench.want(2)
    assert bench.take(m.Submit) == []
    bench.position[0] = bench.held[0] = 1.0
    bench.core.protect(0, 2.0, LEVEL)
    bench.execute(first, 1.0)
    assert bench.take(m.Submit) == []
    bench.show(stop, "cancelled", by="cancel")
    again = bench.only(m.Submit)
    assert (again.order_type, again.quantity) == ("stop", 2.0)
    bench.ack(again)
    assert bench.only(m.Submit).side == "buy"


def test_a_stop_as_large_as_the_venue_takes_delays_no_entry() -> None:
    bench = Bench()
    bench.checks.symbols[0].instrument.max_quantity = 0.5
    bench.hold_with_stop(2.0, LEVEL)
    assert bench.order(1, 0.5).side == "buy"


def test_an_entry_that_waited_for_the_stop_ends_at_its_deadline() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.want(1, deadline_ns=bench.now + 2 * SECOND)
    bench.after_s(3)
    assert (bench.ended[1].state, bench.ended[1].reason) == ("expired", "deadline")
    assert [each.order_type for each in bench.take(m.Submit)] == ["stop"]


def test_an_entry_that_waited_beyond_the_bound_is_rejected_by_the_block() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.want(1)
    bench.after_s(BOUND + 0.25)
    assert (bench.ended[1].state, bench.ended[1].reason) == ("rejected", UNPROTECTED)


def test_a_stop_never_accepted_is_placed_in_the_turn_that_shows_it_before_any_entry() -> None:
    """A second passed after the answer, in which no block held and each entry was sent."""
    bench, stop = requested()
    bench.lose(stop.client_id)
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.take(m.Submit)
    bench.want(2)
    bench.miss(stop.client_id)
    assert bench.states[stop.client_id] == "rejected"
    again = bench.only(m.Submit)
    assert (again.order_type, again.quantity) == ("stop", 1.0)
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.ack(again)
    assert bench.guards.blocked(0) == ""


def test_a_second_stop_is_not_sent_while_the_first_may_rest() -> None:
    """Together they could sell more than is held; the first is sent once."""
    bench, stop = requested()
    bench.lose(stop.client_id)
    bench.hold(2.0)
    bench.core.protect(0, 2.0, LEVEL)
    bench.after_s(3 * FINAL_AFTER)
    assert [each for each in bench.take(m.Submit) if each.reduces] == []


def test_an_exit_that_waits_behind_an_unknown_stop_is_reported_after_the_same_bound() -> None:
    bench, stop = requested()
    bench.lose(stop.client_id)
    bench.want(2, -1.0)
    bench.after_s(BOUND + 0.25)
    assert bench.alerted("stop_missing") == ["critical"]
    assert bench.guards.symbols_of(UNPROTECTED) == [0]
    assert bench.take(m.Submit) == []


def test_an_exit_at_the_venue_is_no_missing_stop() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    bench.want(2, -1.0)
    bench.show(stop, "cancelled", by="cancel")
    bench.ack(bench.only(m.Submit))
    bench.after_s(BOUND + 0.25)
    assert bench.alerted("stop_missing") == []


@pytest.mark.parametrize("quantity", [0.0004, 0.0])
def test_what_no_order_can_sell_misses_no_stop(quantity: float) -> None:
    bench = Bench()
    bench.hold(quantity)
    bench.core.protect(0, quantity, LEVEL)
    bench.want(1)
    bench.only(m.Submit)
    bench.after_s(BOUND + 1)
    assert bench.alerted("stop_missing") == []


def test_a_position_too_small_for_a_stop_blocks_at_once_until_it_is_closed() -> None:
    bench = Bench()
    instrument = bench.checks.symbols[0].instrument
    instrument.min_notional = 0.95 * PRICE
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    assert bench.alerted("stop_unplaced") == ["critical"]
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.after_s(60)
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.hold(0.0)
    bench.core.protect(0, 0.0, 0.0)
    bench.proceed()
    assert bench.guards.blocked(0) == ""


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_c4_a_level_that_is_no_price_blocks_until_there_is_one(bad: float) -> None:
    """The block began and ended in one turn."""
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, bad)
    bench.proceed()
    assert bench.alerted("stop_unplaced") == ["critical"]
    assert bench.take(m.Submit) == []
    bench.after_s(60)
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    bench.ack(bench.only(m.Submit))
    assert bench.guards.blocked(0) == ""


def test_a_stop_that_rests_while_its_cancel_waits_for_a_pause_acts() -> None:
    bench, _ = rests()
    until_ns = bench.now + 60 * SECOND
    bench.handle(m.VenueChanged(
        at_ns=bench.now, venue="v", state="limited", reason="429", until_ns=until_ns,
    ))  # fmt: skip
    bench.core.protect(0, 1.0, LEVEL + 2.0)
    bench.after_s(2 * BOUND)
    assert bench.alerted("stop_missing") == []
    assert not bench.core.lacks_stop(0)


def test_a_stop_that_waits_for_a_pause_is_reported_after_the_bound() -> None:
    bench = Bench()
    until_ns = bench.now + 60 * SECOND
    bench.handle(m.VenueChanged(
        at_ns=bench.now, venue="v", state="limited", reason="429", until_ns=until_ns,
    ))  # fmt: skip
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.after_s(BOUND - 0.25)
    assert bench.take(m.Submit) == []
    assert not is_reported(bench)
    bench.after_s(0.5)
    assert bench.alerted("stop_missing") == ["critical"]
    assert is_reported(bench)
    bench.after_s(60)
    bench.ack(bench.only(m.Submit))
    assert not is_reported(bench)


def test_a_venue_that_is_down_leaves_the_stop_that_rests() -> None:
    bench, _ = rests()
    bench.handle(m.VenueChanged(at_ns=bench.now, venue="v", state="down", reason="socket"))
    bench.after_s(2 * BOUND)
    assert bench.alerted("stop_missing") == []
    assert bench.guards.blocked(0) == "venue_down"


def test_a_symbol_that_does_not_trade_rejects_its_stop_and_blocks_at_once() -> None:
    bench, stop = requested()
    bench.reject(stop.client_id, "market_closed")
    assert bench.alerted("stop_lost") == ["critical"]
    assert bench.guards.blocked(0) == UNPROTECTED


def test_a_stop_that_fills_in_part_acts() -> None:
    """Whether it is filled whole in time is another question (`stop_overdue`)."""
    bench, stop = rests()
    bench.execute(stop, 0.4, price=LEVEL)
    bench.core.protect(0, 0.6, LEVEL)
    bench.after_s(BOUND + 1)
    assert bench.alerted("stop_missing") == []
