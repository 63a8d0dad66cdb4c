"""Which orders count as repetitions of one another."""

from __future__ import annotations

import msgspec
import pytest

from septet import messages as m
from tests.core.orders.bench import Bench


@pytest.mark.parametrize("by", ["local", "gate", ""])
def test_orders_that_never_left_are_no_repetition(by: str) -> None:
    """A full disk, or a pause of the venue, holds them back until their deadline."""
    bench = Bench()
    bench.checks.limits = msgspec.structs.replace(bench.checks.limits, repeats=5)
    for number in range(1, 9):
        bench.want(number)
        for order in bench.take(m.Submit):
            if by:
                bench.reject(order.client_id, "deadline", by=by)
            else:
                bench.execute(order, 1.0)
    assert bench.checks.throttled is (not by)
