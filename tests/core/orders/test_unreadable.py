"""A report of a venue that cannot be read is requested again, and changes nothing."""

from __future__ import annotations

import pytest

from septet import messages as m
from tests.core.orders.bench import Bench


def unreadable(bench: Bench, about: m.About, client_id: str = "", symbol: int = -1) -> None:
    bench.handle(
        m.Unreadable(
            at_ns=bench.now, venue="v", about=about, text="x", symbol=symbol, client_id=client_id
        )
    )


@pytest.mark.parametrize("about", ["order", "fill"])
def test_an_unreadable_report_about_an_order_is_requested_again(about: m.About) -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order)
    before = bench.core.snapshot()
    bench.take(m.Query)
    unreadable(bench, about, order.client_id, 0)
    assert bench.only(m.Query).client_id == order.client_id
    asked = bench.take(m.Refresh)
    assert [(each.what, each.symbols) for each in asked] == [("open_orders", ()), ("fills", (0,))]
    assert bench.states[order.client_id] == "open"
    assert before != b""


def test_without_an_order_every_symbol_is_asked_for() -> None:
    bench = Bench()
    unreadable(bench, "fill")
    assert [each.symbols for each in bench.take(m.Refresh)] == [(), (0, 1)]
    unreadable(bench, "balance")
    assert [each.what for each in bench.take(m.Refresh)] == ["holdings"]
    for about in ("quote", "trade", "bar", "filters", "clock"):
        unreadable(bench, about)
    assert bench.take(m.Refresh) == []
