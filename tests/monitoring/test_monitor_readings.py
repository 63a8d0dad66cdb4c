"""Monitors of a file are built, run over the backtest, and answer for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from septet._config import load
from septet._host.plugin_registry import Host
from septet._shell.backtest import backtest
from septet._shell.monitor_readings import Watcher, watch
from septet.errors import ConfigError, RunError
from septet.plugin import Component, Config, hookimpl
from septet.plugin.live import FillRows, Reading, RunView, TradeRows, monitor
from septet_plugins import manifest

FILE = """
version: 1
plugins: [septet-odd]
name: watched
account: {capital: 10000, currency: USD}
universe: {symbols: [A/USD, B/USD], bar: 1h}
data:
  candles: {use: synthetic, bars: 1500, seed: 3, volatility: 60%}
features:
  fast: {use: sma, period: 5}
  slow: {use: sma, period: 20}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 45%}
  stops: {stop_loss: 1%, take_profit: 2%}
execution:
  simulation: {fee: 10bps, slippage: 5bps}
monitoring:
"""


class Odd(Config):
    """Does what its settings require, as plugins of others do."""

    fault: str = ""


@dataclass
class OddMonitor:
    fault: str

    def read(self, run: RunView) -> Sequence[Any]:
        last, first = int(run.time_ns[-1]), int(run.time_ns[0])
        good = Reading(last, "", float(run.equity[-1]), 0.0, "ok", len(run.time_ns))
        answers: dict[str, Any] = {
            "": [good, Reading(first, "peak", float(run.equity.max()), 1.0, "warn", 1, "B/USD")],
            "none": None,
            "text": ["fine"],
            "verdict": [Reading(last, "", 1.0, 1.0, "bad", 1)],  # type: ignore[arg-type]
            "symbol": [Reading(last, "", 1.0, 1.0, "ok", 1, "C/USD")],
            "early": [Reading(first - 1, "", 1.0, 1.0, "ok", 1)],
            "late": [Reading(last + 1, "", 1.0, 1.0, "ok", 1)],
        }
        return answers[self.fault]


@monitor(Odd)
def odd(config: Odd) -> Any:
    if config.fault == "build":
        raise OSError("no such thing")
    return config if config.fault == "object" else OddMonitor(config.fault)


def _host() -> Host:
    @hookimpl
    def septet_monitoring() -> list[Component]:
        return [Component("monitoring", "odd", f"{__name__}:odd", "monitor")]

    stranger = SimpleNamespace(__name__="stranger", septet_monitoring=septet_monitoring)
    return Host([("septet", "0", manifest), ("septet-odd", "1", stranger)])


def _ran(folder: Path, monitoring: str, engine: str = "batch", symbols: str = "") -> Any:
    path = folder / "strategy.yaml"
    text = FILE.replace("[A/USD, B/USD]", symbols or "[A/USD, B/USD]")
    path.write_text(text + monitoring, encoding="utf-8")
    return backtest(load(path, host=_host(), unchecked=True), engine=engine)


BUILT_IN = """
  runaway: {use: turnover, window: 6h, above: 60%, verdict: warn}
  costs: {use: cost_share, trades: 5}
  streak: {use: losing_streak, trades: 3}
"""


def test_every_monitor_of_the_file_is_run(tmp_path: Path) -> None:
    ran = _ran(tmp_path, BUILT_IN + "  mine: {use: odd}\n")
    table: pl.DataFrame = ran.monitoring
    counts = dict(table.group_by("metric").len().iter_rows())
    assert counts["mine"] == counts["mine:peak"] == 1
    trades = [exit_reason != "open" for exit_reason in pl.Series(ran.trades["exit_reason"])]
    assert counts["streak"] > 10
    assert counts["streak"] <= sum(trades)
    assert set(counts) == {"runaway", "costs", "streak", "mine", "mine:peak", "slippage"}
    assert table["time"].is_sorted()
    given = dict(table.group_by("metric").agg(pl.col("verdict").unique().sort()).iter_rows())
    assert given["runaway"] == ["ok", "warn"]
    peak = table.filter(pl.col("metric") == "mine:peak").row(0, named=True)
    assert (peak["symbol"], peak["threshold"], peak["verdict"]) == ("B/USD", 1.0, "warn")
    assert peak["value"] == np.max(ran.equity["equity"])


def test_costs_are_those_of_the_trades_table(tmp_path: Path) -> None:
    """A stop that fills inside the bar that ends at T, and an entry at T, are of two trades."""
    ran = _ran(tmp_path, BUILT_IN)
    closed = pl.DataFrame(ran.trades).filter(pl.col("exit_reason") != "open")
    same = closed.filter(pl.col("entry_time").is_in(closed["exit_time"].implode()))
    assert same.height > 5
    costs = closed.select(pl.sum_horizontal("fees", "funding", "liquidation", "slippage"))
    paid = costs.to_series()
    gains = (closed["pnl"] + paid).clip(0.0)
    share = paid.rolling_sum(5) / gains.rolling_sum(5)
    last = closed.with_columns(share=share).group_by("exit_time", maintain_order=True).last()
    wanted = last.filter(pl.col("share").is_finite())["share"].to_numpy()
    read = ran.monitoring.filter(pl.col("metric") == "costs")["value"].to_numpy()
    np.testing.assert_allclose(read, wanted, rtol=1e-9)


def test_readings_before_a_time_are_dropped_whatever_their_numbers_are() -> None:
    """A monitor may give the times of the run as they are: numbers of numpy."""
    hours, ones = np.arange(4, dtype=np.int64), np.ones(4)
    none: Any = np.zeros(0, np.int64)
    fills, trades = FillRows(*[none] * 7), TradeRows(*[none] * 12)
    rows = RunView(("A",), 1, hours, ones, ones, ones, fills, trades)
    given: Any = [Reading(each, "", 1.0, 1.0, "ok", 1) for each in rows.time_ns]
    block: Any = SimpleNamespace(use="odd")
    watcher = Watcher("mine", block, SimpleNamespace(read=lambda run: given))
    found = watch([watcher], replace(rows, since_ns=2))
    assert [each.time_ns for each in found] == [2, 3]


def test_both_paths_read_the_same(tmp_path: Path) -> None:
    batch = _ran(tmp_path, BUILT_IN, symbols="[A/USD]")
    event = _ran(tmp_path, BUILT_IN, "event", symbols="[A/USD]")
    assert_frame_equal(batch.monitoring, event.monitoring, check_exact=True)


def test_a_shorter_run_reads_the_same_up_to_its_end(tmp_path: Path) -> None:
    """The whole way from bars to readings: later bars change no earlier reading."""
    long = _ran(tmp_path, BUILT_IN).monitoring
    fewer = FILE.replace("bars: 1500", "bars: 900")
    path = tmp_path / "short.yaml"
    path.write_text(fewer + BUILT_IN, encoding="utf-8")
    ran: Any = backtest(load(path, host=_host(), unchecked=True), engine="batch")
    end = pl.lit(int(ran.facts.end_ns)).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    assert ran.monitoring.height > 50
    # A fill at the last close's own instant needs the next bar's open: the longer run has it.
    short = ran.monitoring.filter(pl.col("time") < end)
    assert_frame_equal(short, long.filter(pl.col("time") < end), check_exact=True)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("build", ": OSError: no such thing"),
        ("object", "builds a Odd, which has no read(run)"),
        ("unknown", ": KeyError: 'unknown'"),
        ("none", "failed: TypeError"),
        ("text", "returned 'fine', expected a Reading"),
        ("verdict", "gave the verdict 'bad', expected one of ok, warn, block, retrain, halt"),
        ("symbol", "read the symbol 'C/USD', which is not in the universe"),
        ("early", "outside the times of the run"),
        ("late", "outside the times of the run"),
    ],
)
def test_a_strangers_fault_names_plugin_and_distribution(
    tmp_path: Path, fault: str, words: str
) -> None:
    with pytest.raises(RunError) as caught:
        _ran(tmp_path, f"  mine: {{use: odd, fault: {fault}}}\n")
    message = str(caught.value)
    assert "strategy.yaml:" in message
    assert ": monitoring.mine: the monitor odd of septet-odd " in message
    assert words in message


def test_names_of_septets_own_metrics_are_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="auc is taken"):
        _ran(tmp_path, "  auc: {use: odd}\n")
