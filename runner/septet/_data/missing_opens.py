"""Missing scheduled bars: the newest one of a symbol at each time without a bar of it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from septet._data.align import as_of_rows
from septet._data.bars import BarTable, Ints
from septet._data.calendars import Anchor, Calendar
from septet._data.members import calendar_beyond

__all__ = ["NONE_MISSING", "MissingOpens", "Scheduled", "scheduled_until"]

NONE_MISSING: Final = -(2**62)
"""The value if no scheduled bar is missing since the newest bar."""
_AT_ONCE: Final = 4_096


class Scheduled(NamedTuple):
    """Consecutive scheduled bars of a calendar: the open and the known time of each."""

    open_ns: Ints
    known_ns: Ints


def scheduled_until(
    calendar: Calendar, ordinal: int, last_ns: int, bar_ns: int, anchor: Anchor
) -> Scheduled:
    """Return the bars from `ordinal` on that are known by `last_ns` and within the calendar."""
    opens, knowns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    count = _AT_ONCE
    while count:
        try:
            placed = calendar.at(np.arange(ordinal, ordinal + count), bar_ns, anchor)
        except IndexError:  # the calendar is not known that far
            count //= 2
            continue
        opens.append(placed.open_ns)
        knowns.append(placed.known_ns)
        if int(placed.known_ns[-1]) > last_ns:
            break
        ordinal += count
    known_ns = np.concatenate(knowns)
    stop = int(np.searchsorted(known_ns, last_ns, side="right"))
    return Scheduled(np.concatenate(opens)[:stop], known_ns[:stop])


class MissingOpens:
    """Finds the missing bars of the symbols of a run.

    Symbols of one calendar share its schedule.
    """

    def __init__(self, time_ns: Ints, bar_ns: int) -> None:
        """Store the decision times, shape (t,), ascending (UTC ns)."""
        self._time_ns, self._bar_ns = time_ns, bar_ns
        self._schedules: dict[tuple[str, Anchor], tuple[int, Scheduled]] = {}

    def of(self, table: BarTable, calendar: str, rows: Ints) -> Ints:
        """Return the open of the newest missing bar at the times at which `rows` is negative.

        `rows` holds the symbol's bar at each time, or -1. The result, int64, has one value for
        each negative one: `NONE_MISSING` before the first bar, and while no scheduled bar is
        missing since the newest.
        """
        times = self._time_ns[rows < 0]
        open_ns = np.full(len(times), NONE_MISSING, np.int64)
        if not len(table):
            return open_ns
        last = as_of_rows(table.known_ns, times)
        behind = last >= 0
        times, last = times[behind], last[behind]
        if calendar == "24x7":
            known = table.known_ns[last]
            bars = (times - known) // self._bar_ns
            open_ns[behind] = np.where(bars > 0, known + (bars - 1) * self._bar_ns, NONE_MISSING)
        elif len(times):
            opens, knowns = self._schedule(table, calendar)
            newest = np.searchsorted(knowns, times, side="right") - 1
            opened = opens[np.maximum(newest, 0)]
            missing = (newest >= 0) & (opened > table.open_ns[last])
            open_ns[behind] = np.where(missing, opened, NONE_MISSING)
        return open_ns

    def _schedule(self, table: BarTable, name: str) -> Scheduled:
        """Return the scheduled bars from the first bar of a table on."""
        first_ns, last_ns = int(table.open_ns[0]), int(self._time_ns[-1])
        calendar = calendar_beyond(name, first_ns, last_ns)
        placed = calendar.place(table.open_ns[:_AT_ONCE], self._bar_ns, "open")
        begun, scheduled = self._schedules.get((name, placed.anchor), (first_ns + 1, None))
        if scheduled is None or begun > first_ns:
            ordinal = int(placed.ordinal[0])
            scheduled = scheduled_until(calendar, ordinal, last_ns, self._bar_ns, placed.anchor)
            self._schedules[name, placed.anchor] = first_ns, scheduled
        return scheduled
