"""Reading time stamps of every make."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._data.stamps import iso, read_stamps
from septet.errors import DataError
from tests.data.helpers import DAY_NS, HOUR_NS, ns

STAMPS = [ns("2021-03-04T05:06:07") + HOUR_NS * j for j in range(6)]
DIVISORS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


@pytest.mark.parametrize("unit", DIVISORS)
@pytest.mark.parametrize("as_type", [pl.Int64, pl.UInt64, pl.String, pl.Float64])
def test_units_are_distinguished(unit: str, as_type: type[pl.DataType]) -> None:
    column = pl.Series([each // DIVISORS[unit] for each in STAMPS]).cast(as_type)
    read = read_stamps(column)
    assert read.time_ns.tolist() == STAMPS
    assert read.notes == (f"time stamps read as {unit}",)
    assert not read.dropped
    assert not read.noticed


@given(st.integers(ns("1980-01-01"), ns("2129-01-01")), st.sampled_from(list(DIVISORS)))
def test_any_time_survives_any_unit(time_ns: int, unit: str) -> None:
    whole = time_ns // DIVISORS[unit]
    assert read_stamps(pl.Series([whole])).time_ns.tolist() == [whole * DIVISORS[unit]]
    assert read_stamps(pl.Series([whole]), unit=unit).time_ns.tolist() == [whole * DIVISORS[unit]]


def test_a_change_of_unit_inside_a_file_is_read_and_noticed() -> None:
    """Binance's archives went from milliseconds to microseconds on 2025-01-01."""
    mixed = [STAMPS[0] // 10**6, STAMPS[1] // 10**6, STAMPS[2] // 10**6, STAMPS[3] // 10**3]
    read = read_stamps(pl.Series(mixed))
    assert read.time_ns.tolist() == STAMPS[:4]
    assert read.noticed["mixed_units"].tolist() == [False, False, False, True]


def test_seconds_with_a_fraction() -> None:
    read = read_stamps(pl.Series([1_600_000_000.25, 1_600_000_001.5]))
    assert read.time_ns.tolist() == [1_600_000_000_250_000_000, 1_600_000_001_500_000_000]


def test_dates_written_as_numbers() -> None:
    read = read_stamps(pl.Series([20210304, 20210305]))
    assert read.time_ns.tolist() == [ns("2021-03-04"), ns("2021-03-05")]
    assert read.notes == ("dates read as YYYYMMDD",)


@pytest.mark.parametrize(
    "text",
    [
        "2021-03-04T05:06:07Z",
        "2021-03-04 05:06:07",
        "2021-03-04 05:06:07 UTC",
        "2021-03-04T05:06:07.000+00:00",
        "2021-03-04 07:06:07+0200",
        "2021-03-03 23:36:07-05:30",
        "2021/03/04 05:06:07",
        "04.03.2021 05:06:07",
        "20210304 050607",
        " 2021-03-04T05:06:07 ",
    ],
)
def test_text(text: str) -> None:
    read = read_stamps(pl.Series([text, text]))
    assert read.time_ns.tolist() == [STAMPS[0]] * 2
    assert not read.dropped


def test_ambiguous_day_and_month_is_not_guessed() -> None:
    read = read_stamps(pl.Series(["03/04/2021", "04/04/2021"]))
    assert read.dropped["bad_stamp"].all()


def test_date_types_and_zones() -> None:
    assert read_stamps(pl.Series([date(2021, 3, 4)])).time_ns.tolist() == [ns("2021-03-04")]
    naive = pl.Series([datetime(2021, 7, 1, 9, 30)])
    assert read_stamps(naive).time_ns.tolist() == [ns("2021-07-01T09:30")]
    local = read_stamps(naive, zone="America/New_York")
    assert local.time_ns.tolist() == [ns("2021-07-01T13:30")]
    aware = naive.dt.replace_time_zone("Asia/Tokyo")
    assert read_stamps(aware, zone="America/New_York").time_ns.tolist() == [ns("2021-07-01T00:30")]


def test_local_hours_that_do_not_exist_or_exist_twice_are_named() -> None:
    hours = [datetime(2021, 3, 14, 1) + timedelta(hours=j) for j in range(3)]
    read = read_stamps(pl.Series(hours), zone="America/New_York")
    assert read.dropped["local_time"].tolist() == [False, True, False]
    twice = read_stamps(pl.Series([datetime(2021, 11, 7, 1)]), zone="America/New_York")
    assert twice.dropped["local_time"].tolist() == [True]


def test_summer_and_winter_offsets_are_one_zone_and_strangers_are_not() -> None:
    seasons = pl.Series(["2021-07-01 00:00:00-04:00", "2021-12-01 00:00:00-05:00"])
    assert not read_stamps(seasons).noticed
    mixed = pl.Series(["2021-07-01 00:00:00Z", "2021-07-01 01:00:00Z", "2021-07-01 02:00:00+09:00"])
    read = read_stamps(mixed)
    assert read.noticed["mixed_zones"].tolist() == [False, False, True]
    assert read.time_ns[2] == ns("2021-06-30T17:00")
    half = read_stamps(pl.Series(["2021-07-01 00:00:00Z", "2021-07-01 01:00:00Z", "2021-07-01 05"]))
    assert half.dropped["bad_stamp"].tolist() == [False, False, True]


def test_what_is_no_time_is_dropped() -> None:
    read = read_stamps(pl.Series([None, 5, STAMPS[0]], dtype=pl.Int64))
    assert read.dropped["bad_stamp"].tolist() == [True, True, False]
    assert read_stamps(pl.Series([2**62]), unit="s").dropped["bad_stamp"].all()
    text = read_stamps(pl.Series(["timestamp", "2021-03-04", "2021-03-05"]))
    assert text.dropped["bad_stamp"].tolist() == [True, False, False]
    far = [
        datetime(1849, 12, 31),
        datetime(1850, 1, 1),
        datetime(2129, 12, 31),
        datetime(2130, 1, 1),
    ]
    assert read_stamps(pl.Series(far)).dropped["bad_stamp"].tolist() == [True, False, False, True]
    nan = read_stamps(pl.Series([float("nan"), float("inf"), 1.6e9]))
    assert nan.dropped["bad_stamp"].tolist() == [True, True, False]
    with pytest.raises(DataError, match="expected times"):
        read_stamps(pl.Series("flag", [True, False]))


def test_iso_is_short_and_exact() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"
    assert iso(DAY_NS + 5) == "1970-01-02T00:00:00.000000005Z"
    assert iso(-1) == "1969-12-31T23:59:59.999999999Z"
    assert iso(2**63 - 1).startswith("2262-04-11")
    assert np.int64(1) == 1
