"""Local time stamps: signs that they are of another zone than the file states."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec
import numpy as np

from septet._data.bars import Ints
from septet._data.clock_changes import clock_changes, days_of
from septet._data.clock_signs import ClockSign, QuarterHours, clock_sign
from septet._data.exchange_hours import displaced_sessions, fitting_zones
from septet._data.stamps import iso

__all__ = [
    "DAY_NS", "HOUR_NS", "MINUTE_NS", "ZoneDoubt", "doubt_changes", "doubt_zone", "is_opening",
    "local_hint", "rows_between", "session_starts", "usual_minute", "zone_that_fits",
]  # fmt: skip

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS
MINUTE_NS: Final = 60_000_000_000
_ZONES_BY_MINUTE: Final = {
    9 * 60 + 30: ("America/New_York",), 8 * 60 + 30: ("America/Chicago",),
    8 * 60: ("Europe/London", "America/Chicago"), 9 * 60: ("Europe/Berlin", "America/New_York"),
    10 * 60: ("America/New_York", "Australia/Sydney"),
}  # fmt: skip
"""Local minutes of the day at which the sessions of a zone's exchanges, or their first hour,
begin."""
_EARLIEST, _LATEST = 8 * 60, 10 * 60 + 30
AROUND_DAYS: Final = 14


class ZoneDoubt(msgspec.Struct, frozen=True):
    """The reasons why stamps are not of the zone they are read in: rows, examples, and a hint."""

    rows: int
    examples: tuple[str, ...]
    message: str
    hint: str
    is_proof: bool = True


def doubt_zone(
    wall_ns: Ints,
    zone: str,
    bar_ns: int,
    calendar: str = "24x7",
    hours: QuarterHours | None = None,
) -> ZoneDoubt | None:
    """Look for signs that stamps are not of `zone`.

    The signs are: a stamp in the hour that a clock change skips; missing and doubled hours at the
    clock changes of another zone; sessions that begin at another hour after each clock change, or,
    in UTC, at the same local hour of an exchange all year; sessions on the days of an exchange at
    hours at which it is closed.

    Parameters
    ----------
    wall_ns
        Stamps as written, in nanoseconds since 1970-01-01 of local time.
    zone
        The zone they are read in.
    bar_ns
        Length of a bar.
    calendar
        Calendar of the data, if the file names one.
    hours
        Rows in each hour, if the stamps are only some of them.

    Returns
    -------
        A proved doubt, else a likely one, else None.
    """
    if len(wall_ns) < 2:
        return None
    days = days_of(wall_ns)
    sign = _changes_of_another(hours or QuarterHours.of(wall_ns), zone, days, bar_ns)
    changes = sign if sign is not None and sign.is_proof else None
    if zone == "UTC":
        found = changes or _local_sessions(wall_ns, days, bar_ns)
    else:
        found = _left_out_hours(wall_ns, zone, days)
        found = found or _moving_sessions(wall_ns, zone, days, bar_ns) or changes
    return found or _closed_hours(wall_ns, zone, bar_ns, calendar) or sign


def doubt_changes(wall_ns: Ints, zone: str, bar_ns: int) -> ZoneDoubt | None:
    """Look for signs of clock changes that stamps of `zone` cannot have.

    The signs are: a stamp in the hour that a change skips; missing and doubled hours at the changes
    of another zone. The parameters are those of `doubt_zone`.
    """
    if len(wall_ns) < 2:
        return None
    days = days_of(wall_ns)
    found = None if zone == "UTC" else _left_out_hours(wall_ns, zone, days)
    return found or _changes_of_another(QuarterHours.of(wall_ns), zone, days, bar_ns)


def _closed_hours(wall_ns: Ints, zone: str, bar_ns: int, calendar: str) -> ZoneDoubt | None:
    """Find sessions of an exchange at hours at which it is closed."""
    seen = displaced_sessions(wall_ns, zone, bar_ns, calendar)
    if seen is None:
        return None
    right = f"time_zone: {seen.zone}" if seen.zone else "the zone that they are of"
    return ZoneDoubt(
        seen.days, seen.examples,
        f"sessions on the days of {seen.exchange}, which opens at {seen.opens_at}, begin at other "
        f"hours of its clocks",
        f"the stamps are not of {zone}: write {right}",
    )  # fmt: skip


def rows_between(ordered: Ints, first_ns: int, length_ns: int) -> int:
    """Count the stamps in the span of the given length from `first_ns` on.

    `ordered` is ascending.
    """
    ends = np.searchsorted(ordered, [first_ns, first_ns + length_ns])
    return int(ends[1] - ends[0])


def _left_out_hours(wall_ns: Ints, zone: str, days: tuple[date, date]) -> ZoneDoubt | None:
    """Find stamps in hours that the clocks of their zone skip."""
    ordered = np.sort(wall_ns)
    rows, shown = 0, []
    for at, by in clock_changes(zone, days):
        count = rows_between(ordered, at, by) if by > 0 else 0
        if count:
            rows += count
            shown.append(iso(int(ordered[np.searchsorted(ordered, at)]))[:-1])
    if not rows:
        return None
    return ZoneDoubt(
        rows, tuple(shown), f"stamps at hours that the clocks of {zone} left out",
        f"the stamps are not of {zone}: write the zone they are of, such as time_zone: UTC",
    )  # fmt: skip


def _changes_of_another(
    hours: QuarterHours, own: str, days: tuple[date, date], bar_ns: int
) -> ZoneDoubt | None:
    """Find zones whose clock changes appear as hours without rows, or with twice as many."""
    sign = clock_sign(hours, own, days, bar_ns)
    if sign is None:
        return None
    kind = "hours missing or doubled" if sign.is_proof else "an hour missing or doubled"
    return ZoneDoubt(
        len(sign.hours), sign.hours, f"{kind} where the clocks of {sign.zones} change",
        local_hint(sign), is_proof=sign.is_proof,
    )  # fmt: skip


def local_hint(sign: ClockSign) -> str:
    """Return the hint to set the zone, or that the data fits several zones."""
    if sign.is_single:
        return f"the stamps are local time: write time_zone: {sign.zones}"
    return (
        "the stamps are local time of one of these zones, which all change their clocks at these "
        f"hours: write the one that they are of, time_zone: {sign.zones}"
    )


def session_starts(wall_ns: Ints, bar_ns: int) -> tuple[Ints, Ints] | None:
    """Return days and the minute of their first stamp, if the data has sessions on weekdays."""
    if bar_ns >= DAY_NS // 2:
        return None
    day = wall_ns // DAY_NS
    numbers, first = np.unique(day, return_inverse=True)
    begin = np.full(len(numbers), np.iinfo(np.int64).max)
    end = np.full(len(numbers), np.iinfo(np.int64).min)
    np.minimum.at(begin, first, wall_ns - day * DAY_NS)
    np.maximum.at(end, first, wall_ns - day * DAY_NS)
    weekend = (numbers + 3) % 7 >= 5
    if len(numbers) < 5 or weekend.mean() > 0.05:
        return None
    if np.median(end - begin) > 14 * HOUR_NS:
        return None
    return numbers, begin // MINUTE_NS


def is_opening(minute: int) -> bool:
    """Return whether exchanges open at a minute of their local day."""
    return _EARLIEST <= minute <= _LATEST


def usual_minute(minutes: Ints) -> int:
    """Return the most frequent minute."""
    values, counts = np.unique(minutes, return_counts=True)
    return int(values[np.argmax(counts)])


def _around(
    starts: tuple[Ints, Ints], zone: str, days: tuple[date, date]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield each clock change with the usual minute of a session's start before and after it."""
    numbers, minute = starts
    for at, by in clock_changes(zone, days):
        day = at // DAY_NS
        before = minute[(numbers >= day - AROUND_DAYS) & (numbers < day)]
        after = minute[(numbers > day) & (numbers <= day + AROUND_DAYS)]
        if len(before) >= 4 and len(after) >= 4:
            yield at, by, usual_minute(before), usual_minute(after)


def _moving_sessions(
    wall_ns: Ints, zone: str, days: tuple[date, date], bar_ns: int
) -> ZoneDoubt | None:
    """Find sessions that begin an hour later or earlier after every change of clocks."""
    starts = session_starts(wall_ns, bar_ns)
    if starts is None:
        return None
    seen = list(_around(starts, zone, days))
    moved = [(at, a, b) for at, by, a, b in seen if a - b == by // MINUTE_NS]
    if not moved or len(moved) < len(seen):
        return None
    return ZoneDoubt(
        len(moved),
        tuple(f"{iso(at)[:10]}: {_clock(a)}, then {_clock(b)}" for at, a, b in moved),
        f"sessions that begin at another hour after each change of the clocks of {zone}",
        f"the stamps are not of {zone}, they look like UTC: write time_zone: UTC",
    )


def _local_sessions(wall_ns: Ints, days: tuple[date, date], bar_ns: int) -> ZoneDoubt | None:
    """Find sessions in UTC that begin at the same local hour of an exchange all year."""
    starts = session_starts(wall_ns, bar_ns)
    if starts is None:
        return None
    minute = usual_minute(starts[1])
    if not is_opening(minute):
        return None
    exact = [each for each in fitting_zones(wall_ns, bar_ns) if each != "UTC"]
    zones = exact or _ZONES_BY_MINUTE.get(minute, ("America/New_York",))
    seen = list(_around(starts, zones[0], days))
    if not seen or any(a != b for _, _, a, b in seen):
        return None
    return ZoneDoubt(
        len(seen),
        tuple(f"{iso(at)[:10]}: {_clock(a)} before and after" for at, _, a, _ in seen),
        f"sessions that begin at {_clock(minute)} all year; in UTC they would move with the clocks "
        "of the exchange",
        f"the stamps are local time: write time_zone: {' or '.join(zones)}"
        + ("" if exact else ", or the zone of the exchange")
        + ("; they differ by hours" if len(zones) > 1 else ""),
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def zone_that_fits(wall_ns: Ints | None, calendar: str, own: str, bar_ns: int) -> str:
    """Return a zone in which sessions begin like those of the calendar.

    Its own zone comes first.
    """
    if wall_ns is None or calendar in ("24x7", "XFX"):
        return ""
    zones = fitting_zones(wall_ns, bar_ns, calendar)
    return own if own in zones else next(iter(zones), "")
