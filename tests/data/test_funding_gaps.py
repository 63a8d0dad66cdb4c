"""Funding periods without a rate, and one series of rates for several symbols, are reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._config.load import load
from septet._data.bad_rows import doubts
from septet._shell.backtest import backtest
from septet._shell.preflight import check_data
from septet._shell.stretch_backtest import run_by_stretches
from septet.errors import ConfigError, Problem, SeptetError
from tests.data.helpers import HOUR_NS, START_NS, clean

FILE = """\
version: 1
name: x
universe: {symbols: SYMBOLS, bar: 1h}
account: {type: perpetual}
data:
  candles: {use: parquet, path: "{symbol}.parquet"}
  funding: {use: csv_series, path: "PATH", known_after: 0s}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, short_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
EIGHT = range(0, 401, 8)


def written(
    folder: Path, hours: object, symbols: str = "[BTC/USDT]", path: str = "{symbol}.csv"
) -> Path:
    assert isinstance(hours, list | range)
    stamps = pl.Series(START_NS + HOUR_NS * np.array(list(hours))).cast(pl.Datetime("ns", "UTC"))
    rates = pl.DataFrame({"time": stamps, "rate": [0.0001] * len(stamps)})
    for number, name in enumerate(("BTCUSDT", "ETHUSDT")):
        clean(400, seed=number).write_parquet(folder / f"{name}.parquet")
        rates.write_csv(folder / f"{name}.csv")
    (folder / "x.yaml").write_text(FILE.replace("SYMBOLS", symbols).replace("PATH", path))
    return folder / "x.yaml"


def about_funding(path: Path) -> list[Problem]:
    loaded = load(path)
    problems = [*loaded.warnings, *check_data(loaded).problems]
    return [each for each in problems if each.key.startswith("data.funding")]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (EIGHT, ""),
        ([h for h in EIGHT if h != 80 and h != 88], ""),  # an hour of maintenance is no gap
        ([h for h in EIGHT if not 80 < h < 160],
         "funding@BTC/USDT has no rate from 2020-01-04T08:00:00Z to 2020-01-07T16:00:00Z, 10 "
         "periods of 8h: no funding is charged there"),
        ([h for h in EIGHT if not 80 < h < 160 and not 200 < h < 240],
         "10 periods of 8h (2 such gaps, this is the longest): no"),
        (range(80, 401, 8), "has no rate from 2020-01-01T00:00:00Z to 2020-01-04T08:00:00Z, 10 "),
        (range(-800, -400, 8), ""),  # reported where series end
        (range(0, 401, 48), "are usually 2d apart: exchanges charge every 8h or oftener"),
        ([8], "funding@BTC/USDT has one rate, of 2020-01-01T08:00:00Z"),
    ],
)  # fmt: skip
def test_periods_without_a_rate(tmp_path: Path, hours: object, expected: str) -> None:
    path = written(tmp_path, hours)
    found = [each for each in about_funding(path) if "The values of" not in each.message]
    assert len(found) == bool(expected), found
    for each in found:
        assert expected in each.message
        assert (each.severity, each.key, each.line) == ("warning", "data.funding", 7)


def test_a_run_in_stretches_and_the_verdict_state_it_too(tmp_path: Path) -> None:
    path = written(tmp_path, [h for h in EIGHT if not 80 < h < 160])
    whole, parts = backtest(load(path)), run_by_stretches(load(path), 90)
    message = [[d.message for d in doubts(each.findings)] for each in (whole, parts)]
    assert message[0] == message[1]
    assert "has no rate from 2020-01-04T08:00:00Z" in message[0][0]


def test_only_the_span_of_the_run_counts(tmp_path: Path) -> None:
    path = written(tmp_path, [h for h in EIGHT if not 80 < h < 160])
    text = path.read_text().replace("bar: 1h", "bar: 1h, start: 2020-01-09")
    path.write_text(text)
    assert about_funding(path) == []


@pytest.mark.parametrize(
    ("symbols", "path", "warned"),
    [
        ("[BTC/USDT, ETH/USDT]", "BTCUSDT.csv", True),
        ("[BTC/USDT, ETH/USDT]", "{symbol}.csv", False),
        ("[BTC/USDT]", "BTCUSDT.csv", False),
    ],
)
def test_one_series_for_several_symbols(
    tmp_path: Path, symbols: str, path: str, warned: bool
) -> None:
    found = about_funding(written(tmp_path, EIGHT, symbols, path))
    assert [each.key for each in found] == ["data.funding.path"] * warned
    for each in found:
        assert "one series of funding serves 2 symbols" in each.message
        assert (each.line, each.column) == (7, 36)


def test_a_file_with_rates_of_several_symbols_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, EIGHT)
    rates = pl.read_csv(tmp_path / "BTCUSDT.csv")
    both = [rates.with_columns(symbol=pl.lit(name)) for name in ("BTC/USDT", "ETH/USDT")]
    pl.concat(both).write_csv(tmp_path / "BTCUSDT.csv")
    (problem,) = about_funding(path)
    assert problem.severity == "error"
    assert "column 'symbol' holds 2 symbols ('BTC/USDT', 'ETH/USDT')" in problem.message
    with pytest.raises((SeptetError, ConfigError)):
        backtest(load(path))
    both[0].write_csv(tmp_path / "BTCUSDT.csv")
    text = path.read_text().replace("known_after", "value: rate, known_after")
    path.write_text(text)
    assert about_funding(path) == []
