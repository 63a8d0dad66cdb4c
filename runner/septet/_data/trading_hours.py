"""Times at which a position may be increased: the hours of a file on the calendar of its bars.

All of it depends on time alone: the flags of every decision time are computed ahead of a backtest,
and by the same function at each decision time of a paper or live run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from septet._data.bars import Ints, SeriesTable
from septet._data.calendars import Anchor, Calendar, Sessions, load_calendar
from septet._data.local_time import local_instant
from septet._data.stamps import Bools
from septet._kernel import layout
from septet.errors import DataError
from septet_schemas.hours import OpenHours

__all__ = [
    "NO_EVENTS", "Events", "FillGrid", "HourRules", "Spans", "events_from", "events_of",
    "flags_by_symbol", "hours_flags", "open_spans",
]  # fmt: skip

DAY_NS: Final = 86_400_000_000_000
_BLOCK_NS: Final = 366 * DAY_NS
_MARGIN_NS: Final = 30 * DAY_NS
"""No exchange is closed for longer: the next session begins within this time."""
_FAR_NS: Final = 2**62


class Spans(msgspec.Struct, frozen=True):
    """Time spans, half-open and in order: from `from_ns[j]` up to but excluding `to_ns[j]`."""

    from_ns: Ints
    to_ns: Ints

    def row_of(self, at_ns: Ints) -> Ints:
        """Return the index of the span that contains each instant; -1 if none does."""
        if not len(self.from_ns):
            return np.full(len(at_ns), -1, np.int64)
        row = np.searchsorted(self.from_ns, at_ns, side="right") - 1
        found: Ints = np.where((row >= 0) & (at_ns < self.to_ns[row]), row, -1)
        return found


class Events(msgspec.Struct, frozen=True):
    """Events of a blackout: event j is at `at_ns[j]`, and known from `known_ns[j]` on.

    Both are int64 of shape (n,), UTC ns.
    """

    at_ns: Ints
    known_ns: Ints


def events_of(table: SeriesTable) -> Events:
    """Return the rows of a series as events, whatever their values."""
    return Events(table.stamp_ns, table.known_ns)


NO_EVENTS: Final = Events(np.zeros(0, np.int64), np.zeros(0, np.int64))


class HourRules(msgspec.Struct, frozen=True):
    """The trading hours of a file, and the latency of an order.

    `series` is the name of the series of the blackout's events, empty without one; the blackout
    lasts from `before_ns` before to `after_ns` after an event. Durations are market time.
    """

    open: OpenHours | None
    flat_at_close: bool
    latency_ns: int
    series: str = ""
    before_ns: int = 0
    after_ns: int = 0


# ---------------------------------------------------------------- fills


@dataclass
class FillGrid:
    """The scheduled opens of bars, at which orders fill."""

    calendar: str
    bar_ns: int
    anchor: Anchor = "utc"
    _loaded: tuple[Calendar, int, int] | None = field(default=None, repr=False)

    def next_open(self, at_ns: Ints) -> Ints:
        """Return the first scheduled open at or after each instant (UTC ns, ascending, shape (n,)).

        Between two sessions that is the open of the next session's first bar.
        """
        if not len(at_ns):
            return at_ns
        calendar = self._over(int(at_ns[0]), int(at_ns[-1]))
        if not isinstance(calendar, Sessions):
            monday = 4 * DAY_NS if self.bar_ns % (7 * DAY_NS) == 0 else 0
            return -(-(at_ns - monday) // self.bar_ns) * self.bar_ns + monday
        if self.bar_ns == DAY_NS:
            row = np.searchsorted(calendar.day_opens_ns, at_ns, side="left")
            return _at(calendar.day_opens_ns, row)
        opens, closes = calendar.opens_ns, calendar.closes_ns
        row = np.searchsorted(opens, at_ns, side="right") - 1
        safe = np.maximum(row, 0)
        origin = opens[safe]
        if self.anchor == "utc":
            origin = origin // self.bar_ns * self.bar_ns
        start = origin - (origin - at_ns) // self.bar_ns * self.bar_ns
        start = np.where(at_ns == opens[safe], at_ns, start)  # that bar opens with the session
        inside = (row >= 0) & (at_ns < closes[safe]) & (start < closes[safe])
        opens_ns: Ints = np.where(inside, start, _at(opens, row + 1))
        return opens_ns

    def nth_close(self, at_ns: int, count: int) -> int:
        """Return the close of a bar: the `count`-th that opens at or after an instant (UTC ns).

        If the calendar ends before, the result is an instant far in the future.
        """
        span_ns = 8 * count * self.bar_ns + _MARGIN_NS
        for _ in range(3):
            found = self._nth_close(self._over(at_ns, at_ns + span_ns), at_ns, count)
            if found < _FAR_NS:
                break
            span_ns *= 4
        return found

    def _nth_close(self, calendar: Calendar, at_ns: int, count: int) -> int:
        bar_ns = self.bar_ns
        if not isinstance(calendar, Sessions):
            return int(self.next_open(np.array([at_ns], np.int64))[0]) + count * bar_ns
        if bar_ns == DAY_NS:
            days = calendar.day_closes_ns
            row = int(np.searchsorted(calendar.day_opens_ns, at_ns, side="left")) + count - 1
            return int(days[row]) if row < len(days) else _FAR_NS
        opens, closes = calendar.opens_ns, calendar.closes_ns
        origin = opens // bar_ns * bar_ns if self.anchor == "utc" else opens
        ended = np.cumsum(-(-(closes - origin) // bar_ns))  # bars up to the end of each interval
        row = int(np.searchsorted(opens, at_ns, side="left")) - 1  # opened before the instant
        begun = 0
        if row >= 0:
            inside = -(-(min(at_ns, int(closes[row])) - int(origin[row])) // bar_ns)
            begun = inside + (int(ended[row - 1]) if row else 0)
        target = begun + count - 1
        row = int(np.searchsorted(ended, target, side="right"))
        if row == len(ended):
            return _FAR_NS
        slot = target - (int(ended[row - 1]) if row else 0)
        return int(min(origin[row] + (slot + 1) * bar_ns, closes[row]))

    def _over(self, first_ns: int, last_ns: int) -> Calendar:
        """Return the calendar for a span and some weeks after it."""
        if self._loaded is None or not self._loaded[1] <= first_ns <= last_ns <= self._loaded[2]:
            low = first_ns - first_ns % _BLOCK_NS
            high = last_ns - last_ns % _BLOCK_NS + _BLOCK_NS
            self._loaded = _calendar_over(self.calendar, (low, high), (first_ns, last_ns))
        return self._loaded[0]


def _at(values: Ints, row: Ints) -> Ints:
    """Return the values at rows; for rows after the last, an instant far in the future."""
    found: Ints = np.where(row < len(values), values[np.minimum(row, len(values) - 1)], _FAR_NS)
    return found


def _calendar_over(
    name: str, block: tuple[int, int], span: tuple[int, int]
) -> tuple[Calendar, int, int]:
    """Load whole years if the calendar covers them, else the span and some weeks, else the span."""
    for (first_ns, last_ns), margin_ns in ((block, _MARGIN_NS), (span, _MARGIN_NS)):
        try:
            return load_calendar(name, first_ns, last_ns + margin_ns), first_ns, last_ns
        except DataError:
            continue
    return load_calendar(name, *span), *span


# ---------------------------------------------------------------- hours


def open_spans(hours: OpenHours, first_ns: int, last_ns: int) -> tuple[Spans, Spans]:
    """Return the spans in which increases may fill, and the days at whose end positions are flat.

    Both cover `first_ns` to `last_ns`. They differ if an exchange has a lunch break: no increase
    fills in the break, but positions are not closed before it. Adjoining weekly spans are merged.

    Raises
    ------
    DataError
        If the calendar is unknown, or does not cover the span.
    """
    low = first_ns - first_ns % _BLOCK_NS
    high = last_ns - last_ns % _BLOCK_NS + _BLOCK_NS
    if hours.calendar:
        return _sessions_over(hours.calendar, (low, high), (first_ns, last_ns))
    weekly = _weekly_over(hours, low, high + _MARGIN_NS)
    return weekly, weekly


@lru_cache(maxsize=8)
def _sessions_over(name: str, block: tuple[int, int], span: tuple[int, int]) -> tuple[Spans, Spans]:
    calendar, _, _ = _calendar_over(name, block, span)
    if not isinstance(calendar, Sessions):
        always = Spans(np.zeros(1, np.int64), np.full(1, _FAR_NS, np.int64))
        return always, always
    trading = Spans(calendar.opens_ns, calendar.closes_ns)
    if calendar.rolls:  # consecutive days without a close between them
        return trading, trading
    return trading, Spans(calendar.day_opens_ns, calendar.day_closes_ns)


@lru_cache(maxsize=8)
def _weekly_over(hours: OpenHours, first_ns: int, last_ns: int) -> Spans:
    zone = ZoneInfo(hours.time_zone)
    day = datetime(1970, 1, 1) + timedelta(days=first_ns // DAY_NS - 3)
    spans = []
    for number in range((last_ns - first_ns) // DAY_NS + 6):
        date = day + timedelta(days=number)
        for span in hours.spans:
            if date.weekday() in span.days:
                low, high = (local_instant(date, each, zone) for each in (span.from_ns, span.to_ns))
                if low < high:
                    spans.append((low, high))
    joined: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    rows = np.array(joined, dtype=np.int64).reshape(-1, 2)
    return Spans(np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1]))


# ---------------------------------------------------------------- flags


def hours_flags(
    rules: HourRules, time_ns: Ints, grid: FillGrid, events: Events = NO_EVENTS
) -> Ints:
    """Return the flags of decision times, as `layout` names them.

    Parameters
    ----------
    rules
        The hours.
    time_ns : array, shape (n,)
        Decision times, ascending, nanoseconds.
    grid
        Where the bars of a symbol open: an order that is decided at T fills at the first scheduled
        open at or after T + latency, of a calendar with sessions that of the next session.
    events
        Events of the blackout. One is seen at T only if it is known by then.

    Returns
    -------
    array, shape (n,), int64
    """
    flags = np.zeros(len(time_ns), np.int64)
    if not len(time_ns):
        return flags
    fill_ns = grid.next_open(time_ns + rules.latency_ns)
    if rules.open is not None:
        last_ns = int(time_ns[-1]) + rules.latency_ns
        trading, days = open_spans(rules.open, int(time_ns[0]), last_ns)
        flags[trading.row_of(fill_ns) < 0] |= layout.HOURS_CLOSED
        if rules.flat_at_close:
            after_ns = grid.next_open(np.minimum(fill_ns + 1, last_ns + _MARGIN_NS))
            flags |= _close_flags(days, time_ns, fill_ns, after_ns)
    if len(events.at_ns):
        flags[_blacked_out(rules, time_ns, fill_ns, events)] |= layout.HOURS_CLOSED
    return flags


def flags_by_symbol(
    rules: HourRules, time_ns: Ints, grids: Sequence[FillGrid], events: Events = NO_EVENTS
) -> Ints:
    """Return the flags of decision times for each symbol, shape (symbols, n).

    `grids` has the grid of each symbol. The results are shared by symbols of the same calendar.
    """
    found = np.zeros((len(grids), len(time_ns)), np.int64)
    rows: dict[int, int] = {}
    for k, grid in enumerate(grids):
        same = rows.setdefault(id(grid), k)
        found[k] = found[same] if same != k else hours_flags(rules, time_ns, grid, events)
    return found


def _close_flags(days: Spans, time_ns: Ints, fill_ns: Ints, after_ns: Ints) -> Ints:
    """Flag where positions are closed: last fill of a day, outside hours, held over a close."""
    row = days.row_of(fill_ns)
    inside = row >= 0
    ends = days.to_ns[np.maximum(row, 0)] if len(days.to_ns) else np.zeros_like(fill_ns)
    last = inside & (after_ns >= ends)
    flags = np.where(last, layout.HOURS_LAST | layout.HOURS_FLAT, 0)
    flags |= np.where(inside, 0, layout.HOURS_FLAT)
    # between two sessions: a position still open was not closed in time
    flags |= np.where(inside & (days.row_of(time_ns) < 0), layout.HOURS_HELD_OVER, 0)
    found: Ints = flags.astype(np.int64)
    return found


def _blacked_out(rules: HourRules, time_ns: Ints, fill_ns: Ints, events: Events) -> Bools:
    """Return whether a fill lies around an event that is known at its decision."""
    first = np.searchsorted(fill_ns, events.at_ns - rules.before_ns, side="left")
    first = np.maximum(first, np.searchsorted(time_ns, events.known_ns, side="left"))
    end = np.searchsorted(fill_ns, events.at_ns + rules.after_ns, side="left")
    seen = first < end
    steps = np.zeros(len(time_ns) + 1, np.int64)
    np.add.at(steps, first[seen], 1)
    np.add.at(steps, end[seen], -1)
    found: Bools = np.cumsum(steps[:-1]) > 0
    return found


def events_from(points: Sequence[tuple[int, int]]) -> Events:
    """Return events from pairs of stamp and known time (UTC ns), in order of arrival."""
    rows = np.array(points, dtype=np.int64).reshape(-1, 2)
    return Events(np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1]))
