"""What `check` reports of hours in which nothing could be entered, held or blocked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet._shell.backtest import backtest
from septet._shell.preflight import check_data
from septet._sweep.space import space_of
from septet._sweep.swept_parameters import numbers_of
from septet.errors import ConfigError, Problem

FILE = """\
version: 1
name: checked
universe:
  symbols: [AAA/USDT]
  bar: BAR
  trading_hours: HOURS
data:
  candles: {use: synthetic, bars: 400, seed: 2}
  news: {use: csv_series, path: news.csv, time: at, value: weight, known: announced, time_zone: UTC}
features: {fast: {use: sma, period: 3}, slow: {use: sma, period: 9}}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
HOURS = ("universe", "trading_hours")


def loaded(folder: Path, hours: str, bar: str = "1h", events: Sequence[str] = ()) -> Any:
    """Load a file with these hours, beside the events it may name."""
    text = "at,weight,announced\n" + "".join(f"{each}\n" for each in events or [IN_TIME])
    (folder / "news.csv").write_text(text, encoding="utf-8")
    path = folder / "checked.yaml"
    text = FILE.replace("HOURS", hours).replace("BAR", bar)
    if "series: news" not in hours:
        text = "\n".join(line for line in text.splitlines() if "news.csv" not in line) + "\n"
    path.write_text(text, encoding="utf-8")
    return load(path)


IN_TIME = "2020-01-08T12:00:00Z,1,2019-12-01T00:00:00Z"
LATE = "2020-01-09T12:00:00Z,1,2020-01-09T11:55:00Z"
PAST = "2018-01-09T12:00:00Z,1,2017-01-09T11:55:00Z"


def said(found: Any) -> list[Problem]:
    """Return what is reported of the hours."""
    return [each for each in check_data(found).problems if ".".join(HOURS) in each.key]


def test_hours_in_which_bars_open_give_no_finding(tmp_path: Path) -> None:
    found = loaded(tmp_path, "{open: 'mon-fri 09:30-16:00 America/New_York', flat_at_close: true}")
    assert said(found) == []


@pytest.mark.parametrize(
    ("hours", "bar", "key", "words"),
    [
        ("mon-fri 09:35-09:55 America/New_York", "1h", "open", "no decision lies in these hours"),
        ("{open: 'mon-fri 09:30-16:00 America/New_York'}", "1d", "open", "bars of 1d open outside"),
        ("{open: 'sat 09:30-10:30 UTC', flat_at_close: true}", "1h", "flat_at_close", "last one"),
    ],
)
def test_hours_without_a_fill_are_refused_with_their_place(
    hours: str, bar: str, key: str, words: str, tmp_path: Path
) -> None:
    found = loaded(tmp_path, hours, bar)
    (problem,) = said(found)
    assert problem.severity == "error"
    assert words in problem.message
    assert problem.hint
    assert problem.line == 6
    assert problem.column > 1
    assert key in problem.key or not hours.startswith("{")
    with pytest.raises(ConfigError, match="hours" if key == "open" else "last one"):
        backtest(found, refuses=True)


def test_daily_bars_of_an_exchange_enter_at_the_next_open(tmp_path: Path) -> None:
    path = tmp_path / "daily.yaml"
    path.write_text(
        "version: 1\nname: daily\naccount: {currency: USD}\n"
        "universe: {symbols: [AAPL], bar: 1d, trading_hours: XNYS}\n"
        "data: {candles: {use: sample, adjust: total}}\n"
        "signal: {use: rules, long_if: 'close > prev(close, 5)', exit_if: 'close < open'}\n"
        "risk: {sizing: {use: fixed_fraction, fraction: 50%}}\n",
        encoding="utf-8",
    )
    assert said(load(path)) == []
    flat = load(path, sets=["universe.trading_hours={open: XNYS, flat_at_close: true}"])
    assert ["last one" in each.message for each in said(flat)] == [True]


@pytest.mark.parametrize(
    ("events", "severity", "words"),
    [
        ([IN_TIME], None, ""),
        ([IN_TIME, LATE], "warning", "1 of 2 events of news are known later than 30m before"),
        ([LATE], "error", "nothing is blocked before any"),
        ([PAST], "warning", "no event of news lies in the run"),
    ],
)
def test_events_that_are_known_too_late_are_named(
    events: list[str], severity: str | None, words: str, tmp_path: Path
) -> None:
    hours = "{blackout: {series: news, before: 30m, after: 30m}}"
    found = said(loaded(tmp_path, hours, events=events))
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert all(words in each.message for each in found)


def test_events_that_block_every_decision_are_refused(tmp_path: Path) -> None:
    hours = "{blackout: {series: news, before: 40d, after: 40d}}"
    (problem,) = said(loaded(tmp_path, hours, events=[IN_TIME.replace("2019", "2010")]))
    assert problem.severity == "error"
    assert "leave no decision" in problem.message


def test_a_sweep_over_the_latency_is_more_than_numbers_where_there_are_hours(
    tmp_path: Path,
) -> None:
    sweep = "sweep: {over: {execution.simulation.latency: [0, 1, 2]}, goal: sharpe}\n"
    for hours, reason in (("null", False), ("{open: 'mon-fri 09:30-16:00 UTC'}", True)):
        found = loaded(tmp_path, hours)
        found.path.write_text(found.path.read_text("utf-8") + sweep, encoding="utf-8")
        again = load(found.path)
        reasons = numbers_of(again, space_of(again)).reasons
        assert any("may be entered" in each for each in reasons) == reason
