"""Regular buys called one by one: for an amount with fees, from cash at hand, or dropped."""

from __future__ import annotations

import math
from typing import Any

import pytest

from septet._kernel import layout
from septet._rules import buying
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from septet._rules.settings import R_BUY_EVERY, R_CASH, R_EXIT, R_HALTED, R_LATE, R_MIN_NOTIONAL
from tests.rules.small_run import fill_of, order_of, run_of, set_to

NAN = math.nan


def run_with_cash(cash: float = 1_000.0, symbols: int = 1) -> Run:
    """Return a run at a price of 100 whose lot is a hundredth."""
    run = run_of(symbols=symbols)
    run.cash = run.equity = cash
    run.scale[:] = 100.0
    run.bar[:] = 1
    return run


def buy(run: Run, amount: float = 200.0, **more: Any) -> list[tuple[int, float, int]]:
    """Let buys fall due at bar 1; return symbol, units and reason of the orders."""
    symbols = len(run.units)
    base = {"BUYS": True, "BUY_AMOUNT": amount, "ONE_SYMBOL": symbols == 1, "SYMBOLS": symbols}
    with set_to(**{**base, "TABLES": True, **more}):
        buying.buy_regularly(1, 120, run)
    log = [n for n in range(int(run.log_rows)) if run.LI[n, 0] == layout.ORDER]
    return [(int(run.LI[n, 2]), float(run.LF[n, 0]), int(run.LI[n, 5])) for n in log]


def test_the_amount_pays_price_slippage_and_fee() -> None:
    assert buy(run_with_cash()) == [(0, 200.0, R_BUY_EVERY)]
    (order,) = buy(run_with_cash(), slippage_at_decision=lambda *_: 0.01, TAKER_FEE=0.02)
    assert order[1] == math.floor(200.0 / (100.0 * 1.01 * 1.02) * 100.0)


def test_the_last_of_the_cash_buys_what_it_covers_and_then_nothing() -> None:
    run = run_with_cash(cash=500.0, symbols=4)
    assert buy(run) == [(0, 200.0, R_BUY_EVERY), (1, 200.0, R_BUY_EVERY), (2, 100.0, R_BUY_EVERY)]
    assert [int(code) - 1 for code in run.capped_code[:, 1]] == [-1, -1, R_CASH, R_CASH]
    assert int(run.rejected_code[3, 1]) - 1 == R_CASH


def test_proceeds_of_a_working_exit_are_no_cash_at_hand() -> None:
    run = run_with_cash(cash=1_000.0, symbols=2)
    book_fill(1, fill_of(900.0, 100.0), 0.0, 0, run)
    place_order(1, order_of(layout.MARKET, -900.0, reason=R_EXIT), 60, 1, 1, 60, run)
    before = int(run.log_rows)
    assert buy(run)[-1] == (0, 100.0, R_BUY_EVERY)
    assert int(run.rejected_code[1, 1]) - 1 == R_EXIT
    assert int(run.log_rows) == before + 1


@pytest.mark.parametrize(
    ("state", "reason"), [("blocked", R_HALTED), ("is_late", R_LATE)], ids=["halted", "late"]
)
def test_a_blocked_buy_is_dropped_and_its_decision_states_why(state: str, reason: int) -> None:
    run = run_with_cash()
    setattr(run, state, 1)
    assert buy(run) == []
    assert int(run.rejected_code[0, 1]) - 1 == reason
    assert (float(run.requested[0, 1]), float(run.granted[0, 1])) == (2.0, 0.0)


def test_an_amount_below_one_lot_or_the_minimum_notional_is_not_sent() -> None:
    assert buy(run_with_cash(), amount=0.5) == []
    run = run_with_cash()
    run.min_notional[0] = 250.0
    assert buy(run) == []
    assert int(run.rejected_code[0, 1]) - 1 == R_MIN_NOTIONAL


def test_a_symbol_without_a_bar_is_not_bought() -> None:
    run = run_with_cash(symbols=2)
    run.bar[0, 1] = -1
    assert buy(run) == [(1, 200.0, R_BUY_EVERY)]
