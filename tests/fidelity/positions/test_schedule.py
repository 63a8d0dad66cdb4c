"""`every`: bars, intervals and cron, in a time zone whose clock changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.fidelity.positions.market import DAY, HOUR, MINUTE, START
from tests.fidelity.positions.schedule import instants

BERLIN = "Europe/Berlin"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def found(every: str, after: str, until: str, zone: str = "UTC", bar_ns: int = HOUR) -> list[str]:
    times = instants(every, zone, at(after), at(until), bar_ns)
    moments = [datetime.fromtimestamp(each / 1e9, UTC) for each in times]
    return [f"{moment:%m-%d %H:%M}" for moment in moments]


def test_bars_are_counted_by_the_number_of_their_open_and_due_at_their_close() -> None:
    # Bar 447144 opens at 2021-01-04 00:00; 447144 = 8 * 55893, so 02:00 + 4 h * n follows.
    assert at("2021-01-04") // HOUR == 447_144
    expected = ["01-04 01:00", "01-04 05:00", "01-04 09:00"]
    assert found("4 bars", "2021-01-04 00:00", "2021-01-04 12:00") == expected


def test_an_instant_is_after_the_first_and_at_or_before_the_last_time() -> None:
    assert found("4h", "2021-01-04 00:00", "2021-01-04 08:00") == ["01-04 04:00", "01-04 08:00"]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("30m", ["01-04 00:30", "01-04 01:00"]),
        ("1d", ["01-05 00:00", "01-06 00:00"]),
        ("1d at 12:00", ["01-04 12:00", "01-05 12:00"]),
        ("1w on mon 00:00", ["01-11 00:00", "01-18 00:00"]),
        ("1w on wed 06:30", ["01-06 06:30", "01-13 06:30"]),
        ("1mo", ["02-01 00:00", "03-01 00:00"]),
    ],
)
def test_intervals(every: str, expected: list[str]) -> None:
    assert found(every, "2021-01-04 00:00", "2021-03-02 00:00")[:2] == expected


def test_two_weeks_count_from_a_monday() -> None:
    # 2021-01-04 is day 18631 since a Thursday: week (18631 + 3) / 7 = 2662, an even one.
    mondays = found("2w on mon 00:00", "2021-01-03 00:00", "2021-02-02 00:00")
    assert mondays == ["01-04 00:00", "01-18 00:00", "02-01 00:00"]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("0 0 * * 1", ["01-11 00:00", "01-18 00:00"]),
        ("0 0 * * mon", ["01-11 00:00", "01-18 00:00"]),
        ("*/15 9-10 * * *", ["01-04 09:00", "01-04 09:15"]),
        ("30 8 1,15 * *", ["01-15 08:30", "02-01 08:30"]),
        ("0 0 13 * 5", ["01-08 00:00", "01-13 00:00"]),
        ("0 0 1 feb-mar *", ["02-01 00:00", "03-01 00:00"]),
        ("0 12 * feb 7", ["02-07 12:00", "02-14 12:00"]),
    ],
)
def test_cron_lines(every: str, expected: list[str]) -> None:
    assert found(every, "2021-01-04 00:00", "2021-03-02 00:00")[:2] == expected


def test_the_clock_of_the_zone_counts() -> None:
    # Berlin is one hour ahead of UTC in winter, two in summer (from 2021-03-28 01:00 UTC).
    assert found("1d at 12:00", "2021-03-26 12:00", "2021-03-28 12:00", BERLIN) == [
        "03-27 11:00",
        "03-28 10:00",
    ]


@pytest.mark.parametrize("every", ["1d at 02:30", "30 2 * * *"])
def test_an_instant_that_the_clock_skips_means_the_next_one_that_exists(every: str) -> None:
    # On 2021-03-28 the clock of Berlin goes from 02:00 to 03:00, at 01:00 UTC.
    assert found(every, "2021-03-27 00:00", "2021-03-29 12:00", BERLIN) == [
        "03-27 01:30",
        "03-28 01:00",
        "03-29 00:30",
    ]


@pytest.mark.parametrize("every", ["1d at 02:30", "30 2 * * *"])
def test_an_instant_that_the_clock_shows_twice_counts_once(every: str) -> None:
    # On 2021-10-31 the clock of Berlin shows 02:30 at 00:30 and at 01:30 UTC.
    assert found(every, "2021-10-30 12:00", "2021-11-01 12:00", BERLIN) == [
        "10-31 00:30",
        "11-01 01:30",
    ]


def test_two_skipped_instants_that_mean_the_same_next_one_are_one() -> None:
    assert found("0,30 2 28 3 *", "2021-03-28 00:00", "2021-03-28 12:00", BERLIN) == ["03-28 01:00"]


def test_what_is_no_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="not an interval"):
        instants("often", "UTC", START, START + DAY, MINUTE)
