"""Damaged and odd data files end as messages: seeded, bounded, the same in every run."""

from __future__ import annotations

import gzip
import io
import os
import random
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._data.load import read_candles, read_series
from septet._data.source_files import read_parquet_file
from septet.errors import DataError, SeptetError
from septet_plugins.data import text_bytes
from tests.data.helpers import block, clean, request
from tests.scale import examples

ROWS = 40
START = 1_599_998_400
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


def _good() -> pl.DataFrame:
    close = 100.0 + np.sin(np.arange(ROWS))
    return pl.DataFrame(
        {
            "timestamp": START + 3_600 * np.arange(ROWS),
            "open": close, "high": close + 1.0, "low": close - 1.0, "close": close,
            "volume": np.full(ROWS, 5.0),
        }
    )  # fmt: skip


def _candles(path: Path, use: str, **config: Any) -> None:
    made = block("candles", use, {"stamp": "open"}, path=str(path), **config)
    read_candles(made, request("1h", "X", base=path.parent))


def _series(path: Path, use: str, **config: Any) -> None:
    made = block("series", f"{use}_series", {"known_after": "1h"}, path=str(path), **config)
    read_series("s", made, request("1h", "X", base=path.parent, name="s"))


def _attempt(work: Callable[[], object], what: object) -> bool:
    """Do it; only errors with a message may be raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            work()
    except SeptetError as error:
        found = error
    except BaseException as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    else:
        return True
    assert found.message.strip()
    assert len(str(found)) < 3_000
    return False


def _damaged(draw: random.Random, whole: bytes) -> bytes:
    data = bytearray(whole)
    way = draw.randrange(5)
    if way == 0:  # anywhere
        for _ in range(draw.randint(1, 12)):
            data[draw.randrange(len(data))] = draw.randrange(256)
    elif way == 1:  # in the footer, where sizes and types stand
        for _ in range(draw.randint(1, 4)):
            data[-draw.randint(5, min(len(data) - 5, 700))] = draw.choice([0, 1, 127, 128, 255])
    elif way == 2:  # a piece is gone
        at = draw.randrange(4, len(data) - 4)
        del data[at : min(len(data) - 4, at + draw.randint(1, 200))]
    elif way == 3:  # a piece is there twice
        at, size = draw.randrange(len(data)), draw.randint(1, 200)
        data[at:at] = data[at : at + size]
    else:
        return bytes(data[: draw.randrange(len(data))])
    return bytes(data)


def test_damaged_parquet_ends_as_a_message(tmp_path: Path) -> None:
    for seed in range(examples(190)):
        draw, buffer = random.Random(seed), io.BytesIO()
        kind: Any = draw.choice(["zstd", "snappy", "uncompressed", "gzip"])
        _good().write_parquet(buffer, compression=kind)
        path = tmp_path / f"{seed}.parquet"
        path.write_bytes(_damaged(draw, buffer.getvalue()))
        _attempt(partial(_candles, path, "parquet"), f"candles {seed}")
        _attempt(partial(_series, path, "parquet"), f"series {seed}")


ODD: tuple[Callable[[], pl.Series], ...] = (
    lambda: pl.Series([None] * ROWS, dtype=pl.Null),
    lambda: pl.Series([True, False] * (ROWS // 2)),
    lambda: pl.Series([b"\x00\xff"] * ROWS),
    lambda: pl.Series([[1, 2], None] * (ROWS // 2)),
    lambda: pl.Series([{"a": 1, "b": "x"}] * ROWS),
    lambda: pl.Series(["a", "b"] * (ROWS // 2), dtype=pl.Categorical),
    lambda: pl.Series(["x", None] * (ROWS // 2)),
    lambda: pl.Series(["\x1b[2J\u202e"] * ROWS),
    lambda: pl.Series([2**63 - 1, -(2**63)] * (ROWS // 2)),
    lambda: pl.Series([2**64 - 1] * ROWS, dtype=pl.UInt64),
    lambda: pl.Series([-128] * ROWS, dtype=pl.Int8),
    lambda: pl.Series([float("nan"), float("inf")] * (ROWS // 2)),
    lambda: pl.Series([1e308, -1e308] * (ROWS // 2)),
    lambda: pl.Series([1.5] * ROWS, dtype=pl.Float32),
    lambda: pl.Series([0] * ROWS).cast(pl.Date),
    lambda: pl.Series([2**31 - 1] * ROWS, dtype=pl.Int32).cast(pl.Date),
    lambda: pl.Series([0] * ROWS).cast(pl.Time),
    lambda: pl.Series([10**9] * ROWS).cast(pl.Duration("us")),
    lambda: pl.Series([2**62] * ROWS).cast(pl.Datetime("us")),
    lambda: pl.Series([-(2**62)] * ROWS).cast(pl.Datetime("ms")),
    lambda: pl.Series([2**62] * ROWS).cast(pl.Datetime("ns", "America/New_York")),
    lambda: pl.Series(range(ROWS)).cast(pl.Datetime("ms", "Asia/Kathmandu")),
    lambda: pl.Series([1] * ROWS).cast(pl.Decimal(20, 4)),
    lambda: pl.Series([[1.0, 2.0]] * ROWS, dtype=pl.Array(pl.Float64, 2)),
)


@pytest.mark.parametrize("how", ["parquet", "parquet series", "scan"])
def test_odd_types_end_as_a_message(tmp_path: Path, how: str) -> None:
    accepted = 0
    for number, odd in enumerate(ODD):
        for column in COLUMNS:
            path = tmp_path / f"{number}-{column}.parquet"
            _good().with_columns(odd().alias(column)).write_parquet(path)
            what = f"{column} of kind {number}"
            if how == "parquet":
                accepted += _attempt(partial(_candles, path, "parquet"), what)
            elif how == "scan":
                made = block("candles", "parquet", {"stamp": "open"}, path=str(path))
                source = made.declaration(made.config)
                asked = request("1h", "X", base=tmp_path)
                _attempt(partial(source.scan, asked), what)
            elif column in ("timestamp", "close"):
                names = {"time": "timestamp", "value": "close"}
                _attempt(partial(_series, path, "parquet", **names), what)
    assert how != "parquet" or accepted >= 5


SNIPPETS = (
    "", ",", ";", "\t", "\n", "\r", '"', '""', "\x00", "nan", "inf", "-", "1e999", "NaT", "2021",
    "2021-13-45", "99999-01-01", "\ufeff", "\u2028", "é", "#", "1,5", "0x10", "true", "9" * 400,
    "\x1b[2J", "'", "=1+1", "1970-01-01", "-1",
)  # fmt: skip
FORMS: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"delimiter": ";"}, {"delimiter": ",", "header": "no"}, {"decimal": ","},
    {"skip_lines": 3}, {"comment": "#"}, {"encoding": "utf-16"}, {"encoding": "latin-1"},
    {"encoding": "punycode"}, {"encoding": "no such"}, {"encoding": "zip"}, {"encoding": "utf-7"},
    {"time_format": "%d/%m/%Y %H:%M"}, {"time_format": "%Q%!"}, {"time_format": "%%"},
    {"time_columns": ("timestamp", "open")}, {"names": ("a", "a")}, {"names": ()},
    {"skip_lines": 10**6}, {"columns": {"close": "open"}}, {"columns": {"close": "volume"}},
    {"delimiter": "\n"}, {"delimiter": '"'}, {"delimiter": "::"}, {"comment": "time"},
)  # fmt: skip


def _spoiled(draw: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    for _ in range(draw.randint(0, 6)):
        at = draw.randrange(len(lines)) if lines else 0
        way = draw.randrange(5)
        if not lines:
            return draw.choice(SNIPPETS)
        if way == 0:
            cells = lines[at].split(",")
            cells[draw.randrange(len(cells))] = draw.choice(SNIPPETS)
            lines[at] = ",".join(cells)
        elif way == 1:
            where = draw.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:where] + draw.choice(SNIPPETS) + lines[at][where:]
        elif way == 2:
            del lines[at]
        elif way == 3:
            lines.insert(at, draw.choice(lines))
        else:
            lines = lines[:at]
    return "".join(lines)


def test_damaged_text_ends_as_a_message(tmp_path: Path) -> None:
    whole, accepted = _good().write_csv(), 0
    for seed in range(examples(500)):
        draw = random.Random(seed)
        data = _spoiled(draw, whole).encode()
        if draw.randrange(8) == 0 and data:
            data = _damaged(draw, data.ljust(2_000, b"\n"))
        if draw.randrange(12) == 0:
            data = gzip.compress(data)
            data = _damaged(draw, data) if len(data) > 20 else data
        path = tmp_path / "X.csv"
        path.write_bytes(data)
        form = draw.choice(FORMS)
        series = {key: form[key] for key in form if key not in ("columns", "time_columns")}
        accepted += _attempt(partial(_candles, path, "csv", **form), (seed, form))
        _attempt(partial(_series, path, "csv", **series), (seed, series))
    assert accepted >= 20


@pytest.mark.parametrize("seed", range(30))
def test_damaged_archives_end_as_a_message(tmp_path: Path, seed: int) -> None:
    draw, path = random.Random(seed), tmp_path / "X.csv.zip"
    with zipfile.ZipFile(path, "w", draw.choice([8, 0])) as archive:
        archive.writestr("x.csv", _good().write_csv())
    data = bytearray(path.read_bytes())
    for _ in range(draw.randint(1, 5)):
        data[draw.randrange(4, len(data))] = draw.randrange(256)
    path.write_bytes(data)
    _attempt(partial(_candles, path, "csv"), seed)


# ---------------------------------------------------------------------------- what is too large


def test_a_small_parquet_does_not_become_a_large_table(tmp_path: Path) -> None:
    """Millions of rows of one value take a few thousand bytes on the disk."""
    path, rows = tmp_path / "X.parquet", 15_000_000
    pl.select(pl.repeat(1, rows, dtype=pl.Int8).alias("timestamp")).lazy().with_columns(
        pl.col("timestamp").alias(name) for name in COLUMNS[1:]
    ).sink_parquet(path, compression="zstd", row_group_size=rows)
    assert path.stat().st_size < 200_000
    with pytest.raises(DataError, match=r"rows of 6 columns in .* not read at once"):
        _candles(path, "parquet")


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
@pytest.mark.parametrize("column", ["close", "time"])
def test_a_text_that_is_repeated_is_not_read_a_million_times(
    tmp_path: Path, kind: Any, column: str
) -> None:
    """2 kB on the disk, and without a bound on rows days of reading numbers."""
    path = tmp_path / "texts.parquet"
    columns = {name: pl.lit(1.0) for name in ("time", "open", "high", "low", "close", "volume")}
    columns[column] = pl.lit("1" + " " * 20_000).cast(kind)
    pl.select(pl.repeat(0, 500).alias("row")).with_columns(**columns).write_parquet(path)
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="holds texts of 20,001 bytes"):
        read_parquet_file(path)


def test_nested_columns_are_never_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "X.parquet"
    many = pl.Series([[1.0] * 1_000] * ROWS)
    _good().with_columns(many.alias("more")).write_parquet(path)
    assert "more" not in read_parquet_file(path).columns


@pytest.mark.parametrize("use", ["csv", "parquet"])
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path, use: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for way in (_candles, _series):
            with pytest.raises(DataError):
                way(path, use)


def test_text_beyond_the_bound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    with path.open("wb") as file:
        file.truncate(10_000_000_000)  # a sparse file: nothing is on the disk
    with pytest.raises(DataError, match="is not read in pieces") as caught:
        _candles(path, "csv")
    assert "Parquet" in caught.value.hint


def test_a_small_archive_does_not_become_a_large_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"1,2,3\n" * 8_000_000
    packed = tmp_path / "X.csv.gz"
    packed.write_bytes(gzip.compress(rows))
    archive = tmp_path / "X.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("X.csv", rows)
    monkeypatch.setattr(text_bytes, "_ALWAYS_UNPACKED", 1_000_000)
    for path in (packed, archive):
        most = 50 * path.stat().st_size
        with pytest.raises(DataError, match=f"larger than {most:,} bytes, unpacked"):
            _candles(path, "csv")
    monkeypatch.setattr(text_bytes, "MAX_BYTES", 1_000_000)
    with pytest.raises(DataError, match="larger than 1,000,000 bytes, unpacked"):
        _candles(packed, "csv")


def test_an_archive_of_ordinary_rows_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_bytes, "_ALWAYS_UNPACKED", 1)
    rows = clean(2_000)
    (tmp_path / "X.csv.gz").write_bytes(gzip.compress(rows.write_csv().encode()))
    made = block("candles", "csv", {"stamp": "open"}, path="X.csv.gz")
    ((_, done),) = read_candles(made, request("1h", "X", base=tmp_path))
    assert len(done.bars) == 2_000
