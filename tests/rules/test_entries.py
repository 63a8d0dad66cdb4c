"""What the host calls: spans of times, one time, a window, and what a venue reports."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from septet._kernel import layout
from septet._rules import entries, venue_entries
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from septet._rules.settings import R_EXIT
from tests.rules.small_run import Fixed, fill_of, kept, order_of, run_of, set_to, signal, status

NAN = math.nan


def traded(run: Run, *sides: float, log: int = 64, **given: Any) -> int:
    """Trade all times of a run whose signals are given; `log` is how many rows the log holds."""
    signal(run, 0, *sides)
    run.arrays["LI"] = run.LI[:log]
    more = {"signal_at": kept, "size": lambda *_: 2.0, "LOG_ROOM": 20, **given}
    with set_to(**more):
        return entries.trade(0, len(sides), run)


def outcome(run: Run) -> tuple[Any, ...]:
    """Return what the log, the account and the curve hold."""
    rows = int(run.log_rows)
    log = run.LI[:rows].tolist(), np.nan_to_num(run.LF[:rows], nan=-1.0).tolist()
    return *log, run.cash, run.units[0], run.held_bars[0], list(run.equity_curve)


def test_features_are_observed_over_the_whole_span():
    asked = []
    with set_to(observe_features=lambda t0, t1, run: asked.append((t0, t1))):
        assert entries.observe(3, 9, run_of()) == 9
    assert asked == [(3, 9)]


@pytest.mark.parametrize("ignores_account", [True, False])
def test_times_are_traded_in_their_order(ignores_account: bool):
    run = run_of()
    assert traded(run, NAN, 1.0, NAN, 0.0, SIGNAL_IGNORES_ACCOUNT=ignores_account) == 4
    assert status(run) == [(layout.STATUS_FILLED, 0)]
    assert run.units[0] == 2.0
    assert run.order_reason[0] == R_EXIT


def test_signals_are_kept_tile_by_tile():
    reported = []
    traded(run_of(), NAN, NAN, NAN, TILE=2, keep_signals=lambda *span: reported.append(span[:2]))
    assert reported == [(0, 2), (2, 3)]


@pytest.mark.parametrize("idle", [True, False])
def test_a_span_that_is_only_marked_is_that_many_steps(idle: bool):
    sides = (NAN, 1.0, NAN, NAN, NAN, 0.0, NAN, NAN)
    run, other = run_of(8), run_of(8)
    assert traded(run, *sides, MARKS_IDLE_SPANS=idle) == traded(other, *sides) == 8
    assert outcome(run) == outcome(other)
    assert run.trades == 1


def test_trading_stops_at_the_time_for_which_the_log_has_no_room():
    run = run_of(8)
    reached = traded(run, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, log=22)
    assert 0 < reached < 8
    assert run.log_rows > 2
    whole = run_of(8)
    traded(whole, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0)
    assert run.LI[:3].tolist() == whole.LI[:3].tolist()


def test_of_several_symbols_a_span_ends_where_the_log_is_full():
    run = run_of(4, symbols=2)
    given = {"ONE_SYMBOL": False, "SYMBOLS": 2, "TRADES_ACTIVE_SYMBOLS": True, "TILE": 2}
    signal(run, 1, NAN, 1.0, NAN, NAN)
    assert traded(run, NAN, NAN, NAN, NAN, **given) == 4
    assert (run.units[0], run.units[1]) == (0.0, 2.0)
    stopped = run_of(4, symbols=2)
    signal(stopped, 1, 1.0, 1.0, 1.0, 1.0)
    assert traded(stopped, 1.0, 1.0, 1.0, 1.0, log=21, **given) < 4


def test_bars_of_one_time_are_put_at_the_cursors_of_a_window():
    run = run_of(4, symbols=2)
    run.N[:] = 1
    run.arrays["U"] = np.zeros((2, 4))
    columns = np.arange(2.0 * layout.X_FIXED).reshape(2, -1)
    facts = np.zeros((2, layout.M_ROWS), np.int64)
    facts[1, layout.AGE] = -1
    given = {"SYMBOLS": 2, "ONE_SYMBOL": False, "FUNDED": True, "FUNDING_BEFORE_ROW": 3}
    run.D[:] = 7
    with set_to(**given):
        assert entries.push(2, 700, 5, columns, facts, run) == 3
    assert (run.known_ns[2], run.day[2]) == (700, 5)
    assert list(run.bar[:, 2]) == [1, -1]
    assert list(run.N) == [2, 1]
    assert list(run.X[0, :, 1]) == list(columns[0])
    assert run.U[1, 2] == columns[1, 3], "what was due without a bar"
    assert run.D[0, :, 1].sum() == run.F[0, :, 1].sum() == 0
    assert run.D[1, 0, 1] == 7


def test_a_venue_books_reprices_and_ends():
    run = run_of()
    place_order(0, order_of(layout.MARKET, 2.0), 0, 1, 0, 0, run)
    number = int(run.order_id[0])
    with set_to(VENUE_FILLS=True):
        assert (
            venue_entries.book(
                0,
                fill_of(2.0, 101.0, time_ns=9, order_id=number, decision_price=100.0),
                2.0,
                0.5,
                0,
                run,
            )
            == 0
        )
        assert (run.units[0], run.cash) == (2.0, 1_000.0 - 202.0 - 0.5)
        assert venue_entries.reprice(0, 90.0, NAN, NAN, 10, run) == run.log_rows
    assert run.mark[0] == 90.0
    assert run.equity == run.cash + 180.0


def test_the_level_of_a_stop_is_reported_where_the_venue_may_hold_it():
    run = run_of()
    book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    found = np.zeros(1)
    assert venue_entries.protection(0, 5, found, run) == -1
    assert math.isnan(found[0])
    with set_to(TOUCHES=True, PROTECTIVE=(Fixed(95.0),)):
        assert venue_entries.protection(0, 5, found, run) == 30
    assert found[0] == 95.0


def test_an_order_that_the_venue_has_ended_works_no_more():
    run = run_of()
    place_order(0, order_of(layout.LIMIT, 2.0, limit=90.0), 0, 3, 0, 0, run)
    number = int(run.order_id[0])
    venue_entries.respond(0, 0, number, layout.STATUS_CANCELLED, 9, run)
    assert run.working[0] == 0


def test_an_exit_that_waits_goes_on_when_asked():
    run = run_of()
    book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    venue_entries.respond(2, 0, 0, 0, 9, run)
    assert run.working[0] == 0
    run.exit_to_retry[0] = R_EXIT + 1
    venue_entries.respond(2, 0, 0, 0, 9, run)
    assert (run.order_units[0], run.order_reason[0]) == (-2.0, R_EXIT)


def test_a_stop_that_the_venue_has_triggered_works_from_now():
    run = run_of()
    book_fill(0, fill_of(2.0, 100.0), 0.0, 0, run)
    with set_to(PROTECTIVE=(Fixed(95.0),), VENUE_FILLS=True, TOUCHES=True):
        venue_entries.respond(1, 0, 0, 30, 9, run)
    assert (run.working[0], run.order_units[0], run.trigger_price[0]) == (1, -2.0, 95.0)
