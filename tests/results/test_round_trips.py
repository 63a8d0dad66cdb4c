"""Round trips and excursions of a few fills, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._data.bars import BarTable
from septet._results.excursions import Excursions
from septet._results.round_trips import round_trips, round_trips_won
from septet._store.tables import as_frame, empty
from tests.report.synthetic import make_bars


def fills_of(*rows: tuple[int, str, float, float], **columns: Any) -> pl.DataFrame:
    """Fills of A/Q as (time, side, quantity, price), without fees."""
    times, sides, quantities, prices = map(list, zip(*rows, strict=True))
    count = len(rows)
    made: dict[str, Any] = {
        "time": times, "symbol": ["A/Q"] * count, "venue": ["sim"] * count,
        "order_id": ["o"] * count, "trade_id": ["f"] * count, "side": sides,
        "quantity": quantities, "price": prices, "fee": [0.0] * count,
        "fee_currency": ["Q"] * count, "liquidation": [0.0] * count,
        "liquidity": ["taker"] * count,
    }  # fmt: skip
    return as_frame("fills", made | columns)


def trades_of(*rows: tuple[int, int, float, str], **columns: Any) -> pl.DataFrame:
    """Trades of A/Q as (entry, exit, funding, reason)."""
    entry, exit_, funding, reason = map(list, zip(*rows, strict=True))
    count = len(rows)
    made: dict[str, Any] = {
        "symbol": ["A/Q"] * count, "side": ["long"] * count, "entry_time": entry,
        "entry_price": [10.0] * count, "exit_time": exit_, "exit_price": [10.0] * count,
        "quantity": [1.0] * count, "pnl": [0.0] * count, "fees": [0.0] * count,
        "funding": funding, "liquidation": [0.0] * count, "slippage": [0.0] * count,
        "exit_reason": reason,
    }  # fmt: skip
    return as_frame("trades", made | columns)


NONE = empty("trades")
TWO = fills_of((0, "buy", 1, 10), (1, "buy", 1, 11), (2, "sell", 1, 13), (4, "sell", 1, 9))


def test_a_run_without_fills_has_none() -> None:
    found = round_trips(empty("fills"), NONE, "Q")
    assert found.schema == empty("round_trips").schema
    assert round_trips_won(found) == {"round_trips": 0, "round_trip_win_rate": None}
    assert round_trips_won(None) == {"round_trips": None, "round_trip_win_rate": None}


def test_a_fee_in_a_third_currency_counts_as_it_was_booked() -> None:
    fills = fills_of(
        (0, "buy", 1, 10), (1, "sell", 1, 13), fee=[0.1, 0.2], fee_currency=["C", "C"],
        fee_quote=[0.5, 0.25],
    )  # fmt: skip
    found = round_trips(fills, NONE, "Q")
    assert found["fees"].to_list() == [0.75]
    assert found["pnl"].to_list() == [2.25]


def test_the_oldest_entry_is_matched_first() -> None:
    found = round_trips(TWO, NONE, "Q")
    assert found.schema == empty("round_trips").schema
    assert found["entry_price"].to_list() == [10.0, 11.0]
    assert found["exit_price"].to_list() == [13.0, 9.0]
    assert found["pnl"].to_list() == [3.0, -2.0]
    assert round_trips_won(found) == {"round_trips": 2, "round_trip_win_rate": 0.5}


def test_a_fill_beyond_zero_leaves_and_enters() -> None:
    fills = fills_of(
        (0, "buy", 1, 10), (1, "sell", 3, 12), (2, "buy", 2, 11), fee=[0.5, 3.0, 1.0]
    )  # fmt: skip
    found = round_trips(fills, NONE, "Q")
    assert found["side"].to_list() == ["long", "short"]
    assert found["quantity"].to_list() == [1.0, 2.0]
    assert found["fees"].to_list() == [0.5 + 1.0, 2.0 + 1.0]
    assert found["pnl"].to_list() == [2.0 - 1.5, 2.0 - 3.0]


def test_a_fee_in_what_is_bought_never_arrived() -> None:
    fills = fills_of(
        (0, "buy", 1.0, 100), (1, "sell", 0.999, 110), fee=[0.001, 0.0], fee_currency=["A", "Q"]
    )  # fmt: skip
    found = round_trips(fills, NONE, "Q")
    assert found["quantity"].to_list() == [0.999]
    assert found["fees"].to_list() == pytest.approx([0.1])
    assert found["pnl"].sum() == pytest.approx(0.999 * 110 - 100)


def test_a_fee_in_another_currency_is_not_converted() -> None:
    fills = fills_of((0, "buy", 1, 10), (1, "sell", 1, 12), fee_currency=["BNB"] * 2, fee=[9, 9])
    assert round_trips(fills, NONE, "Q")["fees"].to_list() == [0.0]
    assert round_trips(fills, NONE, "BNB")["fees"].to_list() == [18.0]


def test_liquidation_is_charged_to_what_left() -> None:
    fills = fills_of(
        (0, "buy", 1, 10), (1, "buy", 3, 10), (2, "sell", 4, 9), liquidation=[0.0, 0.0, 2.0]
    )  # fmt: skip
    assert round_trips(fills, NONE, "Q")["liquidation"].to_list() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("fills", "trades", "expected"),
    [
        (TWO, trades_of((0, 4, 10.0, "x")), [4.0, 6.0]),
        (TWO[:3], trades_of((0, 4, 10.0, "open")), [4.0]),
        (TWO, trades_of((0, 4, 10.0, "x"), (4, 4, 5.0, "dust")), [6.0, 9.0]),
        (
            fills_of((0, "buy", 1, 10), (0, "sell", 1, 10), (3, "buy", 2, 10), (5, "sell", 2, 9)),
            trades_of((0, 0, 1.0, "x"), (3, 5, -7.0, "x")),
            [1.0, -7.0],
        ),
        (
            fills_of((2, "buy", 1, 10), (2, "buy", 3, 10), (2, "sell", 4, 10)),
            trades_of((2, 2, 8.0, "x")),
            [2.0, 6.0],
        ),
    ],
    ids=["by time held", "what is still held has its part", "dust", "two trades", "at once"],
)
def test_funding_is_shared_by_quantity_and_time_held(
    fills: pl.DataFrame, trades: pl.DataFrame, expected: list[float]
) -> None:
    found = round_trips(fills, trades, "Q")
    assert found["funding"].to_list() == pytest.approx(expected)
    assert found["pnl"].to_list() == pytest.approx(
        (round_trips(fills, NONE, "Q")["pnl"] - found["funding"]).to_list()
    )


def bars_of(*rows: tuple[int, float, float]) -> BarTable:
    """Bars of A/Q as (time of the open, high, low), ten nanoseconds each."""
    opened, high, low = (np.array(each) for each in zip(*rows, strict=True))
    made = make_bars("A/Q", len(rows), 1)
    return replace(
        made, open_ns=opened.astype(np.int64), known_ns=opened.astype(np.int64) + 10,
        high=high.astype(float), low=low.astype(float),
    )  # fmt: skip


BARS = bars_of((0, 30, 1), (10, 12, 9), (20, 14, 8), (30, 40, 5))


@pytest.mark.parametrize(
    ("entry", "exit_", "side", "left", "expected"),
    [
        (10, 30, "long", 10.0, (0.2, 0.4, 2)),  # from open to open: the bars between
        (10, 30, "short", 10.0, (0.4, 0.2, 2)),
        (15, 30, "long", 10.0, (0.2, 0.4, 2)),  # a quote within a bar: the whole bar
        (10, 25, "long", 10.0, (0.2, 0.4, 2)),
        (20, 30, "long", 6.0, (0.4, 0.4, 1)),  # left at an open lower than any bar's low
        (10, 10, "long", 10.0, (0.9, 2.0, 0)),  # at one time: the bar that closed then
        (10, 20, "short", 10.0, (0.2, 0.1, 1)),
        (50, 60, "long", 11.0, (0.0, 0.1, 0)),  # no bar at all: the exit price
    ],
)
def test_bars_that_count(
    entry: int, exit_: int, side: str, left: float, expected: tuple[float, float, int]
) -> None:
    trade = trades_of((entry, exit_, 0.0, "x"), side=[side], exit_price=[left])
    found = Excursions().take(trade, {"A/Q": BARS}).row(0, named=True)
    assert (found["mae"], found["mfe"], found["bars_held"]) == pytest.approx(expected)


def test_dust_has_no_excursion_and_a_symbol_without_bars_that_of_its_prices() -> None:
    trades = trades_of((10, 30, 0.0, "x"), (40, 40, 0.0, "dust"), exit_price=[12.0, 10.0])
    found = Excursions().take(trades, {})
    assert found.select("mae", "mfe", "bars_held").rows() == [(0.0, 0.2, 0), (None, None, None)]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_bars_in_stretches_count_once(cut: int) -> None:
    trade = trades_of((10, 40, 0.0, "x"))
    whole = Excursions().take(trade, {"A/Q": BARS})
    rows = [(0, 30, 1), (10, 12, 9), (20, 14, 8), (30, 40, 5)]
    parts = Excursions()
    parts.take(trade[:0], {"A/Q": bars_of(*rows[:cut])}, {"A/Q": 10} if cut > 1 else {})
    assert parts.take(trade, {"A/Q": bars_of(*rows[max(cut - 1, 0) :])}).equals(whole)
