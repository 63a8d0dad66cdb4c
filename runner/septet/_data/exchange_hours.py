"""Detection of stamps that place the sessions of an exchange at hours when it was closed."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from septet._data.bars import Ints
from septet._data.calendars import Sessions, load_calendar
from septet._data.clock_changes import ZONES_NAMED
from septet._data.stamps import iso
from septet.errors import InputError

__all__ = ["Displaced", "Hours", "displaced_sessions", "fitting_zones", "hours_of"]

DAY_NS: Final = 86_400_000_000_000
HOUR_NS: Final = 3_600_000_000_000
MINUTE_NS: Final = 60_000_000_000
LONGEST_NS: Final = 18 * HOUR_NS
EXCHANGES: Final = ("XNYS", "XLON", "XFRA")
MIN_HOLIDAYS: Final = 3
MIN_DAYS: Final = 5


class Hours(msgspec.Struct, frozen=True):
    """Days with rows (since the epoch), and their first and last stamp, in wall time."""

    day: Ints
    begin_ns: Ints
    end_ns: Ints


class Displaced(msgspec.Struct, frozen=True):
    """Sessions of an exchange that the stamps place at wrong hours, and a zone that corrects them.

    `zone` is empty if none of the zones tried does.
    """

    exchange: str
    days: int
    examples: tuple[str, ...]
    opens_at: str
    zone: str


def hours_of(wall_ns: Ints, bar_ns: int) -> Hours | None:
    """Return the first and the last stamp of each day, if the data has sessions on weekdays."""
    if bar_ns >= DAY_NS // 2 or not len(wall_ns):
        return None
    day = wall_ns // DAY_NS
    numbers, first = np.unique(day, return_inverse=True)
    begins = np.full(len(numbers), np.iinfo(np.int64).max)
    ends = np.full(len(numbers), np.iinfo(np.int64).min)
    np.minimum.at(begins, first, wall_ns)
    np.maximum.at(ends, first, wall_ns)
    weekend = (numbers + 3) % 7 >= 5
    if len(numbers) < MIN_DAYS or weekend.mean() > 0.05:
        return None
    return Hours(numbers, begins, ends) if np.median(ends - begins) <= LONGEST_NS else None


def displaced_sessions(wall_ns: Ints, zone: str, bar_ns: int, calendar: str) -> Displaced | None:
    """Find an exchange whose trading days match the data while its hours do not.

    The exchange is that of `calendar`, or one whose holidays match the data, at least three of
    them. Its sessions are displaced if, read in `zone`, they begin an hour earlier or later after
    its clocks change, or if they are as long as its own sessions and begin at another time.
    """
    hours = hours_of(wall_ns, bar_ns)
    if hours is None:
        return None
    named = calendar not in ("24x7", "XFX")
    for name in (calendar,) if named else EXCHANGES:
        sessions = _sessions_on(name, hours, named=named)
        if sessions is None:
            continue
        shown = _displacement(sessions, hours, zone, bar_ns)
        if shown:
            return _described(sessions, hours, zone, bar_ns, shown)
    return None


def _sessions_on(name: str, hours: Hours, *, named: bool) -> Sessions | None:
    """Return the sessions of an exchange if its trading days match the data."""
    first, last = int(hours.day[0]), int(hours.day[-1])
    try:
        sessions = load_calendar(name, first * DAY_NS, (last + 1) * DAY_NS)
    except InputError:
        return None
    if not isinstance(sessions, Sessions) or sessions.rolls:
        return None
    days = sessions.day_number[(sessions.day_number >= first) & (sessions.day_number <= last)]
    span = np.arange(first, last + 1)
    holidays = np.setdiff1d(span[(span + 3) % 7 < 5], days)
    held = np.isin(days, hours.day).mean() if len(days) else 0.0
    alike = held >= 0.9 and len(holidays) >= MIN_HOLIDAYS and not np.isin(holidays, hours.day).any()
    return sessions if named or alike else None


def _common(sessions: Sessions, hours: Hours) -> tuple[Ints, Ints]:
    """Return the indices of the sessions and of the days of the data that share a day."""
    _, ours, theirs = np.intersect1d(sessions.day_number, hours.day, return_indices=True)
    return ours, theirs


def _usual(values: Ints) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def _displacement(sessions: Sessions, hours: Hours, zone: str, bar_ns: int) -> list[int]:
    """Return one session per season that begins at a wrong hour; empty if none does."""
    ours, theirs = _common(sessions, hours)
    if len(ours) < MIN_DAYS:
        return []
    opens, closes = sessions.day_opens_ns[ours], sessions.day_closes_ns[ours]
    begin = utc_of(hours.begin_ns[theirs], zone)
    late = begin - opens
    seasons = [season for season in np.unique(opens % DAY_NS) if _often(opens % DAY_NS == season)]
    usual = [_usual(late[opens % DAY_NS == season]) for season in seasons]
    shown = [int(ours[np.argmax(opens % DAY_NS == season)]) for season in seasons]
    if len(usual) == 2 and abs(usual[0] - usual[1]) == HOUR_NS:
        return shown
    length = _usual(hours.end_ns[theirs] - hours.begin_ns[theirs])
    alike = abs(length - _usual(closes - opens)) <= bar_ns
    return shown if alike and usual and min(abs(each) for each in usual) > bar_ns else []


def fitting_zones(wall_ns: Ints, bar_ns: int, calendar: str = "24x7") -> list[str]:
    """Return the zones in which the stamps agree with the sessions of the exchange.

    The exchange is that of `calendar`, or one whose holidays match the data.
    """
    hours = hours_of(wall_ns, bar_ns)
    if hours is None or calendar == "XFX":
        return []
    named = calendar != "24x7"
    for name in (calendar,) if named else EXCHANGES:
        sessions = _sessions_on(name, hours, named=named)
        if sessions is not None:
            zones = dict.fromkeys((sessions.zone, "UTC", *ZONES_NAMED))
            return [each for each in zones if _opens_in(sessions, hours, each, bar_ns)]
    return []


def _opens_in(sessions: Sessions, hours: Hours, zone: str, bar_ns: int) -> bool:
    """Return whether the days, read in a zone, begin with the sessions in every season."""
    ours, theirs = _common(sessions, hours)
    if len(ours) < MIN_DAYS:
        return False
    begin = utc_of(hours.begin_ns[theirs], zone) - sessions.day_opens_ns[ours]
    return float(np.mean(np.abs(begin) <= bar_ns)) >= 0.9


def _often(rows: np.ndarray) -> bool:
    return int(np.count_nonzero(rows)) >= MIN_DAYS


def utc_of(wall_ns: Ints, zone: str) -> Ints:
    """Return the UTC times of wall times in a zone; a skipped wall time is returned unchanged."""
    import polars as pl

    if zone == "UTC":
        return wall_ns
    wall = pl.Series(wall_ns).cast(pl.Datetime("ns"))
    known = wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    found: Ints = known.cast(pl.Int64).fill_null(pl.Series(wall_ns)).to_numpy()
    return found


def _described(
    sessions: Sessions, hours: Hours, zone: str, bar_ns: int, shown: list[int]
) -> Displaced:
    """Describe at which hours the sessions lie, and look for a zone that corrects them."""
    ours, theirs = _common(sessions, hours)
    begin = utc_of(hours.begin_ns[theirs], zone)
    local = {}
    for row in shown:
        at = int(np.flatnonzero(ours == row)[0])
        local[row] = _clock(int(begin[at]), int(sessions.day_opens_ns[row]), sessions.zone)
    examples = tuple(
        f"{iso(int(sessions.day_number[row]) * DAY_NS)[:10]} at {local[row]}" for row in shown
    )
    first = int(sessions.day_opens_ns[shown[0]])
    away = _usual(hours.begin_ns[theirs] - sessions.day_opens_ns[ours]) // HOUR_NS
    fixed = f"Etc/GMT{-away:+d}" if -12 <= away <= 14 and away else "UTC"
    fits = next(
        (
            each for each in (sessions.zone, "UTC", *ZONES_NAMED, fixed)
            if each != zone and not _displacement(sessions, hours, each, bar_ns)
        ),
        "",
    )  # fmt: skip
    return Displaced(sessions.name, len(ours), examples, _clock(first, first, sessions.zone), fits)


def _clock(time_ns: int, near_ns: int, zone: str) -> str:
    """Format a time of day on the clocks of an exchange, and whether it falls on another day."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    moment, near = (
        datetime.fromtimestamp(each // 1_000_000_000, UTC).astimezone(ZoneInfo(zone))
        for each in (time_ns, near_ns)
    )
    days = (moment.date() - near.date()).days
    beside = {0: "", -1: " of the day before", 1: " of the day after"}.get(days, "")
    return f"{moment:%H:%M}{beside}"
