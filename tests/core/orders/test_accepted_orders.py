"""E23: what a resume books as executed by a reduction that the venue may list under another id."""

from __future__ import annotations

import msgspec
import pytest

from septet import messages as m
from tests.core.orders.bench import Bench
from tests.core.orders.market import PRICE
from tests.core.orders.test_unexplained import LEVEL, RULE, absent, account, executed, lost, other


def lost_stop(bench: Bench) -> m.Submit:
    """Hold one unit, and lose the answer of its stop; an order of another quantity rests."""
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.lose(stop.client_id)
    bench.list_open(other(stop, bench, quantity=0.2))
    absent(bench, stop)
    return stop


def exit_past(bench: Bench, quantity: float) -> m.Submit:
    """Send an exit past a stop in an unknown state, and lose its answer."""
    bench.want(1, -quantity, closes_all=False)
    sale = bench.only(m.Submit)
    bench.lose(sale.client_id)
    return sale


@pytest.mark.parametrize("is_listed", [True, False])
def test_e23_a_sale_of_another_quantity_explains_its_part_of_what_is_missing(
    is_listed: bool,
) -> None:
    """0.6 were sold by an order of 0.6, and 0.4 withdrawn: the exit of 1 was not executed.

    Executions whose order no list has shown may be a part of the exit.
    """
    bench = Bench()
    bench.hold(1.0)
    order = lost(bench, -1.0)
    if is_listed:
        sale = other(order, bench, quantity=0.6, filled=0.6, state="filled")
        bench.handle(msgspec.structs.replace(sale, by="stream"))
    bench.execute(order, 0.6, client_id="x-broker7", venue_order_id="77", price=99.0)
    absent(bench, order)
    account(bench, -1.0)
    absent(bench, order)
    assert RULE in {each.rule for each in bench.guards.active()}
    bench.operate("resume")
    assert bench.prices_booked() == ([] if is_listed else [PRICE])
    assert bench.position[0] == (1.0 if is_listed else 0.0)
    assert bench.states[order.client_id] == ("rejected" if is_listed else "filled")


def test_e23_an_execution_that_was_seen_is_booked_before_what_the_account_alone_shows() -> None:
    """A stop of 1 and an exit of 0.6 are unknown; 0.6 were sold at 97, and 0.4 withdrawn."""
    bench = Bench()
    stop = lost_stop(bench)
    sale = exit_past(bench, 0.6)
    executed(bench, sale, venue_order_id="78", price=97.0)
    absent(bench, sale)
    account(bench, -1.0)
    absent(bench, sale)
    bench.operate("resume")
    assert bench.prices_booked() == [97.0]
    assert bench.position[0] == pytest.approx(0.4)
    assert bench.states[sale.client_id] == "filled"
    assert bench.states[stop.client_id] == "rejected"


def test_e23_the_account_alone_books_nothing_while_another_reduction_may_have_sold() -> None:
    """No alert has named the exit: the units that are missing may be those that it has sold."""
    bench = Bench()
    stop = lost_stop(bench)
    sale = exit_past(bench, 1.0)
    account(bench, -1.0)
    bench.operate("resume")
    assert bench.position[0] == 1.0
    assert bench.states[stop.client_id] == "rejected"
    assert bench.core.open_order_ids() == [sale.client_id]
    absent(bench, sale)
    account(bench, -1.0)
    absent(bench, sale)
    bench.operate("resume")
    assert bench.position[0] == 0.0
    assert bench.prices_booked() == [PRICE]
    assert bench.states[sale.client_id] == "filled"
