"""Intraday bars of an exchange: a session that the data end in is no whole day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

import septet
from septet._data.calendars import lies_inside

pytest.importorskip("exchange_calendars")
HOUR_NS = 3_600_000_000_000
FILE = """
version: 1
name: partial
account: {capital: 10000, currency: USD}
universe: {symbols: [SPY], bar: 30m}
data: {candles: {use: csv, path: none.csv, stamp: open, calendar: XNYS}}
features: {mean: {use: sma, period: 3}}
signal: {use: rules, long_if: close > mean, exit_if: close < mean}
risk: {sizing: {use: fixed_fraction, fraction: 95%}}
execution:
  simulation: {fee: 3bps}
  instruments: {SPY: {tick: 0.01, lot: 1, min_notional: 1}}
"""


def bars() -> pl.DataFrame:
    """Seven sessions of half hours, from 9:30 to 16:00 in New York (winter: 14:30 to 21:00)."""
    days = [datetime(2021, 11, 8) + timedelta(days=k) for k in (0, 1, 2, 3, 4, 7, 8)]
    times = [day + timedelta(hours=14, minutes=30 * (k + 1)) for day in days for k in range(13)]
    price = [100.0 + k % 7 + k // 20 for k in range(len(times))]
    return pl.DataFrame(
        {
            "timestamp": pl.Series(times).dt.replace_time_zone("UTC"), "open": price,
            "high": [each + 1.0 for each in price], "low": [each - 1.0 for each in price],
            "close": price, "volume": 1_000.0,
        }
    )  # fmt: skip


@pytest.mark.parametrize(("cut", "days"), [(0, 6), (1, 5), (12, 5), (13, 5)])
def test_a_partial_session_at_the_end_is_left_out(cut: int, days: int) -> None:
    rows = bars()
    run: Any = septet.run(
        septet.loads(FILE, base="."), data=rows.head(rows.height - cut), time="timestamp", threads=1
    )
    assert run.summary.more["days"] == days


@pytest.mark.parametrize(
    ("name", "stamp", "inside"),
    [
        ("XNYS", "2021-11-08T21:00", False), ("XNYS", "2021-11-08T20:59", True),
        ("XNYS", "2021-11-08T14:30", False), ("XNYS", "2021-11-06T18:00", False),
        ("XNYS", "2021-11-26T18:00", False),  # a half day
        ("XFX", "2021-11-08T22:00", False), ("XFX", "2021-11-08T21:00", True),
        ("24x7", "2021-11-08T20:59", False),
    ],
)  # fmt: skip
def test_a_time_lies_inside_a_session(name: str, stamp: str, inside: bool) -> None:
    seconds = datetime.fromisoformat(f"{stamp}+00:00").timestamp()
    assert lies_inside(name, int(seconds) * 1_000_000_000) is inside
