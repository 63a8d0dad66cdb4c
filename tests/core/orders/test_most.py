"""What the venue takes in one order may change: exits go in pieces, stops cover what they may."""

from __future__ import annotations

import pytest

from septet import messages as m
from tests.core.orders.bench import Bench
from tests.core.orders.market import PRICE


def changed(bench: Bench, most: float | None) -> None:
    instrument = bench.checks.symbols[0].instrument
    bench.handle(
        m.FiltersChanged(
            at_ns=bench.now, symbol=0, lot=instrument.lot, tick=instrument.tick,
            min_notional=instrument.min_notional, max_quantity=most,
        )
    )  # fmt: skip


def test_an_exit_goes_in_pieces_once_the_venue_takes_less_in_one_order() -> None:
    bench = Bench()
    bench.hold(12.0)
    changed(bench, 5.0)
    exit_ = bench.order(1, -12.0, reduces=True)
    quantities = [exit_.quantity]
    for _ in range(2):
        bench.ack(exit_)
        bench.execute(exit_, exit_.quantity)
        bench.proceed()
        exit_ = bench.only(m.Submit)
        quantities.append(exit_.quantity)
    assert quantities == [5.0, 5.0, 2.0]


def test_a_stop_covers_what_the_venue_accepts_and_reports_the_rest() -> None:
    bench = Bench()
    bench.hold(12.0)
    changed(bench, 5.0)
    bench.core.protect(0, 12.0, 0.9 * PRICE)
    bench.proceed()
    assert bench.only(m.Submit).quantity == 5.0
    assert bench.alerted("stop_partial") == ["error"]
    assert "covers 5 of 12" in bench.alerts[-1].text


@pytest.mark.parametrize("most", [None, 0.0, 20.0])
def test_what_is_not_reported_or_no_bound_leaves_orders_whole(most: float | None) -> None:
    bench = Bench()
    bench.hold(12.0)
    changed(bench, most)
    bench.core.protect(0, 12.0, 0.9 * PRICE)
    bench.proceed()
    assert bench.only(m.Submit).quantity == 12.0
    assert bench.alerted("stop_partial") == []
