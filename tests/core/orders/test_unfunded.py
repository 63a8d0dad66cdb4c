"""Reductions that a venue rejects for lack of funds: less is there than is booked."""

from __future__ import annotations

import pytest

from septet import messages as m
from tests.core.orders.bench import Bench


def test_e22_a_reduction_that_was_rejected_for_funds_takes_what_the_account_holds() -> None:
    """A fee that no answer named is missing in the account: 0.999 is there of 1.0."""
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.core.account_holds(0, 0.999)  # a read alone makes no order smaller
    bench.proceed()
    assert bench.take(m.Cancel) == []
    bench.take(m.Refresh)
    bench.reject(stop.client_id, "funds")
    assert [each.what for each in bench.take(m.Refresh)] == ["holdings", "open_orders"]
    bench.core.account_holds(0, 0.999)
    bench.after_s(2.0)
    smaller = bench.only(m.Submit)
    assert smaller.quantity == 0.999
    bench.ack(smaller)
    bench.core.account_holds(0, 0.0)  # one wrong read: what stands stays
    bench.after_s(2.0)
    assert (bench.take(m.Cancel), bench.take(m.Submit)) == ([], [])
    bench.core.account_holds(0, 0.999)
    bench.want(7, -1.0)
    bench.show(smaller, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 0.999, "the exit, too"


def test_e22_a_read_of_the_account_alone_makes_no_exit_smaller() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.core.account_holds(0, 0.4)
    assert bench.order(1, -1.0).quantity == 1.0


def test_a_rejection_of_a_moment_lets_the_stop_grow_with_the_position() -> None:
    bench = Bench()
    bench.hold(0.4)
    bench.core.protect(0, 0.4, 90.0)
    bench.proceed()
    bench.reject(bench.only(m.Submit).client_id, "funds")
    bench.core.account_holds(0, None)  # the account holds what is booked
    bench.after_s(2.0)
    stop = bench.only(m.Submit)
    bench.ack(stop)
    bench.hold(1.0)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    assert bench.only(m.Submit).quantity == 1.0


@pytest.mark.parametrize("code", ["funds", "FUNDS", "INSUFFICIENT", "bad_request", "filter", ""])
def test_an_exit_takes_what_the_account_holds_whatever_the_rejection_is_called(code: str) -> None:
    """Codes are a plugin's own words: an exit was sent for more than is there for ever."""
    bench = Bench()
    bench.hold(1.0)
    exit_order = bench.order(1, -1.0)
    bench.take(m.Refresh)
    bench.reject(exit_order.client_id, code)
    asked = [each.what for each in bench.take(m.Refresh)]
    assert [each for each in asked if each != "filters"] == ["holdings", "open_orders"]
    assert ("filters" in asked) == (code != "funds")
    bench.core.account_holds(0, 0.95)
    bench.after_s(3.0)
    assert bench.only(m.Submit).quantity == 0.95


@pytest.mark.parametrize("code", ["rate", "market_closed", "auth", "clock"])
def test_a_rejection_that_units_do_not_explain_makes_no_exit_smaller(code: str) -> None:
    bench = Bench()
    bench.hold(1.0)
    exit_order = bench.order(1, -1.0)
    bench.reject(exit_order.client_id, code)
    bench.core.account_holds(0, 0.95)
    bench.after_s(60.0)
    assert {each.quantity for each in bench.take(m.Submit)} <= {1.0}
