"""How often something is due, against the independent reading of the rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from septet._core.state import DueTimes
from septet_schemas.every import Every
from tests.fidelity.positions.market import DAY, HOUR, START
from tests.fidelity.positions.schedule import instants
from tests.scale import examples

ZONES = st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu"])
TEXTS = st.sampled_from(
    [
        "1 bars", "3 bars", "7 bars", "15m", "4h", "1d", "2d at 02:30", "1d at 12:00", "1w",
        "1w on mon 00:00", "2w on sun 02:30", "1mo", "3mo at 01:30", "0 */5 * * *", "30 2 * * *",
        "0 9 * * 1-5", "15,45 1-3 * * sun", "0 0 1 * *", "0 12 * jan,mar mon", "*/20 2 28-31 3 *",
    ]
)  # fmt: skip


@given(TEXTS, ZONES, st.integers(0, 900 * 24), st.integers(1, 400))
@settings(max_examples=examples(150))
def test_it_is_due_when_the_reference_has_it(text: str, zone: str, at: int, hours: int) -> None:
    every, before = Every.parse(text), START + at * HOUR
    for until in (before + HOUR, before + hours * HOUR):
        expected = bool(instants(text, zone, before, until, HOUR))
        assert every.is_due(before, until, zone, HOUR) is expected


@given(TEXTS, ZONES, st.integers(0, 900), st.lists(st.integers(1, 40), min_size=1, max_size=60))
@settings(max_examples=examples(60))
def test_many_times_at_once_are_those_times_one_by_one(
    text: str, zone: str, day: int, steps: list[int]
) -> None:
    times = START + day * DAY + np.cumsum(steps).astype(np.int64) * HOUR
    due = DueTimes(Every.parse(text), zone, HOUR)
    before = [int(times[0]) - HOUR, *times[:-1].tolist()]
    alone = [due.falls_at(a, b) for a, b in zip(before, times.tolist(), strict=True)]
    assert due.of(times).tolist() == alone


def test_a_time_that_the_clock_skips_is_the_next_and_one_shown_twice_counts_once() -> None:
    # New York: 02:30 on 2021-03-14 does not exist, 01:30 on 2021-11-07 exists twice.
    every = Every.parse("1d at 02:30")
    spring = 1_615_680_000_000_000_000  # 2021-03-14 00:00 UTC
    found = every.falls_in(spring, spring + DAY, "America/New_York")
    assert [(each - spring) / HOUR for each in found] == [7.0]  # 03:00 there
    autumn = 1_636_243_200_000_000_000  # 2021-11-07 00:00 UTC
    twice = Every.parse("30 1 * * *").falls_in(autumn, autumn + DAY, "America/New_York")
    assert [(each - autumn) / HOUR for each in twice] == [5.5]


@pytest.mark.parametrize(
    "text",
    ["", "often", "0 bars", "1h at 12:00", "4h on mon", "1d on mon", "1d at 25:00", "1d at 12:75",
     "99999 bars", "0 0 1 * 1", "61 * * * *", "0 0 last * *", 7],
)  # fmt: skip
def test_what_is_no_interval_is_refused(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        Every.parse(text)
