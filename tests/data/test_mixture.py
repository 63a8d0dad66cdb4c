"""Rows of two symbols or sources in one series are refused with what helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config.load import load
from septet._data.load import load_market, read_candles
from septet._data.mixed_rows import level_changes
from septet._data.normalise import Normalised
from septet._data.stretches import Memory, Stretches
from septet.errors import DataError
from septet_schemas.data import CandlesConfig
from tests.data.helpers import HOUR_NS, START_NS, block, checked, clean, request

NAMES = ("open", "high", "low", "close")


def scaled(frame: pl.DataFrame, factor: float) -> pl.DataFrame:
    return frame.with_columns(pl.col(name) * factor for name in NAMES)


def two(factor: float = 0.03, shift_ns: int = 0, count: int = 400, **column: Any) -> pl.DataFrame:
    """Interleave the bars of two symbols; `column` names each one's value of a column."""
    first, second = clean(count), scaled(clean(count, seed=1), factor)
    second = second.with_columns(pl.col("timestamp") + shift_ns)
    for name, (one, other) in column.items():
        first = first.with_columns(pl.lit(one).alias(name))
        second = second.with_columns(pl.lit(other).alias(name))
    return pl.concat([first, second]).sort("timestamp", maintain_order=True)


def read(
    folder: Path, frame: pl.DataFrame, bar: str = "1h", use: str = "csv", **more: Any
) -> Normalised:
    name = f"bars.{use}"
    if use == "csv":
        frame.write_csv(folder / name)
    else:
        frame.write_parquet(folder / name)
    keys = {"stamp": "open", "time_zone": "UTC"}
    made = block("candles", use, keys, path=name, **more)
    ((_, done),) = read_candles(made, request(bar, "BTC/USDT", base=folder))
    return done


@pytest.mark.parametrize("use", ["csv", "parquet"])
def test_two_symbols_at_the_same_times_are_refused(tmp_path: Path, use: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, two(), use=use)
    message = str(caught.value)
    assert "400 of 800 rows contradict another row of the same time" in message
    assert "several symbols or sources" in message
    assert "times as high or low" in message
    assert "2020-01-01T00:00:00Z open" in message
    assert "add a column symbol" in message


@pytest.mark.parametrize("use", ["csv", "parquet"])
def test_a_column_that_names_symbols_is_refused_until_the_file_names_it(
    tmp_path: Path, use: str
) -> None:
    frame = two(pair=("BTC/USDT", "ETH/USDT"))
    with pytest.raises(DataError) as caught:
        read(tmp_path, frame, use=use)
    assert "column 'pair' holds 2 values (BTC/USDT, ETH/USDT)" in str(caught.value)
    assert "columns: {symbol: pair}" in str(caught.value)
    done = read(tmp_path, frame, use=use, columns={"symbol": "pair"})
    assert done.bars.close.tolist() == pytest.approx(clean(400)["close"].to_list())


def test_a_column_of_symbols_is_refused_even_where_the_times_are_apart(tmp_path: Path) -> None:
    late = 400 * HOUR_NS
    with pytest.raises(DataError, match="rows of several symbols"):
        read(tmp_path, two(1.0, late, asset=("BTC", "WBTC")))


def test_two_sources_of_one_symbol_are_refused_and_their_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, two(1.001, feed=("binance", "kraken")))
    assert "column 'feed' holds 2 values (binance, kraken)" in str(caught.value)


@pytest.mark.parametrize("factor", [0.03, 0.7, 1.4, 500.0])
@pytest.mark.parametrize("use", ["csv", "parquet"])
def test_two_price_levels_at_different_times_are_refused(
    tmp_path: Path, factor: float, use: str
) -> None:
    frame = two(factor, HOUR_NS // 2)
    with pytest.raises(DataError) as caught:
        read(tmp_path, frame, "30m", use)
    message = str(caught.value)
    assert "price_levels: 796 closes that jump between separate price levels" in message
    assert "2020-01-01T00:30:00Z 100" in message
    assert "policy: {price_levels: keep}" in message


def test_blocks_of_another_symbol_are_refused() -> None:
    one, other = clean(900), scaled(clean(900, seed=2), 20.0)
    mixed = pl.concat([one[:300], other[300:600], one[600:]])
    with pytest.raises(DataError, match="price_levels: 2 closes"):
        checked(mixed)
    assert len(checked(mixed, policy={"price_levels": "keep"}).bars) == 900


def test_stretches_refuse_what_the_whole_refuses(tmp_path: Path) -> None:
    text = (
        "version: 1\nname: x\nuniverse: {symbols: [BTC/USDT], bar: 30m}\ndata: {candles: {use: "
        'parquet, path: "{symbol}.parquet"}}\nfeatures: {fast: {use: sma, period: 5}}\nsignal: '
        "{use: rules, long_if: close > fast}\nrisk: {sizing: {use: fixed_fraction, fraction: 5%}}\n"
    )
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    two(0.03, HOUR_NS // 2).write_parquet(tmp_path / "BTCUSDT.parquet")
    loaded = load(tmp_path / "x.yaml")
    with pytest.raises(DataError, match="price_levels"):
        load_market(loaded)
    with pytest.raises(DataError, match="price_levels"):
        list(Stretches(loaded, bars=256, memory=Memory(20), warmup_ns=0))


def test_two_spellings_of_one_symbol_are_refused(tmp_path: Path) -> None:
    frame = two(1.0, 400 * HOUR_NS, symbol=("BTC/USDT", "BTCUSDT"))
    with pytest.raises(DataError, match="writes BTC/USDT in several ways"):
        read(tmp_path, frame)


@pytest.mark.parametrize("seed", range(20))
def test_markets_are_no_mixture(seed: int) -> None:
    draw = np.random.default_rng(seed)
    moves = draw.standard_t(3.0, 3_000) * 0.02
    wild = 100.0 * np.exp(np.cumsum(moves))
    split = np.where(np.arange(3_000) < 1_700, wild, wild / 4.0)
    glitch = wild.copy()
    glitch[[500, 1_500, 2_500]] *= 10.0
    ticks = np.round(draw.normal(2.5, 0.6, 3_000)).clip(1.0, 4.0) * 1e-8
    bounce = np.where(draw.random(3_000) < 0.5, 1.0, 1.3)
    for close in (wild, split, glitch, ticks, bounce):
        assert len(level_changes(close)) == 0


def test_a_volatile_share_is_no_mixture() -> None:
    early = [17.25, 17.3, 19.9, 31.4, 35.5, 39.9, 39.1, 35.5, 39.4, 43.0, 65.0, 76.8]
    squeeze = [148.0, 347.5, 193.6, 325.0, 225.0, 90.0, 92.4, 53.5, 63.8, 60.0, 50.3]
    assert len(level_changes(np.array([*([17.0] * 40), *early, *squeeze, *([45.0] * 40)]))) == 0


def spoilt(bad: int, count: int = 1_000) -> pl.DataFrame:
    rows = pl.int_range(count)
    return clean(count).with_columns(
        pl.when(rows < bad).then(None).otherwise(pl.col("close")).alias("close")
    )


def test_more_than_one_in_a_hundred_bad_rows_are_refused() -> None:
    limit = CandlesConfig().max_bad
    assert limit == 0.01
    with pytest.raises(DataError, match=r"11(?s:.*)the limit is max_bad: 1%"):
        checked(spoilt(11), max_bad=limit)
    assert len(checked(spoilt(10), max_bad=limit).bars) == 990


def test_the_bar_that_is_not_over_is_no_bad_row() -> None:
    frame = clean(20)
    done = checked(frame, max_bad=0.01, now_ns=START_NS + 20 * HOUR_NS - 1)
    assert len(done.bars) == 19


@pytest.mark.parametrize(("bad", "expected"), [(0, False), (1, False), (2, True)])
def test_what_was_dropped_stands_in_the_verdict_above_a_tenth_of_a_percent(
    bad: int, expected: bool
) -> None:
    found = [each for each in checked(spoilt(bad)).findings if each.kind == "bad_share"]
    text = (
        f"0.2 % of the rows of BTC/USDT were dropped or mended ({bad} of 1,000: not_finite {bad})"
    )
    assert [each.message for each in found] == ([text] if expected else [])
