"""Both engines through the whole shell, with a model that is trained as the run goes on."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from septet._config import load
from septet._shell.backtest import backtest

STRATEGY = """\
version: 1
name: logistic
seed: 3
universe: {symbols: [AAA/USDT, BBB/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 2500, volatility: 90%, common: 30%, gaps: 4}}
features:
  ret: {use: log_return}
  rsi: {use: rsi, period: 10}
  tall: {use: roc, period: 2, bar: 4h}
model:
  use: sklearn
  estimator: LogisticRegression
  scale: standard
  label: {use: direction, horizon: 2 bars}
  training: {train: 30d, step: 15d, purge: 2 bars}
signal: {use: confidence, threshold: 0.01}
risk:
  sizing: {use: fixed_fraction, fraction: 40%}
  stops: {stop_loss: 3%, take_profit: 4%}
"""
TABLES = ("decisions", "orders", "fills", "trades", "equity")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("engines") / "logistic.yaml"
    path.write_text(STRATEGY, encoding="utf-8")
    return [backtest(load(path), engine=engine) for engine in ("batch", "event")]


@pytest.mark.parametrize("name", TABLES)
def test_a_trained_model_gives_the_same_tables_in_both_engines(results, name):
    batch, event = (pl.DataFrame(_columns(getattr(each, name))) for each in results)
    assert batch.height > 10
    assert batch.equals(event, null_equal=True)


def _columns(table: Any) -> dict[str, Any]:
    return {key: table[key] for key in table} if isinstance(table, dict) else table.to_dict()


def test_the_first_decision_waits_for_the_first_model(results):
    decisions = _columns(results[0].decisions)
    assert "no_model" not in set(pl.Series(decisions["rejected_by"]).cast(pl.String))
    assert results[0].facts.first_decision_ns > 0


def test_rules_that_look_far_back_are_the_same_in_both_engines(tmp_path):
    path = tmp_path / "back.yaml"
    path.write_text(
        "version: 1\nname: back\nuniverse: {symbols: [AAA/USDT], bar: 1h}\n"
        "data: {candles: {use: synthetic, bars: 3000, volatility: 90%}}\n"
        "features: {fast: {use: sma, period: 5}}\n"
        'signal: {use: rules, long_if: "fast > prev(close, 900)", '
        'exit_if: "fast < prev(close, 900)"}\n'
        "risk: {sizing: {use: fixed_fraction, fraction: 50%}}\n",
        encoding="utf-8",
    )
    batch, event = (backtest(load(path), engine=engine) for engine in ("batch", "event"))
    fills = [pl.DataFrame(_columns(each.fills)) for each in (batch, event)]
    assert fills[0].height > 4
    assert fills[0].equals(fills[1], null_equal=True)
