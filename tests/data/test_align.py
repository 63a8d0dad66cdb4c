"""Lining up: nothing is visible before it is known, whatever the calendars."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from septet._data.align import (
    as_of_rows,
    column_as_of,
    missing_before,
    segments,
    series_as_of,
    union_axis,
)
from septet._data.bars import BarTable, SeriesTable
from septet._data.load import read_candles
from tests.data.helpers import DAY_NS, HOUR_NS, NAMES, block, checked, clean, ns, request

KNOWN = st.lists(st.integers(0, 200), min_size=1, max_size=30).map(sorted)


def series(known: list[int], *, max_age: int | None = None) -> SeriesTable:
    times = np.array(known, dtype=np.int64)
    return SeriesTable("s", times, times, np.arange(len(times), dtype=np.float64), max_age)


@given(KNOWN, st.lists(st.integers(-5, 210), max_size=40), st.none() | st.integers(1, 60))
def test_as_of_agrees_with_a_plain_loop(
    known: list[int], asked: list[int], max_age: int | None
) -> None:
    found = series_as_of(series(known, max_age=max_age), np.array(asked, dtype=np.int64))
    for time, value in zip(asked, found, strict=True):
        before = [j for j, each in enumerate(known) if each <= time]
        fresh = before and (max_age is None or time - known[before[-1]] <= max_age)
        assert value == before[-1] if fresh else np.isnan(value)


def test_a_datum_is_visible_at_the_instant_it_is_known_and_not_before() -> None:
    rows = as_of_rows(np.array([10, 20], dtype=np.int64), np.array([9, 10, 19, 20, 21]))
    assert rows.tolist() == [-1, 0, 0, 1, 1]
    empty = SeriesTable("s", np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    assert np.isnan(series_as_of(empty, np.array([5]))).all()


def two_markets() -> tuple[BarTable, BarTable]:
    """Hourly crypto around the clock, and daily US stocks over the change to summer time."""
    crypto = checked(clean(24 * 12, start_ns=ns("2021-03-08"))).bars
    days = [ns(f"2021-03-{day:02d}") for day in (8, 9, 10, 11, 12, 15, 16, 17, 18, 19)]
    stocks = checked(
        clean(10, DAY_NS).with_columns(pl.Series("timestamp", days)), DAY_NS, calendar="XNYS"
    ).bars
    return crypto, stocks


def test_crypto_and_stocks_line_up_on_known_times() -> None:
    crypto, stocks = two_markets()
    axis = union_axis([crypto, stocks])
    assert (np.diff(axis.time_ns) > 0).all()
    assert axis.rows.shape == (2, len(axis.time_ns))
    for k, table in enumerate((crypto, stocks)):
        has = axis.rows[k] >= 0
        assert axis.rows[k][has].tolist() == list(range(len(table)))
        assert axis.time_ns[has].tolist() == table.known_ns.tolist()
    # A stock's Friday close is what crypto sees all weekend, and Monday's comes an hour earlier.
    seen = column_as_of(stocks, "close", crypto.known_ns)
    at = {int(time): value for time, value in zip(crypto.known_ns, seen, strict=True)}
    assert np.isnan(at[ns("2021-03-08T20:00")])
    assert at[ns("2021-03-08T21:00")] == stocks.close[0]
    assert at[ns("2021-03-14T12:00")] == stocks.close[4]
    assert at[ns("2021-03-15T19:00")] == stocks.close[4]
    assert at[ns("2021-03-15T20:00")] == stocks.close[5]
    stale = column_as_of(stocks, "close", crypto.known_ns, max_age_ns=30 * HOUR_NS)
    assert np.isnan(stale[crypto.known_ns == ns("2021-03-14T12:00")]).all()


@given(st.lists(st.sets(st.integers(0, 40), min_size=1), min_size=1, max_size=4))
def test_the_union_axis_loses_and_invents_nothing(known: list[set[int]]) -> None:
    tables = [table_of(sorted(each)) for each in known]
    axis = union_axis(tables)
    hours = axis.time_ns // HOUR_NS
    assert hours.tolist() == sorted(set().union(*known))
    for k, table in enumerate(tables):
        rows = axis.rows[k]
        for hour, row in zip(hours, rows, strict=True):
            assert (row >= 0) == (int(hour) in known[k])
            assert row < 0 or table.known_ns[row] == hour * HOUR_NS


def table_of(hours: list[int]) -> BarTable:
    times = np.array(hours, dtype=np.int64) * HOUR_NS
    o, h, lo, c, v = (np.ones(len(times)) for _ in NAMES)
    return BarTable("X", HOUR_NS, times, times, o, h, lo, c, v, times // DAY_NS)


def test_no_symbols_no_axis() -> None:
    assert union_axis([]).time_ns.tolist() == []


@given(st.sets(st.integers(0, 300), min_size=1, max_size=60), st.integers(0, 30))
def test_history_restarts_after_a_long_gap(hours: set[int], reset_after: int) -> None:
    table = table_of(sorted(hours))
    cut = segments(table, "24x7", reset_after)
    start = 0
    listed = sorted(hours)
    for row in range(len(listed)):
        if row and listed[row] - listed[row - 1] - 1 > reset_after:
            start = row
        assert cut.start[row] == start
        assert cut.age[row] == row - start


def test_scheduled_closures_are_no_gap() -> None:
    ((_, euro),) = read_candles(block("candles", "sample"), request("1h", "EUR/USD"))
    assert int(missing_before(euro.bars, "XFX").max()) == 14  # Christmas
    assert int(missing_before(euro.bars, "24x7").max()) >= 47  # every weekend
    assert segments(euro.bars, "XFX", 24).start.max() == 0
    assert segments(euro.bars, "24x7", 24).start.max() > 0
    _, stocks = two_markets()
    assert missing_before(stocks, "XNYS").tolist() == [0] * 10
