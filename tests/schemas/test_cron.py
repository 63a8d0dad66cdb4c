"""Cron expressions: days of the week as cron counts them, nothing ambiguous, nothing impossible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from septet_schemas.cron import Cron, parse_step
from septet_schemas.times import format_moment, parse_moment
from septet_schemas.training import Training
from tests.scale import examples

DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000


def _times(text: str, first: str, last: str) -> list[str]:
    found = Cron.parse(text).times(parse_moment(first), parse_moment(last))
    return [format_moment(each)[:-4] for each in found]


def test_mondays_are_mondays() -> None:
    """APScheduler counts from Monday, cron from Sunday: 1 is Monday here as it is in crontab."""
    wanted = ["2024-02-26T00:00", "2024-03-04T00:00", "2024-03-11T00:00"]
    for text in ("0 0 * * 1", "0 0 * * mon", "0  0 * * MON"):
        assert _times(text, "2024-02-20", "2024-03-12") == wanted
    assert datetime(2024, 2, 26, tzinfo=UTC).isoweekday() == 1


def test_months_have_their_lengths() -> None:
    wanted = ["2024-01-01T06:30", "2024-02-01T06:30", "2024-03-01T06:30", "2024-04-01T06:30"]
    assert _times("30 6 1 * *", "2024-01-01", "2024-04-30") == wanted
    assert _times("0 0 31 * *", "2024-01-01", "2024-05-31") == [
        "2024-01-31T00:00", "2024-03-31T00:00", "2024-05-31T00:00",
    ]  # fmt: skip
    assert _times("0 0 last 2 *", "2023-01-01", "2024-12-31") == [
        "2023-02-28T00:00", "2024-02-29T00:00",
    ]  # fmt: skip


@pytest.mark.parametrize("month", ["2024-03", "2024-10"])
def test_no_clock_change_moves_a_time(month: str) -> None:
    found = Cron.parse("30 2 * * *").times(parse_moment(f"{month}-01"), parse_moment(f"{month}-31"))
    assert {later - one for one, later in pairwise(found)} == {DAY_NS}


def test_both_ends_are_included() -> None:
    midnight = parse_moment("2024-03-04")
    weekly = Cron.parse("0 0 * * 1")
    assert weekly.times(midnight, midnight) == [midnight]
    assert weekly.times(midnight + 1, midnight + 7 * DAY_NS - 1) == []
    assert weekly.times(midnight, midnight - 1) == []


DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", {"sun"}), ("7", {"sun"}), ("sun", {"sun"}), ("1-5", set(DAYS[1:6])),
        ("mon-fri", set(DAYS[1:6])), ("5-7", {"fri", "sat", "sun"}), ("0-7", set(DAYS)),
        ("sat-sun", {"sat", "sun"}), ("sun-tue", {"sun", "mon", "tue"}), ("*", set(DAYS)),
        ("*/2", {"sun", "tue", "thu", "sat"}), ("1,wed", {"mon", "wed"}),
        ("1-5/2", {"mon", "wed", "fri"}), ("3/2", {"wed", "fri"}),
    ],
)  # fmt: skip
def test_days_of_the_week(field: str, days: set[str]) -> None:
    first = parse_moment("2024-03-03")  # a Sunday
    found = Cron.parse(f"0 0 * * {field}").times(first, first + 7 * DAY_NS - 1)
    assert {DAYS[(each - first) // DAY_NS] for each in found} == days


@given(
    st.sets(st.integers(0, 59), min_size=1, max_size=4),
    st.sets(st.integers(0, 23), min_size=1, max_size=4),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 20_000),
)
@settings(max_examples=examples(30))
def test_times_are_those_of_a_plain_search(
    minutes: set[int], hours: set[int], days: set[int], start: int
) -> None:
    """Compare with a walk over every minute of two weeks and a day."""
    begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=start)
    weekdays = [(begin + timedelta(days=day)).isoweekday() % 7 for day in range(15)]
    wanted = []
    for minute in range(15 * 1_440):
        matches = minute % 60 in minutes and minute // 60 % 24 in hours
        if matches and weekdays[minute // 1_440] in days:
            wanted.append(start * DAY_NS + minute * 60_000_000_000)
    lists = (",".join(map(str, sorted(each))) for each in (minutes, hours, days))
    minute_field, hour_field, day_field = lists
    cron = Cron.parse(f"{minute_field} {hour_field} * * {day_field}")
    assert cron.times(start * DAY_NS, (start + 15) * DAY_NS - 1) == wanted
    gaps = [later - one for one, later in pairwise(wanted)]
    assert cron.longest_ns == max(gaps)


@pytest.mark.parametrize(
    ("text", "longest_ns"),
    [
        ("0 0 * * *", DAY_NS), ("0 0 * * 1", 7 * DAY_NS), ("0 0 1 * *", 31 * DAY_NS),
        ("0 */6 * * *", 6 * HOUR_NS), ("0 9,17 * * *", 16 * HOUR_NS),
        ("0 9,17 * * 1-5", 64 * HOUR_NS), ("*/15 * * * *", HOUR_NS // 4),
        ("0 0 31 * *", 61 * DAY_NS), ("0 0 1 1 *", 366 * DAY_NS), ("0 0 29 2 *", 1_461 * DAY_NS),
    ],
)  # fmt: skip
def test_the_longest_step(text: str, longest_ns: int) -> None:
    assert Cron.parse(text).longest_ns == longest_ns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0 * *", "it has 4 fields"), ("0 0 0 * * 1", "it has 6 fields"),
        ("61 0 * * *", "minute: the last value .61."), ("0 0 0 * *", "day of month: .* .0."),
        ("0 0 * 13 *", "month: .*13"), ("0 0 * * 8", "'8'"),
        ("0 0 * * abc", "abc is no day"), ("0 0 * * fri-mon", "ends before it begins"),
        ("0 0 1 * 1", "both given"), ("0 0 31 2 *", "no day of any year"),
        ("0 a * * *", "hour: unrecognized"),
        ("0 0 L * *", "day of month: .*L"), (None, "no text"),
    ],
)  # fmt: skip
def test_what_is_no_cron(text: object, words: str) -> None:
    with pytest.raises(PydanticCustomError, match=words):
        Cron.parse(text)


def test_a_step_is_a_duration_or_a_cron() -> None:
    assert parse_step("30d") == parse_step(" 30 d ") == 30 * DAY_NS
    assert parse_step("0 0 * * 1") == Cron("0 0 * * 1")
    for wrong in ("monthly", 30, True, None, "", "30 days", "@daily"):
        with pytest.raises(PydanticCustomError, match="a duration such as 30d, or a cron"):
            parse_step(wrong)


@pytest.mark.parametrize("text", ["4w", "30d", "0 0 * * 1", "30 6 1,15 * *"])
def test_writing_undoes_reading(text: str) -> None:
    training = Training.model_validate({"step": text})
    written = training.model_dump(mode="json")["step"]
    assert written == ("28d" if text == "4w" else text)
    assert Training.model_validate({"step": written}) == training
    assert training.longest_step_ns in (28 * DAY_NS, 30 * DAY_NS, 7 * DAY_NS, 17 * DAY_NS)
