"""Orders of a portfolio's rebalance: many at one time are no runaway."""

from __future__ import annotations

import msgspec

from septet import messages as m
from septet._core.orders import Ended
from tests.core.orders.bench import Bench
from tests.core.orders.market import SECOND


def test_an_increase_of_a_rebalance_waits_for_the_rate_and_no_other_entry_does() -> None:
    bench = Bench()
    bench.checks.limits = msgspec.structs.replace(bench.checks.limits, orders_per_minute=2)
    bench.checks._half = 1
    first = bench.order(1)
    bench.ack(first)
    bench.execute(first, 1.0)
    bench.want(2, reason="rebalance", deadline_ns=bench.now + 90 * SECOND)
    assert bench.take(m.Submit) == []
    bench.after_s(61)
    assert bench.only(m.Submit).parent == 2
    bench.want(3, reason="entry", symbol=1)
    assert bench.take(m.Submit) == []
    assert [each.state for each in bench.outcomes if isinstance(each, Ended)][-1] == "rejected"
    bench.want(4, reason="rebalance", symbol=1, deadline_ns=bench.now + 5 * SECOND)
    bench.after_s(6)
    assert [each.state for each in bench.outcomes if isinstance(each, Ended)][-1] == "expired"
