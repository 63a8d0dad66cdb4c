"""E18: what others sell on the account is not taken for an execution of ours."""

from __future__ import annotations

from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.test_lost_fills import LEVEL, account


def test_what_others_sold_is_not_booked_for_a_stop_that_its_query_shows_open() -> None:
    """A person has resumed, and the account lacks a part: nobody but the query denies the stop."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    bench.show(stop, "partially_filled", 1.0)
    bench.after_s(FINAL_AFTER + 1)
    bench.show(stop, "open", by="query")
    assert not account(bench, -0.002)
    assert bench.alerted("lost_fill")[-1] == "critical", "a person is asked"
    bench.operate("resume")
    assert not account(bench, -0.002)
    assert bench.position[0] == 1.0
    assert bench.prices_booked() == []
    assert bench.guards.symbols_of("lost_fill") == []
    assert stop.client_id in bench.core.open_order_ids()
