"""Orders that meet bars, one rule at a time."""

from __future__ import annotations

import pytest

from septet._kernel import layout
from septet._rules import fills, orders
from septet._rules.ledger import book_fill, place_order
from septet._rules.run import Run
from septet._rules.settings import R_CASH, R_NO_MARKET, R_REVERSAL
from tests.rules.desk import bar, run_of, set_to, status

NAN = float("nan")


def ordered(run: Run, units: float, *, kind: int = layout.MARKET, limit: float = NAN) -> Run:
    """Let an entry work from the first bar on."""
    place_order(0, kind, units, limit, NAN, 0, 3, 0, 0, 100.0, 0, run)
    return run


def holding(units: float, price: float = 100.0) -> Run:
    run = run_of()
    book_fill(0, units, price, 0.0, 0, 0, 0, 0, 0, 0, price, run)
    return run


def test_a_market_order_fills_at_the_open():
    run = ordered(run_of(), 2.0)
    bar(run, 0, 90.0, 110.0, 80.0, 100.0)
    fills.meet_open(0, 0, run)
    assert (run.units[0], run.average_price[0], run.cash) == (2.0, 90.0, 820.0)
    assert status(run) == [(layout.STATUS_FILLED, 0)]


def test_what_the_cash_does_not_cover_is_cancelled():
    run = ordered(run_of(), 20.0)
    with set_to(TAKER_FEE=0.001):
        fills.execute(0, 0, 100.0, 0, 0, 0, run)
    assert run.units[0] == 9.0
    assert run.cash == pytest.approx(1_000.0 - 900.0 - 0.9)
    assert status(run) == [(layout.STATUS_CANCELLED, R_CASH)]


def test_a_perpetual_buys_on_margin():
    run = ordered(run_of(), 20.0)
    with set_to(SPOT=False):
        fills.execute(0, 0, 100.0, 0, 0, 0, run)
    assert (run.units[0], run.cash) == (20.0, -1_000.0)


def test_a_fee_in_kind_brings_fewer_units():
    run = ordered(run_of(), 5.0)
    with set_to(FEE_IN_KIND=True, TAKER_FEE=0.2):
        fills.execute(0, 0, 100.0, 0, 0, 0, run)
    assert (run.units[0], run.cash) == (4.0, 500.0)


def test_an_order_takes_its_share_of_the_volume_and_works_on():
    run = ordered(run_of(), 5.0)
    run.volume[0, 0] = 30.0
    with set_to(PARTICIPATION=True, VOLUME_SHARE=0.1):
        fills.execute(0, 0, 100.0, 0, 0, 0, run)
    assert (run.units[0], run.order_units[0], run.volume_used[0]) == (3.0, 2.0, 3.0)
    assert run.working[0] == 1


def test_a_limit_waits_until_it_is_traded_through():
    run = ordered(run_of(), 2.0, kind=layout.LIMIT, limit=95.0)
    bar(run, 0, 100.0, 101.0, 95.0, 100.0)
    fills.meet_open(0, 0, run)
    fills.meet_within(0, 0, 60, run)
    assert run.units[0] == 0.0
    bar(run, 1, 100.0, 101.0, 94.9, 100.0)
    fills.meet_within(0, 1, 120, run)
    assert (run.units[0], run.average_price[0]) == (2.0, 95.0)


def test_synthetic_bars_and_bars_before_the_order_fill_nothing():
    run = ordered(run_of(), 2.0)
    run.is_synthetic[0, 0] = 1
    fills.meet_open(0, 0, run)
    run.is_synthetic[0, 0], run.active_ns[0] = 0, 60
    fills.meet_open(0, 0, run)
    assert run.units[0] == 0.0


def test_bars_that_are_missing_end_an_entry():
    run = ordered(run_of(), 2.0)
    run.missing_bars[0, 2] = 3
    with set_to(BAR_NS=60):
        fills.meet_open(0, 2, run)
    assert status(run) == [(layout.STATUS_EXPIRED, R_NO_MARKET)]


def test_an_entry_that_expires_closes_what_it_would_have_closed():
    run = ordered(holding(-2.0), 5.0)
    with set_to(SPOT=False):
        orders.expire(0, R_NO_MARKET, 60, run)
    assert status(run)[-1] == (layout.STATUS_EXPIRED, R_NO_MARKET)
    assert (run.order_units[0], run.reduces[0], run.order_reason[0]) == (2.0, 1, R_REVERSAL)


def test_an_exit_is_for_all_of_the_position_and_is_sent_once():
    run = holding(3.0)
    orders.send_exit(0, 7, 60, run)
    orders.send_exit(0, 8, 60, run)
    assert (run.order_units[0], run.order_reason[0], run.order_id[0]) == (-3.0, 7, 0)


def test_an_exit_that_is_too_small_waits_with_its_first_reason():
    run = holding(3.0)
    run.min_notional[0] = 400.0
    orders.send_exit(0, 7, 60, run)
    orders.send_exit(0, 8, 60, run)
    assert (run.working[0], run.exit_to_retry[0]) == (0, 8)
    run.mark[0] = 140.0
    orders.go_on(0, 120, run)
    assert (run.order_units[0], run.order_reason[0], run.exit_to_retry[0]) == (-3.0, 7, 0)
