"""Market data in stretches: every row once, and no more of the past than is remembered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config.load import load
from septet._data.load import load_market
from septet._data.stretches import Memory, Stretches
from septet.errors import DataError
from tests.data.helpers import HOUR_NS, START_NS, clean

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


def _wall(frame: pl.DataFrame, zone: str) -> pl.DataFrame:
    stamp = pl.col("timestamp").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    stamp = stamp.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return frame.with_columns(stamp.dt.cast_time_unit("us"))


def test_stretches_refuse_the_wrong_zone_that_the_whole_refuses(tmp_path: Path) -> None:
    path = _file(tmp_path, _wall(clean(8_760), "America/New_York"))
    text = TEXT.replace("max_bad: 5%", "time_zone: UTC")
    path.write_text(text, encoding="utf-8")
    for begin in (load_market, _begin):
        with pytest.raises(DataError, match="wrong_zone: 2 hours missing or doubled"):
            begin(load(path))
    kept = text.replace("time_zone: UTC", "time_zone: UTC, policy: {wrong_zone: keep}")
    path.write_text(kept, encoding="utf-8")
    stretches = _begin(load(path))
    for _ in stretches:
        pass
    found = {(each.kind, each.message): each.examples for each in stretches.findings}
    whole = {  # of a stretch it is unknown which row of the file is its first
        (each.kind, each.message): tuple(re.sub(r"^row \d+: ", "", row) for row in each.examples)
        for each in load_market(load(path)).findings
    }
    assert found == whole
    assert any(kind == "wrong_zone" for kind, _ in found)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_stretches_check_sessions_as_the_whole_does(tmp_path: Path, zone: str) -> None:
    frame = clean(5_000, 30 * 60_000_000_000, START_NS + 48 * HOUR_NS)
    stamp = pl.col("timestamp").cast(pl.Datetime("ns"))
    local = stamp.dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    minute = local.dt.hour().cast(pl.Int64) * 60 + local.dt.minute()
    day = local.dt.weekday() <= 5
    frame = frame.filter(day & minute.is_between(570, 959))
    path = _file(tmp_path, _wall(frame, zone))
    text = TEXT.replace("bar: 1h", "bar: 30m").replace("max_bad: 5%", "time_zone: UTC")
    path.write_text(text, encoding="utf-8")
    loaded = load(path)
    if zone == "UTC":
        assert len(load_market(loaded).bars["BTC/USDT"]) == frame.height
        assert len(_begin(loaded).cuts) > 2
        return
    for begin in (load_market, _begin):
        with pytest.raises(DataError, match="sessions that begin at 09:30 all year"):
            begin(loaded)


def _begin(loaded: Any) -> Stretches:
    return Stretches(loaded, bars=256, memory=Memory(20), warmup_ns=0)
