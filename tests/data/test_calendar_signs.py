"""Bars that pause every night or weekend need a calendar, and the one they fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config.load import load
from septet._data.bad_rows import Doubt, doubts
from septet._data.calendar_signs import CALENDAR_SIGN
from septet._data.calendars import Sessions, load_calendar
from septet._data.load import load_market
from septet._data.normalise import normalise
from septet._data.source import Facts, RawBars
from septet._data.stretches import Memory, Stretches
from septet_schemas.data import CandlesConfig
from tests.data.helpers import DAY_NS, HOUR_NS, MINUTE_NS, checked, clean, ns
from tests.data.test_zones import NEW_YORK, currencies, sessions, wall

TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 30m}
data: {candles: {use: parquet, path: "{symbol}.parquet"}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def signs(frame: pl.DataFrame, bar_ns: int, **keys: Any) -> list[Doubt]:
    found = doubts(checked(frame, bar_ns, max_bad=0.01, **keys).findings)
    return [each for each in found if each.kind == CALENDAR_SIGN]


def days_of(calendar: str, since: str, days: int) -> pl.DataFrame:
    """Daily bars of an exchange, stamped with their date."""
    first = ns(since)
    found = load_calendar(calendar, first, first + 2 * days * DAY_NS)
    assert isinstance(found, Sessions)
    at = int(np.searchsorted(found.day_number, first // DAY_NS))
    stamps = found.day_number[at : at + days] * DAY_NS
    return clean(days).with_columns(timestamp=pl.Series(stamps))


def test_sessions_are_reported_with_the_calendar_to_write() -> None:
    frame = sessions("2021-02-15", 60)
    (doubt,) = signs(frame, 30 * MINUTE_NS)
    assert doubt.message == (
        "BTC/USDT: its bars pause every night, and nothing names a calendar: 59 pauses are read as "
        "missing bars, after 59 of which (longer than 24 bars of 30m) features warm up anew; an "
        "order that is decided before one expires unfilled"
    )
    assert doubt.hint == "their hours are those of XNYS: write calendar: XNYS beside use:"
    for calendar in ("XNYS", "24x7", {"BTC/USDT": "XNYS"}):
        assert signs(frame, 30 * MINUTE_NS, calendar=calendar) == []
    (doubt,) = signs(frame, 30 * MINUTE_NS, calendar={"ETH/USDT": "XNYS"})
    assert "XNYS" in doubt.hint


def test_a_longer_reset_leaves_the_warm_up_and_not_the_orders() -> None:
    (doubt,) = signs(sessions("2021-02-15", 60), 30 * MINUTE_NS, reset_after=400)
    assert "warm up anew" not in doubt.message
    assert "expires unfilled" in doubt.message


@pytest.mark.parametrize(
    ("frame", "bar_ns", "how", "named"),
    [
        (currencies("2021-06-01", 6), HOUR_NS, "weekend", "XFX"),
        (days_of("XNYS", "2021-01-04", 400), DAY_NS, "weekend", "XNYS"),
        (days_of("XLON", "2021-01-04", 400), DAY_NS, "weekend", "XLON"),
        (sessions("2021-02-15", 5), 30 * MINUTE_NS, "night", "XNYS"),
    ],
)
def test_weeks_and_days_of_markets(frame: pl.DataFrame, bar_ns: int, how: str, named: str) -> None:
    (doubt,) = signs(frame, bar_ns)
    assert f"pause every {how}" in doubt.message
    assert f"write calendar: {named} beside use:" in doubt.hint


def test_stamps_of_closes_are_of_the_day_before() -> None:
    frame = days_of("XNYS", "2021-01-04", 100)
    (doubt,) = signs(frame, DAY_NS, stamp="close")
    assert "XNYS" in doubt.hint


def test_hours_of_no_calendar_we_try_are_reported_without_a_name() -> None:
    frame = sessions("2021-02-15", 60).with_columns(pl.col("timestamp") + 5 * HOUR_NS)
    (doubt,) = signs(frame, 30 * MINUTE_NS)
    assert "such as calendar: XNYS, or XFX for currencies; calendar: 24x7 if" in doubt.hint


@pytest.mark.parametrize("bar_ns", [MINUTE_NS, HOUR_NS, DAY_NS])
def test_bars_of_all_week_need_no_calendar(bar_ns: int) -> None:
    frame = clean(5_000, bar_ns)
    assert signs(frame, bar_ns) == []
    holes = np.random.default_rng(0).random(5_000) > 0.3
    assert signs(frame.filter(pl.Series(holes)), bar_ns) == []
    outages = np.arange(5_000) // 700 % 3 != 1
    assert signs(frame.filter(pl.Series(outages)), bar_ns) == []


def test_a_source_that_knows_its_calendar_is_not_reported() -> None:
    facts = Facts("a test", stamp="open", calendar="24x7")
    raw = RawBars("BTC/USDT", sessions("2021-02-15", 60), facts)
    done = normalise(raw, CandlesConfig(), bar_ns=30 * MINUTE_NS)
    assert CALENDAR_SIGN not in {each.kind for each in done.findings}


def test_local_hours_of_new_york_that_lie_within_those_of_london_are_reported_with_both() -> None:
    frame = sessions("2021-06-01", 20).filter(pl.col("timestamp") % HOUR_NS == 0)
    frame = wall(frame, NEW_YORK)
    (doubt,) = signs(frame, HOUR_NS, time_zone="UTC")
    assert "calendar: XNYS with time_zone: America/New_York, or calendar: XLON" in doubt.hint
    assert "several fit, and they differ by hours" in doubt.hint


def test_stretches_give_what_the_whole_gives(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(TEXT, encoding="utf-8")
    sessions("2021-02-15", 60).write_parquet(tmp_path / "BTCUSDT.parquet")
    loaded = load(tmp_path / "x.yaml")
    parts = Stretches(loaded, bars=100, memory=Memory(20), warmup_ns=0)
    assert sum(1 for _ in parts) > 10
    reported = [
        [each for each in found if each.kind == CALENDAR_SIGN]
        for found in (parts.findings, load_market(loaded).findings)
    ]
    assert reported[0] == reported[1]
    assert len(reported[0]) == 1
