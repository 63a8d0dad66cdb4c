"""Where bars lie in sessions: the clock changes, half days, weekends, breaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._data.calendars import load_calendar, sessions_per_year
from septet.errors import DataError
from tests.data.helpers import DAY_NS, HOUR_NS, MINUTE_NS, ns


def times(*texts: str) -> np.ndarray:
    return np.array([ns(text) for text in texts], dtype=np.int64)


@given(st.integers(-10_000, 10_000), st.sampled_from([1, 5, 60, 240, 1_440, 10_080]))
def test_the_open_calendar_numbers_its_grid(bar: int, minutes: int) -> None:
    bar_ns = minutes * MINUTE_NS
    monday = ns("1970-01-05") if minutes == 10_080 else 0
    stamp = np.array([monday + bar * bar_ns, monday + bar * bar_ns + 1], dtype=np.int64)
    placed = load_calendar("24x7", 0, 0).place(stamp, bar_ns)
    assert placed.off_grid.tolist() == [False, True]
    assert placed.ordinal[0] == bar
    assert placed.known_ns[0] == stamp[0] + bar_ns
    assert load_calendar("24x7", 0, 0).at(placed.ordinal[:1], bar_ns).open_ns[0] == stamp[0]


def test_stamps_that_mark_closes_open_a_bar_earlier() -> None:
    placed = load_calendar("24x7", 0, 0).place(times("2021-01-01T01:00"), HOUR_NS, "close")
    assert placed.open_ns.tolist() == [ns("2021-01-01T00:00")]
    assert placed.known_ns.tolist() == [ns("2021-01-01T01:00")]


@pytest.mark.parametrize(
    ("stamp", "opens", "closes"),
    [
        ("2021-03-12", "2021-03-12T14:30", "2021-03-12T21:00"),  # Friday, winter time
        ("2021-03-15", "2021-03-15T13:30", "2021-03-15T20:00"),  # Monday, summer time
        ("2021-11-26", "2021-11-26T14:30", "2021-11-26T18:00"),  # the day after Thanksgiving
        ("2021-03-15T04:00", "2021-03-15T13:30", "2021-03-15T20:00"),  # midnight in New York
        ("2021-03-15T13:30", "2021-03-15T13:30", "2021-03-15T20:00"),  # the session's open
    ],
)
def test_a_daily_bar_is_known_at_its_session_close(stamp: str, opens: str, closes: str) -> None:
    calendar = load_calendar("XNYS", ns("2021-03-01"), ns("2021-12-01"))
    placed = calendar.place(times(stamp), DAY_NS)
    assert placed.open_ns.tolist() == [ns(opens)]
    assert placed.known_ns.tolist() == [ns(closes)]
    assert placed.session.tolist() == [ns(opens) // DAY_NS]
    assert not placed.outside.any()


def test_closed_days_are_outside() -> None:
    calendar = load_calendar("XNYS", ns("2021-03-01"), ns("2021-12-01"))
    placed = calendar.place(times("2021-03-13", "2021-11-25", "2021-11-24"), DAY_NS)
    assert placed.outside.tolist() == [True, True, False]


def test_a_close_stamped_at_midnight_in_new_york_is_the_day_before() -> None:
    calendar = load_calendar("XNYS", ns("2021-03-01"), ns("2021-12-01"))
    placed = calendar.place(times("2021-03-16T04:00", "2021-03-15T20:00"), DAY_NS, "close")
    assert placed.open_ns.tolist() == [ns("2021-03-15T13:30")] * 2


def test_hours_from_the_session_open_end_with_the_session() -> None:
    calendar = load_calendar("XNYS", ns("2021-03-12"), ns("2021-03-15"))
    friday = [ns("2021-03-12T14:30") + j * HOUR_NS for j in range(7)]
    monday = [ns("2021-03-15T13:30") + j * HOUR_NS for j in range(7)]
    placed = calendar.place(np.array(friday + monday), HOUR_NS)
    assert placed.anchor == "session"
    assert not placed.off_grid.any()
    assert not placed.outside.any()
    assert placed.known_ns[6] == ns("2021-03-12T21:00")
    assert placed.known_ns[13] == ns("2021-03-15T20:00")
    assert np.diff(placed.ordinal).tolist() == [1] * 13
    back = calendar.at(placed.ordinal, HOUR_NS, placed.anchor)
    assert back.open_ns.tolist() == placed.open_ns.tolist()
    closes = calendar.place(placed.known_ns, HOUR_NS, "close")
    assert closes.open_ns.tolist() == placed.open_ns.tolist()


def test_hours_of_the_clock_are_clipped_by_the_session() -> None:
    calendar = load_calendar("XNYS", ns("2021-03-12"), ns("2021-03-15"))
    stamps = times("2021-03-12T14:30", *(f"2021-03-12T{h}:00" for h in range(15, 21)))
    placed = calendar.place(stamps, HOUR_NS)
    assert placed.anchor == "utc"
    assert not placed.off_grid.any()
    assert placed.known_ns[0] == ns("2021-03-12T15:00")
    assert placed.known_ns[-1] == ns("2021-03-12T21:00")
    assert np.diff(placed.ordinal).tolist() == [1] * 6


def test_the_foreign_exchange_week() -> None:
    calendar = load_calendar("XFX", ns("2021-03-01"), ns("2021-03-31"))
    placed = calendar.place(
        times(
            "2021-03-12T21:00",  # Friday 16:00 New York: the last hour
            "2021-03-12T22:00",  # closed
            "2021-03-14T20:00",  # closed: summer time began this morning
            "2021-03-14T21:00",  # Sunday 17:00
            "2021-03-15T20:00",
            "2021-03-15T21:00",  # the next trading day
        ),
        HOUR_NS,
    )
    assert placed.outside.tolist() == [False, True, True, False, False, False]
    days = (placed.session - ns("2021-03-01") // DAY_NS + 1).tolist()
    assert [days[j] for j in (0, 3, 4, 5)] == [12, 15, 15, 16]
    assert placed.ordinal[3] - placed.ordinal[0] == 1


def test_daily_bars_of_foreign_exchange() -> None:
    calendar = load_calendar("XFX", ns("2021-03-01"), ns("2021-03-31"))
    placed = calendar.place(times("2021-03-12", "2021-03-14", "2021-03-15"), DAY_NS)
    assert placed.outside.tolist() == [False, True, False]
    assert placed.known_ns[[0, 2]].tolist() == [ns("2021-03-12T22:00"), ns("2021-03-15T21:00")]


def test_four_hour_bars_across_the_weekend() -> None:
    calendar = load_calendar("XFX", ns("2021-01-01"), ns("2021-01-31"))
    stamps = times("2021-01-08T16:00", "2021-01-08T20:00", "2021-01-10T20:00", "2021-01-11T00:00")
    placed = calendar.place(stamps, 4 * HOUR_NS)
    assert not placed.outside.any()
    assert not placed.off_grid.any()
    assert placed.known_ns.tolist() == [
        ns("2021-01-08T20:00"), ns("2021-01-08T22:00"), ns("2021-01-11T00:00"),
        ns("2021-01-11T04:00"),
    ]  # fmt: skip
    assert np.diff(placed.ordinal).tolist() == [1, 1, 1]


def test_lunch_breaks_are_no_gaps() -> None:
    calendar = load_calendar("XTKS", ns("2021-03-01"), ns("2021-03-31"))
    minutes = times("2021-03-10T02:29", "2021-03-10T02:30", "2021-03-10T03:30")
    placed = calendar.place(minutes, MINUTE_NS)
    assert placed.outside.tolist() == [False, True, False]
    assert placed.ordinal[2] - placed.ordinal[0] == 1
    day = calendar.place(times("2021-03-10"), DAY_NS)
    assert day.known_ns[0] - day.open_ns[0] == 6 * HOUR_NS


def test_every_scheduled_bar_can_be_asked_for() -> None:
    calendar = load_calendar("XTKS", ns("2021-03-01"), ns("2021-03-31"))
    ordinal = np.arange(100, 400)
    for anchor in ("utc", "session"):
        placed = calendar.at(ordinal, 5 * MINUTE_NS, anchor)
        assert placed.ordinal.tolist() == ordinal.tolist()
        assert not placed.outside.any()
        assert (np.diff(placed.open_ns) > 0).all()
        assert (placed.known_ns[:-1] <= placed.open_ns[1:]).all()


def test_unknown_calendars_and_long_bars() -> None:
    with pytest.raises(DataError, match=r"did you mean .*XNYS"):
        load_calendar("XNYZ", ns("2021-03-01"), ns("2021-03-31"))
    with pytest.raises(DataError, match="longer than a day"):
        load_calendar("XNYS", ns("2021-03-01"), ns("2021-03-31")).place(
            times("2021-03-01"), 7 * DAY_NS
        )
    assert [sessions_per_year(name) for name in ("24x7", "XFX", "XNYS")] == [365, 260, 252]
