"""Equity at a decision time, and stretches of times at which nothing else happens."""

from __future__ import annotations

import math

import numpy as np
import pytest

from septet._rules import account, idle, step
from septet._rules.ledger import book_fill
from septet._rules.run_state import Run
from tests.rules.small_run import Below, fill_of, kept, run_of, set_to, signal


def holding(units: float, **made: int) -> Run:
    run = run_of(**made)
    book_fill(0, fill_of(units, 100.0), 0.0, 0, run)
    return run


def test_equity_is_cash_and_the_position_at_its_mark():
    run = holding(3.0)
    run.mark[0] = 110.0
    account.mark(1, 1, run)
    assert (run.equity, run.peak, run.cash) == (1_030.0, 1_030.0, 700.0)
    assert (run.equity_curve[1], run.cash_curve[1], run.exposure_curve[1]) == (
        1_030.0,
        700.0,
        330.0,
    )


def test_equity_of_several_symbols_is_one_number():
    run = holding(3.0, symbols=3)
    book_fill(2, fill_of(-2.0, 100.0), 0.0, 0, run)
    run.mark[:] = [110.0, 500.0, 120.0]
    with set_to(ONE_SYMBOL=False, SYMBOLS=3):
        assert account.list_all(run) == 3
        held = account.list_held(run)
        assert list(run.held_symbol[:held]) == [0, 2]
        account.mark(0, held, run)
        assert run.equity == 1_000.0 + 30.0 - 40.0
        run.equity = 0.0
        account.revalue(run)
        assert run.equity == 990.0
        assert run.exposure_curve[0] == 330.0 + 240.0


def test_a_new_day_begins_with_the_equity_of_its_first_time():
    run = holding(1.0)
    run.day[:] = [1, 1, 2, 2]
    with set_to(HALTS=(Below(0.0),)):
        for t, price in enumerate((100.0, 90.0, 80.0, 70.0)):
            run.mark[0] = price
            account.mark(t, 1, run)
    assert (run.day_now, run.day_base) == (2, 980.0)


def test_without_a_curve_sums_and_samples_are_kept():
    run = holding(1.0)
    run.arrays["Q"] = np.array([1, 3])
    run.top_equity = 1_000.0
    with set_to(TABLES=False, CURVE=False):
        for t, price in enumerate((100.0, 120.0, 90.0, 100.0)):
            run.mark[0] = price
            account.mark(t, 1, run)
    assert run.summed_equity == 1_000.0 + 1_020.0 + 990.0 + 1_000.0
    assert (run.samples_taken, list(run.equity_curve[:2])) == (2, [1_020.0, 1_000.0])
    assert run.deepest_drawdown == 1.0 - 990.0 / 1_020.0
    assert run.top_equity == 1_020.0


def test_the_orders_of_a_minute_are_counted_anew_in_the_next():
    run = run_of()
    run.orders_this_minute = 5
    account.reset_order_count(30_000_000_000, run)
    assert run.orders_this_minute == 5
    account.reset_order_count(60_000_000_000, run)
    assert run.orders_this_minute == 0


# ---------------------------------------------------------------- stretches

CLOSES = (100.0, 120.0, 90.0, 130.0, 80.0, 95.0)


def quiet_run(units: float, *, sampled: bool) -> Run:
    run = holding(units, bars=len(CLOSES)) if units else run_of(bars=len(CLOSES))
    run.close[0, :] = CLOSES
    run.top_equity = 1_000.0
    run.arrays["Q"] = np.array([0, 2, 5]) if sampled else np.zeros(0, np.int64)
    signal(run, 0, *[math.nan] * len(CLOSES))
    return run


@pytest.mark.parametrize("units", [0.0, 2.0, -2.0])
@pytest.mark.parametrize(("tables", "curve"), [(True, True), (False, True), (False, False)])
def test_a_stretch_is_as_many_steps(units: float, tables: bool, curve: bool):
    made = []
    for stretch in (False, True):
        run = quiet_run(units, sampled=not curve)
        with set_to(TABLES=tables, CURVE=curve, SPOT=units >= 0.0, signal_at=kept):
            if stretch:
                until, _ = idle.find_idle_span(1, 1, len(CLOSES), run)
                assert until == len(CLOSES)
                step.step(0, run)
                idle.mark_idle_span(1, until, run)
            else:
                for t in range(len(CLOSES)):
                    step.step(t, run)
        made.append(run)
    for name in ("A", "B", "I", "G", "LF"):
        one, other = (run.arrays[name] for run in made)
        assert np.array_equal(one, other, equal_nan=True), name
    assert made[0].samples_taken == made[1].samples_taken


def test_a_stretch_ends_where_a_signal_begins_or_an_order_works():
    run = quiet_run(0.0, sampled=False)
    signal(run, 0, math.nan, 0.0, math.nan, 1.0, 1.0, math.nan)
    assert idle.find_idle_span(1, 1, 6, run)[0] == 3
    run.working[0] = 1
    assert idle.find_idle_span(1, 1, 6, run)[0] == 1


def test_of_several_symbols_only_those_are_stepped_to_which_something_happens():
    made = []
    for gliding in (False, True):
        run = run_of(bars=6, symbols=3)
        run.close[:] = [CLOSES, CLOSES[::-1], [50.0] * 6]
        run.X[:, :3, :] = run.close[:, None, :]
        for k, sides in enumerate(
            ((math.nan, 1.0, 1.0, 0.0, 0.0, 1.0), (math.nan,) * 6, (1.0,) * 6)
        ):
            signal(run, k, *sides)
        given = {"ONE_SYMBOL": False, "SYMBOLS": 3, "size": lambda *_: 1.0, "signal_at": kept}
        with set_to(**given):
            if gliding:
                assert idle.trade_active_symbols(0, 6, 10**6, run) == 6
            else:
                for t in range(6):
                    step.step(t, run)
        made.append(run)
    for name in ("A", "B", "I", "G", "LI", "LF", "F", "D"):
        one, other = (run.arrays[name] for run in made)
        assert np.array_equal(one, other, equal_nan=True), name
    assert made[0].log_rows > 5


def test_the_return_of_a_trade_is_its_result_over_all_that_entered():
    """Ten at 100, ten more at 120, half sold at 130, the rest at 90: flat to flat is one trade."""
    run = holding(10.0)
    for units, price in ((10.0, 120.0), (-10.0, 130.0)):
        book_fill(0, fill_of(units, price, time_ns=1), 0.0, 0, run)
    assert run.trades == 0
    assert run.average_price[0] == 110.0, "average cost: selling changes nothing"
    book_fill(0, fill_of(-10.0, 90.0, time_ns=2), 0.0, 0, run)
    assert (run.trades, run.last_pnl, run.losses_in_a_row) == (1, 0.0, 0)
    run = holding(10.0)
    for units, price in ((10.0, 120.0), (-10.0, 130.0), (-10.0, 100.0)):
        book_fill(0, fill_of(units, price, time_ns=1), 0.0, 0, run)
    assert (run.trades, run.wins, run.last_pnl) == (1, 1, 100.0)
    assert run.last_return == pytest.approx(100.0 / 2_200.0)
