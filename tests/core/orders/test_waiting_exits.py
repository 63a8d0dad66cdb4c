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
