"""While a position has neither a stop that acts nor an exit, a block is active and shown."""

from __future__ import annotations

import pytest

from septet import messages as m
from septet._core.orders.exposed import UNPROTECTED
from septet._core.unsellable import is_dust
from tests.core.orders.bench import Bench
from tests.core.orders.market import SECOND


def test_a_stop_that_the_venue_rejects_thrice_blocks_until_one_rests() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, 90.0)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.reject(stop.client_id, "filter")
    assert bench.guards.blocked(0) == UNPROTECTED
    assert bench.guards.blocked(1) == ""
    bench.twin()
    bench.after_s(2)
    bench.ack(bench.only(m.Submit))
    assert bench.guards.blocked(0) == ""


def test_a_stop_that_is_overdue_blocks_until_the_exit_is_filled() -> None:
    bench = Bench()
    bench.hold_with_stop(1.0, 90.0)
    for _ in range(12):
        bench.core.is_left_to_stop(0, 89.0, 1.0, bench.now)
        bench.after_s(1)
    assert bench.alerted("stop_overdue") == ["critical"]
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.hold(0.0)
    bench.core.protect(0, 0.0, 0.0)
    bench.after_s(1)
    assert bench.guards.blocked(0) == ""


def test_an_exit_that_is_rejected_again_and_again_blocks_until_it_is_filled() -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.want(1, -1.0)
    for _ in range(3):
        bench.after_s(30)
        order = bench.take(m.Submit)[-1]
        bench.reject(order.client_id, "filter")
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.after_s(60)
    order = bench.take(m.Submit)[-1]
    bench.ack(order)
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.execute(order, 1.0)
    bench.show(order, "filled", 1.0, by="query")
    assert bench.guards.blocked(0) == ""


def accepted(left: float, *, exits: bool = True) -> Bench:
    """Return a run with a position of 1 of which others have sold all but `left`, and a resume."""
    bench = Bench()
    bench.hold(1.0)
    bench.handle(
        m.FiltersChanged(
            at_ns=bench.now, symbol=0, lot=0.001, tick=0.01, min_notional=1.0, trading=True
        )
    )
    if exits:
        bench.want(1, -1.0)
    else:
        bench.core.protect(0, 1.0, 90.0)
        bench.proceed()
    for _ in range(3):
        bench.after_s(30)
        bench.reject(bench.take(m.Submit)[-1].client_id, "funds")
    assert bench.guards.blocked(0) == UNPROTECTED
    bench.guards.compare(
        0, 1.0, left, tolerance=1e-3, band=(0.0, 0.0), lags=[], now_ns=bench.now
    )  # fmt: skip
    assert bench.guards.symbols_of("position_mismatch") == [0]
    bench.take(m.Submit)
    bench.guards.handle(m.Operated(at_ns=bench.now, action="resume", name="a", reason="sold"))
    return bench


def test_of_a_position_of_which_a_part_is_left_that_part_is_sold() -> None:
    """The rest is somebody else's from then on, and its exit was rejected once a minute."""
    bench = accepted(0.6)
    bench.after_s(60)
    assert bench.guards.symbols_of(UNPROTECTED) == [0]
    order = bench.take(m.Submit)[-1]
    assert order.quantity == 0.6
    bench.ack(order)
    bench.execute(order, 0.6)
    bench.show(order, "filled", 0.6, by="query")
    bench.after_s(600)
    assert bench.position[0] == pytest.approx(0.4)
    assert bench.take(m.Submit) == []
    assert bench.guards.symbols_of(UNPROTECTED) == []


@pytest.mark.parametrize("left", [0.0, 0.0004, 0.004])
def test_the_exit_of_a_position_that_a_person_accepts_as_gone_ends_with_it(left: float) -> None:
    """It was sent and rejected about once a minute, also where too little to sell is left."""
    bench = accepted(left)
    bench.after_s(600)
    assert bench.take(m.Submit) == []
    assert (bench.ended[1].state, bench.ended[1].reason) == ("cancelled", "gone")
    assert bench.guards.symbols_of(UNPROTECTED) == []
    bench.want(2, -1.0)
    assert bench.ended[2].reason == "gone"
    assert is_dust({0: 1.0}, bench.checks, bench.guards, 0, 1.0), "the engine does not ask again"
    assert not is_dust({0: 1.0}, bench.checks, bench.guards, 0, 0.5)


def test_the_stop_of_a_position_that_a_person_accepts_as_gone_ends_with_it() -> None:
    bench = accepted(0.0, exits=False)
    bench.after_s(600)
    assert bench.take(m.Submit) == []
    assert bench.guards.symbols_of(UNPROTECTED) == []
    bench.guards.compare(
        0, 1.0, 1.0, tolerance=1e-3, band=(0.0, 0.0), lags=[], now_ns=bench.now
    )  # fmt: skip
    bench.after_s(60)
    assert len(bench.take(m.Submit)) == 1, "the account holds it again"


def test_an_entry_rejected_for_funds_blocks_until_the_account_was_read() -> None:
    """The ledger has the cash: a venue that contradicts it may have executed the order."""
    bench = Bench()
    entry = bench.order(1)
    bench.take(m.Refresh)
    asked_ns = bench.now
    bench.reject(entry.client_id, "funds")
    assert [each.what for each in bench.take(m.Refresh)] == ["holdings"]
    assert bench.guards.blocked(0) == "rejected_entry"
    assert bench.guards.blocked(1) == ""
    bench.core.resolve_disputes(0, "BTC", 0.0, 1e-5, asked_ns, bench.now)
    bench.proceed()
    assert bench.guards.blocked(0) == "rejected_entry", "this read was asked for before"
    bench.now += SECOND
    bench.core.resolve_disputes(0, "BTC", 0.0, 1e-5, bench.now, bench.now)
    bench.proceed()
    assert bench.guards.blocked(0) == ""


@pytest.mark.parametrize("code", ["crosses", "rate", "market_closed"])
def test_other_rejections_of_an_entry_block_nothing(code: str) -> None:
    bench = Bench()
    entry = bench.order(1)
    bench.take(m.Refresh)
    bench.reject(entry.client_id, code)
    assert bench.guards.blocked(0) == ""
    assert bench.take(m.Refresh) == []
