"""Tables as other programs write them: each is read, or its message states what reads it."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._app.data import check_strategy_data
from septet._config.load import load
from septet._data.bar_store import BarStore
from septet._data.load import read_candles, read_series
from septet._shell.preflight import check_data
from septet.errors import DataError
from tests.data.helpers import block, request
from tests.data.text_tables import COUNT, HEAD, START, hours, prices, read, refused, table, text


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


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-16", "it has no zero bytes"), ("ascii", "it is UTF-8, which needs no encoding:")],
)
def test_a_wrong_key_of_encoding_is_reported(tmp_path: Path, encoding: str, expected: str) -> None:
    data = text([HEAD + ",note", *(f"{line},é" for line in table(hours())[1:])])
    message, hint = refused(tmp_path, data, encoding=encoding)
    assert f"is not {encoding}: " in message
    assert expected in f"{message}; {hint}"


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


@pytest.mark.parametrize("more", [{}, {"decimal": ","}, {"delimiter": ";"}])
def test_points_for_thousands_name_both_ways_to_write_numbers(
    tmp_path: Path, more: dict[str, str]
) -> None:
    lines = [line.replace(".", ",") for line in table(hours(), sign=";", form="1#{:.2f}")]
    german = [line.replace("#", ".") for line in lines]
    message, hint = refused(tmp_path, text(german), **more)
    assert "line 2" in message
    assert "1.100,00" in message
    assert "take the points out and write decimal: ',' beside use: (1234,56)" in hint
    plain = text([line.replace("#", "") for line in lines])
    assert read(tmp_path, plain, decimal=",").bars.close[0] == 1000 + prices(0)[3]


def _parquet(base: Path, change: Any, **more: Any) -> Any:
    values = {name: [prices(at)[number] for at in range(COUNT)]
              for number, name in enumerate(HEAD.split(",")[1:])}  # fmt: skip
    stamps = [START + timedelta(hours=at) for at in range(COUNT)]
    frame = pl.DataFrame({"timestamp": stamps, **values}).with_row_index()
    frame.with_columns(change).drop("index").write_parquet(base / "x.parquet")
    given = {"stamp": "open", "time_zone": "UTC"}
    made = block("candles", "parquet", given, path="x.parquet")
    return read_candles(made, request("1h", "X/USD", base=base))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (pl.when(pl.col("index") % 10 == 3).then(-1.0).otherwise("close").alias("close"),
         "(row 3: 2024-01-01T03:00:00Z open"),
        (pl.when(pl.col("index") % 10 == 3).then(pl.lit("1,5"))
         .otherwise(pl.col("close").cast(pl.String)).alias("close"),
         "row 3: '1,5' in column close"),
        (pl.when(pl.col("index") % 10 == 3).then(None).otherwise("timestamp").alias("timestamp"),
         "row 3: an empty cell; row 13: an empty cell"),
    ],
)  # fmt: skip
def test_rows_of_parquet_are_named_by_number(
    tmp_path: Path, change: pl.Expr, expected: str
) -> None:
    with pytest.raises(DataError) as refused:
        _parquet(tmp_path, change)
    assert expected in f"{refused.value.message}\n{refused.value.hint}"
    assert "decimal: ','" not in refused.value.hint, "that is no key of a Parquet file"


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


def test_text_of_times_in_parquet_is_to_be_made_times(tmp_path: Path) -> None:
    rows = io.StringIO(text(table(hours("%d-%b-%Y %H:%M"))))
    pl.read_csv(rows).write_parquet(tmp_path / "x.parquet")
    made = block("candles", "parquet", {"time_zone": "UTC"}, path="x.parquet")
    with pytest.raises(DataError) as caught:
        read_candles(made, request("1h", "X/USD", base=tmp_path))
    assert "time stamps cannot be read: row 0: '01-Jan-2024 00:00'" in caught.value.message
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


def values(base: Path, data: str, **config: Any) -> tuple[str, str]:
    """Return the message and the hint about a series that is refused."""
    (base / "s.csv").write_text(data, encoding="utf-8")
    made = block("series", "csv_series", {"known_after": "24h"}, path="s.csv", **config)
    with pytest.raises(DataError) as caught:
        read_series("rate", made, request("1h", "X/USD", base=base))
    return caught.value.message, caught.value.hint or ""


def test_values_and_times_of_a_series_are_named_with_their_lines(tmp_path: Path) -> None:
    days = [START + timedelta(days=at) for at in range(60)]
    lines = [f"{day:%d/%m/%Y}" if at % 2 else f"{day:%Y-%m-%d}" for at, day in enumerate(days)]
    message, hint = values(tmp_path, text(["date,value", *(f"{each},1.5" for each in lines)]))
    assert "30 of 60 time stamps cannot be read: line 3: '02/01/2024'; line 5: '04/01" in message
    assert "time_format: '%d/%m/%Y'" in hint
    message, _ = values(
        tmp_path, text(["date,value", *(f"{each},1.5" for each in lines)]), time_format="%d/%m/%Y"
    )
    assert "30 of 60 time stamps cannot be read: line 2: '2024-01-01'; line 4: " in message
    usd = [f"{day:%Y-%m-%d},${at}.5" for at, day in enumerate(days)]
    message, hint = values(tmp_path, text(["date,value", *usd]))
    assert "not_finite 60 (line 2: 2024-01-01T00:00:00Z '$0.5')" in message
    assert "line 2: '$0.5' has a currency sign" in hint


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
