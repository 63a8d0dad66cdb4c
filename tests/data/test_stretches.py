"""Market data in stretches: every row once, and no more of the past than is remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from septet._config.load import load
from septet._data.load import load_market
from septet._data.stretches import Memory, Stretches
from tests.data.helpers import clean

TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: "{symbol}.parquet", max_bad: 5%}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def _file(folder: Path, frame: pl.DataFrame) -> Path:
    frame.write_parquet(folder / "BTCUSDT.parquet", row_group_size=50)
    path = folder / "x.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_every_bar_is_new_once_and_memory_is_bounded(tmp_path: Path) -> None:
    loaded = load(_file(tmp_path, clean(1_000)))
    whole = load_market(loaded).bars["BTC/USDT"]
    fresh = []
    for stretch in Stretches(loaded, bars=64, memory=Memory(20), warmup_ns=0):
        bars = stretch.market.bars["BTC/USDT"]
        new = int(np.searchsorted(bars.known_ns, stretch.begin_ns))
        assert new in (0, 40)
        assert len(bars) <= 64 + 40
        fresh.append(bars.known_ns[new:])
    assert len(fresh) in (16, 17)
    assert np.array_equal(np.concatenate(fresh), whole.known_ns)


def test_rows_without_a_stamp_and_defects_at_the_cuts_are_counted_once(tmp_path: Path) -> None:
    frame = clean(1_000)
    rows = np.arange(1_000)
    holed = frame.with_columns(
        timestamp=pl.when(pl.Series(rows % 250 == 3)).then(None).otherwise("timestamp"),
        high=pl.when(pl.Series(rows % 64 == 63)).then(0.5 * pl.col("low")).otherwise("high"),
    )
    loaded = load(_file(tmp_path, pl.concat([holed, holed[500:520]])))
    stretches = Stretches(loaded, bars=64, memory=Memory(20), warmup_ns=0)
    for _ in stretches:
        pass
    found = {(each.kind, each.message): each.count for each in stretches.findings}
    whole = {(each.kind, each.message): each.count for each in load_market(loaded).findings}
    assert found == whole
    assert {"bad_stamp", "high_below_low", "gap", "duplicate"} <= {kind for kind, _ in found}
