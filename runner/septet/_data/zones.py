"""Local time stamps: what betrays that they are of another zone than the file says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from septet._data.bars import Ints
from septet._data.calendars import Sessions, load_calendar
from septet._data.exchange_hours import displaced_sessions
from septet._data.stamps import iso

__all__ = [
    "DAY_NS", "HOUR_NS", "MINUTE_NS", "ZONES_TRIED", "ZoneDoubt", "clock_changes", "days_of",
    "doubt_changes", "doubt_zone", "is_opening", "rows_between", "session_starts", "usual_minute",
    "zone_that_fits",
]  # fmt: skip

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS
MINUTE_NS: Final = 60_000_000_000
ZONES_TRIED: Final = ("America/New_York", "Europe/London", "Europe/Berlin")
_NAMED: Final = {
    9 * 60 + 30: "America/New_York", 8 * 60 + 30: "America/Chicago", 8 * 60: "Europe/London",
    9 * 60: "Europe/Berlin",
}  # fmt: skip
"""Minute of the local day at which the sessions of a zone's exchanges begin."""
_EARLIEST, _LATEST = 8 * 60, 10 * 60 + 30
MOST_DAYS: Final = 20 * 366
AROUND_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class ZoneDoubt:
    """Why stamps are not of the zone they are read in: rows, first examples, what to write."""

    rows: int
    examples: tuple[str, ...]
    message: str
    hint: str


def doubt_zone(wall_ns: Ints, zone: str, bar_ns: int, calendar: str = "24x7") -> ZoneDoubt | None:
    """Look for what stamps of `zone` cannot show.

    A stamp in the hour that a change of clocks leaves out; an hour that is missing and one that is
    doubled as in another zone; sessions that begin at another hour after each change of clocks,
    or, in UTC, at the same local hour of an exchange all year; sessions on the days of an exchange
    at hours at which it is closed.

    Parameters
    ----------
    wall_ns
        Stamps as they are written, as nanoseconds since the epoch of that clock.
    zone
        The zone they are read in.
    bar_ns
        Length of a bar.
    calendar
        Calendar of the data, where the file names one.
    """
    if len(wall_ns) < 2:
        return None
    days = days_of(wall_ns)
    if zone == "UTC":
        found = _changes_of_another(wall_ns, zone, days, bar_ns)
        found = found or _local_sessions(wall_ns, days, bar_ns)
    else:
        found = _left_out_hours(wall_ns, zone, days)
        found = found or _moving_sessions(wall_ns, zone, days, bar_ns)
        found = found or _changes_of_another(wall_ns, zone, days, bar_ns)
    return found or _closed_hours(wall_ns, zone, bar_ns, calendar)


def doubt_changes(wall_ns: Ints, zone: str, bar_ns: int) -> ZoneDoubt | None:
    """Look for what changes of clocks leave behind, and stamps of `zone` cannot show.

    A stamp in the hour that they leave out; an hour that is missing and one that is doubled as in
    another zone. It takes what `doubt_zone` takes.
    """
    if len(wall_ns) < 2:
        return None
    days = days_of(wall_ns)
    found = None if zone == "UTC" else _left_out_hours(wall_ns, zone, days)
    return found or _changes_of_another(wall_ns, zone, days, bar_ns)


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


def days_of(wall_ns: Ints) -> tuple[date, date]:
    """Return the first and the last day of stamps, 20 years apart at most."""
    first, last = int(wall_ns.min()) // DAY_NS, int(wall_ns.max()) // DAY_NS
    first = max(first, last - MOST_DAYS)
    epoch = date(1970, 1, 1)
    return epoch + timedelta(days=first), epoch + timedelta(days=last)


def clock_changes(zone: str, days: tuple[date, date]) -> Iterator[tuple[int, int]]:
    """Yield changes of clocks: the wall time at which they happen, and by how much (ns)."""
    info = ZoneInfo(zone)
    day = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC)
    last = datetime(days[1].year, days[1].month, days[1].day, tzinfo=UTC) + timedelta(days=1)
    before = day.astimezone(info).utcoffset()
    while day < last:
        after = (day + timedelta(days=1)).astimezone(info).utcoffset()
        if after != before and before is not None and after is not None:
            for minutes in range(15, 24 * 60 + 1, 15):
                at = day + timedelta(minutes=minutes)
                if at.astimezone(info).utcoffset() != before:
                    wall = at + before
                    yield (
                        int(wall.timestamp()) * 1_000_000_000,
                        int((after - before).total_seconds()) * 1_000_000_000,
                    )
                    break
        before = after
        day += timedelta(days=1)


def rows_between(ordered: Ints, first_ns: int, length_ns: int) -> int:
    """Count stamps from `first_ns` on, for a length; `ordered` rises."""
    ends = np.searchsorted(ordered, [first_ns, first_ns + length_ns])
    return int(ends[1] - ends[0])


def _left_out_hours(wall_ns: Ints, zone: str, days: tuple[date, date]) -> ZoneDoubt | None:
    """Find stamps in hours that the clocks of their zone never showed."""
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
    wall_ns: Ints, own: str, days: tuple[date, date], bar_ns: int
) -> ZoneDoubt | None:
    """Find a zone whose changes of clocks show: an hour without rows, one with twice as many."""
    if bar_ns > HOUR_NS:
        return None
    ordered = np.sort(wall_ns)
    known = set() if own == "UTC" else {at for at, _ in clock_changes(own, days)}
    for zone in ZONES_TRIED:
        if known & {at for at, _ in clock_changes(zone, days)}:
            continue  # its changes show in the zone of the file as well
        shown, missing, doubled, other = [], 0, 0, 0
        for at, by in clock_changes(zone, days):
            usual = min(rows_between(ordered, at - 3 * HOUR_NS, HOUR_NS), HOUR_NS // bar_ns)
            later = rows_between(ordered, at + 2 * HOUR_NS, HOUR_NS)
            if usual < HOUR_NS // bar_ns or later < usual:
                continue  # no data around the change
            inside = rows_between(ordered, at if by > 0 else at + by, HOUR_NS)
            if by > 0 and inside == 0:
                missing += 1
            elif by < 0 and inside == 2 * usual:
                doubled += 1
            else:
                other += 1
                continue
            shown.append(iso(at if by > 0 else at + by)[:-1])
        if (other == 0 and doubled + missing >= 2) or (doubled and not other):
            return ZoneDoubt(
                missing + doubled, tuple(shown),
                f"hours missing or doubled where the clocks of {zone} change",
                f"the stamps are local time: write time_zone: {zone}, or the zone that they are of",
            )  # fmt: skip
    return None


def session_starts(wall_ns: Ints, bar_ns: int) -> tuple[Ints, Ints] | None:
    """Return days and the minute of their first stamp, where the data has sessions on weekdays."""
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
    """Whether exchanges open at a minute of their local day."""
    return _EARLIEST <= minute <= _LATEST


def usual_minute(minutes: Ints) -> int:
    """Return the most frequent minute."""
    values, counts = np.unique(minutes, return_counts=True)
    return int(values[np.argmax(counts)])


def _around(
    starts: tuple[Ints, Ints], zone: str, days: tuple[date, date]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield each change of clocks with the usual minute of a session's start before and after."""
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
    """Find sessions in UTC that begin at an exchange's local hour, whatever the clocks do there."""
    starts = session_starts(wall_ns, bar_ns)
    if starts is None:
        return None
    minute = usual_minute(starts[1])
    if not is_opening(minute):
        return None
    zone = _NAMED.get(minute, "America/New_York")
    seen = list(_around(starts, zone, days))
    if not seen or any(a != b for _, _, a, b in seen):
        return None
    return ZoneDoubt(
        len(seen),
        tuple(f"{iso(at)[:10]}: {_clock(a)} before and after" for at, _, a, _ in seen),
        f"sessions that begin at {_clock(minute)} all year; in UTC they would move with the clocks "
        "of the exchange",
        f"the stamps are local time: write time_zone: {zone}, or the zone of the exchange",
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def zone_that_fits(wall_ns: Ints | None, calendar: str) -> str:
    """Name the zone of an exchange if sessions begin in it as written; else nothing."""
    if wall_ns is None or calendar in ("24x7", "XFX"):
        return ""
    starts = session_starts(wall_ns, MINUTE_NS)
    if starts is None:
        return ""
    sessions = load_calendar(calendar, int(wall_ns.min()), int(wall_ns.max()))
    zone = sessions.zone if isinstance(sessions, Sessions) else "UTC"
    minute = usual_minute(starts[1])
    return zone if is_opening(minute) and zone != "UTC" else ""
