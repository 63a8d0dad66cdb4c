"""A key that is accepted has an effect: its value is changed, and something that runs differs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from septet import _learn as learn
from septet._config import load
from septet._live.build import _order_rules, limits_of
from septet._live.listen import history_ns_of, request_of
from septet._shell.session import plan_of, tape_rules, warmup_ns_of
from septet._shell.watching import build_watchers
from septet.errors import ConfigError

FILE = """\
version: 1
name: keys
seed: 7
account: {capital: 10000, currency: USDT, type: spot}
universe: {symbols: [A/USDT, B/USDT], bar: 1h}
data:
  candles:
    {use: synthetic, bars: 3000, seed: 3, grace: 2s, decide_within: 60s, max_staleness: 2m,
     reset_after: 24}
features:
  ret_1: {use: log_return}
  rsi_14: {use: rsi, period: 14}
  vol_10: {use: volatility, period: 10, annualise: 365d}
model:
  use: sklearn
  estimator: LogisticRegression
  inputs: [ret_1, rsi_14]
  scale: standard
  calibrate: sigmoid
  label: {use: direction, horizon: 4 bars}
  training:
    {train: 30d, step: 10d, purge: 5 bars, expire_after: 60d, ready_after: 1 bar, min_rows: 500,
     min_class: 50, on_drift: false, window: rolling}
signal:
  use: confidence
  threshold: 0.05
  min_interval: 2 bars
  exit: {opposite: true, after: 8 bars, below: 0.02}
  regime: {use: volatility_regime, of: vol_10, trade_in: [low, mid], window: 14d, min: 200}
  reentry: {after: 12 bars}
risk:
  sizing:
    {use: kelly, fraction: 0.25, max: 10%,
     odds: {window: 50 trades, average_win: 2%, average_loss: 1.5%, min_each: 20}}
  rebalance: {band: 20%}
  cash_buffer: 1%
  limits:
    position: 80%
    gross_exposure: 90%
    max_order_value: 50000
    orders_per_minute: 10
    price_collar: 5%
    correlated: {above: 0.6, window: 120 bars, max: 70%}
  stops: {stop_loss: 4%, take_profit: 12%, trailing: {distance: 5%, after: 3%}, time_limit: 5d}
  halts:
    drawdown: {above: 15%, then: flatten, resume: manual}
    losses_in_a_row: {count: 6, then: cancel_all, resume: 12h}
execution:
  simulation:
    {fee: {maker: 2bps, taker: 5bps}, latency: 1, participation: 5%,
     slippage: {fraction: 1bps, volatility: 0.1, window: 20}}
  order: {use: limit_then_market, patience: 45s, max_slippage: 15bps}
monitoring:
  model:
    {auc_window: 500, auc_floor: 0.5, auc_warn: 0.53, psi_window: 1000, psi_warn: 0.1,
     psi_retrain: 0.25}
  fills: {slippage_alarm: 20bps, latency_alarm: 2s}
  churn: {use: turnover, window: 1d, above: 1000%, verdict: halt}
  costs: {use: cost_share, trades: 50, above: 50%}
  losses: {use: losing_streak, trades: 8, verdict: warn}
time_zone: UTC
day_start: "00:00"
"""
TRIED_ELSEWHERE = {
    # key: the test that changes it and sees what differs
    "seed": "learn/test_walk.py",
    "monitoring.fills.slippage_alarm": "monitoring/test_trading_monitors.py",
    "data.candles.bars": "data/test_synthetic.py",
    "data.candles.seed": "data/test_synthetic.py",
    "data.candles.grace": "live/test_barriers.py",
    "data.candles.max_staleness": "live/test_market.py",
    "model.training.expire_after": "learn/test_walk.py",
}
"""Keys that none of the readers here takes."""


def _reads(loaded: Any) -> str:
    """What the parts of a run make of a file, as text."""
    strategy = loaded.strategy
    plan = plan_of(loaded)
    block, bar_ns = strategy.model, int(strategy.universe.bar)
    trainer = learn.trainer_of(block)
    monitors = [(each.name, each.monitor) for each in build_watchers(strategy)]
    return repr(
        [
            plan.name, plan.parameters.tolist(), plan.assembly.halts, plan.warmup_bars,
            plan.memory_bars, [each.tolist() for each in plan.tables], tape_rules(strategy),
            warmup_ns_of(strategy, 0), history_ns_of(strategy), request_of(strategy),
            learn.label_rule(block.extra["label"], bar_ns),
            learn.training_rule(block.extra["training"], bar_ns),
            learn.health_rule(strategy.monitoring.model), trainer,
            block.extra.get("inputs"), limits_of(strategy),
            _order_rules(strategy, 1.0, protects=True), monitors,
            strategy.account.capital, strategy.time_zone,
        ]
    )  # fmt: skip


@cache
def _file(folder: Path) -> Path:
    path = folder / "keys.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def _leaves(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*at, str(key)))
    elif value is not None and not isinstance(value, list):
        yield ".".join(at), value


def _written() -> dict[str, Any]:
    import yaml

    return dict(_leaves(yaml.safe_load(FILE)))


WORDS: Mapping[str, tuple[str, ...]] = {
    "then": ("block_entries",), "resume": ("next_day",), "verdict": ("warn", "halt"),
    "scale": ("robust",), "calibrate": ("isotonic",), "window": ("expanding",),
    "time_zone": ("America/New_York",), "day_start": ("17:00",), "currency": ("EUR",),
    "type": ("perpetual",), "of": ("ret_1",), "estimator": ("RidgeClassifier", "GaussianNB"),
}  # fmt: skip
NO_CHOICE = ("version", "name")


def _others(key: str, value: Any) -> list[str]:
    """Values that a key may have instead."""
    if isinstance(value, bool):
        return [str(not value).lower()]
    name = key.rpartition(".")[2]
    words = list(WORDS.get(name, ()))
    if isinstance(value, int | float):
        return [str(value + 1), str(value * 0.9), str(value * 1.1), *words]
    found = re.fullmatch(r"([\d.]+)(.*)", str(value))
    if found and name not in ("day_start",):
        number = float(found.group(1))
        return [f"{number + 1:g}{found.group(2)}", f"{number * 0.9:g}{found.group(2)}", *words]
    return words


KEYS = [key for key in _written() if key.rpartition(".")[2] != "use" and key not in NO_CHOICE]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def plain(folder: Path) -> str:
    return _reads(load(_file(folder)))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_accepted_has_an_effect(key: str, folder: Path, plain: str) -> None:
    others, taken = _others(key, _written()[key]), []
    assert others, f"no other value of {key} is known to this test"
    for other in others:
        try:
            loaded = load(_file(folder), sets=[f"{key}={other}"])
        except ConfigError as error:
            taken.append(str(error))  # the value was judged: that is an effect, too
            continue
        if _reads(loaded) != plain:
            return
        taken.append("")
    assert key in TRIED_ELSEWHERE or all(taken), f"{key} is accepted, and changes nothing"


def test_the_same_file_reads_the_same(folder: Path, plain: str) -> None:
    """Or every key would seem to act."""
    assert _reads(load(_file(folder))) == plain


def test_what_is_tried_elsewhere_is_there() -> None:
    for key, place in TRIED_ELSEWHERE.items():
        assert key in KEYS, key
        assert (Path(__file__).resolve().parents[1] / place).is_file(), place
