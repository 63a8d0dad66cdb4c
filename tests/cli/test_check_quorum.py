"""``septet check`` names a quorum that the calendars of a portfolio never reach."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from septet._config import load
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._store.tables import frames_of
from tests.cli.conftest import Command

pytest.importorskip("exchange_calendars")
TEXT = """\
version: 1
name: quorum
account: {capital: 10000, currency: USD}
universe: {symbols: [BTC/USD, ETH/USD, AAA/USD, BBB/USD], bar: 1d}
data:
  candles:
    use: csv
    path: "{symbol}.csv"
    stamp: open
    adjust: none
    calendar: {BTC/USD: 24x7, ETH/USD: 24x7, AAA/USD: XNYS, BBB/USD: XNYS}
features: {m: {use: roc, period: 5}}
portfolio: {use: top, by: m, long: 2, rebalance: {every: 1d}}
risk: {}
execution:
  simulation: {fee: 5bps, slippage: 1bps}
  instruments:
    BTC/USD: {tick: 0.01, lot: 0.001}
    ETH/USD: {tick: 0.01, lot: 0.001}
    AAA/USD: {tick: 0.01, lot: 0.001}
    BBB/USD: {tick: 0.01, lot: 0.001}
"""


def written(folder: Path, change: str = "") -> Path:
    """The file and 60 days of bars; of the shares those of sessions of New York."""
    for number, symbol in enumerate(("BTC", "ETH", "AAA", "BBB")):
        lines = ["time,open,high,low,close,volume"]
        for k in range(60):
            day = date(2021, 3, 15) + timedelta(days=k)  # Good Friday is 2 April
            if number > 1 and (day.weekday() > 4 or day == date(2021, 4, 2)):
                continue
            close = 100.0 + 10 * number + (k * (number + 3)) % 11
            lines.append(f"{day},{close},{close + 1},{close - 1},{close},1000")
        (folder / f"{symbol}USD.csv").write_text("\n".join(lines), "utf-8")
    path = folder / "x.yaml"
    path.write_text(TEXT.replace("{every: 1d}", f"{{every: 1d{change}}}"), "utf-8")
    return path


def test_a_quorum_that_is_never_met_is_a_warning(septet: Command, tmp_path: Path) -> None:
    path = written(tmp_path)
    outcome = septet("check", path)
    assert outcome.code == 0
    found = " ".join(outcome.err.split())
    assert "warning: portfolio.rebalance.quorum: a rebalance acts only where 90 % of its" in found
    assert "calendars are 24x7, XNYS, allow that at 0 of " in found
    assert "with 50 % at most having one" in found
    assert "or quorum: 50%" in found
    result = backtest(load(path))
    assert "quorum" in result.rebalance_waits
    text = summarise(result, frames_of(result), run_id="")["verdict"]
    assert "No rebalance was made: a due one could not act whole (quorum " in text
    assert "portfolio.rebalance.quorum" in text


def test_the_way_out_that_is_named_works(septet: Command, tmp_path: Path) -> None:
    path = written(tmp_path, ", quorum: 50%")
    outcome = septet("check", path)
    assert outcome.code == 0
    assert "portfolio.rebalance.quorum" not in outcome.err
    result = backtest(load(path))
    assert result.rebalance_waits == {}
    assert frames_of(result)["fills"].height > 0
