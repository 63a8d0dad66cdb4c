"""Strategies whose plans tests compile: few, because each takes seconds the first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from septet._data.bars import SeriesTable
from tests.core.settings import HOUR, START, Bars, Settings, walk

__all__ = ["FEATURES", "PARTS", "made_series", "two_markets"]

FEATURES: Final = """\
version: 1
name: features
universe: {symbols: [AAA/USDT, BBB/USDT], bar: 1h}
data:
  candles: {use: synthetic}
  mood: {use: http_json, url: "https://example.org/x.json", select: data.*.v, time: data.*.t,
         time_unit: s, known_after: 2h, every: 1h, max_age: 9h}
features:
  fast: {use: sma, period: 3}
  slow: {use: ema, period: 8}
  rsi: {use: rsi, period: 5}
  calm: {use: volatility, period: 6, annualise: 365d}
  tall: {use: sma, period: 2, bar: 4h}
  day: {use: roc, period: 1, bar: 1d}
  place: {use: cross_rank, of: fast}
  steady: {use: sma, of: place, period: 3}
  mood_now: {use: series, of: mood, missing: 0}
  pair: {use: ratio, of: close, to: "close@BBB/USDT"}
  past: {use: lag, of: rsi, by: [1, 4]}
  mix: {use: expr, formula: "(fast - slow) / close + prev(mood_now, 2) * 0.001"}
signal:
  use: rules
  long_if: (mix > 0 or steady > 0.4) and rsi > 40
  exit_if: crosses_below(fast, slow) or tall < prev(tall, 4) or day < -0.2 or pair > 9
  regime: {use: volatility_regime, of: calm, trade_in: [low, mid, high], window: 2d, min: 12 bars}
risk:
  sizing: {use: volatility_target, target: 0.4, of: calm, max: 0.8}
  limits: {correlated: {above: 0.3, window: 2d, max: 0.6}}
  stops: {stop_loss: 4%, trailing: 6%}
execution:
  simulation: {slippage: {volatility: 0.2, window: 5 bars}}
"""
"""Every way a feature can be read: higher time frames, symbols side by side, series, lags."""

PARTS: Final[dict[str, Settings]] = {
    "one_spot": Settings(
        stops={"stop_loss": 0.03, "take_profit": 0.05, "time_limit": 9},
        halts={"drawdown": {"above": 0.2, "then": "flatten", "resume": "next_day"}},
        tick=0.01, lot=0.001, min_notional=10.0,
    ),
    "one_perpetual": Settings(
        spot=False, model=True, short_back=1, leverage=3.0, order="limit", good_for=2,
        funding=0.0005, participation=0.1, stops={"trailing": {"distance": 0.03, "after": 0.01}},
        halts={"losses_in_a_row": {"count": 4, "then": "block_entries", "resume": 9}},
    ),
    "three_spot": Settings(
        symbols=("AAA/USDT", "BBB/USDT", "CCC/USDT"), model=True, sizing="kelly", received=True,
        pro_rata=True, order="stop_limit", good_for=2, stops={"stop_loss": 0.02},
        limits={"groups": {"pair": {"symbols": ["BBB/USDT", "CCC/USDT"], "max": 0.4}},
                "correlated": {"above": 0.1, "window": "60 bars", "max": 0.5}},
        halts={"daily_loss": {"above": 0.05, "then": "cancel_all", "resume": "next_day"}},
    ),
    "two_perpetual": Settings(
        symbols=("AAA/USDT", "BBB/USDT"), spot=False, short_back=2, leverage=2.0, band=0.1,
        amount=0.5, split=True, reentry=3, latency=1, maker=0.001,
        stops={"stop_loss": 0.05, "take_profit": 0.03, "time_limit": 20},
    ),
}  # fmt: skip
"""Shapes of the trading part; values are drawn freely, the text stays the same."""


def made_series() -> dict[str, SeriesTable]:
    """Return an outside series with holes and late arrivals."""
    draw = np.random.default_rng(3)
    stamp = START + np.sort(draw.integers(0, 150, 60)).astype(np.int64) * HOUR
    known = stamp + 2 * HOUR + draw.integers(0, 5, 60) * (HOUR // 4)
    value = draw.normal(0.0, 1.0, 60)
    return {"mood": SeriesTable("mood", stamp, np.maximum.accumulate(known), value, 9 * HOUR)}


def two_markets(seed: int, count: int = 150) -> Sequence[Bars]:
    """Return two rough markets, the second with a gap that restarts its history."""
    return [walk(seed, count), walk(seed + 1, count, holes=0.2, long_hole=True)]
