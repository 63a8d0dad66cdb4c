"""The days of a daily loss, against the time zones of the standard library."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._shell.aligned_bars import day_numbers

SECOND = 1_000_000_000
QUARTER, DAY = 900, 86_400
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
    "Asia/Kolkata",
)  # fmt: skip


def day_of(at: int, zone: str, start: int) -> int:
    """Return the number of the day by the clock on the wall."""
    wall = datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=UTC)
    return (int(wall.timestamp()) - start) // DAY


@given(
    st.integers(1_300_000_000 // QUARTER, 1_800_000_000 // QUARTER), st.sampled_from(ZONES),
    st.integers(0, DAY // QUARTER - 1),
)  # fmt: skip
def test_a_day_begins_by_the_clock_on_the_wall(quarter: int, zone: str, start: int) -> None:
    at, start = quarter * QUARTER, start * QUARTER
    (found,) = day_numbers(np.array([at * SECOND]), zone, start * SECOND)
    assert found == day_of(at, zone, start)


@pytest.mark.parametrize("start", [0, 2 * 3_600 + 1_800, 17 * 3_600])
def test_no_day_begins_twice_where_the_clocks_go_back(start: int) -> None:
    """At 3:00 on 29 October 2023 it was 2:00 again in Berlin: a loss of the day stays one."""
    first = int(datetime(2023, 10, 27, tzinfo=UTC).timestamp())
    at = np.arange(first, first + 5 * DAY, QUARTER)
    days = day_numbers(at * SECOND, "Europe/Berlin", start * SECOND)
    begins = at[1:][np.diff(days) != 0]
    assert set(np.diff(days)) == {0, 1}
    walls = [datetime.fromtimestamp(int(each), ZoneInfo("Europe/Berlin")) for each in begins]
    assert [each.hour * 3_600 + each.minute * 60 for each in walls] == [start] * len(walls)
    assert len({each.date() for each in walls}) == len(walls) == 5
