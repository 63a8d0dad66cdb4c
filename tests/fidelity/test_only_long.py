"""Which runs are measured over holding: by the file before a run, by the positions after it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from septet._config import load
from septet._host.plugin_registry import Host
from septet._live.journal_head import facts_of
from septet._plan.run_terms import terms_of
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._store.tables import frames_of
from septet._sweep.setting_row import figures_of
from septet.hookspecs import Component
from tests.core.strangers import HERE, host_with_strangers

SPOT = "account: {capital: 10000, currency: USDT}"
PERPETUAL = """\
account: {capital: 10000, currency: USDT, type: perpetual}
perpetual: {leverage: 1, funding: {rate: 0, every: 8h}}"""
RULES = 'signal: {use: %s, long_if: "close > prev(close, 3)"%s%s}'
EXIT = ', exit_if: "close < prev(close, 4)"'
SHORT = ', short_if: "close < prev(close, 4)"'
MODEL = """\
model: {use: series, of: forecast, label: {use: direction, horizon: 2 bars}}
signal: {use: confidence, threshold: 0.1}"""
FILE = """\
version: 1
name: only-long
%s
universe: {symbols: [BTC/USDT], bar: 6h}
data:
  candles: {use: synthetic, bars: 240, seed: 4, start: 2023-01-01}
  forecast: {use: csv_series, path: %s.csv, known_after: 1m, max_age: 7h}
features:
  forecast: {use: series, of: forecast}
%s
risk:
  sizing: {use: fixed_fraction, fraction: 50%%}
  halts: {drawdown: {above: 90%%, then: flatten, resume: manual}}
live:
  execution:
    venues: {main: {use: ccxt, exchange: binance, key: env:K, secret: env:S}}
"""
TRIED = {
    "rules on spot": (SPOT, RULES % ("rules", "", EXIT), True, True),
    "a model on spot": (SPOT, MODEL, True, True),
    "a stranger's signal on spot": (SPOT, RULES % ("strangers:watching", "", ""), True, True),
    "rules of a perpetual": (PERPETUAL, RULES % ("rules", "", EXIT), True, True),
    "rules that go short": (PERPETUAL, RULES % ("rules", SHORT, ""), False, False),
    "a model of a perpetual": (PERPETUAL, MODEL, False, False),
    "a model that was never short": (PERPETUAL, MODEL, False, True),
    "a stranger's signal": (PERPETUAL, RULES % ("strangers:watching", "", ""), False, True),
    "a stranger's rules": (PERPETUAL, RULES % ("namesakes:rules", "", ""), False, True),
    "a stranger's shorts": (PERPETUAL, RULES % ("strangers:watching", SHORT, ""), False, False),
}


def strange_host() -> Host:
    """Return septet's plugins, those of the tests, and a signal named as one of ours."""
    host = host_with_strangers()
    mine = [Component("signals", "rules", f"{HERE}:watching", "signal")]
    brought: Any = SimpleNamespace(septet_signals=lambda: mine)
    host.register("namesakes", "1.0", brought)
    return host


def opened(case: str, folder: Path, mode: str = "backtest") -> Any:
    """Load the file of a case, its forecast beside it."""
    account, signal, *_ = TRIED[case]
    low = 0.5 if case.endswith("never short") else 0.1
    hours = pl.datetime_range(
        pl.datetime(2022, 12, 31), pl.datetime(2023, 3, 10), "6h", time_zone="UTC", eager=True
    )
    values = [round(low + (n * 7 % 10) / 10 * (0.9 - low), 3) for n in range(len(hours))]
    stamps = hours.dt.timestamp("ns")
    pl.DataFrame({"time": stamps, "value": values}).write_csv(folder / "forecast.csv")
    path = folder / "x.yaml"
    path.write_text(FILE % (account, "forecast", signal), encoding="utf-8")
    return load(path, host=strange_host(), mode=mode, unchecked=True)


@pytest.mark.parametrize("case", TRIED)
def test_a_run_that_was_only_long_is_measured_over_holding(case: str, tmp_path: Path) -> None:
    _, _, known_before, measured = TRIED[case]
    result = backtest(opened(case, tmp_path))
    assert result.facts.long_only is known_before
    frames = frames_of(result)
    sides = set(frames["trades"].get_column("side").cast(pl.String))
    assert sides == ({"long"} if measured else {"long", "short"})
    summary = summarise(result, frames, run_id="r")
    assert (summary["excess"] is not None) is measured
    assert ("Over holding its mean exposure" in summary["verdict"]) is measured
    # settings of one sweep share one measure: only what is known before decides there
    assert (figures_of(result)["excess_sharpe"] is not None) is known_before


LIVE = [(case, "live") for case, row in TRIED.items() if row[0] == SPOT]  # spot is all it trades


@pytest.mark.parametrize(("case", "mode"), [*((case, "paper") for case in TRIED), *LIVE])
def test_terms_and_facts_state_what_is_known_before(case: str, mode: str, tmp_path: Path) -> None:
    loaded = opened(case, tmp_path, mode)
    known_before = TRIED[case][2]
    assert terms_of(loaded.strategy).long_only is known_before
    build: Any = SimpleNamespace(features=(), instruments=())
    facts = facts_of(loaded, build, terms={}, tag="sabcdefg", market_ns=0)
    assert facts["long_only"] is known_before
