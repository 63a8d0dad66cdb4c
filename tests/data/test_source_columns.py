"""Unread columns are checked by their values: symbols and sources in turn, contracts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._config.load import load
from septet._data.bad_rows import SERIES_SOURCES, doubts
from septet._data.load import load_market, read_candles, read_series
from septet._data.source_columns import SOURCE_SIGN, source_columns
from septet._data.stretches import Memory, Stretches
from septet.errors import DataError
from tests.data.helpers import HOUR_NS, START_NS, block, checked, clean, request

COUNT = 600
TURNS = np.arange(COUNT) % 2
TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: "{symbol}.parquet"}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def bars(name: str, values: Sequence[object], dearer: float = 1.0) -> pl.DataFrame:
    """Bars with one more column; the rows of its second value are dearer."""
    frame = clean(COUNT)
    factor = np.where(np.array([each == values[1] for each in values]), dearer, 1.0)
    prices = [pl.col(each) * pl.Series(factor) for each in ("open", "high", "low", "close")]
    return frame.with_columns(*prices, pl.Series(name, values))


def in_turn(first: object, second: object, rows: int = 1) -> list[object]:
    return [second if each // rows % 2 else first for each in range(COUNT)]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("exchange", "binance", "kraken"),
        ("source", "a", "b"),
        ("foo", "BTCUSDT", "ETHUSDT"),
        ("foo", "BTC/USD", "ETH/USD"),
        ("foo", "Coinbase", "Kraken"),
        ("contract", "ESH4", "ESM4"),
        ("code", "ESH4", "ESM4"),
        ("price_type", "last", "mark"),
        ("instrument_id", 11, 12),
        ("Data Source", "one", "two"),
        ("id", 1.0, 2.0),
        ("id", 17, 42),
        ("market", "perp", "spot"),
        ("foo", "Spot", "USD-M"),
        ("interval", "1h", "4h"),
        ("foo", "1 min", "5 min"),
    ],
)
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_values_in_turn_are_refused(name: str, first: object, second: object, rows: int) -> None:
    frame = bars(name, in_turn(first, second, rows))
    with pytest.raises(DataError) as caught:
        checked(frame)
    message = str(caught.value)
    assert f"column '{name}' holds 2 values ({first}, {second})" in message
    assert f"keep the rows of one value of column '{name}'" in message
    assert ("columns: {symbol: " in message) == (str(first) in ("BTCUSDT", "BTC/USD", "ESH4"))
    assert len(checked(frame, policy={"price_levels": "keep"}).bars) == COUNT


def test_a_consolidated_tape_is_refused_with_the_way_to_keep_it() -> None:
    draw = np.random.default_rng(5)
    frame = clean(COUNT).with_columns(
        pl.Series("last_exchange", draw.choice(["ARCA", "NASDAQ", "NYSE"], COUNT))
    )
    with pytest.raises(DataError) as caught:
        checked(frame)
    assert "column 'last_exchange' holds 3 values" in str(caught.value)
    assert "as on a consolidated tape: policy: {price_levels: keep}" in str(caught.value)
    kept = checked(frame, policy={"price_levels": "keep"})
    assert len(kept.bars) == COUNT
    assert not doubts(kept.findings)


@pytest.mark.parametrize(("first", "second"), [("AAPL", "MSFT"), (1, 2), ("x", "y")])
def test_values_that_prices_follow_are_refused_under_any_name(
    first: object, second: object
) -> None:
    draw = np.random.default_rng(1)
    other = draw.random(COUNT) < 0.5
    with pytest.raises(DataError, match="column 'foo', and prices change with them"):
        checked(bars("foo", [second if each else first for each in other], 1.01))


def test_contracts_that_follow_one_another_are_a_warning() -> None:
    values = ["ESH4"] * 200 + ["ESM4"] * 200 + ["ESU4"] * 200
    for name in ("contract", "foo"):
        (doubt,) = doubts(checked(bars(name, values)).findings)
        assert doubt.kind == SOURCE_SIGN
        assert f"column '{name}' holds 3 values (ESH4, ESM4, ESU4), which change 2 times" in (
            doubt.message
        )
        assert "adjusted at each roll" in doubt.hint
        assert not doubts(checked(bars(name, values), policy={"price_levels": "keep"}).findings)


def test_other_columns_state_nothing() -> None:
    draw = np.random.default_rng(3)
    frame = clean(COUNT)
    close = frame["close"].to_numpy()
    frame = frame.with_columns(
        pl.Series("trades", draw.poisson(3.0, COUNT)),
        pl.Series("taker_volume", draw.random(COUNT)),
        pl.Series("is_final", draw.random(COUNT) < 0.9),
        pl.Series("complete", (draw.random(COUNT) < 0.5).astype(np.int64)),
        pl.Series("side", np.where(draw.random(COUNT) < 0.5, "buy", "sell")),
        pl.Series("colour", np.where(close > frame["open"].to_numpy(), "green", "red")),
        pl.Series("trend", np.where(np.diff(close, prepend=close[0]) > 0.0, "up", "down")),
        pl.Series("hour", np.arange(COUNT) % 24),
        pl.Series("session", np.array(["asia", "europe", "us"])[np.arange(COUNT) // 8 % 3]),
        pl.Series("quarter", np.array(["2020Q1", "2020Q2"])[np.arange(COUNT) // 300]),
        pl.Series("exchange", ["binance"] * COUNT),
        pl.Series("condition", draw.choice(["@", "F", "T"], COUNT)),
        pl.Series("quality", draw.choice(["A", "B", "C"], COUNT)),
        pl.Series("settlement_period", np.arange(COUNT) % 48),
        pl.Series("regime", draw.choice([0.0, 1.0], COUNT)),
        pl.Series("market_state", draw.choice(["open", "closed"], COUNT)),
        pl.Series("tenor", ["3m"] * COUNT),
    )
    assert not doubts(checked(frame).findings)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_made_of_gapping_bars_separates_no_levels(seed: int) -> None:
    draw = np.random.default_rng(seed)
    moves, gaps = draw.normal(0.0, 0.01, (2, COUNT))
    logs = np.cumsum(moves + gaps)
    close, opened = np.exp(logs), np.exp(logs - moves)
    mean = np.convolve(close, np.ones(5) / 5.0, mode="full")[:COUNT]
    frame = clean(COUNT).with_columns(
        pl.Series("open", opened),
        pl.Series("close", close),
        pl.Series("high", np.maximum(opened, close)),
        pl.Series("low", np.minimum(opened, close)),
        pl.Series("trend", np.where(np.diff(close, prepend=1.0) > 0.0, "up", "down")),
        pl.Series("state", np.where(close > mean, "above", "below")),
        pl.Series("gap", np.where(gaps > 0.0, 1, 0)),
    )
    assert not [each for each in checked(frame).findings if each.kind == "price_levels"]


def test_stretches_refuse_the_columns_that_the_whole_refuses(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(TEXT, encoding="utf-8")
    bars("foo", in_turn("BTCUSDT", "ETHUSDT")).write_parquet(tmp_path / "BTCUSDT.parquet")
    loaded = load(tmp_path / "x.yaml")

    def stretches(_: object) -> object:
        return list(Stretches(loaded, bars=100, memory=Memory(20), warmup_ns=0))

    for read in (load_market, stretches):
        with pytest.raises(DataError, match=r"column 'foo' holds 2 values \(BTCUSDT, ETHUSDT\)"):
            read(loaded)


@pytest.mark.parametrize(
    ("name", "first", "second", "refused"),
    [
        ("foo", "BTCUSDT", "ETHUSDT", True),
        ("contract", "ESH4", "ESM4", True),
        ("price_type", "last", "mark", False),
        ("foo", "binance", "kraken", False),
    ],
)
def test_series_of_several_symbols_or_sources(
    tmp_path: Path, name: str, first: str, second: str, *, refused: bool
) -> None:
    frame = pl.DataFrame(
        {
            "time": START_NS + 8 * HOUR_NS * np.arange(COUNT, dtype=np.int64),
            "value": np.full(COUNT, 0.0001),
            name: in_turn(first, second),
        }
    )
    frame.write_parquet(tmp_path / "f.parquet")
    made = block("series", "parquet_series", {"known_after": 0}, path="f.parquet")
    asked = request("1h", "BTC/USDT", base=tmp_path)
    if refused:
        with pytest.raises(DataError, match=f"column '{name}' holds 2 values"):
            read_series("funding", made, asked)
        return
    (doubt,) = doubts(read_series("funding", made, asked)[1])
    assert doubt.kind == SERIES_SOURCES
    assert f"column '{name}' holds 2 values" in doubt.message.lower()


def test_of_hundreds_of_columns_those_named_like_sources_are_looked_at() -> None:
    rows = 400
    numbers = {f"x{each}": [row % 3 for row in range(rows)] for each in range(300)}
    frame = pl.DataFrame({**numbers, "exchange": ["binance", "kraken"] * (rows // 2)})
    assert [each.name for each in source_columns(frame)] == ["exchange"]


@pytest.mark.parametrize(
    ("times", "stamp"), [("open_time", "open"), ("time", "close"), ("", "open")]
)
def test_a_file_with_the_times_of_opens_and_closes_names_one(
    tmp_path: Path, times: str, stamp: str
) -> None:
    frame = clean(COUNT).rename({"timestamp": "open_time"})
    closes = pl.col("open_time") + HOUR_NS
    frame.with_columns(time=closes).write_parquet(tmp_path / "BTC-USDT.parquet")
    more = {"columns": {"timestamp": times}} if times else {}
    made = block("candles", "parquet", {"stamp": stamp}, path="BTC-USDT.parquet", **more)
    if not times:
        with pytest.raises(DataError, match="two columns of times, time and open_time") as caught:
            read_candles(made, request("1h", "X", base=tmp_path))
        assert "columns: {timestamp: open_time} with stamp: open" in caught.value.hint
        return
    ((_, done),) = read_candles(made, request("1h", "X", base=tmp_path))
    assert done.bars.open_ns[0] == START_NS
