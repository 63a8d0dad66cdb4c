"""What is no number is shown as it is written, and columns that are not read are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._config.load import load
from septet._data.bad_rows import doubts
from septet._data.load import load_market, read_candles
from septet._data.normalise import Normalised
from septet._data.stretches import Memory, Stretches
from septet._data.unread_columns import DIVIDENDS
from septet.errors import DataError
from tests.data.helpers import DAY_NS, START_NS, block, checked, clean, request

TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: "{symbol}.parquet"}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def read(folder: Path, volume: str, sign: str = ";", point: str = ".", **more: Any) -> Normalised:
    """Read bars from text, each with this volume."""
    lines = [sign.join(("timestamp", "open", "high", "low", "close", "volume"))]
    for at in range(100):
        prices = [f"{each:.2f}".replace(".", point) for each in (10.0, 11.0, 9.0, 10.0 + at / 100)]
        lines.append(sign.join((str((START_NS + at * DAY_NS) // 10**9), *prices, volume)))
    (folder / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    made = block("candles", "csv", {"stamp": "open", "calendar": "24x7"}, path="x.csv", **more)
    ((_, done),) = read_candles(made, request("1d", "X", base=folder))
    return done


@pytest.mark.parametrize(
    ("volume", "point", "name"),
    [
        ("1.524.551", ",", "point"),
        ("1.524", ",", "point"),
        ("1.524.551", ".", "point"),
        ("1,524,551", ".", "comma"),
        ("1,524,551", ",", "comma"),
        ("1 524 551", ".", "space"),
        ("1\u00a0524\u00a0551", ",", "space"),
        ("1\u202f524", ".", "space"),
        ("1'524'551", ".", "apostrophe"),
        ("1\u2019524\u2019551", ",", "apostrophe"),
    ],
)
def test_separators_of_thousands_are_named(
    tmp_path: Path, volume: str, point: str, name: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, volume, point=point)
    message = str(caught.value)
    assert f"x.csv, line 2: numbers such as {volume} in column 'volume' are written" in message
    assert f"with a {name} for thousands" in message
    way = (
        "take the points out and write decimal: ','" if name == "point" else "write the file again"
    )
    assert way in message


@pytest.mark.parametrize(("volume", "point"), [("1.524", "."), ("1,524", ","), ("1524551", ".")])
def test_decimals_are_no_thousands(tmp_path: Path, volume: str, point: str) -> None:
    done = read(tmp_path, volume, point=point)
    assert done.bars.volume[0] == float(volume.replace(",", "."))


def test_three_decimals_after_a_comma_are_no_thousands_in_a_column_of_text(tmp_path: Path) -> None:
    """A word beyond the rows by which types are guessed makes every column text."""
    rows = clean(12_000)
    lines = ["timestamp;open;high;low;close;volume"]
    for at, stamp in enumerate(rows["timestamp"]):
        close = "none" if at == 11_000 else "1,123"
        lines.append(f"{stamp};1,123;1,125;1,121;{close};5")
    (tmp_path / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    made = block("candles", "csv", {"stamp": "open"}, path="x.csv")
    ((_, done),) = read_candles(made, request("1h", "X", base=tmp_path))
    assert len(done.bars) == 11_999
    assert set(done.bars.close) == {1.123}


def test_what_is_no_number_is_shown_as_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, "1.2M")
    message = str(caught.value)
    cells = "2020-01-01T00:00:00Z open 10 high 11 low 9 close 10 volume '1.2M'"
    assert f"bad_volume 100 (line 2: {cells})" in message
    assert "is this the column of volumes?" in message
    assert "1234567, not 1.234.567 or 1.2M" in message
    frame = clean(50).with_columns(close=pl.lit("about a hundred and twenty-three dollars"))
    with pytest.raises(DataError) as caught:
        checked(frame, max_bad=0.01)
    assert "close 'about a hundred and twenty-thr'..." in str(caught.value)
    assert "is no number: is this a column of prices?" in str(caught.value)
    stamps = clean(50).with_columns(timestamp=pl.lit("the first of January at noon, or later"))
    with pytest.raises(DataError, match="'the first of January at noon, '"):
        checked(stamps, max_bad=0.01)


def notes(done: Normalised) -> list[str]:
    return [each.message for each in done.findings if each.kind == "note"]


def test_columns_that_are_not_read_are_named() -> None:
    frame = clean(50).with_columns(trades=pl.lit(3), Dividends=pl.lit(0.0))
    done = checked(frame)
    assert "columns that are not read: trades, Dividends" in notes(done)
    assert doubts(done.findings) == []
    assert not any("not read" in each for each in notes(checked(clean(50))))


@pytest.mark.parametrize("name", ["Dividends", "dividend", "Cash Dividend", "Capital Gains"])
@pytest.mark.parametrize("text", [False, True])
def test_dividends_that_are_not_read_are_warned_about(name: str, text: bool) -> None:
    paid = pl.when(pl.int_range(50) % 20 == 7).then(0.5).otherwise(0.0)
    frame = clean(50).with_columns(paid.cast(pl.String if text else pl.Float64).alias(name))
    (doubt,) = doubts(checked(frame).findings)
    assert doubt.kind == DIVIDENDS
    assert f"3 rows of column {name!r} are above 0 and are not read" in doubt.message
    assert "adjust: total" in doubt.hint
    assert doubts(checked(frame, adjust="none").findings) == []
    whole = frame.with_columns(adj_close=pl.col("close"))
    assert doubts(checked(whole, adjust="total").findings) == []
    (doubt,) = doubts(checked(whole, adjust="splits").findings)
    assert doubt.kind == DIVIDENDS


def test_a_column_of_splits_is_reported_as_one() -> None:
    frame = clean(50).with_columns(split=pl.lit(0.0))
    with pytest.raises(
        DataError, match="a column of splits, and nothing states what to do with it"
    ):
        checked(frame)


def test_stretches_give_of_columns_what_the_whole_gives(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(TEXT, encoding="utf-8")
    frame = clean(500).with_columns(Dividends=pl.int_range(500) % 2, trades=pl.lit("7"))
    frame.write_parquet(tmp_path / "BTCUSDT.parquet")
    loaded = load(tmp_path / "x.yaml")
    parts = Stretches(loaded, bars=100, memory=Memory(20), warmup_ns=0)
    assert sum(1 for _ in parts) > 3
    whole = load_market(loaded).findings
    assert {str(each) for each in parts.findings} == {str(each) for each in whole}
    assert DIVIDENDS in {each.kind for each in whole}
