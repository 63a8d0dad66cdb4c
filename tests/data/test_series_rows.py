"""Outside series whose rows are bad, of several sources, or of another zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from septet._data.bad_rows import SERIES_MISSING, SERIES_SHARE, SERIES_SOURCES, SERIES_ZONE, doubts
from septet._data.bars import SeriesTable
from septet._data.load import read_series
from septet._data.series import normalise_series
from septet._data.source import Facts, RawSeries
from septet.errors import DataError
from septet_schemas.data import SeriesConfig
from tests.data.helpers import DAY_NS, HOUR_NS, block, ns, request

NEW_YORK = "America/New_York"
START = ns("2022-01-03")


def read(columns: dict[str, Any], **keys: Any) -> tuple[SeriesTable, Any]:
    raw = RawSeries(pl.DataFrame(columns, strict=False), Facts("a test"))
    return normalise_series("mood", raw, SeriesConfig(**{"known_after": "1m", **keys}))


def hours(count: int) -> list[int]:
    return [START + HOUR_NS * each for each in range(count)]


def wall(count: int, step: timedelta, zone: str) -> list[str]:
    """Stamps of regular instants as the clocks of a zone show them."""
    start = datetime(2022, 1, 3, tzinfo=UTC)
    return [
        (start + step * each).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
        for each in range(count)
    ]


def test_two_series_in_one_are_refused_by_their_contradictions() -> None:
    times = [each for each in hours(100) for _ in range(2)]
    values = [each % 2 * 1000.0 + each % 7 for each in range(200)]
    with pytest.raises(DataError) as caught:
        read({"time": times, "value": values})
    message = str(caught.value)
    assert "mood from a test: 100 of 200 rows contradict another row of the same time" in message
    assert "several symbols or sources in one series" in message
    assert "first: 2022-01-03T00:00:00Z" in message
    assert "with {symbol} in path" in message
    assert "the limit is max_bad: 1%" in message
    table, found = read({"time": times, "value": values}, max_bad="60%")
    assert len(table.value) == 100
    assert [each.kind for each in doubts(found)] == [SERIES_SHARE]


def test_revisions_are_no_contradictions_even_if_they_are_asked_for_at_once() -> None:
    times = [each for each in hours(50) for _ in range(2)]
    known = [each + HOUR_NS * (1 + at % 2) for at, each in enumerate(times)]
    values = [float(each) for each in range(100)]
    _, found = read({"time": times, "value": values, "known": known}, every="1d", known_after=0)
    assert doubts(found) == []
    with pytest.raises(DataError, match="50 of 100 rows contradict"):
        read({"time": times, "value": values, "known": times}, every="1d", known_after=0)


@pytest.mark.parametrize(
    ("bad", "words", "hint"),
    [
        (
            {"value": "garbage"},
            (
                "too much of the data is bad, 490 of 500 values can be used",
                "not_finite 10 (2022-01-03T00:00:00Z 'garbage')",
            ),
            "empty cell",
        ),
        (
            {"time": "yesterday"},
            (
                "10 of 500 time stamps cannot be read: 'yesterday'; 'yesterday'; the other 490 can",
                "be, such as '2022-01-03T01:00:00Z'",
            ),
            "time_format",
        ),
    ],
)
def test_bad_rows_are_refused_above_the_limit_and_reported_below_it(
    bad: dict[str, str], words: tuple[str, str], hint: str
) -> None:
    def rows(every: int) -> dict[str, list[str]]:
        made = [{"time": f"{s}", "value": "1.5"} for s in hours(500)]
        for at in range(0, 500, every):
            made[at] |= bad
        return {name: [each[name] for each in made] for name in ("time", "value")}

    texts = [f"2022-01-{3 + each // 24:02d}T{each % 24:02d}:00:00Z" for each in range(500)]
    many = rows(50)
    many["time"] = [t if old.isdigit() else old for t, old in zip(texts, many["time"], strict=True)]
    with pytest.raises(DataError) as caught:
        read(many)
    message = str(caught.value)
    assert all(each in message for each in words)
    assert hint in message
    _, found = read(many, max_bad="2%")
    (doubt,) = doubts(found)
    assert doubt.kind == SERIES_SHARE
    assert doubt.message.startswith("2 % of the rows of mood were dropped or mended (10 of 500:")


def test_missing_values_are_no_defects_and_many_are_reported() -> None:
    marks = [".", "", "NaN", "n/a", None]
    few = ["1" if each % 25 else marks[each // 25 % 5] for each in range(500)]
    table, found = read({"time": hours(500), "value": few})
    assert len(table.value) == 480
    assert doubts(found) == []
    _, found = read({"time": hours(500), "value": [*few[:400], *["."] * 100]})
    (doubt,) = doubts(found)
    assert doubt.kind == SERIES_MISSING
    assert "116 of 500 values of mood are missing" in doubt.message


def test_unread_columns_distinguish_rows_of_symbols_and_sources(tmp_path: Path) -> None:
    asked = request("1h", "BTC/USD", base=tmp_path)

    def of(use: str, apart_ns: int, **column: tuple[str, str]) -> Any:
        ((name, names),) = column.items()
        frame = pl.DataFrame(
            {
                "time": [each + apart_ns * at for each in hours(100) for at in range(2)],
                "value": [float(each) for each in range(200)],
                name: [each for _ in range(100) for each in names],
            }
        )
        path = tmp_path / f"x.{use}"
        frame.write_csv(path) if use == "csv" else frame.write_parquet(path)
        keys = {"known_after": "0s"}
        made = block("series", f"{use}_series", keys, path=path.name, value="value")
        return read_series("s", made, asked)

    for use in ("csv", "parquet"):
        with pytest.raises(DataError) as caught:
            of(use, 0, exchange=("binance", "kraken"))
        assert "column 'exchange' holds 2 values (binance, kraken): keep the rows of one" in str(
            caught.value
        )
        with pytest.raises(DataError, match=r"'product' holds 2 .*rows of several symbols"):
            of(use, HOUR_NS // 2, product=("BTC", "ETH"))
        _, found, _ = of(use, HOUR_NS // 2, exchange=("binance", "kraken"))
        (doubt,) = doubts(found)
        assert doubt.kind == SERIES_SOURCES
        assert "(binance, kraken): the rows of all of them are read as the one series s" in (
            doubt.message
        )


@pytest.mark.parametrize(("step", "count"), [(1, 8_760), (8, 1_095), (24, 365)])
def test_local_times_read_as_utc_are_refused_by_the_changes_of_clocks(
    step: int, count: int
) -> None:
    stamps = wall(count, timedelta(hours=step), NEW_YORK)
    rows = {"time": stamps, "value": [float(each) for each in range(count)]}
    with pytest.raises(DataError) as caught:
        read(rows, time_zone="UTC")
    message = str(caught.value)
    assert f"where the clocks of {NEW_YORK}, America/Chicago" in message
    assert "change: those of mood" in message
    assert f"time_zone: {NEW_YORK}" in message
    right, _ = read(rows, time_zone=NEW_YORK, max_bad="1%")
    assert len(right.value) >= count - 2
    utc = wall(count, timedelta(hours=step), "UTC")
    assert len(read({**rows, "time": utc}, time_zone="UTC")[0].value) == count
    at = [START + step * HOUR_NS * each for each in range(count)]
    with pytest.raises(DataError, match="mood, known"):
        read({"time": at, "known": stamps, "value": rows["value"]}, time_zone="UTC", known_after=0)
    kept, _ = read(rows, time_zone="UTC", policy={"wrong_zone": "keep"})
    assert len(kept.value) >= count - 2


def test_hours_of_sessions_are_only_a_sign_of_another_zone() -> None:
    stamps = [
        START + day * DAY_NS + (9 * 60 + 30 * half) * 60_000_000_000
        for day in range(200) if day % 7 < 5
        for half in range(1, 14)
    ]  # fmt: skip
    times = pl.Series(stamps).cast(pl.Datetime("ns"))
    rows = {"time": times, "value": [float(each) for each in range(len(stamps))]}
    table, found = read(rows, time_zone="UTC")
    assert len(table.value) == len(stamps)
    (doubt,) = doubts(found)
    assert doubt.kind == SERIES_ZONE
    assert "sessions that begin at 09:30 all year" in doubt.message
