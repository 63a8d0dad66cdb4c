"""An own order at rest explains a difference of the account until it was read, and no longer."""

from __future__ import annotations

from functools import partial

import pytest

from septet import messages as m
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import LOT

LEVEL = 90.0


def compare(bench: Bench, account_units: float) -> list[int]:
    """Read the account; return the symbols that differ."""
    bench.now += 1
    core = bench.core
    bench.guards.compare(
        0, bench.position[0], account_units, tolerance=LOT, band=core.band(0),
        lags=core.lags(0, bench.now), now_ns=bench.now,
        complete_until_ns=core.complete_until_ns(bench.now), unread=partial(core.band, 0),
    )  # fmt: skip
    return bench.guards.symbols_of("position_mismatch")


def with_units_of_others() -> tuple[Bench, m.Submit]:
    """Hold 1 with a stop that rests, beside 3 of somebody else's, which a person has accepted."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    assert compare(bench, 4.0) == [0]
    bench.operate("resume")
    assert compare(bench, 4.0) == []
    return bench, stop


def test_a_stop_at_rest_does_not_hide_what_others_have_taken() -> None:
    """It explained the difference for as long as it rested: entries went on, and none was told."""
    bench, stop = with_units_of_others()
    assert compare(bench, 3.4) == [], "the stop may have sold 0.6, and the report be on its way"
    bench.after_s(FINAL_AFTER + 2)
    assert compare(bench, 3.4) == [], "no read of the stop has shown that it has not"
    bench.show(stop, "open", by="query")
    assert compare(bench, 3.4) == [0]


@pytest.mark.parametrize("shown", [0.0, 0.6])
def test_a_read_that_may_be_older_or_shows_an_execution_leaves_it_explained(shown: float) -> None:
    bench, stop = with_units_of_others()
    assert compare(bench, 3.4) == []
    if not shown:
        bench.show(stop, "open", by="query")
    bench.after_s(FINAL_AFTER + 2)
    if shown:
        bench.show(stop, "partially_filled", shown, by="query")
    assert compare(bench, 3.4) == []


def test_a_difference_of_another_size_is_a_new_one() -> None:
    bench, stop = with_units_of_others()
    compare(bench, 3.4)
    bench.after_s(FINAL_AFTER + 2)
    bench.show(stop, "open", by="query")
    assert compare(bench, 3.2) == [], "an execution may just have been made"


def test_an_order_whose_answer_is_lost_explains_it_until_it_is_known() -> None:
    bench = Bench()
    order = bench.order(1, 1.0, kind="limit", limit_price=95.0)
    bench.handle(m.Uncertain(at_ns=bench.now, client_id=order.client_id, text="no answer"))
    compare(bench, 0.5)
    bench.after_s(FINAL_AFTER + 2)
    assert compare(bench, 0.5) == []
