"""Rates of funding that no market charges: refused by `check` and by `run`, with their place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from septet._config import load
from septet._data.funding_bounds import refuse_rates
from septet._shell.backtest import backtest
from septet._shell.preflight import check_data
from septet.errors import ConfigError, DataError

HOUR_NS = 3_600_000_000_000
FILE = """\
version: 1
name: charged
account: {capital: 10000, currency: USD, type: perpetual}
universe: {symbols: [BTC/USD], bar: 1h}
data:
  candles: {use: synthetic, bars: 300, start: 2020-01-01}
  funding: {use: csv_series, path: rates.csv, known_after: 1m}
features: {fast: {use: sma, period: 3}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
perpetual: {leverage: 2}
"""


def _table(name: str, *values: float) -> Any:
    stamps = np.arange(len(values), dtype=np.int64) * HOUR_NS
    return SimpleNamespace(name=name, value=np.array(values), stamp_ns=stamps)


def _file(folder: Path, rate: str) -> Any:
    rows = "".join(f"{1577836800 + 28800 * n},{rate if n == 9 else 0.0001}\n" for n in range(30))
    (folder / "rates.csv").write_text(f"time,value\n{rows}", encoding="utf-8")
    path = folder / "charged.yaml"
    path.write_text(FILE, encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("name", ["funding", "funding@BTC/USDT"])
@pytest.mark.parametrize("rate", [1.0000001, -1.0000001, 1e9, -1e300])
def test_a_rate_beyond_the_whole_position_is_refused(name: str, rate: float) -> None:
    with pytest.raises(DataError, match=r"1 of 3 rates of .* first is .* at 1970-01-01T01:00:00Z"):
        refuse_rates(_table(name, 0.0, rate, 0.0), "rates.csv")


@pytest.mark.parametrize("rate", [1.0, -1.0, 0.04, 0.0])
def test_rates_up_to_the_whole_position_are_taken(rate: float) -> None:
    refuse_rates(_table("funding", rate), "rates.csv")
    refuse_rates(_table("open_interest", 1e300), "interest.csv")


@pytest.mark.parametrize("rate", ["1e300", "-1e9", "1.5"])
def test_check_and_run_refuse_it_with_its_place(tmp_path: Path, rate: str) -> None:
    loaded = _file(tmp_path, rate)
    (problem,) = [each for each in check_data(loaded).problems if each.severity == "error"]
    assert (problem.key, problem.line) == ("data.funding", 7)
    assert "2020-01-04T00:00:00Z" in problem.message
    assert "divide percent by 100" in problem.hint
    with pytest.raises((ConfigError, DataError)) as caught:
        backtest(loaded)
    assert "charged.yaml:7:" in str(caught.value)


def test_the_same_file_with_usual_rates_runs(tmp_path: Path) -> None:
    assert backtest(_file(tmp_path, "0.0003")).facts.bars == 298  # from the third on, fast is known
