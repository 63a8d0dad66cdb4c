"""Candidates that become orders or are rejected, and why."""

from __future__ import annotations

import math
from typing import Any

import pytest

from septet._kernel import layout
from septet._rules import enter
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from septet._rules.settings import (
    R_CASH,
    R_HALTED,
    R_LATE,
    R_LOT,
    R_MIN_INTERVAL,
    R_MIN_NOTIONAL,
    R_REBALANCE,
    R_REENTRY_BLOCKED,
    R_REGIME,
    R_SIZE,
    R_TOO_SMALL,
)
from tests.rules.small_run import AtMost, fill_of, order_of, run_of, set_to

NAN = math.nan


def candidate(side: float = 1.0, **made: int) -> Run:
    run = run_of(**made)
    run.target_side[0], run.target_confidence[0] = side, 0.7
    return run


def entered(run: Run, wanted: float = 3.0, share: float = 1.0, **given: Any) -> float:
    """Enter symbol 0 at bar 1; return the lots that are planned."""
    given.setdefault("size", lambda *_: wanted)
    with set_to(**given):
        return enter.enter(0, 1, 1, 120, share, run)


def rejection(run: Run) -> int:
    return int(run.rejected_code[0, 1]) - 1


def test_an_accepted_candidate_is_an_order_and_a_row():
    run = candidate()
    entered(run)
    assert (run.working[0], run.order_units[0], run.order_type[0]) == (1, 3.0, layout.MARKET)
    assert (run.requested[0, 1], run.granted[0, 1], rejection(run)) == (3.0, 3.0, -1)
    assert (run.bars_since_entry[0], run.active_ns[0]) == (0, 120)
    assert list(run.LF[0, 4:7]) == pytest.approx([0.7, NAN, 1_000.0], nan_ok=True)


@pytest.mark.parametrize(
    ("state", "given", "reason"),
    [
        ({"blocked": 1}, {}, R_HALTED),
        ({"is_late": 1}, {}, R_LATE),
        ({"blocked_long": 1}, {"REENTRY": "rearm"}, R_REENTRY_BLOCKED),
        ({"bars_since_entry": 4}, {"MIN_INTERVAL": 5}, R_MIN_INTERVAL),
        ({}, {"REGIMES": True, "REGIME_MASK": 1, "regime": lambda *_: 2.0}, R_REGIME),
        ({}, {"REGIMES": True, "REGIME_MASK": 7, "regime": lambda *_: NAN}, R_REGIME),
        ({}, {"size": lambda *_: 0.0}, R_SIZE),
        ({}, {"size": lambda *_: NAN}, R_SIZE),
        ({}, {"size": lambda *_: 0.4}, R_LOT),
        ({"min_notional": 301.0}, {}, R_MIN_NOTIONAL),
        ({"min_units": 3.0000001}, {}, R_LOT),
        ({}, {"CAPS": (AtMost(0.5),)}, 50),
        ({}, {"ORDER_LIMITS": (AtMost(2.0),)}, 50),
        ({"cash": 50.0}, {}, R_CASH),
    ],
)
def test_a_rejection_names_its_rule(state: dict[str, float], given: dict[str, Any], reason: int):
    run = candidate()
    for name, value in state.items():
        if name in ("blocked", "is_late", "cash"):
            setattr(run, name, value)
        else:
            getattr(run, name)[0] = value
    entered(run, **given)
    assert (rejection(run), run.working[0], run.granted[0, 1]) == (reason, 0, 0.0)


def test_the_tightest_cap_is_named_and_of_equal_ones_the_earlier():
    run = candidate()
    entered(run, 8.0, CAPS=(AtMost(6.0, 51), AtMost(4.2, 52), AtMost(4.0, 53), AtMost(9.0, 54)))
    assert (run.granted[0, 1], run.capped_code[0, 1] - 1) == (4.0, 52)
    run = candidate()
    entered(run, 20.0)
    assert (run.granted[0, 1], run.capped_code[0, 1] - 1) == (10.0, R_CASH)


def test_cash_pays_for_slippage_and_fee_and_for_orders_that_work():
    run = candidate(symbols=2)
    place_order(1, order_of(layout.MARKET, 2.0), 0, 3, 0, 0, run)
    given = {"SYMBOLS": 2, "ONE_SYMBOL": False, "TAKER_FEE": 0.1, "SLIPPAGE_HINT": 0.0}
    entered(run, 20.0, **given)
    assert run.cash_available == pytest.approx(1_000.0 - 200.0 * 1.1)
    assert run.granted[0, 1] == math.floor((1_000.0 - 220.0) / 110.0)
    with set_to(KEEPS_CASH=True, CASH_BUFFER=0.5, SYMBOLS=2):
        assert enter.buying_power(0, run) < 0.0


def test_margin_caps_a_perpetual_and_a_flip_closes_what_is_held():
    run = candidate(-1.0)
    book_fill(0, fill_of(3.0, 100.0), 0.0, 0, run)
    entered(run, 50.0, SPOT=False, LEVERAGE=2.0)
    assert run.granted[0, 1] == -20.0
    assert run.order_units[0] == -23.0


def test_a_share_below_zero_leaves_cash_out_and_places_nothing():
    run = candidate()
    assert entered(run, 30.0, share=-1.0, PRO_RATA=True) == 30.0
    assert run.working[0] == 0
    assert entered(candidate(), 30.0, share=-1.0, PRO_RATA=True, CAPS=(AtMost(4.0, 9),)) == 4.0
    run = candidate()
    entered(run, 30.0, PRO_RATA=True)
    assert run.granted[0, 1] == 10.0


@pytest.mark.parametrize(
    ("target", "order"), [(10.0, 0.0), (11.9, 0.0), (12.1, 2.0), (7.9, -2.0), (0.0, 0.0)]
)
def test_a_resize_leaves_what_is_within_the_band(target: float, order: float):
    run = candidate()
    book_fill(0, fill_of(10.0, 10.0), 0.0, 0, run)
    run.mark[:] = 10.0
    run.close[:] = 10.0
    entered(run, target, REBALANCES=True, REBALANCE_BAND=0.16)
    assert run.order_units[0] * run.working[0] == order
    if order < 0.0:
        assert (run.reduces[0], run.order_reason[0]) == (1, R_REBALANCE)
    if target == 0.0:
        assert rejection(run) == R_SIZE
    if order:
        assert run.requested[0, 1] == pytest.approx(target - 10.0)
        assert run.granted[0, 1] == order


@pytest.mark.parametrize("surplus", [0.4, 3.0], ids=["lot", "notional"])
def test_a_reduction_that_is_no_order_shows_what_was_requested_and_why(surplus: float):
    run = candidate()
    book_fill(0, fill_of(10.0, 10.0), 0.0, 0, run)
    run.min_notional[0] = 1_000.0
    enter.trim(0, 1, surplus, 120, run)
    assert (run.requested[0, 1], run.granted[0, 1], rejection(run)) == (-surplus, 0.0, R_TOO_SMALL)
    assert run.working[0] == 0


def test_prices_of_an_order_lie_on_a_tick_and_never_better_than_asked():
    run = candidate()
    run.tick[0] = 0.5
    entered(run, order_prices=lambda *_: (99.3, NAN))
    assert (run.order_type[0], run.limit_price[0]) == (layout.LIMIT, 99.0)
    run = candidate()
    run.tick[0] = 0.5
    entered(run, order_prices=lambda *_: (101.2, 100.6))
    assert (run.order_type[0], run.trigger_price[0]) == (layout.STOP_LIMIT, 101.0)
    run = candidate()
    entered(run, order_prices=lambda *_: (NAN, 101.0))
    assert run.order_type[0] == layout.STOP


def test_correlation_is_that_of_common_returns():
    run = run_of(bars=6, symbols=3)
    run.close[0] = [100.0, 110.0, 99.0, 120.0, 118.0, 125.0]
    run.close[1] = 2.0 * run.close[0]
    run.close[2] = 1e4 / run.close[0]
    run.bar[2, 3] = -1
    with set_to(SYMBOLS=3, CORRELATION_SLOT=layout.A_SLOTS):
        enter.correlate(0, 5, 5, 3, run)
        found = run.A[layout.A_SLOTS : layout.A_SLOTS + 3].copy()
        enter.correlate(0, 5, 5, 6, run)
    assert found == pytest.approx([1.0, 1.0, -1.0])
    assert all(run.A[layout.A_SLOTS : layout.A_SLOTS + 3] != run.A[layout.A_SLOTS])


@pytest.mark.parametrize("size", [math.inf, -math.inf, NAN, -1.0, 0.0])
@pytest.mark.parametrize("resizes", [False, True])
def test_a_size_that_is_none_is_rejected_and_a_huge_one_is_capped(size: float, resizes: bool):
    run = candidate()
    if resizes:
        book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    entered(run, size, REBALANCES=resizes)
    assert (rejection(run), run.working[0]) == (R_SIZE, 0)
    run = candidate()
    entered(run, 1e300)
    assert run.order_units[0] == 10.0


@pytest.mark.parametrize("amount", [NAN, -1.0, -math.inf])
@pytest.mark.parametrize("settings", ["CAPS", "ORDER_LIMITS"])
def test_an_invalid_answer_of_a_limit_is_a_rejection_of_its_own(amount: float, settings: str):
    for checked, reason in ((True, 51), (False, 50)):
        run = candidate()
        given: Any = {settings: (AtMost(amount, checked=checked),)}
        entered(run, **given)
        assert (rejection(run), run.working[0]) == (reason, 0)
    run = candidate()
    given = {settings: (AtMost(math.inf, checked=True),)}
    entered(run, **given)
    assert run.order_units[0] == 3.0


@pytest.mark.parametrize("price", [math.inf, -math.inf, -1.0, 0.0])
def test_an_order_has_no_price_of_zero_or_infinity(price: float):
    for prices in ((price, NAN), (NAN, price)):
        run = candidate()
        entered(
            run, order_prices=lambda *_, given=prices: given, CHECKS_ORDER=True, BROKEN_ORDER=52
        )
        assert (rejection(run), run.working[0]) == (52, 0)
