"""Times of text tables: digits keep their zeros, day and month, the clock of 12 hours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from septet._config.read import parse_text
from septet._data.bad_rows import doubts
from septet._data.load import read_candles, read_series
from septet._data.stamps import iso
from septet.errors import DataError
from septet_plugins.data.csv import CsvConfig
from tests.data.helpers import HOUR_NS, START_NS, block, clean, request

FRAME = clean(60)
TIMES = FRAME.with_columns(pl.from_epoch("timestamp", "ns"))
PRICES = TIMES.drop("timestamp")
KEYS = {"stamp": "open", "time_zone": "UTC"}


def dated(*columns: pl.Expr, frame: pl.DataFrame = TIMES) -> str:
    """The bars as text, with these columns for their times."""
    return frame.select(*columns, *PRICES.columns).write_csv()


def time_as(form: str, name: str = "timestamp") -> pl.Expr:
    return pl.col("timestamp").dt.strftime(form).alias(name)


def read(base: Path, text: str, keys: Any = None, bar: str = "1h", **config: Any) -> Any:
    (base / "bars.csv").write_text(text)
    made = block("candles", "csv", {**KEYS, **(keys or {})}, path="bars.csv", **config)
    ((_, done),) = read_candles(made, request(bar, "BTC/USDT", base=base))
    return done


def is_read(base: Path, text: str, **config: Any) -> bool:
    done = read(base, text, **config)
    return bool(done.bars.open_ns.tolist() == FRAME["timestamp"].to_list())


APART: dict[str, Any] = {"time_columns": ["Date", "Time"]}


@pytest.mark.parametrize(
    ("day", "clock", "form"),
    [
        ("%Y%m%d", "%H%M%S", None),  # 20240105,093000
        ("%Y%m%d", "%H%M", None),
        ("%Y%m%d", "%H:%M", None),
        ("%Y%m%d", "%-H%M%S", None),  # 20240105,93000, and 0 for midnight
        ("%Y%m%d", "%H%M%S", "%Y%m%d %H%M%S"),
        ("%Y%m%d", "%H", "%Y%m%d %H"),
        ("%d%m%Y", "%H%M", "%d%m%Y %H%M"),
        ("%y%m%d", "%H%M", "%y%m%d %H%M"),
        ("%-d%m%Y", "%-H%M", "%d%m%Y %H%M"),  # 5012024,930
        ("%d/%m/%Y", "%I:%M %p", "%d/%m/%Y %I:%M %p"),
    ],
)
def test_date_and_time_in_two_columns(
    tmp_path: Path, day: str, clock: str, form: str | None
) -> None:
    text = dated(time_as(day, "Date"), time_as(clock, "Time"))
    given = APART if form is None else {**APART, "time_format": form}
    assert is_read(tmp_path, text, **given)
    bare = text.partition("\n")[2]
    names = ["Date", "Time", *PRICES.columns]
    assert is_read(tmp_path, bare, **given, names=names)


def test_a_number_whose_zeros_a_spreadsheet_took_is_read(tmp_path: Path) -> None:
    whole = pl.col("timestamp").dt.hour().cast(pl.Int64) * 10_000
    assert is_read(tmp_path, dated(time_as("%Y%m%d", "Date"), whole.alias("Time")), **APART)


@pytest.mark.parametrize("form", ["%d%m%Y%H%M", "%y%m%d%H", "%m%d%Y%H%M%S"])
def test_one_column_of_digits_keeps_its_zeros(tmp_path: Path, form: str) -> None:
    """A format that begins with a zero, under a name of ours and under theirs."""
    assert is_read(tmp_path, dated(time_as(form)), time_format=form)
    text = dated(time_as(form, "When"))
    assert is_read(tmp_path, text, time_format=form, columns={"timestamp": "When"})


@pytest.mark.parametrize("form", ["%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_digits_of_a_date_and_a_time_are_no_count_of_milliseconds(
    tmp_path: Path, form: str
) -> None:
    done = read(tmp_path, dated(time_as(form)))
    assert done.bars.open_ns.tolist() == FRAME["timestamp"].to_list()
    assert any("times read as YYYYMMDDHHMM" in each.message for each in done.findings)


def test_the_times_of_a_series_keep_their_zeros(tmp_path: Path) -> None:
    asked = request("1h", "X", base=tmp_path)
    (tmp_path / "s.csv").write_text("at,known,value\n05012024,06012024,1\n06012024,07012024,2\n")
    made = block(
        "series", "csv_series", {}, path="s.csv", time="at", known="known", time_format="%d%m%Y"
    )
    table, _, _ = read_series("s", made, asked)
    day = 24 * HOUR_NS
    assert (table.known_ns - table.stamp_ns).tolist() == [day, day]
    (tmp_path / "s.csv").write_text("Date,Time,value\n20240105,003000,1\n20240105,013000,2\n")
    keys = {"known_after": "1h", "time_zone": "UTC"}
    made = block("series", "csv_series", keys, path="s.csv", time_columns=["Date", "Time"])
    table, _, _ = read_series("s", made, asked)
    assert table.value.tolist() == [1.0, 2.0]
    assert int(table.stamp_ns[0]) % day == HOUR_NS // 2


def test_times_that_cannot_be_read_name_every_way_of_writing_them(tmp_path: Path) -> None:
    text = dated(time_as("%Y%m%d", "Date"), time_as("%H%M%S", "Time"))
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    for word in ("time_unit: s", "'%d/%m/%Y %H:%M'", "time_columns: [Date, Time]"):
        assert word in caught.value.hint
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, columns={"timestamp": "Time"})
    assert "time_columns: [Date, Time]" in caught.value.hint


def test_dates_without_their_times_are_named(tmp_path: Path) -> None:
    many = clean(24 * 6).with_columns(pl.from_epoch("timestamp", "ns"))
    text = dated(time_as("%Y%m%d", "Date"), time_as("%H%M%S", "Time"), frame=many)
    with pytest.raises(DataError, match="1d apart") as caught:
        read(tmp_path, text, columns={"timestamp": "Date"})
    assert "column 'Time' is not read" in caught.value.hint


def test_a_format_of_two_columns_needs_the_space_between(tmp_path: Path) -> None:
    text = dated(time_as("%d/%m/%Y", "Date"), time_as("%H:%M", "Time"))
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, **APART, time_format="%d/%m/%YT%H:%M")
    assert "put together with a space between, as '01/01/2020 00:00'" in caught.value.hint


# Day and month


@pytest.mark.parametrize(
    ("written", "said"), [("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"), ("%d.%m.%y %H", "%m.%d.%y %H")]
)
def test_day_and_month_exchanged_are_named_before_a_zone(
    tmp_path: Path, written: str, said: str
) -> None:
    many = clean(24 * 30).with_columns(pl.from_epoch("timestamp", "ns"))
    with pytest.raises(DataError, match="the other way round") as caught:
        read(
            tmp_path, dated(time_as(written), frame=many), {"time_zone": "America/New_York"},
            time_format=said,
        )  # fmt: skip
    assert caught.value.hint == f"write time_format: {written!r}"
    assert read(tmp_path, dated(time_as(written), frame=many), time_format=written)


def of_days(rows: list[tuple[int, int]]) -> str:
    """Daily bars as text, each with a month and a day, written day first."""
    lines = [f"{day:02d}/{month:02d}/2024,1,1,1,1,1" for month, day in rows]
    return "timestamp,open,high,low,close,volume\n" + "\n".join(lines) + "\n"


TWO_MONTHS = [(month, day) for month in (1, 2, 3) for day in range(1, 13)]


@pytest.mark.parametrize("rows", [TWO_MONTHS, TWO_MONTHS[::-1]], ids=["ascending", "descending"])
def test_days_that_run_back_and_forth_are_months(
    tmp_path: Path, rows: list[tuple[int, int]]
) -> None:
    with pytest.raises(DataError, match="go back and forth") as caught:
        read(tmp_path, of_days(rows), bar="1d", time_format="%m/%d/%Y")
    assert caught.value.hint == "write time_format: '%d/%m/%Y'"
    done = read(tmp_path, of_days(rows), bar="1d", time_format="%d/%m/%Y")
    assert not [each for each in doubts(done.findings) if "other way round" in each.message]


TWELVE = [(6, day) for day in range(1, 13)]


def told(findings: Any) -> list[Any]:
    return [each for each in doubts(findings) if "other way round" in each.message]


def test_bars_of_twelve_days_read_as_months_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="31d apart") as caught:
        read(tmp_path, of_days(TWELVE), bar="1d", time_format="%m/%d/%Y")
    assert "day and month may be the other way round" in caught.value.hint
    done = read(tmp_path, of_days(TWELVE), bar="1d", time_format="%d/%m/%Y")
    assert not told(done.findings)  # bars follow one another


def test_hours_of_twelve_days_read_as_months_are_reported(tmp_path: Path) -> None:
    bars = clean(12 * 24).with_columns(pl.from_epoch("timestamp", "ns"))
    text = dated(time_as("%d/%m/%Y %H:%M"), frame=bars)
    done = read(tmp_path, text, time_format="%m/%d/%Y %H:%M")
    (message,) = told(done.findings)
    assert "2020-01-01 to 2020-12-01" in message.message
    assert "2020-01-01 to 2020-01-12" in message.message
    assert "exchange %d and %m" in message.hint
    assert not told(read(tmp_path, text, time_format="%d/%m/%Y %H:%M").findings)


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
def test_a_series_of_the_first_twelve_days_is_warned_of_both_ways(
    tmp_path: Path, form: str
) -> None:
    text = "time,value\n" + "".join(f"{day:02d}/06/2024,1\n" for day in range(1, 13))
    (tmp_path / "s.csv").write_text(text)
    made = block("series", "csv_series", {"known_after": "400d"}, path="s.csv", time_format=form)
    _, found, _ = read_series("s", made, request("1h", "X", base=tmp_path))
    assert len(told(found)) == 1


def test_a_bad_cell_is_no_exchange(tmp_path: Path) -> None:
    text = dated(time_as("%d/%m/%Y %H:%M")).replace("01/01/2020 05:00", "oops")
    done = read(tmp_path, text, {"max_bad": "10%"}, time_format="%d/%m/%Y %H:%M")
    assert len(done.bars) == 59


def test_rows_in_no_order_are_no_exchange(tmp_path: Path) -> None:
    mixed = FRAME.sample(fraction=1.0, shuffle=True, seed=3)
    text = dated(
        time_as("%d/%m/%Y %H:%M"), frame=mixed.with_columns(pl.from_epoch("timestamp", "ns"))
    )
    assert is_read(tmp_path, text, time_format="%d/%m/%Y %H:%M")


# The format itself


@pytest.mark.parametrize(
    ("form", "message", "hint"),
    [
        ("%m/%d/%Y %H:%M %p", "%p says AM or PM", "%m/%d/%Y %I:%M %p"),
        ("%p %H:%M %d.%m.%Y", "%p says AM or PM", "%p %I:%M %d.%m.%Y"),
        ("%m/%d/%Y %I:%M", "nothing states AM or PM", "%m/%d/%Y %H:%M"),
        ("%Y-%M-%d %H:%M", "%M stands twice", "%m is the month"),
        ("%Y-%m-%d %H:%m", "%m stands twice", "%M is the minute"),
        ("", "no % signs", "'%Y-%m-%d %H:%M'"),
        ("dd/MM/yyyy HH:mm", "no % signs", "'%d/%m/%Y %H:%M'"),
        ("YYYY-MM-DD hh:mm:ss", "no % signs", "'%Y-%m-%d %I:%M:%S'"),
    ],
)
def test_a_format_that_contradicts_itself_shows_what_to_write(
    form: str, message: str, hint: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        block("candles", "csv", KEYS, path="x.csv", time_format=form)
    (error,) = caught.value.errors()
    assert message in error["msg"]
    assert hint in error["ctx"]["hint"]


def test_the_first_stamp_of_these_tests_is_midnight() -> None:
    """Its digits begin with zeros."""
    assert START_NS % (24 * HOUR_NS) == 0


# The documents


def _example(name: str) -> Any:
    """Return the YAML of the example of docs/yaml.md that reads a file of this name."""
    text = (Path(__file__).parents[2] / "docs" / "yaml.md").read_text("utf-8")
    section = text.partition("### Text files")[2].partition("### Defects")[0]
    (block_text,) = [
        each for each in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
        if name in each
    ]  # fmt: skip
    return parse_text(block_text, "docs/yaml.md")[0].plain()["data"]


@pytest.mark.parametrize(
    ("word", "head", "day"),
    [
        ("%H%M%S", "Date,Time,Open,High,Low,Close,Volume", "20240105,09{:02d}00"),
        ("skip_lines: 1", "a title", "2024.01.05,09:{:02d}"),
    ],
)
def test_the_typical_candles_of_the_documents_are_read(
    tmp_path: Path, word: str, head: str, day: str
) -> None:
    rows = [f"{day.format(minute)},1.0945,1.0951,1.0944,1.095,{minute}" for minute in range(40)]
    (tmp_path / "EURUSD.csv").write_text("\n".join([head, *rows]) + "\n")
    keys = _example(word)["candles"]
    generic = {name: keys.pop(name) for name in ("stamp", "time_zone")}
    made = block("candles", keys.pop("use"), generic, **keys)
    ((_, done),) = read_candles(made, request("1m", "EUR/USD", base=tmp_path))
    assert done.bars.volume.tolist() == list(range(40))


def test_the_typical_series_of_the_documents_is_read(tmp_path: Path) -> None:
    (tmp_path / "sentiment.csv").write_text("Datum;Schluss\n05/01/2024;102,35\n13/01/2024;99,5\n")
    keys = _example("sentiment.csv")["sentiment"]
    made = block("series", keys.pop("use"), {"known_after": keys.pop("known_after")}, **keys)
    table, _, _ = read_series("sentiment", made, request("1h", "X", base=tmp_path))
    assert table.value.tolist() == [102.35, 99.5]
    assert iso(table.stamp_ns[0]) == "2024-01-05T00:00:00Z"


def test_every_key_of_a_text_file_is_in_the_documents() -> None:
    text = (Path(__file__).parents[2] / "docs" / "yaml.md").read_text("utf-8")
    section = text.partition("### Text files")[2].partition("### Defects")[0]
    for name in CsvConfig.model_fields:
        assert name == "path" or f"| `{name}` |" in section, name
