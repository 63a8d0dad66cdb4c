"""Days of returns where a session opens on the evening before: those of the calendar, no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from septet._data.day_calendars import session_close
from septet.cli import cli

FILE = """\
version: 1
name: euro
account: {currency: USD}
universe: {symbols: [EUR/USD], bar: 1h}
data: {candles: {use: sample}}
ZONE
features: {slow: {use: sma, period: 20}}
signal: {use: rules, long_if: close > 0}
risk: {sizing: {use: fixed_fraction, fraction: 100%}}
execution: {simulation: {fee: 0bps, slippage: 0bps}}
"""
NEW_YORK = 'time_zone: America/New_York\nday_start: "17:00"'


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("24x7", ""), ("XFX", "17:00 America/New_York"), ("XNYS", "16:00 America/New_York"),
        ("XHKG", "16:00 Asia/Hong_Kong"),
    ],
)  # fmt: skip
def test_when_the_sessions_of_a_calendar_end(name: str, close: str) -> None:
    at = int(datetime(2021, 6, 1, tzinfo=UTC).timestamp()) * 10**9
    assert session_close(name, at) == close


def test_a_week_of_currencies_has_five_days_whenever_a_day_begins(tmp_path: Path) -> None:
    found = []
    for number, zone in enumerate(("", NEW_YORK)):
        file = tmp_path / f"euro{number}.yaml"
        file.write_text(FILE.replace("ZONE", zone), "utf-8")
        out = str(tmp_path / "runs")
        done = CliRunner().invoke(cli, ["run", str(file), "--out", out, "--json", "--no-report"])
        assert done.exit_code == 0, done.output
        found.append(json.loads(done.stdout))
    days = [each["days"] for each in found]
    assert abs(days[0] - days[1]) <= 1
    first, last = (datetime.fromisoformat(found[0][name]) for name in ("first_decision", "end"))
    assert abs(days[0] - (last - first).days * 5 / 7) < 4  # holidays have bars
