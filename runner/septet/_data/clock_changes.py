"""Times of clock changes of all time zones, as local time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from septet._data.bars import Ints

__all__ = [
    "ZONES_NAMED", "all_zones", "clock_changes", "days_of", "has_change", "named_zones",
    "wall_span",
]  # fmt: skip

DAY_NS: Final = 86_400_000_000_000
MAX_DAYS: Final = 20 * 366
ZONES_NAMED: Final = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "Europe/London", "Europe/Berlin", "Europe/Helsinki", "Australia/Sydney", "Pacific/Auckland",
    "America/Santiago", "Asia/Jerusalem", "Africa/Cairo", "America/Sao_Paulo",
)  # fmt: skip
"""The zones that are named first if several fit."""
_AREAS: Final = (
    "Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian",
    "Pacific",
)  # fmt: skip
_WEEK: Final = timedelta(days=7)
_QUARTER: Final = timedelta(minutes=15)
_MARGIN: Final = timedelta(hours=3)


@cache
def all_zones() -> tuple[str, ...]:
    """Return all zones of the time zone database; those of `ZONES_NAMED` come first."""
    zones = {each for each in available_timezones() if each.partition("/")[0] in _AREAS}
    return (*ZONES_NAMED, *sorted(zones - set(ZONES_NAMED)))


@cache
def _info(zone: str) -> ZoneInfo:
    return ZoneInfo(zone)


def days_of(wall_ns: Ints) -> tuple[date, date]:
    """Return the first and the last day of the stamps; the first is at most 20 years earlier."""
    first, last = int(wall_ns.min()) // DAY_NS, int(wall_ns.max()) // DAY_NS
    first = max(first, last - MAX_DAYS)
    epoch = date(1970, 1, 1)
    return epoch + timedelta(days=first), epoch + timedelta(days=last)


@lru_cache(maxsize=4_096)
def clock_changes(zone: str, days: tuple[date, date]) -> tuple[tuple[int, int], ...]:
    """Return the clock changes of a zone: the wall time of each, and its size (ns)."""
    info, changes = _info(zone), []
    at = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC)
    last = datetime(days[1].year, days[1].month, days[1].day, tzinfo=UTC) + timedelta(days=1)
    before = _offset(at, info)
    while at < last:
        end = min(at + _WEEK, last)
        after = _offset(end, info)
        if after != before:
            change = _first_change(at, end, info)
            by = after - before
            wall = change + before
            if change <= last:
                changes.append((_ns(wall), int(by.total_seconds()) * 1_000_000_000))
        at, before = end, after
    return tuple(changes)


def _offset(at: datetime, info: ZoneInfo) -> timedelta:
    return at.astimezone(info).utcoffset() or timedelta(0)


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000


def _first_change(start: datetime, end: datetime, info: ZoneInfo) -> datetime:
    """Return the first quarter of an hour that has the offset of `end`."""
    after = _offset(end, info)
    low, high = 0, (end - start) // _QUARTER
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(start + middle * _QUARTER, info) == after:
            high = middle
        else:
            low = middle
    return start + high * _QUARTER


def wall_span(begin_ns: int, end_ns: int) -> tuple[datetime, datetime]:
    """Return a span of wall time, extended by three hours at both ends, for `has_change`."""
    first, last = (
        datetime.fromtimestamp(each // 1_000_000_000, UTC).replace(tzinfo=None)
        for each in (begin_ns, end_ns)
    )
    return first - _MARGIN, last + _MARGIN


def has_change(zone: str, span: tuple[datetime, datetime]) -> bool:
    """Return whether the clocks of a zone change within a span of wall time."""
    info = _info(zone)
    return info.utcoffset(span[0]) != info.utcoffset(span[1])


def named_zones(zones: list[str], most: int = 4) -> str:
    """Name some of several zones, and count the others."""
    order = {zone: at for at, zone in enumerate(all_zones())}
    ordered = sorted(zones, key=lambda each: order.get(each, len(order)))
    shown = ordered[:most]
    rest = len(ordered) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
