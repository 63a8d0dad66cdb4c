"""Symbols of several calendars: what is never traded does not change the ratios of a run."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import septet
from septet._config.load import load_text
from septet._shell.session import plan_of

pytest.importorskip("exchange_calendars")
START = datetime(2021, 11, 3)
DAYS = 40
BARS = 48 * DAYS + 8
"""Forty days of half hours, and four hours of another."""
FILE = """
version: 1
name: mixed
account: {{capital: 10000, currency: USD}}
universe: {{symbols: [{symbols}], bar: 30m}}
data: {{candles: {{use: csv, path: "none-{{symbol}}.csv", stamp: open, calendar: {calendar}}}}}
features: {{own: {{use: expr, formula: "close@BTC/USD - close"}}}}
signal: {{use: rules, long_if: own == 0 and close > 0}}
risk: {{sizing: {{use: fixed_fraction, fraction: 90%}}}}
execution:
  simulation: {{fee: 0bps, slippage: 0bps}}
  instruments: {{{instruments}}}
"""


def rows(symbol: str, seed: int) -> pl.DataFrame:
    price = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(1e-4, 0.004, BARS)))
    opened = [START + timedelta(minutes=30 * k) for k in range(BARS)]
    frame = pl.DataFrame(
        {
            "timestamp": pl.Series(opened).dt.replace_time_zone("UTC"), "open": price,
            "high": price * 1.001, "low": price * 0.999, "close": price, "volume": 1_000.0,
            "symbol": symbol,
        }
    )  # fmt: skip
    if symbol == "BTC/USD":
        return frame
    at = pl.col("timestamp").dt.convert_time_zone("America/New_York")
    clock = at.dt.hour().cast(pl.Int64) * 60 + at.dt.minute()
    holiday = at.dt.date().is_in([datetime(2021, 11, 25).date(), datetime(2021, 11, 26).date()])
    is_open = (clock >= 570) & (clock < 960) & (at.dt.weekday() < 6) & ~holiday
    return frame.filter(is_open)


def strategy(shares: int) -> tuple[Any, pl.DataFrame]:
    names = ["BTC/USD", *(f"S{k}/USD" for k in range(shares))]
    calendars = [f"{name}: {'XNYS' if k else '24x7'}" for k, name in enumerate(names)]
    text = FILE.format(
        symbols=", ".join(names),
        calendar=f"{{{', '.join(calendars)}}}",
        instruments=", ".join(f"{name}: {{tick: 0.01, lot: 0.001}}" for name in names),
    )
    data = pl.concat([rows(name, 40 + k) for k, name in enumerate(names)]).sort("timestamp")
    return septet.loads(text, base="."), data


def figures(run: Any) -> dict[str, Any]:
    names = ("sharpe", "sortino", "cagr", "calmar")
    more = {"days": run.summary.more["days"], "excess": run.summary.more["excess"]["exposure"]}
    return {**{name: getattr(run.summary, name) for name in names}, **more}


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_shares_that_are_not_bought_change_no_ratio(shares: int) -> None:
    alone, mixed = (
        septet.run(made, data=data, time="timestamp", threads=1)
        for made, data in (strategy(0), strategy(shares))
    )
    assert figures(mixed) == figures(alone)


def test_every_calendar_day_has_a_return_and_the_year_365() -> None:
    made, data = strategy(2)
    run: Any = septet.run(made, data=data, time="timestamp", threads=1)
    time_ns = run.equity["time"].dt.timestamp("ns").to_numpy()
    day_ns = 86_400 * 10**9
    edges = np.arange(-(-time_ns[0] // day_ns), time_ns[-1] // day_ns + 1) * day_ns
    samples = run.equity["equity"].to_numpy()[np.searchsorted(time_ns, edges, side="right") - 1]
    returns = samples[1:] / samples[:-1] - 1
    assert run.summary.more["days"] == len(returns) == DAYS - 1
    ratio = returns.mean() / returns.std(ddof=1) * math.sqrt(365)
    assert run.summary.sharpe == pytest.approx(ratio, rel=1e-12)


def test_the_first_decision_waits_for_the_days_of_the_symbol_that_never_closes() -> None:
    """A day has 48 half hours around the clock and 13 in New York: all have one warm-up."""
    formula = 'own: {use: expr, formula: "close@BTC/USD - close"}'
    runs, memory = [], []
    for shares in (0, 2):
        made, data = strategy(shares)
        text = made.text.replace(formula, "own: {use: sma, period: 1, bar: 1d}")
        made = septet.loads(text.replace("own == 0", "own > 0"), base=".")
        runs.append(septet.run(made, data=data, time="timestamp", threads=1))
        calendars = ["24x7", *(["XNYS"] * shares)]
        loaded = load_text(made.text, "mixed.yaml", base_dir=Path())
        main = max(calendars, key=calendars.count)
        memory.append(plan_of(loaded, calendar=main, calendars=calendars).memory_bars)
    alone, mixed = (run.decisions["time"].min() for run in runs)
    assert mixed == alone
    assert memory[0] == memory[1]


def test_a_sweep_counts_the_days_of_its_runs(tmp_path: Path) -> None:
    made, data = strategy(2)
    for name, part in data.partition_by("symbol", as_dict=True).items():
        part.drop("symbol").write_csv(tmp_path / f"none-{str(name[0]).replace('/', '')}.csv")
    made = septet.loads(made.text, base=str(tmp_path))
    swept: Any = septet.sweep(made, {"risk.sizing.fraction": ["80%", "90%"]}, threads=1)
    run: Any = septet.run(made, threads=1)
    row = swept.settings.filter(pl.col("risk.sizing.fraction") == 0.9).to_dicts()[0]
    assert row["days"] == run.summary.more["days"]
    assert row["sharpe"] == pytest.approx(run.summary.sharpe, rel=1e-9)
