"""Frames in place of a file's data: refused in words, or read as a file is."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import septet
from septet._data.pandas_frames import unreadable_frame
from tests.python.samples import TEXT, TWO, bars, written
from tests.python.test_runs import same


class Stream:
    """A frame of nobody's library, which speaks Arrow and nothing else."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


@pytest.fixture
def strategy(tmp_path: Path) -> septet.Strategy:
    return septet.load(written(tmp_path))


def pandas_frame() -> pd.DataFrame:
    return bars().to_pandas()


@pytest.mark.parametrize(
    "made", [lambda frame: frame, Stream, lambda frame: frame.to_arrow(), lambda f: f.to_pandas()],
    ids=["polars", "stream", "pyarrow", "pandas"],
)  # fmt: skip
def test_every_library_gives_the_run_of_the_file(strategy: septet.Strategy, made: Any) -> None:
    here = septet.run(strategy, data=made(bars()))
    same(here, septet.run(strategy))
    assert here.summary.trades > 5


def test_a_frame_for_each_symbol_and_one_for_all(tmp_path: Path) -> None:
    strategy = septet.loads(TWO, base=tmp_path)
    one, two = bars(), bars(phase=1.0)
    apart = septet.run(strategy, data={"ETH/USD": two, "BTC/USD": one})
    stacked = pl.concat(
        [one.with_columns(symbol=pl.lit("BTC/USD")), two.with_columns(symbol=pl.lit("ETH/USD"))]
    )
    same(apart, septet.run(strategy, data=stacked))
    same(apart, septet.run(strategy, data={"BTC/USD": stacked, "ETH/USD": two}))
    assert set(apart.trades["symbol"]) == {"BTC/USD", "ETH/USD"}
    assert apart._stored.manifest["sources"] == {
        "BTC/USD": "the frame of BTC/USD", "ETH/USD": "the frame of ETH/USD",
    }  # fmt: skip


def test_times_without_a_zone_are_of_the_zone_that_is_named(strategy: septet.Strategy) -> None:
    whole = septet.run(strategy)
    same(septet.run(strategy, data=bars(zone=None), zone="UTC"), whole)
    berlin = bars().with_columns(pl.col("time").dt.convert_time_zone("Europe/Berlin"))
    same(septet.run(strategy, data=berlin), whole)
    same(septet.run(strategy, data=berlin, zone="Europe/Berlin"), whole)
    walls = berlin.with_columns(pl.col("time").dt.replace_time_zone(None))
    same(septet.run(strategy, data=walls, zone="Europe/Berlin"), whole)


def test_the_column_of_times_is_named(strategy: septet.Strategy) -> None:
    renamed = bars().rename({"time": "opened"})
    same(septet.run(strategy, data=renamed, time="opened"), septet.run(strategy))


def test_the_bars_of_a_run_give_the_same_bars_again(strategy: septet.Strategy) -> None:
    run = septet.run(strategy)
    table = run.scan("bars").collect()
    with pytest.raises(septet.DataError, match="more than one column of times: time, open_time"):
        septet.run(strategy, data=table)
    again = septet.run(strategy, data=table, time="open_time")
    same(again, run)
    assert_frame_equal(again.scan("bars").collect(), table)
    at_close = strategy.with_({"data.candles.stamp": "close"})
    assert_frame_equal(septet.run(at_close, data=table, time="time").scan("bars").collect(), table)


def test_rows_are_validated_as_those_of_a_file(tmp_path: Path) -> None:
    """A frame with defects finds what a file with the same rows finds."""
    broken = bars().with_columns(
        high=pl.when(pl.int_range(400) == 50).then(1.0).otherwise("high"),
        close=pl.when(pl.int_range(400) == 90).then(None).otherwise("close"),
    )
    broken = pl.concat([broken[:200], broken[199:200], broken[220:]])
    file = written(tmp_path)
    rows = broken.with_columns(pl.col("time").dt.to_string("%Y-%m-%dT%H:%M:%SZ"))
    with (tmp_path / "bars.csv").open("wb") as csv:
        rows.rename({"time": "timestamp"}).write_csv(csv)
    strategy = septet.load(file)
    of_file, of_frame = septet.run(strategy), septet.run(strategy, data=broken)
    same(of_frame, of_file)
    kinds = [
        [(each["kind"], each["count"]) for each in run._stored.findings if each["count"]]
        for run in (of_file, of_frame)
    ]
    assert kinds[0] == kinds[1]
    assert {"duplicate", "ohlc"} & {kind for kind, _ in kinds[0]}, kinds


def indexed() -> pd.DataFrame:
    return pandas_frame().set_index("time")


def twice() -> pd.DataFrame:
    frame = pandas_frame()
    return frame.set_axis(["time", "open", "high", "low", "close", "close"], axis=1)


def with_cell(cell: object) -> pd.DataFrame:
    """Return a frame with one cell of another kind in a column of objects."""
    frame = pandas_frame().astype({"close": object})
    frame.loc[5, "close"] = cell
    return frame


def levels() -> pd.DataFrame:
    """Return a frame with two levels of columns, as yfinance makes it."""
    frame = indexed()
    frame.columns = pd.MultiIndex.from_product([frame.columns, ["BTC-USD"]])
    return frame


@pytest.mark.parametrize(
    ("data", "how", "words", "hint"),
    [
        (
            lambda: bars().with_columns(open_time=pl.col("time").dt.offset_by("-1h")), {},
            "more than one column of times: time, open_time", "time='open_time' or time='time'",
        ),
        (
            lambda: {"BTC/USD": pandas_frame().assign(close_time=0)}, {},
            "the frame of BTC/USD has more than one column of times", "time='close_time'",
        ),
        (
            lambda: bars().with_columns(day=pl.col("time").dt.date()), {"zone": "UTC"},
            "more than one column of times: time, day", "time='day' or time='time'",
        ),
        (lambda: bars(zone=None), {}, "'time' have no time zone", 'zone="UTC"'),
        (lambda: bars(), {"zone": "Asia/Tokyo"}, "are of UTC, and zone says Asia/Tokyo", "convert"),
        (lambda: bars(zone=None), {"zone": "EST"}, "'EST' is not a time zone of the",
         "write America/New_York"),
        (lambda: bars(zone=None), {"zone": "Mars/Base"}, "no time zone 'Mars/Base'", "New_York"),
        (indexed, {}, "such as its times (time)", "frame.reset_index(names='time')"),
        (lambda: indexed().rename_axis(None), {}, "an index that is not",
         "reset_index(names='time')"),
        (twice, {}, "the column close more than once", "drop or rename"),
        (
            lambda: pa.table([[1], [2]], names=["close", "close"]), {},
            "the column close more than once", "drop or rename",
        ),
        (lambda: bars().reverse(), {}, "is not in order of time", "sort it first"),
        (lambda: bars(), {"time": "date"}, "no column 'date'; it has time, open", "time='time'"),
        (lambda: bars().drop("close"), {}, "no column close; it has time", "rename"),
        (lambda: bars().clear(), {}, "has no rows", "bars"),
        (lambda: bars().with_columns(pl.col("time").dt.epoch()), {}, "holds Int64", "from_epoch"),
        (lambda: bars().with_columns(pl.col("time").cast(pl.String)), {}, "holds String", "to_dat"),
        (lambda: "bars.csv", {}, "is the path 'bars.csv'", "read it first"),
        (lambda: Path("bars.csv"), {}, "is the path 'bars.csv'", "read it first"),
        (lambda: bars().lazy(), {}, "is a lazy frame", "collect()"),
        (lambda: [1, 2, 3], {}, "is a list, expected a polars, pandas or pyarrow", "DataFrame"),
        (lambda: {"ETH/USD": bars()}, {}, "no frame for BTC/USD; a frame for ETH/USD", "BTC/USD"),
        (lambda: {"BTC/USD": "bars.csv"}, {}, "the frame of BTC/USD is the path", "read it first"),
        (
            lambda: {"BTC/USD": bars().with_columns(ticker=pl.lit("ETH/USD"))}, {},
            "is of another symbol: its column symbol holds ETH/USD", "under its own symbol",
        ),
        (
            lambda: bars().with_columns(symbol=pl.lit("ETH/USD")), {},
            "no rows of BTC/USD: its column symbol holds ETH/USD", "universe.symbols",
        ),
        (
            lambda: pandas_frame().assign(close=lambda f: f["close"].map(Decimal)), {},
            "column 'close' holds objects, such as Decimal ", "frame['close'] = pandas.to_numeric",
        ),
        (lambda: with_cell("n/a"), {}, "numbers and text such as 'n/a' in row 5", "'coerce'"),
        (
            lambda: pandas_frame().assign(high=lambda f: f["high"].map("${:,.2f}".format)), {},
            "high '$", "row 0: '$",
        ),
        (lambda: levels(), {}, "has columns of 2 levels", "get_level_values(0)"),
        (
            lambda: pandas_frame().assign(time=lambda f: f["time"].astype(str)), {},
            "holds String, such as '2024", "pandas.to_datetime(frame['time'], utc=True)",
        ),
        (
            lambda: bars().with_columns(pl.col("time").dt.strftime("%d.%m.%Y %H:%M")), {},
            "holds String", "str.to_datetime('%d.%m.%Y %H:%M')",
        ),
        (lambda: bars().rows(), {}, "is a list, expected", "orient='row'"),
        (
            lambda: bars().with_columns(pair=pl.Series(["A", "B"] * 200)), {},
            "these are rows of several symbols", "symbol",
        ),
    ],
)  # fmt: skip
def test_what_a_frame_gets_wrong_is_reported(
    strategy: septet.Strategy, data: Any, how: dict[str, Any], words: str, hint: str
) -> None:
    with pytest.raises(septet.DataError) as caught:
        septet.run(strategy, data=data(), **how)
    assert words in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("frame", "words", "hint"),
    [
        (pd.DataFrame({"open": ["1,000.5"]}), "'open' holds text, such as '1,000.5'",
         "take separators of thousands out with frame['open'].str.replace"),
        (pd.DataFrame({"close": ["100.5"]}), "'close' holds text", "frame['close'] = pandas"),
        (pd.DataFrame({"time": pd.to_datetime(["2024-01-01"], utc=True)}), "its columns time can",
         "frame['time'].dt.tz_convert('UTC').dt.tz_localize(None), and state zone='UTC'"),
        (pd.DataFrame({"note": ["a"]}), "its columns note can", "pip install pyarrow, or make"),
    ],
)  # fmt: skip
def test_a_frame_that_needs_pyarrow_names_its_columns(
    frame: pd.DataFrame, words: str, hint: str
) -> None:
    """Without pyarrow polars raises an ImportError over columns that are no arrays of numpy."""
    error = unreadable_frame(frame, "the frame", ImportError("pyarrow is required"))
    assert words in error.message
    assert hint in (error.hint or "")


def test_a_zone_without_data_is_refused(strategy: septet.Strategy) -> None:
    with pytest.raises(septet.InputError, match="no data was given") as caught:
        septet.run(strategy, zone="UTC")
    assert "time_zone" in caught.value.hint


def test_one_frame_for_two_symbols_is_refused(tmp_path: Path) -> None:
    with pytest.raises(septet.DataError, match="trades 2 symbols") as caught:
        septet.run(septet.loads(TWO, base=tmp_path), data=bars())
    assert "a mapping of symbols" in caught.value.hint


def test_the_row_that_is_out_of_order_is_named(strategy: septet.Strategy) -> None:
    frame = bars()
    moved = pl.concat([frame[:7], frame[9:12], frame[7:9], frame[12:]])
    with pytest.raises(septet.DataError, match=r"07:00:00\+00:00 comes after .*11:00.* \(row 10\)"):
        septet.run(strategy, data=moved)


def test_the_data_of_the_file_need_not_be_there(tmp_path: Path) -> None:
    run = septet.run(septet.loads(TEXT, base=tmp_path), data=bars())
    assert run.summary.trades > 5
