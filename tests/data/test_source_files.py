"""Files: which belong to which symbol, and what is reported of those that cannot be read."""

from __future__ import annotations

import errno
import gzip
import os
import zipfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest

from septet._data.load import read_candles, read_series
from septet._data.source_files import file_forms, find_files, one_file, reading, unreadable
from septet._data.wild_cards import matching_files
from septet.errors import DataError
from tests.data.helpers import HOUR_NS, NAMES, block, clean, ns, request

FRAME = clean(40)
TIMES = FRAME.with_columns(pl.from_epoch("timestamp", "ns"))


def closes(base: Path, use: str, *symbols: str, keys: Any = None, **config: Any) -> list[float]:
    made = block("candles", use, {"stamp": "open", **(keys or {})}, **config)
    read = read_candles(made, request("1h", *(symbols or ("BTC/USDT",)), base=base))
    return [float(done.bars.close[0]) for _, done in read]


def notes(base: Path, **config: Any) -> set[str]:
    made = block("candles", "csv", {"stamp": "open", "time_zone": "UTC"}, **config)
    ((_, done),) = read_candles(made, request("1h", "BTC/USDT", base=base))
    assert len(done.bars) == 40
    assert done.bars.close.tolist() == pytest.approx(FRAME["close"].to_list(), rel=1e-12)
    assert done.bars.open_ns.tolist() == FRAME["timestamp"].to_list()
    return {each.message for each in done.findings if each.kind == "note"}


def with_price(price: float) -> pl.DataFrame:
    return clean(5).with_columns(pl.lit(price).alias(name) for name in NAMES[:4])


def test_a_symbol_in_a_file_name() -> None:
    assert file_forms("BTC/USDT") == ("BTCUSDT", "BTC_USDT", "BTC-USDT", "BTC USDT")
    assert "BTC_USDT_USDT" in file_forms("BTC/USDT:USDT")
    assert file_forms("AAPL") == ("AAPL",)
    assert file_forms("..") == ()


def test_patterns_globs_and_symbol_columns(tmp_path: Path) -> None:
    folder = tmp_path / "candles"
    folder.mkdir()
    with_price(1.0).write_parquet(folder / "BTCUSDT-1h.parquet")
    with_price(2.0).write_parquet(folder / "ETH_USDT-1h.parquet")
    both = ("BTC/USDT", "ETH/USDT")
    assert closes(tmp_path, "parquet", path="candles/BTCUSDT-1h.parquet") == [1.0]
    assert closes(tmp_path, "parquet", *both, path="candles/*.parquet") == [1.0, 2.0]
    assert closes(tmp_path, "parquet", *both[::-1], path="candles/{symbol}-1h.parquet") == [
        2.0,
        1.0,
    ]
    assert closes(tmp_path, "parquet", *both, path="candles/{symbol}*") == [1.0, 2.0]
    mixed = pl.concat(
        [
            with_price(5.0).with_columns(symbol=pl.lit("BTCUSDT")),
            with_price(6.0).with_columns(symbol=pl.lit("ETH/USDT")),
        ]
    )
    mixed.write_parquet(tmp_path / "BTCUSDT.parquet")  # the column wins over the name
    assert closes(tmp_path, "parquet", *both, path="BTCUSDT.parquet") == [5.0, 6.0]


def test_several_files_of_one_symbol_are_put_together(tmp_path: Path) -> None:
    FRAME[:20].write_parquet(tmp_path / "BTCUSDT-2020-01.parquet")
    FRAME[20:].with_columns(pl.col("volume").cast(pl.Float32)).write_parquet(
        tmp_path / "BTCUSDT-2020-02.parquet"
    )
    made = block("candles", "parquet", path="BTCUSDT-*.parquet")
    ((raw, done),) = read_candles(made, request("1h", "BTC/USDT", base=tmp_path))
    assert len(done.bars) == 40
    assert "and 1 more" in raw.facts.origin


def test_what_is_not_there_is_reported_with_what_is(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "BTCUSDT.parquet")
    with pytest.raises(DataError, match=r"no such file: .*BTCUSD.parquet(?s:.*)BTCUSDT.parquet"):
        closes(tmp_path, "parquet", path="BTCUSD.parquet")
    with pytest.raises(DataError) as folder:
        closes(tmp_path, "parquet", path=".")
    assert "*.parquet" in str(folder.value.hint)
    with pytest.raises(DataError, match=r"ETH/USDT: no such file"):
        closes(tmp_path, "parquet", "BTC/USDT", "ETH/USDT", path="{symbol}.parquet")
    with pytest.raises(DataError, match=r"no data for ETH/USDT in BTCUSDT\.parquet"):
        closes(tmp_path, "parquet", "BTC/USDT", "ETH/USDT", path="BTCUSDT.parquet")
    FRAME.with_columns(symbol=pl.lit("SOLUSDT")).write_parquet(tmp_path / "all.parquet")
    with pytest.raises(DataError, match=r"no data for BTC/USDT in all\.parquet: .* holds SOLUSDT"):
        closes(tmp_path, "parquet", path="all.parquet")
    with pytest.raises(DataError, match="no column Px; found timestamp"):
        closes(tmp_path, "parquet", path="BTCUSDT.parquet", columns={"close": "Px"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"timestamp,open\n1,2\n", "is no Parquet file: it does not begin with b'PAR1'"),
        ("cut", "is truncated"),
        ("patched", "cannot be read as Parquet"),
    ],
)
def test_broken_parquet(tmp_path: Path, content: bytes | str, message: str) -> None:
    path = tmp_path / "x.parquet"
    if isinstance(content, str):
        FRAME.write_parquet(path)
        content = path.read_bytes()[:300] + (b"PAR1" if content == "patched" else b"")
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        closes(tmp_path, "parquet", path="x.parquet")


def test_guesses_about_a_csv_are_reported(tmp_path: Path) -> None:
    TIMES.write_csv(tmp_path / "a.csv")
    assert notes(tmp_path, path="a.csv") == {
        "delimiter guessed: comma", "first row read as header",
    }  # fmt: skip
    german = TIMES.with_columns(pl.col("timestamp").dt.strftime("%d.%m.%Y %H:%M"))
    german.write_csv(tmp_path / "b.csv", separator=";", decimal_comma=True)
    assert {"delimiter guessed: semicolon", "decimal comma guessed"} <= notes(
        tmp_path, path="b.csv"
    )
    bare = FRAME.with_columns(pl.col("timestamp") // 10**6)
    bare.write_csv(tmp_path / "c.csv", include_header=False, separator="\t")
    assert {
        "delimiter guessed: tab", "no header found", "time stamps read as ms",
        "columns read as timestamp, open, high, low, close, volume",
    } == notes(tmp_path, path="c.csv")  # fmt: skip


def test_csv_by_the_book(tmp_path: Path) -> None:
    us = TIMES.with_columns(pl.col("timestamp").dt.strftime("%m/%d/%Y %H:%M")).rename(
        {"timestamp": "Date", "close": "Px Last", "volume": "Vol"}
    )
    text = "some title\n# a remark\n" + us.write_csv(separator="|")
    (tmp_path / "a.txt").write_text(text, encoding="utf-16")
    given = {
        "path": "a.txt", "encoding": "utf-16", "skip_lines": 1, "comment": "#", "delimiter": "|",
        "time_format": "%m/%d/%Y %H:%M", "columns": {"timestamp": "Date", "close": "Px Last"},
    }  # fmt: skip
    assert "column 'Vol' read as volume" in notes(tmp_path, **given)
    with pytest.raises(DataError, match="no time fits time_format"):
        notes(tmp_path, **{**given, "time_format": "%Y"})


def test_date_and_time_apart(tmp_path: Path) -> None:
    apart = TIMES.select(
        pl.col("timestamp").dt.strftime("%Y.%m.%d").alias("<DATE>"),
        pl.col("timestamp").dt.strftime("%H:%M:%S").alias("<TIME>"),
        *(pl.col(name).alias(f"<{name.upper()}>") for name in NAMES),
    )
    apart.write_csv(tmp_path / "a.csv", separator="\t")
    given = {"path": "a.csv", "time_columns": ["<DATE>", "<TIME>"]}
    assert "column '<CLOSE>' read as close" in notes(tmp_path, **given)
    with pytest.raises(DataError, match="no column Time; found <DATE>"):
        notes(tmp_path, path="a.csv", time_columns=["<DATE>", "Time"])


def test_packed_text(tmp_path: Path) -> None:
    data = TIMES.write_csv().encode()
    with gzip.open(tmp_path / "a.csv.gz", "wb") as file:
        file.write(data)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", data)
    assert notes(tmp_path, path="a.csv.gz") == notes(tmp_path, path="a.zip")
    (tmp_path / "cut.csv.gz").write_bytes((tmp_path / "a.csv.gz").read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be unpacked"):
        notes(tmp_path, path="cut.csv.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"  \n", "is empty"),
        (b"PAR1....", "is a Parquet file(?s:.*)use: parquet"),
        (b"abc\x00def", "is no text"),
        (b"timestamp,open\n\xff\xfe", "is not utf-8: byte 15 is 0xff"),
        (b"one\ntwo\nthree\n", "cannot determine the delimiter"),
        (b"a,b\n1,2\n3,4,5,6\n", "cannot be read as a table"),
        (b"1,2\n3,4\n", "has 2 columns and no header"),
    ],
)
def test_broken_text(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        closes(tmp_path, "csv", path="x.csv")


@pytest.mark.parametrize("line", [1, 5, 60, 0])
def test_a_comma_in_a_number_is_named_with_its_line(tmp_path: Path, line: int) -> None:
    lines = ["timestamp,open,high,low,close,volume"]
    lines += [f"2020-01-{1 + k // 24:02d} {k % 24:02d}:00,100.5,101,99,100,10" for k in range(80)]
    for k in [line] if line else range(1, len(lines)):  # one row, or the whole file
        lines[k] = lines[k].replace("100.5", "100,5")
    (tmp_path / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    fields = rf"line {max(line, 1) + 1} has 7 fields, the first line has 6: .* such as 100,5"
    with pytest.raises(DataError, match=fields):
        closes(tmp_path, "csv", keys={"time_zone": "UTC"}, path="x.csv")
    text = "\n".join(lines).replace("100,5", "words,more")
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"has 7 fields, the first line has 6\n.*text in quotes"):
        closes(tmp_path, "csv", keys={"time_zone": "UTC"}, path="x.csv")


def test_a_word_among_numbers_is_one_bad_row(tmp_path: Path) -> None:
    lines = TIMES.write_csv().splitlines()
    lines[5] = ",".join([*lines[5].split(",")[:4], "n/a", "1"])
    (tmp_path / "x.csv").write_text("\n".join(lines[:-1]) + "\n2020-01-02 15:00,1,2\n")
    made = block(
        "candles", "csv", {"stamp": "open", "time_zone": "UTC", "max_bad": "5%"}, path="x.csv"
    )
    ((_, done),) = read_candles(made, request("1h", "BTC/USDT", base=tmp_path))
    bad = next(each for each in done.findings if each.kind == "not_finite")
    assert bad.count == 2
    assert len(done.bars) == 38


def test_csv_must_state_what_stamps_mark(tmp_path: Path) -> None:
    TIMES.write_csv(tmp_path / "a.csv")
    made = block("candles", "csv", path="a.csv")
    assert type(made.config).required_keys == ("stamp",)
    with pytest.raises(DataError, match="stamp: open or stamp: close"):
        read_candles(made, request("1h", "BTC/USDT", base=tmp_path))
    ended = block("candles", "csv", {"stamp": "close", "time_zone": "UTC"}, path="a.csv")
    ((_, done),) = read_candles(ended, request("1h", "BTC/USDT", base=tmp_path))
    assert done.bars.open_ns[0] == FRAME["timestamp"][0] - HOUR_NS


def test_series_files(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"date": ["2021-01-01", "2021-02-01"], "cpi": [1.0, 2.0], "out": ["2021-02-10"] * 2}
    )
    table.write_csv(tmp_path / "cpi.csv")
    table.write_parquet(tmp_path / "cpi.parquet")
    for use in ("csv_series", "parquet_series"):
        path = f"cpi.{use.removesuffix('_series')}"
        made = block("series", use, path=path, value="cpi", known="out")
        assert made.config.gives_known_time
        found, _, origin = read_series("cpi", made, request("1h", "X", base=tmp_path))
        assert found.value.tolist() == [1.0, 2.0]
        assert found.known_ns.tolist() == [ns("2021-02-10")] * 2
        assert origin.endswith(path)
        vague = block("series", use, {"known_after": "1d"}, path=path)
        assert not vague.config.gives_known_time
        with pytest.raises(DataError, match="which column is the value"):
            read_series("cpi", vague, request("1h", "X", base=tmp_path))
        absent = block("series", use, {"known_after": "1d"}, path=path, value="ppi")
        with pytest.raises(DataError, match="no column 'ppi'"):
            read_series("cpi", absent, request("1h", "X", base=tmp_path))


def test_an_optional_series_may_be_missing(tmp_path: Path) -> None:
    made = block("series", "csv_series", {"known_after": "1d", "optional": True}, path="no.csv")
    table, found, _ = read_series("mood", made, request("1h", "X", base=tmp_path))
    assert len(table.value) == 0
    assert found[0].kind == "missing"
    assert "no such file" in found[0].examples[0]


def test_names_of_the_folders_of_others_are_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other, here = (tmp_path / name for name in ("own", "other", "here"))
    for each in (own / "data", other, here):
        each.mkdir(parents=True)
        (each / "id_rsa.csv").write_text("")
    monkeypatch.chdir(here)
    for path, listed in (
        ("data/id_rsb.csv", True), (str(own / "data/id_rsb.csv"), True),
        ("data/deep/er/id_rsb.csv", True), (str(here / "id_rsb.csv"), True),
        (str(other / "id_rsb.csv"), False), ("../other/id_rsb.csv", False),
        (str(other / "no/id_rsb.csv"), False), ("/id_rsb.csv", False), ("/etc/passwb", False),
        ("~nobody-here/x.csv", True), ("x" * 5_000, True),
    ):  # fmt: skip
        for ask in (partial(one_file, path, own, "series"), partial(find_files, path, ["A"], own)):
            with pytest.raises(DataError) as caught:
                ask()
            assert ("holds" in caught.value.hint) == listed, path
            assert listed or "id_rsa" not in str(caught.value)
    monkeypatch.chdir("/")
    with pytest.raises(DataError) as caught:
        one_file("/etc/passwb", own, "series")
    assert "holds" not in caught.value.hint


LONG = "x" * 300
ODD_PATHS = [
    LONG, f"{LONG}*", f"{LONG}/x.csv", "a/" * 3_000 + "b.csv", "{symbol}" + LONG,
    "loop", "loop/*.csv", "loop*/x.csv", "closed/x.csv", "closed/*.csv", "closed/{symbol}.csv",
    "gone", "folder", "pipe", "pip*", "a\0b.csv", "\0*", "{symbol}\0", "[", "~nosuchuser/x.csv",
    "/proc/self/mem", "/proc/self/m*m", "/proc/self/pagemap", "/proc/self/environ", "/dev/zero",
    "/dev/null", "/dev/full", "/dev/tty", "/dev/stdin", "/", ".", "",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD_PATHS)
def test_a_path_that_is_no_data_file_is_refused_with_a_message(tmp_path: Path, path: str) -> None:
    """In words and at once: nothing waits for a pipe, or reads a file that never ends."""
    (tmp_path / "loop").symlink_to(tmp_path / "pool")
    (tmp_path / "pool").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    asked = request("1h", "BTC/USDT", base=tmp_path)
    for use in ("csv", "parquet"):
        keys = {"stamp": "open"} if use == "csv" else {}
        with pytest.raises(DataError) as caught:
            read_candles(block("candles", use, keys, path=path), asked)
        assert len(str(caught.value)) < 20_000
        with pytest.raises(DataError):
            read_series(
                "s", block("series", f"{use}_series", {"known_after": "1h"}, path=path), asked
            )


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "folder"])
def test_what_is_there_and_no_file_is_not_reported_as_missing(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    asked = request("1h", "BTC/USDT", base=tmp_path)
    with pytest.raises(DataError, match="not a regular file") as caught:
        read_candles(block("candles", "csv", {"stamp": "open"}, path=path), asked)
    assert "no such file" not in str(caught.value)
    assert ("a folder" in str(caught.value)) == (path == "folder")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("timestamp,open,high,low,close,close,volume", "line 1: columns 5 and 6 .*'close'"),
        ("timestamp,Open,high,low,open ,close,volume", "line 1: columns 2 and 5 .*'open'"),
        ("# a comment\ntimestamp,open,high,low,close,high,volume", "line 2: columns 3 and 6"),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path: Path, head: str, expected: str) -> None:
    row = "2022-01-01T00:00:00Z,1,2,0.5,1.5,9,3"
    (tmp_path / "two.csv").write_text(f"{head}\n{row}\n{row.replace('T00', 'T01')}\n")
    keys = {"stamp": "open"}
    made = block(
        "candles", "csv", keys, path="two.csv", **({"comment": "#"} if "#" in head else {})
    )
    with pytest.raises(DataError, match=expected):
        read_candles(made, request("1h", "BTC/USDT", base=tmp_path))


@pytest.mark.parametrize("path", ["closed/x.csv", "closed/*.csv", "closed/{symbol}.csv"])
@pytest.mark.parametrize("name", ["is_file", "is_dir", "glob", "iterdir", "exists"])
def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, path: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system refuses it to a user who is not the superuser."""

    def closed(self: Path, *rest: Any, **more: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, name, closed)
    asked = request("1h", "BTC/USDT", base=tmp_path)
    for read in (
        lambda: read_candles(block("candles", "csv", {"stamp": "open"}, path=path), asked),
        lambda: read_series(
            "s", block("series", "csv_series", {"known_after": "1h"}, path=path), asked
        ),
    ):
        with pytest.raises(DataError, match=r"Permission denied|no such file"):
            read()


@pytest.mark.parametrize("packed", [False, True])
def test_a_first_line_without_an_end_is_refused_unread(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "x.csv"
    with (gzip.open if packed else open)(path, "wb") as file:
        for _ in range(30):
            file.write(b"1.5,2.5,3.5," * 100_000)
    with pytest.raises(DataError, match="the first line is longer than 1,000,000 bytes"):
        closes(tmp_path, "csv", path="x.csv")


def test_a_column_of_symbols_under_another_name_is_named(tmp_path: Path) -> None:
    parts = [
        clean(20, seed=k).with_columns(venue=pl.lit("x"), pair=pl.lit(name), timestamp="timestamp")
        for k, name in enumerate(("BTC-USDT", "ETH-USDT"))
    ]
    pl.concat(parts).write_csv(tmp_path / "both.csv")
    with pytest.raises(DataError) as caught:
        closes(tmp_path, "csv", "BTC/USDT", "ETH/USDT", path="both.csv")
    assert "column 'pair' holds these symbols: write columns: {symbol: pair}" in str(caught.value)
    named = {"symbol": "pair"}
    assert len(closes(tmp_path, "csv", "BTC/USDT", "ETH/USDT", path="both.csv", columns=named)) == 2


PLAIN = ["1,234.50", "1,300.25", "1,200.75", "1,250.50", "12,000"]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_commas_for_thousands_are_named(tmp_path: Path, quote: str, delimiter: str) -> None:
    lines = [delimiter.join(["timestamp", *NAMES])]
    for k in range(10):
        cells = [f"{quote}{each}{quote}" for each in PLAIN]
        lines.append(delimiter.join([f"2020-01-01 {k:02d}:00", *cells]))
    (tmp_path / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        closes(tmp_path, "csv", keys={"time_zone": "UTC"}, path="x.csv")
    message = str(caught.value)
    assert "x.csv, line 2: numbers such as 1,234.50" in message
    assert "comma for thousands" in message
    assert "without thousands separators" in message


LEAKS = {
    "a second line": b"1,2\n3,4\nSECRET,5\n" + b"1,2\n" * 20,
    "a quote without an end": b'a,b\n1,"SECRET\n' + b"SECRET " * 5_000,
    "more cells": b"a,b\n1,2\nSECRET,4,5,6\n",
    "times": b"timestamp,close\nSECRET,1\nSECRET,2\n",
    "no delimiter": b"API_KEY=SECRET\nother\nthird line\n",
    "no delimiter in one line": b"SECRET\n",
    "a first line that is no header": b"A=SECRET,B:SECRET\n1,2\n3,4\n",
    "two of one name": b"A=SECRET,A=SECRET\n1,2\n",
    "a long header": b",".join(b"column%d" % each for each in range(5_000)) + b"\n" + b"1," * 4_999,
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("more", [{}, {"time_format": "%Y"}, {"header": "no"}])
def test_no_message_quotes_a_line_of_a_file(
    tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    (tmp_path / "x.csv").write_bytes(LEAKS[name])
    keys = {"stamp": "open", "time_zone": "UTC"}
    made = block("candles", "csv", keys, path="x.csv", **more)
    with pytest.raises(DataError) as caught:
        read_candles(made, request("1h", "BTC/USDT", base=tmp_path))
    assert "SECRET" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_what_the_reader_of_tables_states_is_not_passed_on() -> None:
    text = "conversion from `str` to `i64` failed in column 'a' for 1 values: [\"SECRET\"]"
    for error in (
        pl.exceptions.InvalidOperationError(text), pl.exceptions.ComputeError("SECRET"),
        ValueError("could not convert string to float: 'SECRET'"), OverflowError("SECRET"),
    ):  # fmt: skip
        with pytest.raises(DataError) as caught, reading("x"):
            raise error
        assert "SECRET" not in str(caught.value)
        assert "SECRET" not in str(unreadable("x.parquet", error))


@pytest.mark.parametrize("path", ["/**/**", "/**/*.csv", "/**"])
def test_a_pattern_from_the_root_of_the_disk_is_refused_unread(path: str, tmp_path: Path) -> None:
    with (
        mock.patch("os.scandir", side_effect=AssertionError),
        pytest.raises(DataError, match="would look through the whole disk") as caught,
    ):
        find_files(path, ["BTC/USDT"], tmp_path)
    assert caught.value.key == "path"


@pytest.mark.parametrize("pattern", ["**/*.csv", "*/*/x-*.csv", "**/**/x-1.csv", "a/**"])
def test_a_walk_through_folders_is_bounded(pattern: str, tmp_path: Path) -> None:
    for folder in ("a/b", "a/c", "a/c/d"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for number in range(5):
            (tmp_path / folder / f"x-{number}.csv").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    found = matching_files(tmp_path / pattern)
    (tmp_path / "a" / "again").unlink()
    wanted = sorted(each for each in tmp_path.glob(pattern.replace("a/**", "a/**/*"))
                    if each.is_file())  # fmt: skip
    assert [each for each in found if "again" not in each.parts] == wanted
    with pytest.raises(DataError, match="more than 12 files and folders"):
        matching_files(tmp_path / "**/*.csv", 12)
