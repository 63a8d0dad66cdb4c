"""Days and clocks of a zone, clock changes included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._data.local_time import clock_seconds, local_days
from septet._shell.aligned_bars import day_numbers
from tests.scale import examples

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")


def at(text: str) -> int:
    """Return a UTC instant."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def test_a_day_begins_at_its_start_on_the_clock_of_the_zone() -> None:
    start = 17 * 3_600 * SECOND
    before, begins = at("2021-07-01T20:59:59"), at("2021-07-01T21:00")  # 17:00 New York
    day = (datetime(2021, 7, 1) - datetime(1970, 1, 1)).days
    assert local_days(before, "America/New_York", start) == day - 1
    assert local_days(begins, "America/New_York", start) == day
    assert local_days(begins + 5 * 30 * DAY, "America/New_York", start) == day + 149  # an hour off
    assert local_days(begins, "UTC", start) == day


@given(st.sampled_from(ZONES), st.integers(0, 47), st.integers(2015, 2030), st.integers(0, 366))
@settings(max_examples=examples(60), deadline=None)
def test_days_are_those_of_halts_and_never_go_back(zone, half_hours, year, days):
    first = at(f"{year}-01-01") + days * DAY
    times = first + np.arange(0, 3 * 48, dtype=np.int64) * 1_800 * SECOND
    start = half_hours * 1_800 * SECOND
    found = local_days(times, zone, start)
    assert bool((np.diff(found) >= 0).all())
    assert found.tolist() == [int(local_days(int(each), zone, start)) for each in times]
    begun = day_numbers(np.concatenate((times[:1] - 2 * DAY, times)), zone, start)[1:]
    assert found.tolist() == begun.tolist()


@given(st.sampled_from(ZONES), st.integers(at("2000-01-01") // SECOND, at("2035-01-01") // SECOND))
@settings(max_examples=examples(60), deadline=None)
def test_a_clock_shows_what_the_time_zone_database_has(zone, seconds):
    shown = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(
        ZoneInfo(zone)
    )
    wanted = (shown.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds()
    assert clock_seconds(seconds * SECOND, zone) == wanted
    assert clock_seconds(np.array([seconds * SECOND]), zone).tolist() == [wanted]
