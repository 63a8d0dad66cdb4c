"""A key that only the user can fill in does not hide what else is wrong with the data."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import Command
from tests.data.helpers import clean

FILE = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data:
  candles: {use: csv, path: bars.csv, KEYS}
features: {fast: {use: sma, period: PERIOD}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
STAMP = "data.candles.stamp: csv must say stamp"
ZONE = "name no time zone"
STEP = "further apart than a bar"


def errors(
    septet: Command, folder: Path, frame: pl.DataFrame, keys: str, *words: str, period: int = 5
) -> list[str]:
    path = folder / "x.yaml"
    text = FILE.replace("KEYS", keys).replace("PERIOD", str(period)).replace(", }", "}")
    path.write_text(text, encoding="utf-8")
    frame.write_csv(folder / "bars.csv")
    outcome = septet("check", path, "--json", *words)
    document = json.loads(outcome.out)
    assert outcome.code == (0 if document["ok"] else 2)
    return [
        f"{each['key']}: {each['message']}"
        for each in document["problems"]
        if each["severity"] == "error"
    ]


def bad_prices(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(low=pl.col("high") * 1.5)


def without_zone(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ns")))


@pytest.mark.parametrize(
    ("change", "period", "more"),
    [
        (lambda frame: frame, 5, []),
        (lambda frame: frame.drop("close"), 5, ["no column close"]),
        (bad_prices, 5, ["too much of the data is bad"]),
        (without_zone, 5, [ZONE]),
        (lambda frame: without_zone(bad_prices(frame)), 5, [ZONE, "too much of the data is bad"]),
        (lambda frame: frame, 900, ["400 bars are too few"]),
        (lambda frame: frame[::3], 5, ["bar"]),
    ],
)
def test_a_missing_stamp(
    septet: Command, tmp_path: Path, change: object, period: int, more: list[str]
) -> None:
    assert callable(change)
    found = errors(septet, tmp_path, change(clean(400)), "", period=period)
    assert len(found) == 1 + len(more), found
    for found_text, text in zip(found, [STAMP, *more], strict=True):
        assert text in found_text


def test_a_missing_zone_alone(septet: Command, tmp_path: Path) -> None:
    found = errors(septet, tmp_path, without_zone(bad_prices(clean(400))), "stamp: open")
    assert [ZONE in found[0], "too much of the data is bad" in found[1]] == [True, True]


def test_a_series_that_does_not_state_when_it_was_known(septet: Command, tmp_path: Path) -> None:
    keys = "stamp: open}\n  mood: {use: csv_series, path: mood.csv"
    found = errors(septet, tmp_path, bad_prices(clean(400)), keys)
    assert "data.mood.known_after: nothing states when" in found[0]
    assert "too much of the data is bad" in found[1]


def test_other_errors_leave_the_data_unread(septet: Command, tmp_path: Path) -> None:
    words = ("--set", "risk.sizing.fraction=2")
    found = errors(septet, tmp_path, bad_prices(clean(400)), "", *words)
    assert STAMP in " ".join(found)
    assert "too much" not in " ".join(found)
    assert errors(septet, tmp_path, bad_prices(clean(400)), "", "--no-data")[0] == STAMP
