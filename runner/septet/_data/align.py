"""Alignment by known time: symbols of different calendars, series, restarts of history.

Every function here finds the last datum known at time T. A datum with ``known_ns == T`` is known at
T; one a nanosecond later is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from septet._data.bars import BarTable, Floats, Ints, SeriesTable
from septet._data.calendars import Anchor, load_calendar

__all__ = [
    "Axis",
    "Segments",
    "as_of_rows",
    "column_as_of",
    "missing_before",
    "segments",
    "series_as_of",
    "union_axis",
]

BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume")


class Axis(msgspec.Struct, frozen=True):
    """The union of the times (UTC ns) at which bars of any symbol become known.

    `time_ns` has shape (t,), strictly rising. `rows[k, j]` is the row of symbol k's bar that
    becomes known at `time_ns[j]`, or -1; shape (symbols, t).
    """

    time_ns: Ints
    rows: Ints


class Segments(msgspec.Struct, frozen=True):
    """Parts of the history without a gap longer than `reset_after`.

    `start[i]` is the first row of the part that contains row i, `age[i]` the number of bars since
    then, 0 at the first.
    """

    start: Ints
    age: Ints


def union_axis(tables: Sequence[BarTable]) -> Axis:
    """Align symbols on the times at which their bars become known.

    `rows` is -1 at times at which the symbol has no bar. Without tables the axis is empty and
    `rows` has shape (0, 0).
    """
    if not tables:
        return Axis(np.zeros(0, np.int64), np.zeros((0, 0), np.int64))
    first = tables[0].known_ns
    if all(np.array_equal(first, table.known_ns) for table in tables[1:]):
        rows = np.tile(np.arange(len(first), dtype=np.int64), (len(tables), 1))
        return Axis(first.copy(), rows)
    time_ns = np.unique(np.concatenate([table.known_ns for table in tables]))
    rows = np.full((len(tables), len(time_ns)), -1, dtype=np.int64)
    for k, table in enumerate(tables):
        rows[k, np.searchsorted(time_ns, table.known_ns)] = np.arange(len(table))
    return Axis(time_ns, rows)


def as_of_rows(known_ns: Ints, at_ns: Ints) -> Ints:
    """Return the row of the last datum known at each time, -1 before the first.

    `known_ns` has shape (n,) and must not fall; `at_ns` and the result have shape (t,). A datum
    with ``known_ns == at_ns`` is known.
    """
    row: Ints = np.searchsorted(known_ns, at_ns, side="right").astype(np.int64) - 1
    return row


def series_as_of(series: SeriesTable, at_ns: Ints) -> Floats:
    """Return the value of a series as known at each time.

    `at_ns` (UTC ns) and the result, float64, have shape (n,). The result is NaN before the first
    value is known, and when the last known value has been known for longer than `max_age_ns` of the
    series.
    """
    row = as_of_rows(series.known_ns, at_ns)
    if not len(series.value):
        return np.full(len(at_ns), np.nan)
    safe = np.maximum(row, 0)
    unknown = row < 0
    if series.max_age_ns is not None:
        unknown |= at_ns - series.known_ns[safe] > series.max_age_ns
    return np.where(unknown, np.nan, series.value[safe])


def column_as_of(
    table: BarTable, column: str, at_ns: Ints, *, max_age_ns: int | None = None
) -> Floats:
    """Return a column of another symbol's last bar known at each time, float64 of shape (t,).

    The result is NaN before its first bar is known and, with `max_age_ns`, when that bar has been
    known for longer (ns).
    """
    row = as_of_rows(table.known_ns, at_ns)
    values: Floats = getattr(table, column)
    if not len(values):
        return np.full(len(at_ns), np.nan)
    safe = np.maximum(row, 0)
    unknown = row < 0
    if max_age_ns is not None:
        unknown |= at_ns - table.known_ns[safe] > max_age_ns
    return np.where(unknown, np.nan, values[safe])


def missing_before(table: BarTable, calendar: str, anchor: Anchor | None = None) -> Ints:
    """Return the scheduled bars missing between each row and the row before it; 0 for the first.

    The result is int64 of shape (n,). Hours and days on which the calendar is closed are not
    missing.
    """
    missing = np.zeros(len(table), dtype=np.int64)
    if calendar == "24x7" and bool(np.all(np.diff(table.open_ns) == table.bar_ns)):
        return missing  # the usual case; placing the bars takes ten times as long
    if len(table) > 1:
        schedule = load_calendar(calendar, int(table.open_ns[0]), int(table.open_ns[-1]))
        placed = schedule.place(table.open_ns, table.bar_ns, "open", anchor)
        missing[1:] = np.diff(placed.ordinal) - 1
    return missing


def segments(table: BarTable, calendar: str, reset_after: int) -> Segments:
    """Split history where more than `reset_after` scheduled bars are missing.

    `calendar` names the schedule of the bars. The arrays of the result have shape (n,).
    """
    n = len(table)
    restart = missing_before(table, calendar) > reset_after
    rows = np.arange(n, dtype=np.int64)
    start = np.maximum.accumulate(np.where(restart, rows, 0)) if n else rows
    return Segments(start, rows - start)
