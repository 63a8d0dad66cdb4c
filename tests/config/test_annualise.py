"""`annualise` on intraday bars: a year has the hours of its sessions, not days of 24 hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load

FILE = """\
version: 1
name: year
universe: {{symbols: [AAPL], bar: {bar}}}
account: {{currency: USD}}
data: {{candles: {{use: csv, path: "x.csv", stamp: open, calendar: {calendar}}}}}
features: {{vol: {{use: volatility, period: 20, annualise: {year}{more}}}}}
signal: {{use: rules, long_if: vol < 0.3, exit_if: vol > 0.5}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
execution:
  instruments: {{AAPL: {{lot: 1, tick: 0.01, min_notional: 1}}}}
  simulation: {{fee: 2bps}}
"""


def warned(folder: Path, bar: str, calendar: str, year: str, more: str = "") -> list[str]:
    path = folder / "year.yaml"
    text = FILE.format(bar=bar, calendar=calendar, year=year, more=more)
    path.write_text(text, encoding="utf-8")
    return [
        each.hint for each in load(path, unchecked=True).warnings if each.key.endswith("annualise")
    ]


@pytest.mark.parametrize(("bar", "year"), [("30m", "252d"), ("1m", "365d"), ("1h", "252d")])
def test_days_of_24_hours_on_intraday_shares_are_a_warning(tmp_path, bar, year):
    (hint,) = warned(tmp_path, bar, "XNYS", year)
    assert hint.startswith("write annualise: 1638h ")


@pytest.mark.parametrize(
    ("bar", "calendar", "year", "more"),
    [
        ("30m", "XNYS", "1638h", ""), ("1d", "XNYS", "252d", ""),
        ("30m", "XNYS", "252d", ", bar: 1d"), ("30m", "24x7", "365d", ""),
        ("1h", "XFX", "260d", ""), ("1h", "CMES", "252d", ""),
    ],
)  # fmt: skip
def test_what_fits_the_calendar_is_none(tmp_path, bar, calendar, year, more):
    assert warned(tmp_path, bar, calendar, year, more) == []


MIXED = "{BTC/USD: 24x7, AAPL: XNYS}"


@pytest.mark.parametrize(
    ("year", "named"), [("365d", "AAPL are 2.3 times"), ("1638h", "BTC/USD are 0.43 times")]
)
def test_symbols_of_another_year_are_named(tmp_path: Path, year: str, named: str) -> None:
    text = FILE.format(bar="30m", calendar=MIXED, year=year, more="")
    path = tmp_path / "year.yaml"
    path.write_text(text.replace("[AAPL]", "[BTC/USD, AAPL]"), encoding="utf-8")
    warnings = load(path, unchecked=True).warnings
    (seen,) = [each.message for each in warnings if each.key.endswith("annualise")]
    assert named in seen


def test_a_mapping_of_one_calendar_is_that_calendar(tmp_path: Path) -> None:
    assert warned(tmp_path, "30m", "{AAPL: 24x7}", "365d") == []
    (hint,) = warned(tmp_path, "30m", "{AAPL: XNYS}", "365d")
    assert hint.startswith("write annualise: 1638h ")
