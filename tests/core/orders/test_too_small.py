"""What may not be sent because it is worth less than the venue takes."""

from __future__ import annotations

from septet import messages as m
from tests.core.orders.bench import Bench


def test_what_is_left_below_the_minimum_notional_is_too_small_and_no_fill() -> None:
    bench = Bench()
    bench.hold(0.005)
    bench.handle(
        m.FiltersChanged(
            at_ns=bench.now, symbol=0, lot=0.001, tick=0.01, min_notional=1.0, trading=True
        )
    )
    bench.want(1, -1.0)  # worth 0.5 at 100
    assert (bench.ended[1].state, bench.ended[1].reason) == ("cancelled", "too_small")


def test_less_than_a_lot_is_flat() -> None:
    bench = Bench()
    bench.hold(0.0004)
    bench.want(1, -1.0)
    assert bench.ended[1].reason == "flat"
