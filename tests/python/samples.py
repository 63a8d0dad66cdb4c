"""A strategy of one or two symbols, and bars for it as frames."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

TEXT = """\
version: 1
name: cross
account: {capital: 10000, currency: USD}
universe: {symbols: [BTC/USD], bar: 1h}
data:
  candles: {use: csv, path: bars.csv, stamp: open}
features:
  fast: {use: sma, period: 5}
  slow: {use: sma, period: 20}
signal:
  use: rules
  long_if: crosses_above(fast, slow)
  exit_if: crosses_below(fast, slow)
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
execution:
  simulation: {fee: 10bps, slippage: 2bps}
"""
TWO = TEXT.replace("[BTC/USD]", "[BTC/USD, ETH/USD]").replace("50%", "30%")
START = datetime(2024, 1, 1, tzinfo=UTC)


def bars(count: int = 400, *, phase: float = 0.0, zone: str | None = "UTC") -> pl.DataFrame:
    """Return hours of a price that goes up and down, so that averages cross."""
    times = [START + timedelta(hours=k) for k in range(count)]
    closes = [
        round(100 + 10 * math.sin(k / 9 + phase) + 2 * math.sin(k / 2.3), 2) for k in range(count)
    ]
    opens = [closes[0], *closes[:-1]]
    frame = pl.DataFrame(
        {
            "time": times,
            "open": opens,
            "high": [max(a, b) + 0.5 for a, b in zip(opens, closes, strict=True)],
            "low": [min(a, b) - 0.5 for a, b in zip(opens, closes, strict=True)],
            "close": closes,
            "volume": [1_000.0 + k % 7 for k in range(count)],
        }
    )
    return frame.with_columns(pl.col("time").dt.replace_time_zone(zone))


def written(folder: Path, text: str = TEXT, **more: Any) -> Path:
    """Write a strategy and its bars into a folder, and return the file's path."""
    frame = bars(**more).with_columns(pl.col("time").dt.to_string("%Y-%m-%dT%H:%M:%SZ"))
    with (folder / "bars.csv").open("wb") as file:
        frame.rename({"time": "timestamp"}).write_csv(file)
    path = folder / "cross.yaml"
    path.write_text(text, encoding="utf-8")
    return path
