"""A reversal leaves what was granted, whatever takes its position had."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import septet

TEXT = """
version: 1
name: reversal
account: {capital: 10000, currency: USDT, type: perpetual}
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: none.parquet}}
features: {hour: {use: hour}}
signal: {use: rules, short_if: hour == 2, long_if: hour == 5}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
  stops: {stop_loss: 20%}
  position: {take: [{at: 5%, size: SIZE}]}
perpetual: {leverage: 2, funding: {rate: 0, every: 8h}}
execution: {simulation: {fee: 0bps, slippage: 0bps, latency: LATENCY}}
"""


@pytest.mark.parametrize("engine", ["batch", "event"])
@pytest.mark.parametrize("latency", ["1", "2"])
@pytest.mark.parametrize("size", ["50%", "100%"])
def test_the_other_side_is_as_large_as_granted(size: str, latency: str, engine: str) -> None:
    # short at 100; the reversal is decided at the fifth close, and the market falls by 6 %
    close = [100.0] * 5 + [94.0] * 10
    start = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "time": [start + timedelta(hours=n) for n in range(len(close))],
            "open": close, "high": [each + 0.01 for each in close],
            "low": [each - 0.01 for each in close], "close": close, "volume": [100.0] * len(close),
        }
    )  # fmt: skip
    text = TEXT.replace("SIZE", size).replace("LATENCY", latency)
    run = septet.run(septet.loads(text), data=frame, engine=engine)  # type: ignore[arg-type]
    granted = [each for each in run.decisions["granted"] if each]
    signs = {"buy": 1.0, "sell": -1.0}
    fills = run.fills.with_columns(pl.col("side").cast(pl.String))
    held = sum(signs[row["side"]] * row["quantity"] for row in fills.to_dicts())
    assert len(granted) == 2
    assert granted[0] == pytest.approx(-50.0)
    assert held == pytest.approx(granted[1]), fills
