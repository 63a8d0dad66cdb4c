"""Times at which every symbol is looked at, and small figures of an account."""

from __future__ import annotations

import numpy as np
import pytest

from septet._kernel import layout
from septet._rules import idle, ledger, levels
from septet._rules.run_state import Run
from septet._rules.settings import R_BUY_EVERY
from tests.rules.small_run import Below, bar, rows, run_of, set_to

TWO = {"ONE_SYMBOL": False, "SYMBOLS": 2}


def two() -> Run:
    """Return a run of two symbols whose first bar is counted."""
    run = run_of(symbols=2)
    run.first_uncounted_bar[:] = 1
    run.bars_since_entry[:] = 0
    run.arrays["A"] = np.concatenate([run.A, np.zeros(8)])
    return run


@pytest.mark.parametrize(("floor", "active"), [(900.0, 1), (1_100.0, 2)], ids=["none", "trips"])
def test_a_halt_that_trips_makes_every_symbol_active(floor: float, active: int) -> None:
    run = two()
    with set_to(**TWO, HALTS=(Below(floor, then=1),)):
        assert idle.halt_all(2, 180, 1, run) == active
    assert list(run.first_uncounted_bar) == ([1, 1] if active == 1 else [3, 3])
    assert run.blocked == active - 1


def test_regular_buys_look_at_every_symbol_and_their_orders_are_active_next() -> None:
    run = two()
    run.W[1] = (100.0, 50.0)
    run.close[1, 2] = 50.0
    with set_to(**TWO, BUYS=True, BUY_AMOUNT=150.0, NOTIONAL_SLOT=layout.A_SLOTS):
        idle.act_on_all(2, 1, 180, run)
    assert (list(run.order_units), list(run.mark)) == ([1.0, 3.0], [100.0, 50.0])
    assert [code for _, _, code in rows(run, layout.ORDER)] == [R_BUY_EVERY] * 2
    assert list(run.next_active_time) == [3, 3]
    assert list(run.bars_since_entry) == [2, 2], "idle bars are counted first"


def test_a_symbol_without_an_order_stays_idle() -> None:
    run = two()
    run.W[1] = 100.0
    run.bar[1, 2] = -1
    with set_to(**TWO, BUYS=True, BUY_AMOUNT=150.0, NOTIONAL_SLOT=layout.A_SLOTS):
        idle.act_on_all(2, 1, 180, run)
    assert (list(run.order_units), list(run.next_active_time)) == ([1.0, 0.0], [3, 0])


def test_what_is_below_one_lot_has_its_cost_fees_and_slippage() -> None:
    run = run_of()
    run.scale[0] = 10.0
    for _ in range(2):
        ledger.book_dust(0, 3.0, 100.0, 0.5, 0.25, run)
    assert (run.dust_cost[0], run.dust_fees[0], run.dust_slippage[0]) == (61.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("limit", "trigger", "price"),
    [(np.nan, np.nan, 101.0), (90.0, np.nan, 90.0), (90.0, 95.0, 95.0), (np.nan, 95.0, 95.0)],
    ids=["market", "limit", "stop limit", "stop"],
)
def test_an_entry_waits_for_its_trigger_or_limit_or_takes_the_close(
    limit: float, trigger: float, price: float
) -> None:
    run = run_of()
    bar(run, 1, 100.0, 102.0, 99.0, 101.0)
    with set_to(order_prices=lambda *_: (limit, trigger)):
        assert levels.price_of_entry(0, 1, run) == price
