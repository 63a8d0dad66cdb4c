"""Dates, times of day, intervals."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from septet_schemas.times import (
    Daily,
    Poll,
    format_moment,
    parse_day_time,
    parse_delay,
    parse_moment,
)

NS = 10**9
DAY = 86_400 * NS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01", 0), ("2021-01-01", 1_609_459_200), ("2021-01-01T01:00", 1_609_462_800),
     ("2021-01-01 01:00:00Z", 1_609_462_800), ("2021-01-01T01:00:00+01:00", 1_609_459_200),
     (date(2021, 1, 1), 1_609_459_200), (datetime(2021, 1, 1, 1, tzinfo=UTC), 1_609_462_800)],
)  # fmt: skip
def test_moment(text: object, seconds: int) -> None:
    assert parse_moment(text) == seconds * NS


def test_end_as_a_date_includes_the_day_and_as_a_time_does_not() -> None:
    assert parse_moment("2023-12-31", ends=True) == parse_moment("2024-01-01")
    assert parse_moment("2023-12-31T00:00", ends=True) == parse_moment("2023-12-31")


@pytest.mark.parametrize(
    "text", ["2021-02-30", "tomorrow", "", 7, None, True, "1969-12-31", "9999-01-01"]
)
def test_not_a_moment(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_moment(text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_a_moment_is_written_as_it_is_read(moment: datetime) -> None:
    value = parse_moment(moment.isoformat())
    assert parse_moment(format_moment(value)) == value


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00", 0), ("16:30", 59_400), ("23:59:59", 86_399)]
)
def test_day_time(text: str, seconds: int) -> None:
    assert parse_day_time(text) == seconds * NS


@pytest.mark.parametrize("text", ["24:00", "12:60", "8:00", "noon", 750, None])
def test_not_a_day_time(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_day_time(text)


@pytest.mark.parametrize(("text", "ns"), [("0", 0), (0, 0), ("0s", 0), ("1d", DAY)])
def test_delay(text: object, ns: int) -> None:
    assert parse_delay(text) == ns


@pytest.mark.parametrize("text", [True, 5, "-1d", None])
def test_not_a_delay(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_delay(text)


@pytest.mark.parametrize(
    ("text", "poll"), [("1h", Poll(3_600 * NS)), ("1d at 00:10", Poll(DAY, 600 * NS))]
)
def test_poll(text: str, poll: Poll) -> None:
    assert Poll.parse(text) == poll
    assert Poll.parse(str(poll)) == poll


@pytest.mark.parametrize("text", ["daily", "1h at 02:00", "1d at noon", 3])
def test_not_a_poll(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        Poll.parse(text)


@pytest.mark.parametrize("text", ["daily 08:00 UTC", "daily 08:00 Europe/Paris"])
def test_daily(text: str) -> None:
    assert str(Daily.parse(text)) == text


@pytest.mark.parametrize("text", ["08:00", "daily", "daily 08:00 Mars/Base", "weekly 08:00 UTC", 8])
def test_not_daily(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        Daily.parse(text)
