"""Local time of a time zone: the start of each day, and the local time of an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from septet._data.bars import Ints
from septet._data.calendars import DAY_NS

__all__ = ["clock_seconds", "local_days", "local_instant"]

_BLOCK_NS: Final = 366 * DAY_NS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000_000


def local_instant(date: datetime, after_ns: int, zone: ZoneInfo) -> int:
    """Return the time (UTC ns) at which local clocks show a date-time without a zone.

    If clocks show it twice, the first of the two; if they skip it, the first time after the gap.
    """
    wall = date + timedelta(microseconds=after_ns // 1000)
    before, after = (_utc(wall, zone, fold) for fold in (0, 1))
    if before <= after:  # clocks show it once or twice
        return before
    low, high = after // _SECOND, before // _SECOND  # the offset changes in between
    while high - low > 1:
        middle = (low + high) // 2
        if _shown(middle, zone) < wall:
            low = middle
        else:
            high = middle
    return high * _SECOND


def _utc(wall: datetime, zone: ZoneInfo, fold: int) -> int:
    """Return the UTC time (ns) of a local time, by the offset before (0) or after a change (1)."""
    aware = wall.replace(tzinfo=zone, fold=fold)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def _shown(seconds: int, zone: ZoneInfo) -> datetime:
    """Return the local time at an instant, without its zone."""
    return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).replace(tzinfo=None)


def local_days(time_ns: Any, time_zone: str, day_start_ns: int) -> Any:
    """Return the day number of an instant (UTC ns), or of each in an int64 array of shape (n,).

    Days begin `day_start_ns` after local midnight in `time_zone`, and have the number of the date
    on which they begin, counted from 1970-01-01. If clocks show the start twice, the first of the
    two counts; if they skip it, the first instant after the gap.
    """
    if time_zone == "UTC":
        return (time_ns - day_start_ns) // DAY_NS
    if np.ndim(time_ns) and not len(time_ns):
        return np.zeros(0, np.int64)
    low, high = int(np.min(time_ns)), int(np.max(time_ns))
    first, starts = _starts(time_zone, day_start_ns, low // _BLOCK_NS, high // _BLOCK_NS)
    return np.searchsorted(starts, time_ns, side="right") + (first - 1)


@lru_cache(maxsize=16)
def _starts(time_zone: str, day_start_ns: int, first: int, last: int) -> tuple[int, Ints]:
    """Return the number of the first day, and the start times of it and the following days."""
    zone, day = ZoneInfo(time_zone), first * 366 - 3
    count = (last - first + 1) * 366 + 7
    date = datetime(1970, 1, 1) + timedelta(days=day)
    found = [local_instant(date + timedelta(days=n), day_start_ns, zone) for n in range(count)]
    return day, np.array(found, dtype=np.int64)


def clock_seconds(time_ns: Any, time_zone: str) -> Any:
    """Return the local time at an instant (UTC ns), or at each of an array: seconds since 1970."""
    if time_zone == "UTC":
        return time_ns / 1e9
    if np.ndim(time_ns) == 0:
        shown = _shown(int(time_ns) // _SECOND, ZoneInfo(time_zone))
        local_s = (shown - datetime(1970, 1, 1)) // timedelta(seconds=1)
        return (local_s * _SECOND + int(time_ns) % _SECOND) / 1e9
    from septet._data.calendars import wall_clock_ns

    return wall_clock_ns(time_ns, time_zone) / 1e9
