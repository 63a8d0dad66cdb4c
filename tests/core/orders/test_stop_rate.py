"""Replacing stops uses up no more than half of the orders that a minute has for reductions."""

from __future__ import annotations

import msgspec

from septet import messages as m
from tests.core.orders.bench import Bench

LIMIT = 60
"""Reductions of a minute, by default."""


def _bench(limit: int = LIMIT) -> Bench:
    bench = Bench()
    bench.checks.limits = msgspec.structs.replace(bench.checks.limits, reductions_per_minute=limit)
    return bench


def _replace(bench: Bench, stop: m.Submit, quantity: float, level: float) -> m.Submit | None:
    """Request another stop, let the venue do as it is asked; return the stop that rests then."""
    bench.core.protect(0, quantity, level)
    bench.after_s(0.1)
    cancels = bench.take(m.Cancel)
    if not cancels:
        return stop
    bench.show(stop, "cancelled", by="query")
    (placed,) = bench.take(m.Submit)
    bench.ack(placed)
    return placed


def _worn_out() -> tuple[Bench, m.Submit]:
    """Return a position that grew in a hundred parts, and the stop that rests."""
    bench = _bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    for count in range(100):
        bench.hold(1.0 + 0.01 * (count + 1))
        found = _replace(bench, stop, 1.0 + 0.01 * (count + 1), 90.0)
        assert found is not None, "a stop rests at any time"
        stop = found
    return bench, stop


def test_a_position_that_grows_in_many_parts_keeps_a_stop_and_an_exit_leaves_at_once() -> None:
    bench, stop = _worn_out()
    assert bench.core.protected(0)
    assert stop.quantity > 1.7, "it is at most two seconds old"
    assert bench.checks.reductions_left(0, bench.now) > LIMIT // 2
    assert bench.alerted("stop_waits") == []
    bench.want(1, -2.0, closes_all=True)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="query")
    assert bench.only(m.Submit).quantity == 2.0
    bench.twin()


def test_a_stop_that_waited_covers_all_two_seconds_after_the_last_one() -> None:
    bench, stop = _worn_out()
    bench.after_s(2.3)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="query")
    assert bench.only(m.Submit).quantity == 2.0
    bench.twin()


def test_a_position_that_doubles_is_covered_without_a_pause() -> None:
    """With ten orders a minute a pause would be twelve seconds."""
    bench = _bench(10)
    stop = bench.hold_with_stop(1.0, 90.0)
    for held in (2.0, 4.0, 8.0):
        bench.hold(held)
        placed = _replace(bench, stop, held, 90.0)
        assert placed is not None
        assert placed.quantity == held
        stop = placed
    bench.hold(9.0)
    assert _replace(bench, stop, 9.0, 90.0) is stop


def test_half_of_the_reductions_of_a_minute_are_not_for_stops() -> None:
    bench = _bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    for _ in range(LIMIT // 2):
        bench.checks.sent(0, -1, 1.0, True, bench.now)
    bench.hold(2.0)
    bench.core.protect(0, 2.0, 90.0)
    bench.after_s(50)
    assert bench.take(m.Cancel) == []
    assert bench.core.protected(0)
    assert bench.alerted("stop_waits") == ["error"]
    bench.after_s(11)
    assert bench.only(m.Cancel).client_id == stop.client_id


def test_a_level_that_waits_at_the_venue_is_watched_here() -> None:
    """A trailing level moves at each step; the stop at the venue stays behind it."""
    bench = _bench()
    stop = bench.hold_with_stop(1.0, 80.0)
    for count in range(40):
        found = _replace(bench, stop, 1.0, 80.0 + 0.25 * (count + 1))
        assert found is not None
        stop = found
    assert stop.trigger_price is not None
    assert stop.trigger_price < 90.0
    assert not bench.core.protected(0), "the engine tests the level that was requested"


def test_a_stop_larger_than_the_position_is_replaced_whatever_the_rate() -> None:
    """It would sell what is not held."""
    bench, stop = _worn_out()
    bench.hold(0.5)
    bench.core.protect(0, 0.5, 90.0)
    bench.after_s(0.1)
    assert bench.only(m.Cancel).client_id == stop.client_id


def test_an_exit_that_may_not_be_sent_leaves_the_stop_where_it_is() -> None:
    bench = _bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    for _ in range(LIMIT - 1):  # exits of other symbols
        bench.checks.sent(0, -1, 1.0, True, bench.now)
    bench.want(1, -1.0)
    assert bench.alerted("reduction_waits") == ["critical"]
    bench.after_s(50)
    assert bench.take(m.Cancel) == []
    assert bench.core.protected(0)
    bench.after_s(11)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="query")
    assert bench.only(m.Submit).quantity == 1.0
    bench.twin()


def test_the_end_of_a_position_takes_its_stop_along_whatever_the_rate() -> None:
    bench = _bench()
    stop = bench.hold_with_stop(1.0, 90.0)
    for _ in range(LIMIT):
        bench.checks.sent(0, -1, 1.0, True, bench.now)
    bench.hold(0.0)
    bench.core.protect(0, 0.0, 0.0)
    bench.after_s(0.1)
    assert bench.only(m.Cancel).client_id == stop.client_id


def test_a_core_that_was_restored_acts_when_the_one_before_it_would_have() -> None:
    """Else a replay from a snapshot replaces a stop one event earlier than the run did."""
    bench, stop = _worn_out()
    rested = bench.core.records.children[stop.client_id]
    bench.now = rested.sent_ns + 1_900_000_000
    bench.core.protect(0, 2.0, 89.0)
    bench.proceed()
    assert bench.take(m.Cancel) == []
    bench.now += 150_000_000
    assert bench.now < bench.core.records.woken_ns, "nothing is due"
    bench.twin()
    bench.proceed()
    assert bench.take(m.Cancel) == []
    bench.after_s(1)
    assert bench.only(m.Cancel).client_id == stop.client_id
