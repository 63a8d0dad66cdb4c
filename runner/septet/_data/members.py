"""Number of symbols that are members of a portfolio at each decision time.

A symbol is a member from its first bar on. It is not a member after its bars have ended: since its
last bar `MEMBER_BARS` bars of its calendar, and as many decision times of the run, have passed
without one. It is a member again from its next bar on. The decision times keep a pause of the whole
market, after which symbols come back one after the other, from ending those that come later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from septet._data.align import Axis
from septet._data.bars import BarTable, Ints
from septet._data.calendars import Anchor, Calendar, load_calendar
from septet._kernel import layout
from septet.errors import DataError

__all__ = ["MEMBER_BARS", "calendar_beyond", "ended_from_ns", "member_counts"]

MEMBER_BARS: Final = layout.MEMBER_BARS
"""A symbol's bars have ended after this many bars without one: `delisted_after` of the universe."""
_FAR_NS: Final = 2**62
_MARGIN_NS: Final = 60 * 86_400_000_000_000
"""In this time every exchange has at least 20 sessions."""


def calendar_beyond(name: str, first_ns: int, last_ns: int) -> Calendar:
    """Return a calendar that extends some weeks beyond a time, if it is known that far."""
    try:
        return load_calendar(name, first_ns, last_ns + _MARGIN_NS)
    except DataError:
        return load_calendar(name, first_ns, last_ns)


def ended_from_ns(
    calendar: Calendar, ordinal: int, bar_ns: int, anchor: Anchor, bars: int = MEMBER_BARS
) -> int:
    """Return the close (UTC ns) of the bar that is `bars` scheduled bars after `ordinal`.

    If the calendar is not known that far, the result is far in the future.
    """
    try:
        placed = calendar.at(np.array([ordinal + bars], dtype=np.int64), bar_ns, anchor)
    except IndexError:
        return _FAR_NS
    return int(placed.known_ns[0])


def member_counts(tables: Sequence[BarTable], calendars: Sequence[str], axis: Axis) -> Ints:
    """Return the number of members at each decision time.

    Parameters
    ----------
    tables, calendars
        The bars of each symbol, and the names of their calendars.
    axis
        The decision times, and the bar of each symbol at them.

    Returns
    -------
    array, shape (t,), int64
        Each value uses only what is known at its time.
    """
    changes = np.zeros(len(axis.time_ns) + 1, np.int64)
    for table, calendar, rows in zip(tables, calendars, axis.rows, strict=True):
        at = np.flatnonzero(rows >= 0)
        if not len(at):
            continue
        changes[at[0]] += 1
        following = np.append(at[1:], len(rows))
        gaps = np.flatnonzero(following - at > MEMBER_BARS)
        for first, behind in _ended_spans(table, calendar, axis.time_ns, at, gaps):
            if first < following[behind]:
                changes[first] -= 1
                changes[following[behind]] += 1
    counts: Ints = np.cumsum(changes[:-1])
    return counts


def _ended_spans(
    table: BarTable, calendar: str, time_ns: Ints, at: Ints, gaps: Ints
) -> list[tuple[int, int]]:
    """Return pairs: the decision time index at which the bars have ended, and their last row."""
    if not len(gaps):
        return []
    schedule = calendar_beyond(calendar, int(table.open_ns[0]), int(time_ns[-1]))
    placed = schedule.place(table.open_ns, table.bar_ns, "open")
    spans = []
    for row in gaps.tolist():
        ordinal = int(placed.ordinal[row])
        ended_ns = ended_from_ns(schedule, ordinal, table.bar_ns, placed.anchor)
        first = max(int(at[row]) + MEMBER_BARS, int(np.searchsorted(time_ns, ended_ns)))
        spans.append((first, row))
    return spans
