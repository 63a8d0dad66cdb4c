"""Scheduled neighbours of a bar, and the number of bars in higher time frames, on a calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from septet._data.bars import BarTable, Ints
from septet._data.calendars import DAY_NS, Calendar, Placed, load_calendar
from septet._data.members import calendar_beyond

__all__ = [
    "NEIGHBOURS", "Neighbours", "most_bars", "neighbours", "neighbours_of", "own_bars",
    "session_hours",
]  # fmt: skip

NEIGHBOURS: Final = ("previous_session", "next_session", "previous_open", "next_open")
"""The columns for a scheduled bar: the date of its session (days since the epoch; the UTC day on
``24x7``), and its open (seconds)."""
_SECOND_NS: Final = 1_000_000_000
_WEEK_NS: Final = 7 * DAY_NS
_MONDAY_NS: Final = 4 * DAY_NS
_COUNTED_YEARS: Final = (datetime(2015, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC))
"""The years whose sessions are counted, whatever the data, so that all modes warm up alike."""


class Neighbours(NamedTuple):
    """The scheduled bars before and after each bar: session dates and opens, shape (n,).

    Where the calendar ends, the values are those of the bar itself.
    """

    previous_session: Ints
    next_session: Ints
    previous_open: Ints
    next_open: Ints


def neighbours_of(calendar: Calendar, placed: Placed, bar_ns: int) -> Neighbours:
    """Return the scheduled bars before and after placed bars."""
    before = _at(calendar, placed, -1, bar_ns)
    after = _at(calendar, placed, 1, bar_ns)
    return Neighbours(
        before.session, after.session, before.open_ns // _SECOND_NS, after.open_ns // _SECOND_NS
    )


def _at(calendar: Calendar, placed: Placed, step: int, bar_ns: int) -> Placed:
    """Return the scheduled bars at an offset from placed ones; the same bar where there is none."""
    wanted = placed.ordinal + step
    try:
        return calendar.at(wanted, bar_ns, placed.anchor)
    except IndexError:
        bounded = np.clip(wanted, int(placed.ordinal.min()), int(placed.ordinal.max()))
        return calendar.at(bounded, bar_ns, placed.anchor)


def neighbours(table: BarTable, calendar: str) -> Neighbours:
    """Return the scheduled bars before and after the bars of a table."""
    first, last = int(table.open_ns[0]), int(table.open_ns[-1])
    schedule = calendar_beyond(calendar, first, last)
    return neighbours_of(schedule, schedule.place(table.open_ns, table.bar_ns), table.bar_ns)


def own_bars(frame_ns: int, bar_ns: int, calendar: str = "24x7") -> int:
    """Return the most base bars that a bar of a higher time frame has."""
    if calendar == "24x7" or frame_ns % DAY_NS or frame_ns == bar_ns:
        return -(-frame_ns // bar_ns)
    return most_bars(frame_ns, bar_ns, calendar)


@lru_cache(maxsize=64)
def most_bars(frame_ns: int, bar_ns: int, calendar: str) -> int:
    """Return the most bars that the sessions within one multiple of whole days have."""
    dates, length_ns = _sessions(calendar)
    count = -(-length_ns // bar_ns) + (bar_ns < DAY_NS)  # on the UTC grid both ends may be short
    offset_ns = _MONDAY_NS if frame_ns % _WEEK_NS == 0 else 0
    _, place = np.unique((dates * DAY_NS - offset_ns) // frame_ns, return_inverse=True)
    return int(np.bincount(place, count).max())


def session_hours(calendar: str) -> float:
    """Return the length of a calendar's usual session, in hours."""
    return float(np.median(_sessions(calendar)[1])) / (3_600 * _SECOND_NS)


@lru_cache(maxsize=8)
def _sessions(calendar: str) -> tuple[Ints, Ints]:
    """Return the dates of a calendar's sessions in the years that are counted, and their length."""
    first, last = (int(each.timestamp()) * _SECOND_NS for each in _COUNTED_YEARS)
    schedule = load_calendar(calendar, first, last)
    days = schedule.place(np.arange(first, last, DAY_NS, dtype=np.int64), DAY_NS)
    held = ~days.outside
    return days.session[held], (days.known_ns - days.open_ns)[held]
