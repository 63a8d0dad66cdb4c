"""Tables as other programs write them: each is read, or its message states what reads it."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._app.data import check_strategy_data
from septet._config.load import load
from septet._data.bar_store import BarStore
from septet._data.load import read_candles
from septet._data.normalise import Normalised
from septet._shell.preflight import check_data
from septet.errors import DataError
from tests.data.helpers import block, request

START = datetime(2024, 1, 1, tzinfo=UTC)
HEAD = "timestamp,open,high,low,close,volume"
COUNT = 120


def hours(form: str = "%Y-%m-%d %H:%M:%S", *, every: int = 1) -> list[str]:
    """Return times an hour apart, or several."""
    return [(START + timedelta(hours=every * at)).strftime(form) for at in range(COUNT)]


def prices(at: int) -> tuple[float, float, float, float, int]:
    """Return open, high, low, close and volume of a bar."""
    return 100.0 + at / 8, 100.5 + at / 8, 99.5 + at / 8, 100.25 + at / 8, 10 + at


def table(times: list[str], head: str = HEAD, sign: str = ",", form: str = "{:.4f}") -> list[str]:
    """Return the lines of a table of bars."""
    cells = [
        [time, *(form.format(price) for price in prices(at)[:4]), str(prices(at)[4])]
        for at, time in enumerate(times)
    ]
    return [head.replace(",", sign), *(sign.join(row) for row in cells)]


def read(
    base: Path, data: str | bytes, bar: str = "1h", symbols: tuple[str, ...] = ("X/USD",),
    keys: dict[str, Any] | None = None, name: str = "x.csv", **config: Any,
) -> Normalised:  # fmt: skip
    """Read the bars of a file with these contents."""
    data = data.encode() if isinstance(data, str) else data
    (base / name).write_bytes(data)
    made = block(
        "candles", "csv", {"stamp": "open", "time_zone": "UTC", **(keys or {})}, path=name, **config
    )
    return read_candles(made, request(bar, *symbols, base=base))[0][1]


def refused(base: Path, data: str | bytes, bar: str = "1h", **more: Any) -> tuple[str, str]:
    """Return the message and the hint about a file that is refused."""
    with pytest.raises(DataError) as caught:
        read(base, data, bar, **more)
    return caught.value.message, caught.value.hint or ""


def text(lines: list[str], end: str = "\n") -> str:
    """Put lines together."""
    return end.join(lines) + end


@pytest.mark.parametrize("half", [2, 5])
def test_stamps_of_two_formats_are_named_and_are_no_longer_bars(tmp_path: Path, half: int) -> None:
    other = hours("%d/%m/%Y %H:%M")
    mixed = [other[at] if at % half == 0 else time for at, time in enumerate(hours())]
    message, hint = refused(tmp_path, text(table(mixed)))
    assert f"{COUNT // half} of {COUNT} time stamps cannot be read" in message
    first, second = f"line 2: '{other[0]}'", f"line {2 + half}: '{other[half]}'"
    assert f"{first}; {second}; the other " in message
    assert f"can be, such as line 3: '{mixed[1]}'" in message
    assert "apart" not in message
    assert "write all its stamps in one way" in hint
    assert "fit time_format: '%d/%m/%Y %H:%M'" in hint
    assert "max_bad: 1%" in hint


def test_stamps_that_do_not_fit_the_format_of_the_file_are_shown_as_written(tmp_path: Path) -> None:
    mixed = [*hours("%d/%m/%Y %H:%M")[:100], *hours()[100:]]
    message, hint = refused(tmp_path, text(table(mixed)), time_format="%d/%m/%Y %H:%M")
    assert f"20 of {COUNT} time stamps cannot be read: line 102: '{mixed[100]}'" in message
    assert "such as line 2: '01/01/2024 00:00'" in message
    assert "'%Y-%m-%d %H:%M:%S'" in hint


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%d/%m/%Y %H:%M", "'%d/%m/%Y %H:%M' if the day comes first, or '%m/%d/%Y %H:%M'"),
        ("%m/%d/%Y %I:%M:%S %p", "or '%m/%d/%Y %I:%M:%S %p' if the month does"),
        ("%d-%b-%Y %H:%M", "they fit time_format: '%d-%b-%Y %H:%M': write it beside use:"),
        ('"%b %d, %Y %H:%M"', "they fit time_format: '%b %d, %Y %H:%M'"),
        ("%Y-%m-%d %I-%p", "they fit time_format: '%Y-%m-%d %I-%p'"),
        ("%Y-%m-%d %H:%M:%S CET", "write time_format: '%Y-%m-%d %H:%M:%S CET' and time_zone: Eur"),
        ("%j of %Y", "state how times are written"),
    ],
)
def test_the_format_of_unread_stamps_is_proposed(tmp_path: Path, form: str, expected: str) -> None:
    message, hint = refused(tmp_path, text(table(hours(form))))
    assert f"{COUNT} of {COUNT} time stamps cannot be read: line 2: " in message
    assert expected in hint


@pytest.mark.parametrize(
    ("form", "more"),
    [
        ("%d-%b-%Y %H:%M", {"time_format": "%d-%b-%Y %H:%M"}),
        ("%Y-%m-%d %I-%p", {"time_format": "%Y-%m-%d %I-%p"}),
        (
            "%Y-%m-%d %H:%M:%S CET",
            {"time_format": "%Y-%m-%d %H:%M:%S CET", "keys": {"time_zone": "Europe/Paris"}},
        ),
    ],
)
def test_a_proposed_format_reads_the_stamps(tmp_path: Path, form: str, more: Any) -> None:
    assert len(read(tmp_path, text(table(hours(form))), **more).bars) == COUNT


def test_days_of_a_spreadsheet_are_named(tmp_path: Path) -> None:
    days = [f"{45292 + at / 24:.6f}" for at in range(COUNT)]
    message, hint = refused(tmp_path, text(table(days)))
    assert "line 2: '45292.0'" in message
    assert "are the days of a spreadsheet" in hint


def test_a_quoted_cell_may_hold_line_breaks(tmp_path: Path) -> None:
    lines = table(hours())
    noted = [lines[0] + ",note", *(f'{line},"he said ""hi"", then\nleft"' for line in lines[1:])]
    done = read(tmp_path, text(noted))
    assert len(done.bars) == COUNT
    noted[-1] = noted[-1].replace(",100", ",hundred").replace(",114", ",hundred")
    noted[-1] = noted[-1].replace(str(prices(COUNT - 1)[0]), "n/a")
    message, _ = refused(tmp_path, text(noted), keys={"max_bad": "0"})
    assert f"line {2 * COUNT}: " in message, "the line in which the row begins"


def test_a_quotation_mark_that_nothing_closes_hides_no_lines(tmp_path: Path) -> None:
    lines = table(hours())
    lines[0] += ",note"
    lines[1:] = [f"{line},x" for line in lines[1:]]
    lines[40] = lines[40][:-1] + '5" disk'
    message, _ = refused(tmp_path, text(lines))
    assert "x.csv" in message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_ends_of_lines_are_read(tmp_path: Path, end: str) -> None:
    assert len(read(tmp_path, text(table(hours()), end)).bars) == COUNT


def test_a_table_without_rows_states_so(tmp_path: Path) -> None:
    message, hint = refused(tmp_path, HEAD + "\n")
    assert "there are no rows below its first line" in message
    assert "download it again" in hint


@pytest.mark.parametrize(
    ("encoding", "mark", "key"),
    [
        ("utf-16", "FF FE", "utf-16"), ("utf-32", "FF FE 00 00", "utf-32"),
        ("utf-16-le", "", "utf-16-le"), ("utf-16-be", "", "utf-16-be"),
    ],
)  # fmt: skip
def test_wide_text_names_the_key_that_reads_it(
    tmp_path: Path, encoding: str, mark: str, key: str
) -> None:
    data = text(table(hours())).encode(encoding)
    message, hint = refused(tmp_path, data)
    assert (f"byte order mark {mark}" if mark else "without a byte order mark") in message
    assert f"write encoding: {key} beside use:" in hint
    assert len(read(tmp_path, data, encoding=key).bars) == COUNT


@pytest.mark.parametrize(("word", "key"), [("é", "latin-1"), ("€ “x”", "cp1252")])
def test_text_of_one_byte_a_sign_names_its_line_and_key(
    tmp_path: Path, word: str, key: str
) -> None:
    lines = [HEAD + ",note", *(f"{line},a" for line in table(hours())[1:])]
    lines[7] = lines[7][:-1] + word
    data = text(lines).encode(key)
    message, hint = refused(tmp_path, data)
    assert "is not utf-8: byte " in message
    assert message.endswith("in line 8")
    assert f"write encoding: {key} beside use:" in hint
    assert len(read(tmp_path, data, encoding=key).bars) == COUNT


def test_one_price_a_bar_names_the_columns_and_the_way_out(tmp_path: Path) -> None:
    lines = ["date,price", *(f"{time},{prices(at)[3]}" for at, time in enumerate(hours()))]
    message, hint = refused(tmp_path, text(lines))
    assert "no column open, high, low, close; found timestamp, price" in message
    assert "(column 'date' read as timestamp)" in message
    assert "close is also read from c, last" in hint
    assert "columns: {open: price, high: price, low: price, close: price}" in hint
    one = dict.fromkeys(("open", "high", "low", "close"), "price")
    bars = read(tmp_path, text(lines), columns=one).bars
    assert list(bars.open) == list(bars.high) == list(bars.low) == list(bars.close)
    assert bars.close[3] == prices(3)[3]
    closes = [line.replace("price", "close") for line in lines]
    assert (
        "columns: {open: close, high: close, low: close, close: close}"
        in (refused(tmp_path, text(closes))[1])
    )
    same = dict.fromkeys(("open", "high", "low", "close"), "close")
    assert read(tmp_path, text(closes), columns=same).bars.open[3] == prices(3)[3]


def test_other_symbols_are_listed_with_the_keys_of_a_csv(tmp_path: Path) -> None:
    lines = table(hours())
    named = [lines[0] + ",ticker"]
    named += [f"{line},{'AAA' if at % 2 else 'BBB'}" for at, line in enumerate(lines[1:])]
    message, hint = refused(tmp_path, text(named))
    assert "no data for X/USD in x.csv: its column of symbols holds AAA, BBB" in message
    assert "universe: {symbols: [AAA, BBB]}" in hint
    assert "parquet" not in hint
    (tmp_path / "y.csv").write_text(text(lines), encoding="utf-8")
    message, hint = refused(tmp_path, text(lines), symbols=("X/USD", "Y/USD"), name="z.csv")
    assert "no symbol of the universe is in the name of z.csv" in message
    assert 'path: "{symbol}.csv"' in hint


def test_rows_without_prices_are_counted_and_placed(tmp_path: Path) -> None:
    lines = table(hours())
    for at in (10, 40, 70, 100):
        lines[at] = lines[at].split(",")[0] + ",,,,,"
    message, hint = refused(tmp_path, text(lines))
    assert "not_finite 4 (line 11: 2024-01-01T09:00:00Z open empty high empty" in message
    assert f"4 of {COUNT} rows are without any price, their cells are empty or hold a mark" in hint
    assert "max_bad: 4%" in hint
    assert "thousands" not in hint
    assert len(read(tmp_path, text(lines), keys={"max_bad": "4%"}).bars) == COUNT - 4


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("${:.2f}", "a currency sign"), ("{:.2f} €", "a currency sign"),
        ("USD {:.2f}", "letters of a currency or a unit"), ("{:.2f}%", "a per cent sign"),
        ("({:.2f})", "brackets of a negative number"), ("n/a{:.0f}", "is no number"),
    ],
)  # fmt: skip
def test_prices_that_are_no_numbers_are_named_with_their_line(
    tmp_path: Path, cell: str, kind: str
) -> None:
    lines = table(hours(), form=cell)
    message, hint = refused(tmp_path, text(lines))
    shown = cell.format(prices(0)[0])
    assert f"not_finite {COUNT} (line 2: 2024-01-01T00:00:00Z open '{shown}'" in message
    assert f"line 2: '{shown}' in column open" in hint
    assert kind in hint


def test_a_decimal_comma_in_quotes_is_read(tmp_path: Path) -> None:
    lines = [line.replace(".", ",") for line in table(hours(), sign="\0")]
    quoted = [lines[0].replace("\0", ",")]
    quoted += ['"' + line.replace("\0", '","') + '"' for line in lines[1:]]
    done = read(tmp_path, text(quoted))
    assert done.bars.close[1] == prices(1)[3]
    assert "decimal comma guessed" in {each.message for each in done.findings}
    three = ["timestamp,open,high,low,close", *(f'{time},"1,085","1,086","1,084","1,085"'
                                               for time in hours())]  # fmt: skip
    message, hint = refused(tmp_path, text(three))
    assert "numbers such as 1,085" in message
    assert "if the comma is the decimal mark, write decimal: ','" in hint
    assert read(tmp_path, text(three), decimal=",").bars.close[0] == 1.085


YFINANCE = ["Price,Close,High,Low,Open,Volume", "Ticker,AAPL,AAPL,AAPL,AAPL,AAPL", "Date,,,,,"]


def test_the_three_headers_of_yfinance_name_what_reads_them(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02d},{100 + day},{101 + day},{99 + day},{100 + day},5"
            for day in range(2, 30)]  # fmt: skip
    data = text([*YFINANCE, *rows])
    message, hint = refused(tmp_path, data, "1d")
    assert "has three lines above its rows, as yfinance writes them" in message
    names = ["timestamp", "close", "high", "low", "open", "volume"]
    assert f"write skip_lines: 3, header: 'no' and names: [{', '.join(names)}]" in hint
    done = read(tmp_path, data, "1d", skip_lines=3, header="no", names=names)
    assert len(done.bars) == 28
    two = [YFINANCE[0], "Ticker,AAPL,AAPL,MSFT,MSFT,MSFT", YFINANCE[2], *rows]
    message, hint = refused(tmp_path, text(two), "1d")
    assert "holds 2 symbols beside each other" in message
    assert "{symbol}.csv" in hint


def test_lines_above_a_table_are_counted(tmp_path: Path) -> None:
    data = text(["https://www.CryptoDataDownload.com", *table(hours())])
    message, hint = refused(tmp_path, data)
    assert "line 1 is not of the table, whose first line is line 2" in message
    assert "write skip_lines: 1 beside use:" in hint
    assert len(read(tmp_path, data, skip_lines=1).bars) == COUNT
    data = text(["Report of prices", "made today", *table(hours())])
    message, hint = refused(tmp_path, data)
    assert "lines 1 to 2 are not of the table" in message
    assert "skip_lines: 2" in hint


def test_a_title_in_the_first_cell_is_no_header(tmp_path: Path) -> None:
    data = text(["Prices of X;;;;;", "", *table(hours(), sign=";"), "Total;;;;;99999"])
    message, hint = refused(tmp_path, data)
    assert "lines 1 to 2 are not of the table, whose first line is line 3" in message
    assert "write skip_lines: 2" in hint
    assert len(read(tmp_path, data, skip_lines=2, keys={"max_bad": "1%"}).bars) == COUNT


@pytest.mark.parametrize("empty", ["", ",,,,,"])
def test_empty_lines_are_left_out_and_counted_as_lines(tmp_path: Path, empty: str) -> None:
    lines = table(hours())
    apart = [part for line in lines for part in (line, empty)] + [empty] * 200
    done = read(tmp_path, text(apart))
    assert len(done.bars) == COUNT
    noted = {each.message for each in done.findings}
    assert "rows in which every cell is empty are left out" in noted
    apart[20] = apart[20].replace(f"{prices(9)[0]:.4f}", "none of it")
    message, _ = refused(tmp_path, text(apart), keys={"max_bad": "0"})
    assert "not_finite 1 (line 21: " in message


def test_marks_of_missing_values_are_no_words(tmp_path: Path) -> None:
    lines = table(hours())
    for at in (10, 40, 70, 100):
        lines[at] = lines[at].split(",")[0] + ",null,null,null,null,null"
    _, hint = refused(tmp_path, text(lines))
    assert f"4 of {COUNT} rows are without any price" in hint
    assert "max_bad: 4%" in hint


def test_a_date_and_a_time_without_a_header_name_the_keys(tmp_path: Path) -> None:
    lines = table(hours("%Y.%m.%d,%H:%M"))[1:]
    _, hint = refused(tmp_path, text(lines))
    assert "line 1: '00:00' in column open is a time of day" in hint
    assert "time_columns: [date, time]" in hint
    names = ["date", "time", "open", "high", "low", "close", "volume"]
    given: dict[str, Any] = {"header": "no", "names": names, "time_columns": names[:2]}
    assert len(read(tmp_path, text(lines), **given).bars) == COUNT


@pytest.mark.parametrize(
    ("theirs", "written"), [("Price", "Price"), ("Close/Last", "'Close/Last'")]
)
def test_a_price_beside_the_others_is_proposed_as_the_close(
    tmp_path: Path, theirs: str, written: str
) -> None:
    data = text(table(hours(), HEAD.replace("close", theirs)))
    message, hint = refused(tmp_path, data)
    assert "no column close" in message
    assert f"is the close, write columns: {{close: {written}}}" in hint
    assert read(tmp_path, data, columns={"close": theirs}).bars.close[0] == prices(0)[3]


def test_the_index_of_pandas_is_named(tmp_path: Path) -> None:
    data = text(table(hours(), HEAD.replace("timestamp", "")))
    _, hint = refused(tmp_path, data)
    assert "if the column without a name holds the times, write columns: {timestamp: ''}" in hint
    assert len(read(tmp_path, data, columns={"timestamp": ""}).bars) == COUNT


def test_a_row_that_ends_with_a_delimiter_is_named(tmp_path: Path) -> None:
    lines = table(hours())
    data = text([lines[0], *(f"{line}," for line in lines[1:])])
    message, hint = refused(tmp_path, data)
    assert "line 2 has 7 fields, the first line has 6: the row ends with a ','" in message
    assert "end the first line with ','" in hint
    assert len(read(tmp_path, data.replace("volume", "volume,")).bars) == COUNT


def test_days_of_an_exchange_name_its_calendar(tmp_path: Path) -> None:
    days = [START + timedelta(days=at) for at in range(60)]
    times = [f"{day:%Y-%m-%d} 00:00:00-05:00" for day in days if day.weekday() < 5]
    _, hint = refused(tmp_path, text(table(times)), "1d")
    assert "calendar: XNYS" in hint
    done = read(tmp_path, text(table(times)), "1d", keys={"calendar": "XNYS", "max_bad": "10%"})
    assert len(done.bars) == len(times) - 3, "without three holidays"


def test_text_of_times_in_parquet_is_to_be_made_times(tmp_path: Path) -> None:
    rows = io.StringIO(text(table(hours("%d-%b-%Y %H:%M"))))
    pl.read_csv(rows).write_parquet(tmp_path / "x.parquet")
    made = block("candles", "parquet", {"time_zone": "UTC"}, path="x.parquet")
    with pytest.raises(DataError) as caught:
        read_candles(made, request("1h", "X/USD", base=tmp_path))
    assert "time stamps cannot be read: '01-Jan-2024 00:00'" in caught.value.message
    assert "str.to_datetime('%d-%b-%Y %H:%M')" in (caught.value.hint or "")
    assert "time_format" not in (caught.value.hint or "")


def excel() -> bytes:
    """Return a file that begins as a workbook does."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("xl/workbook.xml", "<workbook/>")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "what", "hint"),
    [
        (excel(), "is an Excel workbook (.xlsx), not text", "save its sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "Excel workbook (.xls)", "as CSV"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "a page of HTML", "download"),
        (b'[[1704067200000, 1.0, 2.0, 0.5, 1.5, 10.0],\n [1, 2]]', "is JSON", "data=frame"),
        (b'{"prices": [[1, 2], [3, 4]]}\n', "is JSON", "as CSV or Parquet"),
        (b"BZh91AY&SY" + b"x" * 50, "packed with bzip2", "unpack it first"),
        (b"ARROW1\0\0" + b"x" * 50, "an Arrow or Feather file", "use: parquet"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, what: str, hint: str) -> None:
    message, found = refused(tmp_path, data)
    assert what in message
    assert hint in found


def metatrader(form: str = "%Y.%m.%d\t%H:%M:%S") -> str:
    head = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    rows = [
        "\t".join([time, *(f"{price:.5f}" for price in prices(at)[:4]), "12", "0", "3"])
        for at, time in enumerate(hours(form))
    ]
    return text([head, *rows], "\r\n")


def test_an_export_of_metatrader_names_its_two_columns_of_time(tmp_path: Path) -> None:
    message, hint = refused(tmp_path, metatrader())
    assert "write time_columns: [<DATE>, <TIME>]" in hint, message
    done = read(tmp_path, metatrader(), time_columns=["<DATE>", "<TIME>"])
    assert len(done.bars) == COUNT


def test_dumps_of_klines_are_read_in_milliseconds_and_microseconds(tmp_path: Path) -> None:
    for factor in (1_000, 1_000_000):
        rows = []
        for at in range(COUNT):
            opened = int((START + timedelta(hours=at)).timestamp()) * factor
            cells = [opened, *prices(at), opened + 3_600 * factor - 1, 5.0, 9, 2.0, 3.0, 0]
            rows.append(",".join(map(str, cells)))
        assert len(read(tmp_path, text(rows)).bars) == COUNT


def test_usual_exports_are_read(tmp_path: Path) -> None:
    usual = table(hours())
    semicolons = table(hours("%d.%m.%Y %H:%M"), sign=";")
    german = [semicolons[0], *(line.replace(".", ",") for line in semicolons[1:])]
    german[1:] = [
        line.replace(line.split(";")[0], time)
        for line, time in zip(german[1:], hours("%d.%m.%Y %H:%M"), strict=True)
    ]
    zoned = [line.replace(" ", "T", 1) for line in table(hours("%Y-%m-%d %H:%M:%S+00:00"))]
    data: dict[str, bytes] = {
        "newest first": text([usual[0], *usual[:0:-1]]).encode(),
        "a mark of UTF-8": b"\xef\xbb\xbf" + text(usual).encode(),
        "packed": gzip.compress(text(usual).encode()),
        "the header again": text([usual[0], *usual]).encode(),
        "semicolons": text(german).encode(),
        "offsets": text(zoned).encode(),
    }
    for name, content in data.items():
        bars = read(tmp_path, content, keys={"max_bad": "2%"}).bars
        assert len(bars) == COUNT, name
        assert bars.close[-1] == prices(COUNT - 1)[3], name


STRATEGY = """\
version: 1
name: x
universe: {symbols: [X/USD], bar: 1h}
data: {candles: {use: csv, path: x.csv, stamp: open, time_zone: UTC, max_bad: 5%}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def test_a_warning_of_bad_rows_names_the_command_with_the_strategy_file(tmp_path: Path) -> None:
    lines = table(hours())
    lines[50] = lines[50].replace(f"{prices(49)[0]:.4f}", "n/a")
    (tmp_path / "x.csv").write_text(text(lines), encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(STRATEGY, encoding="utf-8")
    warned = [
        each for each in check_data(load(path)).problems if "dropped or mended" in each.message
    ]
    assert [each.hint for each in warned] == [f"septet data check {path} shows the rows"]
    found = check_strategy_data(path, BarStore(tmp_path / "store")).findings
    shown = [each.examples for each in found if each.kind == "not_finite"]
    assert shown[0][0].startswith("line 51: 2024-01-03T01:00:00Z open 'n/a'")
