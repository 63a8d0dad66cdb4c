"""Prices off those beside them: dropped where they come back, refused or noted where they stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from septet._config.load import load
from septet._data.bad_rows import doubts
from septet._data.load import load_market, read_candles
from septet._data.normalise import Normalised
from septet._data.price_steps import price_gaps, spike_rows, wick_rows
from septet._data.stretches import Memory, Stretches
from septet.errors import DataError
from tests.data.helpers import DAY_NS, HOUR_NS, block, checked, clean, counts, request

PRICES = ("open", "high", "low", "close")


def times(frame: pl.DataFrame, rows: npt.ArrayLike, factor: float) -> pl.DataFrame:
    """Multiply the prices of some rows."""
    chosen = pl.Series(np.isin(np.arange(frame.height), rows))
    return frame.with_columns(
        pl.when(chosen).then(pl.col(name) * factor).otherwise(pl.col(name)) for name in PRICES
    )


def from_on(frame: pl.DataFrame, row: int, factor: float) -> pl.DataFrame:
    return times(frame, np.arange(row, frame.height), factor)


@pytest.mark.parametrize("factor", [100.0, 0.01, 10.0, 0.1, 1e6])
@pytest.mark.parametrize("rows", [[50], [50, 51, 52], [3, 90, 91, 250, 380]])
def test_bars_off_their_neighbours_are_bad_rows(rows: list[int], factor: float) -> None:
    frame = clean(400)
    done = checked(times(frame, rows, factor), max_bad=0.02)
    kept = np.setdiff1d(np.arange(400), rows)
    assert done.bars.close.tolist() == frame["close"].to_numpy()[kept].tolist()
    assert counts(done.findings)["price_spike"] == done.defects == len(rows)
    (message,) = doubts(done.findings)
    assert (
        f"% of the rows of BTC/USDT were dropped or mended ({len(rows)} of 400" in message.message
    )


def test_more_of_them_than_max_bad_are_refused() -> None:
    with pytest.raises(DataError, match=r"price_spike 11(?s:.*)decimal point(?s:.*)max_bad: 1%"):
        checked(times(clean(1_000), np.arange(40, 1_000, 90), 100.0), max_bad=0.01)


def test_a_close_alone_that_slipped_is_a_bad_row() -> None:
    frame = clean(100)
    slip = pl.Series(np.arange(100) == 40)
    wrong = frame.with_columns(
        pl.when(slip).then(pl.col(name) * 100.0).otherwise(pl.col(name)).alias(name)
        for name in ("high", "close")
    )
    assert counts(checked(wrong).findings)["price_spike"] == 1


@pytest.mark.parametrize("factor", [100.0, 0.01, 0.05, 7.0])
@pytest.mark.parametrize("row", [1, 200, 399])
def test_a_level_that_steps_and_stays_is_refused(factor: float, row: int) -> None:
    frame = from_on(clean(400), row, factor)
    with pytest.raises(DataError) as caught:
        checked(frame)
    message = str(caught.value)
    assert "price_step: 1 bars" in message
    assert f"{frame['close'][row - 1]:.10g} -> {frame['close'][row]:.10g}" in message
    assert "policy: {price_step: keep}" in message
    assert len(checked(frame, policy={"price_step": "keep"}).bars) == 400


def test_a_split_that_is_not_adjusted_is_named() -> None:
    with pytest.raises(DataError, match="as a split of 20 for 1 would"):
        checked(from_on(clean(60, DAY_NS), 30, 0.05), DAY_NS)
    done = checked(from_on(clean(60, DAY_NS), 30, 0.5), DAY_NS)
    (message,) = doubts(done.findings)
    assert "price_gap 1" in message.message
    assert "as a split of 2 for 1 would" in message.message
    assert "policy: {price_gap: keep}" in message.hint
    kept = checked(from_on(clean(60, DAY_NS), 30, 0.5), DAY_NS, policy={"price_gap": "keep"})
    assert doubts(kept.findings) == []


def test_after_a_long_hole_a_step_is_a_warning() -> None:
    frame = from_on(clean(400), 200, 30.0)
    holed = pl.concat([frame[:200], frame[240:]])
    (message,) = doubts(checked(holed).findings)
    assert "price_gap 1" in message.message


def crash(share: float, at: int = 200) -> pl.DataFrame:
    """Fall in one bar by a share, through all prices between, and stay."""
    frame = from_on(clean(400), at, 1.0 - share)
    opened = frame["open"].to_numpy().copy()
    high = frame["high"].to_numpy().copy()
    opened[at], high[at] = frame["close"][at - 1], frame["close"][at - 1] * 1.001
    return frame.with_columns(open=pl.Series(opened), high=pl.Series(high))


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95, 0.999])
def test_a_crash_is_no_slip(share: float) -> None:
    done = checked(crash(share))
    assert len(done.bars) == 400
    assert not {"price_spike", "price_step", "price_gap", "price_wick"} & set(counts(done.findings))


def test_a_crash_that_recovers_is_no_slip() -> None:
    close = np.array([100.0] * 30 + [8.0, 9.0, 70.0] + [80.0] * 30)
    opened = np.concatenate(([100.0], close[:-1]))
    bars = np.maximum(opened, close), np.minimum(opened, close), close
    assert len(spike_rows(bars)[0]) == len(price_gaps(bars)[0]) == 0


@pytest.mark.parametrize(("column", "factor"), [("high", 50.0), ("low", 0.02), ("open", 40.0)])
def test_an_extreme_inside_a_bar_is_reported_and_kept(column: str, factor: float) -> None:
    frame = clean(400)
    value = frame[column].to_numpy().copy()
    value[77] *= factor
    wrong = frame.with_columns(pl.Series(column, value))
    if column == "open":
        wrong = wrong.with_columns(high=pl.max_horizontal("open", "high"))
    done = checked(wrong)
    (message,) = doubts(done.findings)
    assert len(done.bars) == 400
    assert "price_wick 1" in message.message
    assert "2020-01-04T05:00:00Z" in message.message
    assert len(checked(wrong, policy={"price_wick": "drop"}).bars) == 399


SAMPLES = [
    ("15m", "BTC/USD", {}), ("1d", "BTC/USD", {}), ("1h", "EUR/USD", {}),
    ("1d", "SP500", {"adjust": "none"}),
    ("1d", "NASDAQ", {"adjust": "none"}), ("1d", "AAPL", {"adjust": "total"}),
    ("1d", "MSFT", {"adjust": "splits"}),
    ("1d", "IBM", {"adjust": "none"}), ("1d", "GOOG", {"adjust": "none"}),
    ("1d", "FB", {"adjust": "none"}),
]  # fmt: skip


def sample(bar: str, symbol: str, **keys: str) -> Normalised:
    ((_, done),) = read_candles(block("candles", "sample", keys), request(bar, symbol))
    return done


@pytest.mark.parametrize(("bar", "symbol", "keys"), SAMPLES)
def test_real_markets_are_not_alarming(bar: str, symbol: str, keys: dict[str, str]) -> None:
    kinds = {each.kind for each in sample(bar, symbol, **keys).findings}
    assert not {"price_spike", "price_step", "price_gap", "price_wick"} & kinds


def test_real_splits_are_reported() -> None:
    (message,) = doubts(sample("1d", "AAPL", adjust="none").findings)
    assert "price_gap 2" in message.message
    assert "2005-02-28" in message.message


TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: "{symbol}.parquet", max_bad: 20%}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


@pytest.mark.parametrize("seed", range(4))
def test_stretches_drop_what_the_whole_drops(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    frame = clean(640, seed=seed)
    runs = [(64 * k - int(draw.integers(0, 4)), int(draw.integers(1, 7))) for k in range(1, 9)]
    frame = times(frame, [r for at, long in runs for r in range(at, at + long)], 100.0)
    frame.write_parquet(tmp_path / "BTCUSDT.parquet")
    path = tmp_path / "x.yaml"
    path.write_text(TEXT, encoding="utf-8")
    loaded = load(path)
    whole = load_market(loaded)
    stretches = Stretches(loaded, bars=64, memory=Memory(20), warmup_ns=0)
    closes = []
    for stretch in stretches:
        bars = stretch.market.bars["BTC/USDT"]
        closes.append(bars.close[np.searchsorted(bars.known_ns, stretch.begin_ns) :])
    assert np.concatenate(closes).tolist() == whole.bars["BTC/USDT"].close.tolist()
    found = counts(stretches.findings)
    assert found["price_spike"] == sum(long for _, long in runs)
    assert found == counts(whole.findings)


def test_stretches_refuse_a_step_between_two_of_them(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(TEXT, encoding="utf-8")
    from_on(clean(256), 128, 100.0).write_parquet(tmp_path / "BTCUSDT.parquet")
    with pytest.raises(DataError, match="price_step"):
        list(Stretches(load(path), bars=64, memory=Memory(20), warmup_ns=0))


@pytest.mark.parametrize("value", [1e308, 1e31, 1e-31, 5e-324])
@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume", "all"])
def test_numbers_beyond_all_measure_are_bad_rows(column: str, value: float) -> None:
    names = [*PRICES, "volume"] if column == "all" else [column]
    frame = clean(100).with_columns(
        pl.when(pl.int_range(100) == 40).then(value).otherwise(pl.col(name)).alias(name)
        for name in names
    )
    done = checked(frame, volume_in="quote")
    assert max(getattr(done.bars, name).max() for name in PRICES) < 1e3
    assert len(done.bars) == (100 if column == "volume" else 99)


def test_a_series_of_such_prices_is_refused_with_a_message() -> None:
    frame = clean(100).with_columns(pl.lit(1e308).alias(name) for name in PRICES)
    with pytest.raises(DataError, match="bad_price 100"):
        checked(frame)
    frame = clean(100, HOUR_NS).with_columns(pl.lit(1e308).alias("adj_close"))
    with pytest.raises(DataError, match="adjusted closes"):
        checked(frame, adjust="total")


def test_wicks_are_of_a_bar_and_the_close_before() -> None:
    column = np.array([10.0, 10.0, 10.0])
    opened = np.array([60.0, 60.0, 10.0])
    rows = wick_rows(opened, np.maximum(opened, column), column, column)
    assert rows.tolist() == [1]  # the first open has no close before it
