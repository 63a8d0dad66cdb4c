"""Exports of brokers, exchanges, spreadsheets and pandas: each is read, or names what reads it."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.data.text_tables import COUNT, HEAD, START, hours, prices, read, refused, table, text

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


@pytest.mark.parametrize(
    ("more", "read_from"),
    [
        ("Volume (BTC)", "Volume (BTC)"), ("Volume BTC,Volume USDT", "Volume BTC"),
        ("Volume USDT,volume_ETH", "volume_ETH"), ("<TICKVOL>,<SPREAD>", "<TICKVOL>"),
        ("Volume,Volume MA", "Volume"), ("Volume MA", None), ("Volume USD", None),
        ("Volume BTC,Volume ETH", None),
    ],
)  # fmt: skip
def test_a_volume_with_its_unit_is_read(tmp_path: Path, more: str, read_from: str | None) -> None:
    heads = more.split(",")
    lines = [line.rsplit(",", 1)[0] for line in table(hours())]
    cells = [heads, *([str(7 + at) for at in range(len(heads))] for _ in lines[1:])]
    rows = [",".join([line, *each]) for line, each in zip(lines, cells, strict=True)]
    done = read(tmp_path, text(rows))
    noted = {each.message for each in done.findings}
    if read_from is None:
        assert done.bars.volume[3] == 0.0
        assert "no volume column; volume is 0" in noted
    else:
        assert done.bars.volume[3] == 7 + heads.index(read_from)
        assert (f"column {read_from!r} read as volume" in noted) == (read_from != "Volume")


def test_real_volume_comes_before_ticks(tmp_path: Path) -> None:
    data = metatrader().replace("\t12\t0\t", "\t12\t5\t")
    assert read(tmp_path, data, time_columns=["<DATE>", "<TIME>"]).bars.volume[3] == 5.0
    ticks = metatrader().replace("<VOL>", "<REST>")
    assert read(tmp_path, ticks, time_columns=["<DATE>", "<TIME>"]).bars.volume[3] == 12.0


@pytest.mark.parametrize("printed", ["str", "to_string", "dated", "polars"])
def test_a_frame_as_python_prints_it_is_named(tmp_path: Path, printed: str) -> None:
    frame = pl.DataFrame(
        {"timestamp": hours(), **{name: [prices(at)[number] for at in range(COUNT)]
                                  for number, name in enumerate(("open", "high", "low", "close"))}}
    )  # fmt: skip
    pandas = frame.to_pandas()
    shown = {
        "str": str(pandas), "to_string": pandas.to_string(), "polars": str(frame),
        "dated": str(pandas.set_index("timestamp")),
    }[printed]  # fmt: skip
    message, hint = refused(tmp_path, shown + "\n")
    assert "line 1: this is a frame as Python prints it" in message
    assert "frame.to_csv('prices.csv')" in hint


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


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("Datum,Eröffnung,Hoch,Tief,Schluss,Volumen",
         "{timestamp: Datum, open: Eröffnung, high: Hoch, low: Tief, close: Schluss, volume: "
         "Volumen}"),
        ("Gmt time,open,high,low,close,volume", "{timestamp: 'Gmt time'}"),
        ("Date,Open (USD),High (USD),Low (USD),Close (USD),Volume (BTC)",
         "{open: 'Open (USD)', high: 'High (USD)', low: 'Low (USD)', close: 'Close (USD)'}"),
        ("date,open,high,low,close 1,close 2", "{close: ...}"),
    ],
)  # fmt: skip
def test_columns_of_other_words_are_proposed_as_a_mapping(
    tmp_path: Path, head: str, expected: str
) -> None:
    data = text(table(hours(), head))
    _, hint = refused(tmp_path, data)
    assert f"columns: {expected}" in hint
    if "..." not in expected:
        columns = yaml.safe_load(expected)
        bars = read(tmp_path, data, columns=columns).bars
        assert bars.close[3] == prices(3)[3]
        assert bars.volume[3] == prices(3)[4]


@pytest.mark.parametrize("digits", [5, 6])
def test_times_that_a_spreadsheet_rounded_are_no_bars_of_another_length(
    tmp_path: Path, digits: int
) -> None:
    times = [f"{(START + timedelta(hours=at)).timestamp() * 1000:.{digits}E}"
             for at in range(COUNT)]  # fmt: skip
    message, hint = refused(tmp_path, text(table(times)))
    assert "all times are whole multiples of 1,000 s" in message
    assert "apart" not in message
    assert "with all its digits" in hint


def test_cells_in_single_quotes_are_named(tmp_path: Path) -> None:
    lines = [",".join(f"'{each}'" for each in line.split(",")) for line in table(hours())[1:]]
    _, hint = refused(tmp_path, text([HEAD, *lines]))
    assert "the cells stand in single quotes" in hint


@pytest.mark.parametrize("form", ["%a %b %d %Y %H:%M:%S", "%y-%m-%d %H:%M:%S"])
def test_rarer_formats_are_proposed_and_read(tmp_path: Path, form: str) -> None:
    data = text(table(hours(form)))
    _, hint = refused(tmp_path, data)
    assert f"they fit time_format: {form!r}" in hint
    assert len(read(tmp_path, data, time_format=form).bars) == COUNT


def test_two_columns_of_one_name_can_be_named_anew(tmp_path: Path) -> None:
    """TradingView writes each plot of an indicator under the same name."""
    lines = [f"{HEAD},MA,MA", *(f"{line},1,2" for line in table(hours())[1:])]
    message, hint = refused(tmp_path, text(lines))
    assert "line 1: columns 7 and 8 are both named 'MA'" in message
    assert "skip_lines: 1, header: 'no', names: [...]" in hint
    names = [*HEAD.split(","), "fast", "slow"]
    done = read(tmp_path, text(lines), skip_lines=1, header="no", names=names)
    assert len(done.bars) == COUNT
