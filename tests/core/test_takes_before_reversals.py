"""A reversal leaves what was granted, whatever takes and resting adds its position had."""

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


def market(close: list[float]) -> pl.DataFrame:
    """Return hourly bars that open at their close."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "time": [start + timedelta(hours=n) for n in range(len(close))],
            "open": close, "high": [each + 0.01 for each in close],
            "low": [each - 0.01 for each in close], "close": close, "volume": [100.0] * len(close),
        }
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["batch", "event"])
@pytest.mark.parametrize("latency", ["1", "2"])
@pytest.mark.parametrize("size", ["50%", "100%"])
def test_the_other_side_is_as_large_as_granted(size: str, latency: str, engine: str) -> None:
    # short at 100; the reversal is decided at the fifth close, and the market falls by 6 %
    close = [100.0] * 5 + [94.0] * 10
    text = TEXT.replace("SIZE", size).replace("LATENCY", latency)
    run = septet.run(septet.loads(text), data=market(close), engine=engine)  # type: ignore[arg-type]
    granted = [each for each in run.decisions["granted"] if each]
    signs = {"buy": 1.0, "sell": -1.0}
    fills = run.fills.with_columns(pl.col("side").cast(pl.String))
    held = sum(signs[row["side"]] * row["quantity"] for row in fills.to_dicts())
    assert len(granted) == 2
    assert granted[0] == pytest.approx(-50.0)
    assert held == pytest.approx(granted[1]), fills


@pytest.mark.parametrize("engine", ["batch", "event"])
def test_no_limit_counts_a_resting_add_that_a_reversal_cancels(engine: str) -> None:
    """It was taken from what the other side may be: the limit of 30 % let 31 % through."""
    text = TEXT.replace("SIZE", "50%").replace("LATENCY", "1")
    text = text.replace("fixed_fraction, fraction: 50%}", "fixed_quantity, quantity: 29}")
    text = text.replace("position: {take", "limits: {position: 30%}\n  position: {take")
    text = text.replace("{take: [{", "{add: [{at: [-5%], size: 3%}], take: [{")
    # short 29 at 100; 0.87 more rest at 105; turned around at 104.9, where 142.1 are lost
    run = septet.run(septet.loads(text), data=market([100.0] * 4 + [104.9] * 6), engine=engine)  # type: ignore[arg-type]
    granted = [each for each in run.decisions["granted"] if each]
    assert granted == pytest.approx([-29.0, 0.3 * (10_000 - 142.1) / 104.9])
    orders = run.orders.with_columns(pl.col("reason", "status", "ended_by").cast(pl.String))
    (add,) = orders.filter(pl.col("reason") == "add").to_dicts()
    assert (add["status"], add["ended_by"]) == ("cancelled", "opposite")
