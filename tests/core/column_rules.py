"""Rules of every kind that ask for every word of their kind, a column and an expression."""

from __future__ import annotations

import math
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from septet._config import load
from septet._host.plugin_registry import Host
from septet.hookspecs import Component
from septet.plugin import (
    Config,
    Expression,
    Input,
    halt,
    limit,
    order,
    regime,
    signal,
    sizing,
    stop,
)
from tests.core.markets import made_series, two_markets
from tests.core.paths import plainly
from tests.core.world import open_made

__all__ = ["EVERY_WORD", "RULES", "column_host", "file_text", "session_with"]

HERE = "tests.core.column_rules"


class Reads(Config):
    """A column, and an expression that looks back."""

    of: Input = "far"
    level: Expression = "prev(far, 2)"


class Plain(Config):
    """Nothing."""


@signal(Reads, reasons=("quiet",))
def signal_columns(of, level, up, down, confidence, side, held_bars, average_price, price):
    """Follow the feature where the confidence of the model is high; leave what is old."""
    if confidence < 0.01 and up < down + 1.0:
        return math.nan, 0.0, 0
    if side != 0.0 and (held_bars > 12 or side * (price - average_price) > 30.0):
        return 0.0, 1.0, -1
    if price > of and price > level:
        return 1.0, 1.0, -1
    return (-1.0, 1.0, -1) if price < of and price < level else (math.nan, 0.0, 0)


@signal(Reads)
def rule_columns(of, level):
    """Follow the feature."""
    return (1.0 if of > level else -1.0 if of < level else math.nan), 1.0, -1


@regime(Reads, reasons=("low", "high"))
def regime_columns(
    i, age, of, open, high, low, close, volume, bar_ns, slot, session, week, seconds,  # noqa: A002
):  # fmt: skip
    """Distinguish two kinds of bars."""
    moves = high[i] > low[i] and open[i] > 0.0 and close[i] > 0.0
    return 1.0 if moves and volume[i] >= 0.0 and slot[i] + week[i] + seconds[i] > 0.0 else 0.0


@sizing(Reads)
def sizing_columns(
    of, level, up, down, confidence, bar_ns, equity, cash, gross, price, side, held, notional,
    fee, slippage, cost, symbols,
):  # fmt: skip
    """Return a third of the equity, less where the feature is far away."""
    return 0.3 * equity / symbols / cost if abs(of / level - 1.0) < 0.5 else 0.1 * equity / price


@limit(Reads)
def cap_columns(
    of, level, requested, cash_available, notionals, k, now_ns, entries_this_minute, limit_price,
    equity, cash, gross, price, side, held, notional, fee, slippage, cost, symbols,
):  # fmt: skip
    """Return what the feature's price would buy."""
    return 0.9 * equity / max(of, level, price) + 0.0 * notionals[k]


@limit(Reads, role="wire")
def wire_columns(of, level, requested, k, now_ns, entries_this_minute, limit_price, price, equity):
    """Let everything through that the feature has a price for."""
    return 1e9 if of > 0.0 and level > 0.0 else 0.0


@stop(Reads)
def stop_columns(
    of, level, average_price, high_water, side, entry_ns, now_ns, entry_fee, taker_fee
):  # fmt: skip
    """Return a level below the feature, for a short above."""
    return 0.5 * (of + level) * (1.0 - 0.006 * side)


@stop(Reads, role="target")
def target_columns(
    of, level, average_price, high_water, side, entry_ns, now_ns, entry_fee, taker_fee
):  # fmt: skip
    """Return a level above the feature, for a short below."""
    return 0.5 * (of + level) * (1.0 + 0.012 * side)


@stop(Reads, role="exit")
def exit_columns(
    of, level, average_price, high_water, side, entry_ns, now_ns, entry_fee, taker_fee
):  # fmt: skip
    """Return whether the feature has turned."""
    return side * (of - level) < -0.04 * average_price


@halt(Plain)
def halt_words(equity, peak, day_base, now_ns, losses_in_a_row):
    """Return whether too much is lost."""
    return equity < 0.5 * peak or equity < 0.5 * day_base or losses_in_a_row > 99


@order(Reads)
def order_columns(of, level, side, price, tick):
    """Return a limit a little better than the close."""
    return (price * (1.0 - 0.001 * side) if of > 0.0 and level > 0.0 else math.nan), math.nan


RULES: dict[Any, tuple[tuple[Any, Any], ...]] = {
    "signals": (("signal", signal_columns), ("signal", rule_columns), ("regime", regime_columns)),
    "risk": (
        ("sizing", sizing_columns), ("limit", cap_columns), ("limit", wire_columns),
        ("stop", stop_columns), ("stop", target_columns), ("stop", exit_columns),
        ("halt", halt_words),
    ),
    "execution": (("order", order_columns),),
}  # fmt: skip
"""By layer: kind and rule."""
EVERY_WORD = {"several": True, "spot": False, "model": True}
"""The shape whose rules use every word: its plan with fills of a venue is compiled."""

_BODY = """\
version: 1
name: columns
plugins: [columns]
account: {{type: {account}, capital: 10000}}
universe: {{symbols: [{symbols}], bar: 1h}}
data:
  candles: {{use: synthetic}}
{series}features: {{ret: {{use: log_return}}, far: {{use: sma, of: close, period: 3}}{tone}}}
{model}signal:
  use: {use}
  of: {of}
  level: {level}
  regime: {{use: regime_columns, trade_in: [high]}}
risk:
  sizing: {{use: sizing_columns, of: {of}, level: {level}}}
  limits:
    cap_columns: {{of: {of}, level: {level}}}
    wire_columns: {{of: {of}, level: {level}}}
  stops:
    stop_columns: {{of: {of}, level: {level}}}
    target_columns: {{of: {of}, level: {level}}}
    exit_columns: {{of: {of}, level: {level}}}
  halts: {{halt_words: {{then: flatten}}}}
execution:
  order: {{use: order_columns, of: {of}, level: {level}}}
  simulation: {{fee: 0, slippage: 0}}
  venues: {{sim: {{use: simulated}}}}
"""
_SERIES = """\
  mood:
    use: http_json
    url: https://example.org/x.json
    select: data.*.v
    time: data.*.t
    time_unit: s
    known_after: 2h
    every: 1h
    max_age: 9h
"""
_TONE = ", tone: {use: series, of: mood, missing: 0}"
_MODEL = """\
model:
  use: sklearn
  estimator: LogisticRegression
  label: {use: direction, horizon: 3 bars}
  training: {train: 30d, step: 10d, purge: 3 bars}
"""


@cache
def column_host() -> Host:
    """Return the installed plugins and these."""
    host, given = Host(), {}
    for layer, rules in RULES.items():
        made = [
            Component(layer, each.function.__name__, f"{HERE}:{each.function.__name__}", kind)
            for kind, each in rules
        ]
        given[f"septet_{layer}"] = lambda made=made: made
    brought: Any = SimpleNamespace(**given)
    host.register("columns", "1.0", brought)
    return host


def file_text(
    *, of: str = "far", level: str = "prev(far, 2)", several: bool = False, spot: bool = True,
    model: bool = False, series: bool = False,
) -> str:  # fmt: skip
    """Write a strategy file in which every rule reads a column and an expression."""
    text = _BODY.format(
        account="spot" if spot else "perpetual",
        symbols="AAA/USDT, BBB/USDT" if several else "AAA/USDT",
        series=_SERIES if series else "", tone=_TONE if series else "",
        use="signal_columns" if model else "rule_columns", model=_MODEL if model else "",
        of=of, level=f'"{level}"',
    )  # fmt: skip
    if not spot:
        text += "perpetual: {leverage: 2, funding: {rate: 0.0001, every: 8h}}\n"
    return text


def session_with(keys: dict[str, Any], seed: int = 5) -> Any:
    """Return a session over made bars, as plain text."""
    with tempfile.TemporaryDirectory() as folder:
        path, reads = Path(folder) / "columns.yaml", "tone" in keys.get("level", "")
        path.write_text(file_text(**keys, series=reads), encoding="utf-8")
        loaded = load(path, host=column_host(), unchecked=True)
    bars = two_markets(seed, 180)[: len(loaded.strategy.universe.symbols)]
    return plainly(open_made(loaded, bars, 12, made_series() if reads else None))
