"""A tick that cannot be of the prices of the data is refused before it makes fills of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._shell.backtest import backtest
from septet._store.tables import frames_of
from septet._sweep.compiled import CompiledEvaluator
from septet._sweep.space import space_of
from septet._sweep.swept_parameters import numbers_of
from septet.errors import ConfigError
from tests.cli.conftest import Command

HOUR_NS = 3_600_000_000_000
TEXT = """\
version: 1
name: ticks
account: {capital: 10000, currency: USD}
universe: {symbols: [A/USD], bar: 1h}
data: {candles: {use: parquet, path: A.parquet, calendar: 24x7, policy: {price_levels: keep}}}
features: {fast: {use: sma, period: 3}, slow: {use: sma, period: 8}}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk: {sizing: {use: fixed_fraction, fraction: 50%}, stops: {stop_loss: 5%}}
execution:
  simulation: {fee: 1bps, slippage: 5bps}
  instruments:
    A/USD: {tick: TICK, lot: 0.000001}
"""


def written(folder: Path, tick: float, *, price: float = 100.0, on_tick: bool = False) -> Path:
    random = np.random.default_rng(4)
    close = price * np.exp(np.cumsum(0.01 * random.standard_normal(500)))
    if on_tick:
        close = np.maximum(np.round(close / tick), 1.0) * tick
    opened = np.r_[close[:1], close[:-1]]
    pl.DataFrame({
        "timestamp": 1_704_067_200_000_000_000 + np.arange(500) * HOUR_NS,
        "open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close),
        "close": close, "volume": random.uniform(1e3, 2e3, 500),
    }).write_parquet(folder / "A.parquet", row_group_size=64)  # fmt: skip
    path = folder / "ticks.yaml"
    path.write_text(TEXT.replace("TICK", repr(tick)), encoding="utf-8")
    return path


@pytest.mark.parametrize(("tick", "said"), [(1000.0, "the tick of A/USD is 1000"),
                                            (1e9, "the tick of A/USD is 1e+09"),
                                            (20.0, "under 10 ticks")])  # fmt: skip
@pytest.mark.parametrize("command", [("check",), ("run",), ("run", "--chunk", "90")])
def test_a_tick_that_prices_cannot_have_is_refused_at_its_place(
    septet: Command, tmp_path: Path, command: tuple[str, ...], tick: float, said: str
) -> None:
    path = written(tmp_path, tick)
    more = () if command[0] == "check" else ("--out", str(tmp_path / "runs"), *command[1:])
    outcome = septet(command[0], path, *more)
    text = " ".join(outcome.err.split())
    assert outcome.code == 2
    assert said in text
    assert "ticks.yaml:12:19" in text
    assert "write the tick of the instrument" in text
    assert not (tmp_path / "runs").exists()


def test_a_sweep_refuses_it_as_well(tmp_path: Path) -> None:
    path = written(tmp_path, 1000.0)
    text = path.read_text(encoding="utf-8") + "sweep: {over: {features.fast.period: [3, 4]}}\n"
    path.write_text(text, encoding="utf-8")
    loaded = load(path)
    space = space_of(loaded)
    with pytest.raises(ConfigError, match="the tick of A/USD"):
        CompiledEvaluator(loaded, space, numbers_of(loaded, space), 0, 1, print)


def test_prices_of_few_ticks_that_lie_between_them_are_a_warning(
    septet: Command, tmp_path: Path
) -> None:
    outcome = septet("check", written(tmp_path, 2.0))
    assert outcome.code == 0
    assert "every fill at market is rounded to one" in " ".join(outcome.err.split())


@pytest.mark.parametrize("price", [3e-8, 40e-8, 100.0])
def test_prices_on_their_ticks_raise_no_doubt(
    septet: Command, tmp_path: Path, price: float
) -> None:
    tick = 1e-8 if price < 1.0 else 0.01
    outcome = septet("check", written(tmp_path, tick, price=price, on_tick=True))
    assert outcome.code == 0
    assert "tick of A/USD" not in outcome.err


@pytest.mark.parametrize(("tick", "price"), [(1e-8, 1.2e-8), (1e-8, 5e-8), (3.0, 100.0)])
def test_no_fill_is_nothing_or_further_from_its_bar_than_slippage_and_a_tick(
    tmp_path: Path, tick: float, price: float
) -> None:
    path = written(tmp_path, tick, price=price, on_tick=price < 1.0)
    result = backtest(load(path))
    fills, bars = frames_of(result)["fills"], result.bars["A/USD"]
    assert fills.height > 3
    for when, filled in fills.select(pl.col("time").dt.epoch("ns"), "price").rows():
        at = np.searchsorted(bars.open_ns, when, side="right") - 1
        near = [at, max(at - 1, 0)]  # inside a bar a fill has the time of its close
        low, high = bars.low[near].min(), bars.high[near].max()
        assert filled > 0.0
        assert low * (1 - 5e-4) - tick <= filled <= high * (1 + 5e-4) + tick
