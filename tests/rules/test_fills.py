"""Orders that meet bars, one rule at a time."""

from __future__ import annotations

import pytest

from septet._kernel import layout
from septet._rules import fills, orders, venue_fills
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from septet._rules.settings import R_CASH, R_NO_MARKET, R_REVERSAL
from tests.rules.small_run import Fixed, bar, fill_of, order_of, run_of, set_to, status

NAN = float("nan")


def ordered(
    run: Run, units: float, *, kind: int = layout.MARKET, limit: float = NAN, trigger: float = NAN
) -> Run:
    """Let an entry work from the first bar on."""
    place_order(0, order_of(kind, units, limit=limit, trigger=trigger), 0, 3, 0, 0, run)
    return run


def arriving(i: int, opened: float, units: float, **terms: float) -> tuple[float, float]:
    """Return price and fee rate of an entry that meets the open of bar i, active from bar 1 on."""
    run = ordered(run_of(), units, **terms)  # type: ignore[arg-type]
    bar(run, i, opened, 120.0, 80.0, 100.0)
    run.active_ns[0] = 60
    steps = set_to(
        SPOT=False, RESTS=True, ONE_FEE=False, TAKER_FEE=0.01, MAKER_FEE=0.001,
        slippage_at_fill=lambda k, i, run: 0.02,
    )  # fmt: skip
    with steps:
        fills.meet_open(0, i, run)
    price = run.average_price[0]
    return price, round(-(run.cash - 1_000.0 + units * price) / (abs(units) * price), 6)


def holding(units: float, price: float = 100.0) -> Run:
    run = run_of()
    book_fill(0, fill_of(units, price), 0.0, 0, run)
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


@pytest.mark.parametrize(("kind", "rest"), [
    (layout.STOP, layout.MARKET), (layout.STOP_LIMIT, layout.LIMIT), (layout.LIMIT, layout.LIMIT),
])  # fmt: skip
@pytest.mark.parametrize("volume", [30.0, 5.0])
def test_the_rest_of_an_entry_whose_trigger_was_reached_needs_none(kind, rest, volume):
    run = ordered(run_of(), 5.0, kind=kind, limit=120.0, trigger=101.0)
    run.volume[0, 0] = volume
    bar(run, 0, 100.0, 102.0, 99.0, 100.0)
    with set_to(PARTICIPATION=True, VOLUME_SHARE=0.1, RESTS=True):
        fills.meet_within(0, 0, 60, run)
    assert (run.units[0], run.working[0], run.order_type[0]) == (volume // 10.0, 1, rest)


def test_an_entry_ends_the_wait_of_an_exit_that_was_too_small():
    run = ordered(holding(1.0), 2.0)
    run.exit_to_retry[0] = 31
    fills.execute(0, 0, 100.0, 0, 0, 0, run)
    assert (run.units[0], run.exit_to_retry[0]) == (3.0, 0)


def test_a_reduction_does_not_end_the_wait_of_an_exit():
    run = holding(3.0)
    place_order(0, order_of(layout.MARKET, -1.0), 0, 0, 1, 0, run)
    run.exit_to_retry[0] = 31
    fills.execute(0, 0, 100.0, 0, 0, 0, run)
    assert (run.units[0], run.exit_to_retry[0]) == (2.0, 31)


def test_a_limit_waits_until_it_is_traded_through():
    run = ordered(run_of(), 2.0, kind=layout.LIMIT, limit=95.0)
    bar(run, 0, 100.0, 101.0, 95.0, 100.0)
    fills.meet_open(0, 0, run)
    fills.meet_within(0, 0, 60, run)
    assert run.units[0] == 0.0
    bar(run, 1, 100.0, 101.0, 94.9, 100.0)
    fills.meet_within(0, 1, 120, run)
    assert (run.units[0], run.average_price[0]) == (2.0, 95.0)


@pytest.mark.parametrize(("units", "limit", "paid"), [
    (1.0, 130.0, 91.8), (1.0, 91.0, 91.0), (-1.0, 50.0, 88.2), (-1.0, 89.0, 89.0),
])  # fmt: skip
def test_a_limit_that_the_open_has_passed_when_it_arrives_takes_liquidity(units, limit, paid):
    found = arriving(1, 90.0, units, kind=layout.LIMIT, limit=limit)
    assert found == pytest.approx((paid, 0.01))


def test_a_limit_that_rested_fills_at_the_better_of_limit_and_open_as_maker():
    assert arriving(2, 90.0, 1.0, kind=layout.LIMIT, limit=95.0) == (90.0, 0.001)


@pytest.mark.parametrize(("units", "limit", "trigger", "paid"), [
    (1.0, 130.0, 88.0, 91.8), (1.0, 91.0, 88.0, 91.0), (-1.0, 89.0, 95.0, 89.0),
])  # fmt: skip
@pytest.mark.parametrize("i", [1, 2])
def test_a_stop_limit_whose_trigger_the_open_has_passed_pays_slippage(
    units, limit, trigger, paid, i
):
    terms = {"kind": layout.STOP_LIMIT, "limit": limit, "trigger": trigger}
    assert arriving(i, 90.0, units, **terms) == pytest.approx((paid, 0.01))


def test_a_take_profit_that_rests_on_is_a_maker():
    run = holding(3.0)
    place_order(0, order_of(layout.LIMIT, -3.0, decision_price=105.0, limit=105.0), 0, 0, 1, 0, run)
    bar(run, 0, 110.0, 111.0, 100.0, 100.0)
    settings = set_to(RESTS=True, ONE_FEE=False, TAKER_FEE=0.01, MAKER_FEE=0.0)
    with settings:
        fills.meet_open(0, 0, run)
    assert run.cash == 700.0 + 330.0


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


def test_an_exit_that_waits_does_not_renew_the_block_of_its_side():
    """A position worth 300: the time limit (7) has blocked its side, and a signal has freed it."""
    run = holding(3.0)
    run.min_notional[0] = 400.0
    with set_to(REENTRY="rearm", EXITS=(Fixed(0.0, 7),)):
        orders.send_exit(0, 7, 60, run)
        assert run.blocked_long[0] == 1
        run.blocked_long[0] = 0
        orders.go_on(0, 120, run)
    assert (run.exit_to_retry[0], run.blocked_long[0]) == (8, 0)


def test_an_exit_that_a_venue_ends_blocks_its_side_although_the_rest_may_be_too_small():
    run = holding(3.0)
    with set_to(REENTRY="rearm", EXITS=(Fixed(0.0, 7),)):
        orders.send_exit(0, 7, 60, run)
        venue_fills.venue_ended(0, int(run.order_id[0]), layout.STATUS_EXPIRED, 70, run)
    assert (run.exit_to_retry[0], run.blocked_long[0]) == (8, 1)
