"""Session calendars: the grid of bars, their known times, and their sessions."""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal, Protocol

import msgspec
import numpy as np

from septet._data.bars import Ints
from septet._data.stamps import Bools
from septet._extras import need
from septet.errors import DataError

__all__ = [
    "Anchor",
    "Calendar",
    "Continuous",
    "Placed",
    "Sessions",
    "Stamp",
    "calendar_names",
    "lies_inside",
    "load_calendar",
    "sessions_per_year",
    "wall_clock_ns",
]

DAY_NS: Final = 86_400 * 1_000_000_000
_WEEK_NS: Final = 7 * DAY_NS
_HOUR_NS: Final = 3_600 * 1_000_000_000
_MONDAY_NS: Final = 4 * DAY_NS  # 1970-01-05
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Stamp = Literal["open", "close"]
Anchor = Literal["utc", "session"]


class Placed(msgspec.Struct, frozen=True):
    """The scheduled bar of each row; arrays of shape (n,), times UTC ns.

    `ordinal` numbers the scheduled bars, so that consecutive numbers mean that no bar is missing
    between them. `off_grid` and `outside` mark rows without a scheduled bar; their other entries
    are undefined.
    """

    open_ns: Ints
    known_ns: Ints
    session: Ints
    ordinal: Ints
    off_grid: Bools
    outside: Bools
    anchor: Anchor = "utc"


class Calendar(Protocol):
    """A calendar of trading sessions."""

    @property
    def name(self) -> str:
        """Name in the strategy file."""

    def place(
        self, stamp_ns: Ints, bar_ns: int, stamp: Stamp = "open", anchor: Anchor | None = None
    ) -> Placed:
        """Place stamped bars; `anchor` fixes the grid, None chooses the grid of most rows."""

    def at(self, ordinal: Ints, bar_ns: int, anchor: Anchor = "utc") -> Placed:
        """Return the scheduled bars with these ordinals, int64 (n,); `bar_ns` is their length."""


class Continuous(msgspec.Struct, frozen=True):
    """Always open: bars at UTC multiples of their length (weeks from Monday)."""

    name: str = "24x7"

    def place(
        self, stamp_ns: Ints, bar_ns: int, stamp: Stamp = "open", anchor: Anchor | None = None
    ) -> Placed:
        """Place stamped bars on the UTC grid; a session is a UTC day."""
        open_ns = stamp_ns - bar_ns if stamp == "close" else stamp_ns
        start = _grid_start(bar_ns)
        since = open_ns - start if start else open_ns
        ordinal = since // bar_ns  # numpy divides fast by a scalar; divmod does not
        off_grid = ordinal * bar_ns != since
        outside = np.zeros(len(open_ns), dtype=np.bool_)
        return Placed(open_ns, open_ns + bar_ns, open_ns // DAY_NS, ordinal, off_grid, outside)

    def at(self, ordinal: Ints, bar_ns: int, anchor: Anchor = "utc") -> Placed:
        """Return the bars with these numbers on the UTC grid, int64 (n,)."""
        return self.place(ordinal * bar_ns + _grid_start(bar_ns), bar_ns)


def _grid_start(bar_ns: int) -> int:
    return _MONDAY_NS if bar_ns % _WEEK_NS == 0 else 0


class Sessions(msgspec.Struct, frozen=True):
    """Trading in intervals: `opens_ns[j]` to `closes_ns[j]`, of session number `number[j]`.

    All arrays are int64, times UTC ns, ascending: the first three of shape (intervals,), those of
    `day_*`, which are whole sessions for daily bars, of shape (sessions,). `rolls` marks a market
    whose session number advances every 24 hours inside an interval (foreign exchange).
    """

    name: str
    zone: str
    opens_ns: Ints
    closes_ns: Ints
    number: Ints
    day_opens_ns: Ints
    day_closes_ns: Ints
    day_number: Ints
    rolls: bool = False
    label_shift_ns: int = 0

    def place(
        self, stamp_ns: Ints, bar_ns: int, stamp: Stamp = "open", anchor: Anchor | None = None
    ) -> Placed:
        """Place stamped bars inside sessions; `stamp_ns` is int64 of shape (n,), UTC ns.

        A daily bar is known at its session's close; an intraday bar at its end or at the close,
        whichever comes first. The grid is UTC multiples or counts from the session's open,
        whichever fits most rows; a bar that opens with the session is always on it.
        """
        if bar_ns > DAY_NS:
            raise DataError(
                f"bars longer than a day do not exist on calendar {self.name}",
                hint="use bar: 1d and give the feature its own bar: 1w",
            )
        if bar_ns == DAY_NS:
            return self._place_days(stamp_ns, stamp)
        return self._place_intraday(stamp_ns, bar_ns, stamp, anchor)

    def _place_days(self, stamp_ns: Ints, stamp: Stamp) -> Placed:
        row = self._row_of_label(stamp_ns, stamp)
        outside = row < 0
        row = np.where(outside, 0, row)
        nothing = np.zeros(len(row), dtype=np.bool_)
        return Placed(
            self.day_opens_ns[row], self.day_closes_ns[row], self.day_number[row], row,
            nothing, outside, "session",
        )  # fmt: skip

    def _row_of_label(self, stamp_ns: Ints, stamp: Stamp) -> Ints:
        """Return the session of a daily stamp: its date at UTC midnight, else the one around it."""
        inner = stamp_ns - (1 if stamp == "close" else 0)
        inside = np.searchsorted(self.day_opens_ns, inner, side="right") - 1
        safe = np.maximum(inside, 0)
        holds = (inside >= 0) & (inner < self.day_closes_ns[safe])
        date_number = np.where(
            stamp_ns % DAY_NS == 0,
            stamp_ns // DAY_NS,
            (wall_clock_ns(inner, self.zone) + self.label_shift_ns) // DAY_NS,
        )
        row = np.searchsorted(self.day_number, date_number)
        safe_row = np.minimum(row, len(self.day_number) - 1)
        named = np.where(self.day_number[safe_row] == date_number, safe_row, -1)
        falls = holds & (stamp_ns % DAY_NS != 0)
        result: Ints = np.where(falls, inside, named)
        return result

    def _place_intraday(
        self, stamp_ns: Ints, bar_ns: int, stamp: Stamp, anchor: Anchor | None
    ) -> Placed:
        start = stamp_ns - bar_ns if stamp == "close" else stamp_ns
        row, inside = self._interval(start, bar_ns)
        opens, closes = self.opens_ns[row], self.closes_ns[row]
        on_utc, on_session = start % bar_ns == 0, (start - opens) % bar_ns == 0
        if anchor is None:
            utc_fits = np.count_nonzero(on_utc & inside) >= np.count_nonzero(on_session & inside)
            anchor = "utc" if utc_fits else "session"
        origin = _floor(opens, bar_ns) if anchor == "utc" else opens
        if stamp == "close":  # the last bar of a session may be short
            last = origin + (closes - 1 - origin) // bar_ns * bar_ns
            start = np.where(stamp_ns == closes, np.maximum(last, opens), start)
        on_grid = (((start - origin) % bar_ns == 0) & (start + bar_ns > opens)) | (start == opens)
        slot = (start - origin) // bar_ns
        known_ns = np.minimum(origin + (slot + 1) * bar_ns, closes)
        ordinal = self._first(bar_ns, anchor)[row] + slot
        return Placed(
            start, known_ns, self._session_number(start, row), ordinal,
            inside & ~on_grid, ~inside, anchor,
        )  # fmt: skip

    def _interval(self, start: Ints, bar_ns: int) -> tuple[Ints, Bools]:
        """Return the interval that a bar overlaps.

        A bar over the open belongs to the opening session.
        """
        row = np.searchsorted(self.opens_ns, start, side="right") - 1
        safe = np.maximum(row, 0)
        inside = (row >= 0) & (start < self.closes_ns[safe])
        following = np.minimum(row + 1, len(self.opens_ns) - 1)
        over = ~inside & (start < self.opens_ns[following])
        over &= start + bar_ns > self.opens_ns[following]
        return np.where(over, following, safe), inside | over

    def _session_number(self, start: Ints, row: Ints) -> Ints:
        number = self.number[row]
        if not self.rolls:
            return number
        rolled: Ints = number + np.maximum(start - self.opens_ns[row], 0) // DAY_NS
        return rolled

    def _first(self, bar_ns: int, anchor: Anchor) -> Ints:
        """Return the ordinal of the first bar of each interval, and the end of the last one."""
        origin = _floor(self.opens_ns, bar_ns) if anchor == "utc" else self.opens_ns
        count = -(-(self.closes_ns - origin) // bar_ns)
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(count)))

    def at(self, ordinal: Ints, bar_ns: int, anchor: Anchor = "utc") -> Placed:
        """Return the scheduled bars with these ordinals, int64 (n,); `bar_ns` is their length."""
        if bar_ns == DAY_NS:
            nothing = np.zeros(len(ordinal), dtype=np.bool_)
            return Placed(
                self.day_opens_ns[ordinal], self.day_closes_ns[ordinal],
                self.day_number[ordinal], ordinal, nothing, nothing, "session",
            )  # fmt: skip
        first = self._first(bar_ns, anchor)
        row = np.searchsorted(first, ordinal, side="right") - 1
        opens = self.opens_ns[row]
        origin = _floor(opens, bar_ns) if anchor == "utc" else opens
        return self._place_intraday(
            np.asarray(origin + (ordinal - first[row]) * bar_ns), bar_ns, "open", anchor
        )


def _floor(time_ns: Ints, bar_ns: int) -> Ints:
    return time_ns // bar_ns * bar_ns


def wall_clock_ns(time_ns: Ints, zone: str) -> Ints:
    """Return the wall time of `zone` as if it were UTC (ns), int64 of shape (n,)."""
    if zone == "UTC" or not len(time_ns):
        return time_ns
    import polars as pl

    seconds = pl.Series(time_ns // 1_000_000).cast(pl.Datetime("ms", "UTC"))
    naive = seconds.dt.convert_time_zone(zone).dt.replace_time_zone(None).cast(pl.Int64)
    wall: Ints = naive.to_numpy() * 1_000_000 + time_ns % 1_000_000
    return wall


def load_calendar(name: str, first_ns: int, last_ns: int) -> Calendar:
    """Return the calendar `name` for data between two times.

    Parameters
    ----------
    name
        ``24x7``; ``XFX``, the foreign exchange week from Sunday 17:00 to Friday 17:00 New York;
        or a name of the `exchange_calendars` library, such as ``XNYS``.

    Raises
    ------
    DataError
        If the name is unknown, or the library's calendar does not cover the times.
    InputError
        If the library is not installed: it comes with the extra `calendars`.
    """
    if name == "24x7":
        return Continuous()
    first = (_EPOCH + timedelta(seconds=first_ns // 10**9)).date() - timedelta(days=10)
    last = (_EPOCH + timedelta(seconds=last_ns // 10**9)).date() + timedelta(days=10)
    if name == "XFX":
        return _foreign_exchange(first.year, last.year)
    return _exchange(name, first, last)


def calendar_names() -> list[str]:
    """Return the names of all calendars, including aliases.

    Raises
    ------
    InputError
        If the library of exchange calendars is not installed.
    """
    need("exchange_calendars", "an exchange's calendar")
    import exchange_calendars

    return ["24x7", "XFX", *sorted(exchange_calendars.get_calendar_names())]


def lies_inside(name: str, time_ns: int) -> bool:
    """Return whether a time (UTC ns) lies inside a session: after its open and before its close.

    Never on ``24x7``.
    """
    calendar = load_calendar(name, time_ns, time_ns)
    if not isinstance(calendar, Sessions):
        return False
    before = int(np.searchsorted(calendar.day_opens_ns, time_ns, side="left")) - 1
    return before >= 0 and bool(time_ns < calendar.day_closes_ns[before])


def sessions_per_year(name: str) -> float:
    """Return the daily returns per year for annualising: 365 (24x7), 260 (XFX), else 252."""
    return {"24x7": 365.0, "XFX": 260.0}.get(name, 252.0)


@lru_cache(maxsize=8)
def _foreign_exchange(first_year: int, last_year: int) -> Sessions:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("America/New_York")
    sunday = date(first_year, 1, 1)
    sunday -= timedelta(days=(sunday.weekday() + 1) % 7 + 7)
    opens: list[int] = []
    numbers: list[int] = []
    while sunday.year <= last_year:
        moment = datetime.combine(sunday, time(17), zone).astimezone(UTC)
        opens.append(int((moment - _EPOCH).total_seconds()) * 10**9)
        numbers.append((sunday - date(1970, 1, 1)).days + 1)
        sunday += timedelta(days=7)
    opens_ns, number = np.array(opens, dtype=np.int64), np.array(numbers, dtype=np.int64)
    # Clocks change on Sundays at 02:00, outside the week: every week is 120 hours long.
    days = np.arange(5, dtype=np.int64)
    day_opens = (opens_ns[:, None] + days * DAY_NS).ravel()
    return Sessions(
        "XFX", "America/New_York", opens_ns, opens_ns + 5 * DAY_NS, number,
        day_opens, day_opens + DAY_NS, (number[:, None] + days).ravel(),
        rolls=True, label_shift_ns=7 * _HOUR_NS,
    )  # fmt: skip


@lru_cache(maxsize=16)
def _exchange(name: str, first: date, last: date) -> Sessions:
    import warnings

    need("exchange_calendars", f"the calendar {name}")
    with warnings.catch_warnings():
        # The library uses deprecated functions of pandas; users cannot change that.
        warnings.simplefilter("ignore")
        import exchange_calendars
        from exchange_calendars.errors import InvalidCalendarName

        try:
            try:  # whole years load as fast as days, and can be reused
                wide = _schedule(name, date(first.year // 10 * 10, 1, 1), _end_of_decade(last))
            except ValueError:  # the calendar does not reach that far
                wide = _schedule(name, first, last)
        except InvalidCalendarName as error:
            known = ["24x7", "XFX", *exchange_calendars.get_calendar_names()]
            close = difflib.get_close_matches(name, known, n=3) or ["24x7", "XNYS", "XFX"]
            raise DataError(
                f"no calendar is called {name!r}",
                hint=f"did you mean {' or '.join(close)}?",
                key="calendar",
            ) from error
        except ValueError as error:
            raise DataError(
                f"calendar {name} does not cover {first} to {last}: {error}",
                hint="cut the data with universe: {start, end}, or use calendar: 24x7",
                key="calendar",
            ) from error
    zone, number, columns = wide
    low, high = np.searchsorted(number, [_day_of(first), _day_of(last) + 1])
    number = number[low:high]
    opens, closes, pause, resume = (each[low:high] for each in columns)
    broken = np.flatnonzero(pause != _NO_TIME)
    starts = np.concatenate((opens, resume[broken]))
    ends = closes.copy()
    ends[broken] = pause[broken]
    ends = np.concatenate((ends, closes[broken]))
    numbers = np.concatenate((number, number[broken]))
    order = np.argsort(starts, kind="stable")
    return Sessions(name, zone, starts[order], ends[order], numbers[order], opens, closes, number)


@lru_cache(maxsize=16)
def _schedule(name: str, first: date, last: date) -> tuple[str, Ints, tuple[Ints, ...]]:
    """Return the zone, the session dates, and the times of open, close, break and resumption."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(name, start=first.isoformat(), end=last.isoformat())
    table = calendar.schedule
    number = table.index.to_numpy().astype("datetime64[D]").astype(np.int64)
    keys = ("open", "close", "break_start", "break_end")
    return str(calendar.tz), number, tuple(_column(table[key]) for key in keys)


def _end_of_decade(day: date) -> date:
    return date(day.year // 10 * 10 + 9, 12, 31)


def _day_of(day: date) -> int:
    return (day - date(1970, 1, 1)).days


_NO_TIME: Final = np.iinfo(np.int64).min


def _column(values: object) -> Ints:
    """Return a pandas column of UTC times as nanoseconds; `_NO_TIME` for missing times."""
    naive = values.dt.tz_convert(None).to_numpy()  # type: ignore[attr-defined]
    times_ns: Ints = naive.astype("datetime64[ns]").astype(np.int64)
    return times_ns
