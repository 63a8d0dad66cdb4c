"""A memory that is declared too short is found on the bars of the run, whole and in stretches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet._config.load import load
from septet._host.plugin_registry import Host
from septet._shell.backtest import backtest
from septet._shell.stretch_backtest import run_by_stretches
from septet.errors import RunError
from septet.testing.bars import sample_bars
from tests.strangers.package import installed, manifest_of, write_package

STEPS = """\
from septet.plugin import Bars, Config, Input, fading, feature, window
from septet.plugin.numeric import window_max, EXTREME

class C(Config):
    of: Input = "close"
    period: Bars = 20

def declared(c):
    return window(c.period + 1)

@feature(C, state=("count",), lookback=lambda c: c.period, memory=declared)
def counts(i, of, period, state):
    if of[i] > {level}:
        state[0] += 1.0
    return of[i] + state[0]

@feature(C, state=("count",), lookback=lambda c: c.period, memory=declared)
def late(i, of, seconds, period, state):
    if seconds[i] > {late}:
        state[0] += 1.0
    return of[i] + state[0]

@feature(C, state=EXTREME, lookback=lambda c: c.period, memory=declared)
def tallest(i, of, period, state):
    return window_max(i, of, period, state, 0)

@feature(C, lookback=lambda c: c.period, compiled=False)
def plain(i, of, period):
    return of[i] - of[i - period]
"""
FILE = """\
version: 1
name: remembers
plugins: [long-memory]
universe: {{symbols: [A/USD, B/USD], bar: 1h}}
data: {{candles: {{use: parquet, path: "{path}", stamp: open, calendar: 24x7}}}}
features:
  slow: {{use: sma, period: 50}}
  mine: {{use: {feature}, of: {of}}}
signal: {{use: rules, long_if: "mine > prev(mine, 1)", exit_if: "mine < prev(mine, 1)"}}
risk: {{sizing: {{use: fixed_fraction, fraction: 40%}}}}
execution:
  simulation: {{fee: 10bps}}
  instruments: {{A/USD: {{lot: 0.001}}, B/USD: {{lot: 0.001}}}}
"""
NAMES = ("counts", "late", "tallest", "plain")
START_S = 1_640_995_200


def loaded(folder: Path, feature: str, of: str = "close") -> object:
    import numpy as np
    import polars as pl

    parts = dict.fromkeys(NAMES, ("features", "feature"))
    steps = STEPS.format(level=101.0, late=START_S + 400 * 3_600)
    files = {"manifest.py": manifest_of("long_memory", parts), "steps.py": steps}
    write_package(folder, "long-memory", files)
    for symbol, seed in (("AUSD", 1), ("BUSD", 2)):
        bars = sample_bars(900, seed=seed)
        open_ns = (START_S + np.arange(900) * 3_600) * 10**9
        frame = {"timestamp": open_ns, **{
            name: bars[name] for name in ("open", "high", "low", "close", "volume")
        }}  # fmt: skip
        pl.DataFrame(frame).write_parquet(folder / f"{symbol}.parquet")
    path = folder / "s.yaml"
    text = FILE.format(path="{symbol}.parquet", feature=feature, of=of)
    path.write_text(text, encoding="utf-8")
    return load(path, host=Host(), unchecked=True)


@pytest.mark.parametrize("engine", ["batch", "event"])
def test_a_run_finds_a_feature_that_remembers_more(tmp_path: Path, engine: str) -> None:
    with installed(tmp_path, "long_memory"), pytest.raises(RunError) as caught:
        backtest(loaded(tmp_path, "counts"), engine=engine)
    message = str(caught.value)
    assert (
        "features.mine: the feature counts of long-memory declares a window memory of 21" in message
    )
    assert "s.yaml:8:" in message


@pytest.mark.parametrize("chunk", [300, 2_000])
def test_a_run_in_stretches_finds_it_too(tmp_path: Path, chunk: int) -> None:
    with installed(tmp_path, "long_memory"), pytest.raises(RunError, match="the feature counts of"):
        run_by_stretches(loaded(tmp_path, "counts"), chunk)


def test_a_stretch_is_compared_with_the_one_before(tmp_path: Path) -> None:
    """The feature counts from bar 400 on: of the first 300 bars nothing is known."""
    with installed(tmp_path, "long_memory"), pytest.raises(RunError) as caught:
        run_by_stretches(loaded(tmp_path, "late"), 300)
    assert "the feature late of long-memory" in str(caught.value)


@pytest.mark.parametrize("of", ["close", "slow"])
@pytest.mark.parametrize("feature", ["tallest", "plain"])
def test_a_feature_that_forgets_as_declared_runs(tmp_path: Path, feature: str, of: str) -> None:
    with installed(tmp_path, "long_memory"):
        whole = backtest(loaded(tmp_path, feature, of))
        for chunk in (100, 300):
            parts = run_by_stretches(loaded(tmp_path, feature, of), chunk)
            assert _results(parts) == _results(whole)


def _results(ran: Any) -> list[float]:
    return list(ran.trades["pnl"])
