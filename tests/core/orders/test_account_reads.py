"""Executions that are booked after a read of the account that shows them already."""

from __future__ import annotations

from septet import messages as m
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.test_lost_fills import LEVEL, account


def test_a_purchase_that_the_read_shows_already_does_not_make_an_exit_larger() -> None:
    """The account was read after stop and add were executed; the add's execution comes late."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    add = bench.order(1, 0.5)
    bench.ack(add, state="filled", filled=0.5)
    bench.show(stop, "filled", 1.0)
    bought_ns = bench.now
    bench.after_s(1)
    account(bench, -0.5)  # 1.0 - 1.0 + 0.5
    bench.want(2, -1.0)
    bench.execute(add, 0.5, venue_ns=bought_ns)
    assert bench.only(m.Submit).quantity == 0.5


def test_a_sale_long_before_a_read_does_not_make_an_exit_smaller() -> None:
    bench = Bench()
    bench.hold(1.5)
    sale = bench.order(1, -0.5, closes_all=False)
    bench.ack(sale, state="filled", filled=0.5)
    sold_ns = bench.now
    bench.after_s(2 * FINAL_AFTER)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    account(bench, -0.5)
    bench.execute(sale, 0.5, venue_ns=sold_ns, listed=True)
    assert bench.core.records.held[0][0] == 1.0
