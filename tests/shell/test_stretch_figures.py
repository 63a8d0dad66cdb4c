"""Every figure and the verdict of a run in stretches are those of the run in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as draw

from septet._config import load
from septet._results.result import RunResult
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._shell.stretch_backtest import run_by_stretches
from septet._store.tables import frames_of

MINUTE_NS = 60_000_000_000
DAY_MINUTES = 1_440
BEGIN_NS = 1_704_067_200_000_000_000  # 2024-01-01
TIMED = ("seconds", "seconds_total", "bars_per_second")
SPOT = "account: {capital: 10000, currency: USD}\n"
PERPETUAL = (
    "account: {type: perpetual, capital: 10000, currency: USD}\n"
    "perpetual: {leverage: 3, funding: {rate: 1bps, every: 8h}}\n"
)


@dataclass(frozen=True)
class Case:
    """A file, its bars, and how they are cut."""

    minutes: int
    days: int
    symbols: int
    perpetual: bool
    short: bool
    benchmark: bool
    zone: str
    holes: int
    chunk: int
    shown: int
    seed: int
    halts: str = ", halts: {drawdown: 95%}"

    @property
    def bars(self) -> int:
        """Bars of the first symbol, an odd minute past a whole number of days."""
        return self.days * DAY_MINUTES // self.minutes + self.seed % 7

    @property
    def bar(self) -> str:
        """Length of a bar as the file states it."""
        return f"{self.minutes}m"

    def text(self) -> str:
        """Return the strategy file."""
        names = ["AAA/USD", "BBB/USD"][: self.symbols]
        held = f"benchmark: {names[-1]}\n" if self.benchmark else ""
        side = ", short_if: fast < slow" if self.perpetual and self.short else ""
        return (
            f"version: 1\nname: figures\ntime_zone: {self.zone}\n"
            + (PERPETUAL if self.perpetual else SPOT)
            + f"universe: {{symbols: [{', '.join(names)}], bar: {self.bar}}}\n{held}"
            "data: {candles: {use: parquet, path: '{symbol}.parquet', calendar: 24x7}}\n"
            "features: {fast: {use: sma, period: 7}, slow: {use: sma, period: 40}}\n"
            f"signal: {{use: rules, long_if: fast > slow{side}, exit_if: fast < slow}}\n"
            "risk: {sizing: {use: fixed_fraction, fraction: 30%}, stops: {stop_loss: 3%}"
            f"{self.halts}}}\n"
            "execution: {simulation: {fee: 1bps, slippage: 1bps}}\n"
        )

    def write(self, folder: Path) -> Any:
        """Write bars and file; return the loaded file."""
        random = np.random.default_rng(self.seed)
        for number, symbol in enumerate(("AAAUSD", "BBBUSD")[: self.symbols]):
            close = 100 * np.exp(np.cumsum(0.002 * random.standard_normal(self.bars)))
            opened = np.r_[100.0, close[:-1]]
            stamp = BEGIN_NS + np.arange(self.bars) * self.minutes * MINUTE_NS
            frame = pl.DataFrame({
                "timestamp": stamp, "open": opened, "high": np.maximum(opened, close) * 1.001,
                "low": np.minimum(opened, close) * 0.999, "close": close,
                "volume": random.uniform(1e3, 2e3, self.bars),
            })  # fmt: skip
            kept = np.ones(self.bars, dtype=np.bool_)
            kept[: number * self.bars // 5] = False
            for _ in range(self.holes):
                at = int(random.integers(0, self.bars))
                kept[at : at + int(random.integers(1, 30))] = False
            frame.filter(pl.Series(kept)).write_parquet(
                folder / f"{symbol}.parquet", row_group_size=997
            )
        path = folder / "strategy.yaml"
        path.write_text(self.text(), encoding="utf-8")
        return load(path)


@draw.composite
def cases(take: draw.DrawFn) -> Case:
    """Some days of minutes, or enough days of longer bars for the figures that need thirty."""
    minutes, days = take(
        draw.sampled_from([(1, 3), (1, 4), (1, 5), (30, 33), (60, 41), (60, 55)]), "length"
    )
    return Case(
        minutes=minutes,
        days=days,
        symbols=take(draw.integers(1, 2), "symbols"),
        perpetual=take(draw.booleans(), "perpetual"),
        short=take(draw.booleans(), "short"),
        benchmark=take(draw.booleans(), "benchmark"),
        zone=take(draw.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]), "zone"),
        holes=take(draw.integers(0, 5), "holes"),
        chunk=take(draw.sampled_from([211, 1_000, 1_441, 100_000]), "chunk"),
        shown=take(draw.integers(40, 400), "shown"),
        seed=take(draw.integers(0, 2**20), "seed"),
    )


def figures(result: RunResult) -> dict[str, Any]:
    """Return every figure of the summary but those of the clock."""
    found = summarise(result, frames_of(result), run_id="x")
    return {name: value for name, value in found.items() if name not in TIMED}


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases())
def test_every_figure_of_stretches_is_that_of_the_whole(tmp_path: Path, case: Case) -> None:
    loaded = case.write(tmp_path)
    whole = figures(backtest(loaded, tables=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("septet._shell.stretch_backtest.DISPLAY_BARS", case.shown)
        parts = figures(run_by_stretches(loaded, case.chunk))
    assert whole["trades"] > 5
    assert whole["days"] > 1
    assert (whole["beta"] is not None) == (whole["days"] >= 30)
    assert whole.pop("turnover") == pytest.approx(parts.pop("turnover"), rel=1e-12)
    assert whole == parts


@pytest.mark.compiled
def test_minutes_of_more_bars_than_are_shown(tmp_path: Path) -> None:
    # without a halt it trades as files of other tests, and one unit is compiled for all
    case = Case(1, 40, 1, False, False, False, "UTC", 3, 10_000, 20_000, 5, halts="")
    loaded = case.write(tmp_path)
    whole, parts = (
        figures(each)
        for each in (backtest(loaded, tables=False), run_by_stretches(loaded, case.chunk))
    )
    assert whole["excess"] is not None
    assert whole["beta"] is not None
    assert whole.pop("turnover") == pytest.approx(parts.pop("turnover"), rel=1e-12)
    assert whole == parts
