"""When "no such order" is final: the open orders and the account were read late enough, too."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from septet import messages as m
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND
from tests.core.orders.test_unexplained import RULE, absent, account, executed, lost, other


@pytest.mark.parametrize("how", ["after two restarts", "in the same process"])
@pytest.mark.parametrize(
    ("kind", "limit"), [("market", None), ("limit", PRICE)], ids=["executed", "resting"]
)
def test_e23_an_order_is_not_absent_before_orders_and_account_were_read(
    how: str, kind: Any, limit: float | None
) -> None:
    """No query was answered until one is late enough, and no report of it came either."""
    bench = Bench()
    order = lost(bench, kind=kind, limit_price=limit)
    bench.list_open()
    account(bench, 0.0)  # too early: the order may be accepted after it
    for _ in range(2 if how == "after two restarts" else 0):
        bench.crash()
        bench.after_s(3)
    bench.take(m.Refresh)
    absent(bench, order)
    assert bench.core.open_order_ids() == [order.client_id]
    assert {each.what for each in bench.take(m.Refresh)} == {"open_orders", "fills", "holdings"}
    bench.want(2)
    assert bench.take(m.Submit) == [], "no second entry"
    if kind == "limit":
        bench.list_open(other(order, bench))
        account(bench, 0.0)
        bench.miss(order.client_id)
        assert bench.alerted("adopted_order") == ["error"]
        return
    account(bench, 1.0)
    bench.miss(order.client_id)
    assert bench.core.open_order_ids() == [order.client_id], "the open orders were not read"
    bench.list_open()
    bench.miss(order.client_id)
    assert bench.core.open_order_ids() == [order.client_id]
    assert bench.alerted(RULE) == ["critical"]


def test_e23_a_reduction_whose_units_are_gone_is_not_sent_again_whatever_explains_that() -> None:
    """A disputed execution may explain what the account lacks, and so may the reduction."""
    bench = Bench()
    entry = bench.order(1)
    bench.ack(entry)
    bench.execute(entry, 1.0)
    bench.after_s(1)
    order = bench.order(2, -1.0)
    bench.lose(order.client_id)
    executed(bench, order)
    absent(bench, order)
    bench.execute(entry, 0.5)
    assert bench.core.records.disputes[0], "it exceeds its order"
    account(bench, -1.0)
    absent(bench, order)
    assert bench.take(m.Submit) == [], "it would be sold twice"
    assert bench.core.open_order_ids() == [order.client_id]
    bench.take(m.Refresh)
    absent(bench, order)
    assert "holdings" in {each.what for each in bench.take(m.Refresh)}, "it is read again"


def test_e23_the_reads_that_decide_are_repeated_and_the_order_is_queried_soon_after() -> None:
    bench = Bench()
    order = lost(bench)
    bench.after_s(FINAL_AFTER + 1)
    bench.take(m.Refresh)
    bench.take(m.Query)
    bench.miss(order.client_id)
    assert len([each for each in bench.take(m.Refresh) if each.what == "holdings"]) == 1
    bench.after_s(0.25)
    assert [each.client_id for each in bench.take(m.Query)] == [order.client_id]
    asked = list[int]()
    for _ in range(60):
        bench.miss(order.client_id)
        if any(each.what == "holdings" for each in bench.take(m.Refresh)):
            asked.append(bench.now)
        bench.after_s(0.25)
    assert [(b - a) / SECOND for a, b in itertools.pairwise(asked)] == [5.0, 5.0]
    bench.read()
    bench.miss(order.client_id)
    assert bench.ended[1].reason == "never_accepted"
