"""An order that turns a position around and does not fill in whole: what its tables say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from septet._shell.result_tables import fills_of, orders_of, trades_of
from tests.core.cases import bars_of
from tests.core.compare import assert_agrees
from tests.core.engine_harness import flat_market
from tests.core.paths import by_batch, by_events, plainly
from tests.core.reference import simulate
from tests.core.settings import Settings
from tests.core.world import run_core, session_of

PATHS: dict[str, Any] = {"batch": by_batch, "event": by_events}
BASE: dict[str, Any] = {
    "spot": False, "maker": 0.0, "taker": 0.0, "slippage": 0.0, "sizing": "fixed_quantity",
    "amount": 1.0, "short_back": 1, "exit_back": 0,
}  # fmt: skip
FILLED = ("filled", "entry")
EXIT = ("filled", "opposite")
Row = tuple[str, str]


def tables(
    path: str, volumes: dict[int, float] | None = None, skip: Sequence[int] = (), **keys: Any
) -> tuple[list[Row], list[Row]]:
    """Status of each order and why it ended, or was sent; side and exit reason of each trade.

    The third bar signals short after the second bought.
    """
    rows = [(*row, (volumes or {}).get(n, 1e6)) for n, row in enumerate(flat_market("+-====="))]
    session = session_of(Settings(**(BASE | keys)), [bars_of(rows, skip=skip)], 1)
    left = PATHS[path](plainly(session))
    orders, trades = (made(session, left.outcome) for made in (orders_of, trades_of))
    return (
        [
            (status, ended or reason)
            for status, reason, ended in zip(
                orders["status"], orders["reason"], orders["ended_by"], strict=True
            )
        ],
        list(zip(trades["side"], trades["exit_reason"], strict=True)),
    )


@pytest.mark.parametrize("path", PATHS)
def test_one_that_fills_closes_and_opens(path: str) -> None:
    orders, trades = tables(path)
    assert orders == [FILLED, FILLED]
    assert trades == [("long", "reversal"), ("short", "open")]


@pytest.mark.parametrize("path", PATHS)
def test_volume_for_a_part_of_what_it_closes(path: str) -> None:
    orders, trades = tables(path, {3: 4.0}, participation=0.1)
    assert orders == [FILLED, ("expired", "unfilled"), ("filled", "reversal")]
    assert trades == [("long", "reversal")]


@pytest.mark.parametrize("path", PATHS)
def test_volume_for_what_it_closes_and_no_more(path: str) -> None:
    orders, trades = tables(path, {3: 10.0}, participation=0.1)
    assert orders == [FILLED, ("expired", "unfilled")]
    assert trades == [("long", "reversal")]


@pytest.mark.parametrize("path", PATHS)
def test_volume_for_a_part_of_what_it_opens(path: str) -> None:
    orders, trades = tables(path, {3: 14.0}, participation=0.1)
    assert orders == [FILLED, ("expired", "unfilled")]
    assert trades == [("long", "reversal"), ("short", "open")]


@pytest.mark.parametrize("path", PATHS)
def test_no_bar_after_its_decision(path: str) -> None:
    orders, trades = tables(path, skip=[3])
    assert orders == [FILLED, ("expired", "no_market"), ("filled", "reversal")]
    assert trades == [("long", "reversal")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stops", [{}, {"stop_loss": 0.5, "take_profit": 0.5}])
def test_the_exit_in_its_place_fills_before_the_entries_of_all_symbols(
    path: str, stops: dict[str, float]
) -> None:
    """BBB turns around after its second bar, and its next bar is missing; AAA enters then."""
    markets = [
        bars_of([(*row, 1e6) for row in flat_market(moves)], skip=skip)
        for moves, skip in (("==+===", []), ("+-===", [3]))
    ]
    s = Settings(**(BASE | {"symbols": ("AAA/USDT", "BBB/USDT"), "stops": stops}))
    left = PATHS[path](plainly(session_of(s, markets, 1)))
    fills = fills_of(left.session, left.outcome, "simulated")
    assert list(zip(fills["symbol"], fills["side"], strict=True)) == [
        ("BBB/USDT", "buy"), ("BBB/USDT", "sell"), ("AAA/USDT", "buy"),
    ]  # fmt: skip
    assert_agrees(run_core(session_of(s, markets, 1)), simulate(s, markets, 1))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("order", ["limit", "stop", "stop_limit"])
def test_an_entry_that_rests_does_not_hold_up_the_exit(path: str, order: str) -> None:
    orders, trades = tables(path, order=order, offset=0.004 if order == "limit" else 0.0)
    assert orders == [FILLED, EXIT, FILLED]
    assert trades == [("long", "opposite"), ("short", "open")]


@pytest.mark.parametrize("path", PATHS)
def test_a_limit_that_is_not_reached(path: str) -> None:
    orders, trades = tables(path, order="limit", offset=0.01)
    assert orders == [FILLED, EXIT, ("expired", "unfilled")]
    assert trades == [("long", "opposite")]


@pytest.mark.parametrize("path", PATHS)
def test_the_entry_waits_until_volume_has_let_all_of_the_exit_through(path: str) -> None:
    keys: dict[str, Any] = {
        "order": "limit",
        "offset": 0.001,
        "participation": 0.1,
        "time_in_force": 3,
    }
    orders, trades = tables(path, {3: 4.0}, **keys)
    assert orders == [FILLED, EXIT, FILLED]
    assert trades == [("long", "opposite"), ("short", "open")]
    orders, trades = tables(path, {3: 4.0, 4: 0.0, 5: 0.0}, **keys)
    assert orders == [FILLED, EXIT, ("expired", "unfilled")]
    assert trades == [("long", "opposite")]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_left_is_below_the_minimum_notional(path: str) -> None:
    orders, trades = tables(path, {3: 4.0}, participation=0.1, min_notional=80.0)
    assert orders == [FILLED, ("expired", "unfilled")]
    assert trades == [("long", "open")], "its exit waits"
