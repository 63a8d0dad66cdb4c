"""Instants of `every`: bars, intervals and cron in a time zone.

Rule: `every` counts bars by ``open_ns // bar_ns``, or is an interval or a cron line read in
`time_zone`. An instant that the clock skips means the next one that exists; one that the clock
shows twice counts once, the first time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tests.fidelity.positions.market import DAY, HOUR, MINUTE

__all__ = ["instants", "local_instant", "local_time"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 7, ()))


@cache
def local_time(time_ns: int, zone: str) -> datetime:
    """Return what a clock in a zone shows at an instant."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone(ZoneInfo(zone))


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def local_instant(wall: datetime, zone: str) -> int:
    """Return the instant at which a clock in a zone shows a time.

    Skipped by the clock: the first instant after the gap. Shown twice: the first one.
    """
    aware = wall.replace(tzinfo=ZoneInfo(zone), fold=0)
    found = aware.astimezone(UTC)
    if found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall:
        return _nanoseconds(found)
    # Inside the gap fold 0 reads the offset before it: walk back to the last minute that exists.
    moment = wall
    while True:
        moment -= timedelta(minutes=1)
        aware = moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if aware.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == moment:
            return _nanoseconds(aware + timedelta(minutes=1))


def instants(every: str, zone: str, after_ns: int, until_ns: int, bar_ns: int) -> list[int]:
    """Return the instants of `every` with after_ns < instant <= until_ns, in order."""
    text = every.strip()
    bars = re.fullmatch(r"(\d+) bars?", text)
    if bars:
        return list(_of_bars(int(bars[1]), after_ns, until_ns, bar_ns))
    if len(text.split()) == 5 and " on " not in f" {text} ":
        return list(_of_cron(text, zone, after_ns, until_ns))
    return list(_of_interval(text, zone, after_ns, until_ns))


def _of_bars(count: int, after_ns: int, until_ns: int, bar_ns: int) -> Iterator[int]:
    """Yield the closes of the bars whose number is a multiple of the count."""
    number = (after_ns // bar_ns) // count * count
    while number * bar_ns + bar_ns <= until_ns:
        if number * bar_ns + bar_ns > after_ns:
            yield number * bar_ns + bar_ns
        number += count


def _of_interval(text: str, zone: str, after_ns: int, until_ns: int) -> Iterator[int]:
    """Yield instants of `4h`, `1d at 12:00`, `1w on mon 00:00`, `1mo`.

    Minutes and hours are multiples since the Unix epoch; days, weeks (from Monday) and months are
    read on the clock of the zone.
    """
    found = re.fullmatch(r"(\d+)(m|h|d|w|mo)(?: on (\w{3}))?(?: (?:at )?(\d\d):(\d\d))?", text)
    if found is None:
        raise ValueError(f"not an interval: {text}")
    count, unit, day, hour, minute = found.groups()
    if unit in ("m", "h"):
        step = int(count) * _UNITS[unit]
        first = (after_ns // step + 1) * step
        yield from range(first, until_ns + 1, step)
        return
    for date in _dates(zone, after_ns, until_ns):
        if not _date_is_due(date, int(count), unit, day):
            continue
        wall = date + timedelta(hours=int(hour or 0), minutes=int(minute or 0))
        instant = local_instant(wall, zone)
        if after_ns < instant <= until_ns:
            yield instant


def _dates(zone: str, after_ns: int, until_ns: int) -> Iterator[datetime]:
    """Yield the local dates that may hold an instant between two."""
    wall = local_time(after_ns, zone)
    date = datetime(wall.year, wall.month, wall.day) - timedelta(days=1)
    last = local_time(until_ns, zone).replace(tzinfo=None)
    while date <= last:
        yield date
        date += timedelta(days=1)


def _date_is_due(date: datetime, count: int, unit: str, day: str | None) -> bool:
    number = (date - datetime(1970, 1, 1)).days  # a Thursday
    if unit == "d":
        return number % count == 0
    if unit == "w":
        weeks = (number + 3) // 7  # weeks from Monday
        return date.weekday() == _DAYS.index(day or "mon") and weeks % count == 0
    return date.day == 1 and (date.year * 12 + date.month - 1) % count == 0


def _of_cron(text: str, zone: str, after_ns: int, until_ns: int) -> Iterator[int]:
    """Yield instants of `minute hour day month weekday`, weekday 0 and 7 being Sunday."""
    parts = text.split()
    minutes, hours, days, months, weekdays = (
        _cron_field(part, *limits) for part, limits in zip(parts, _FIELDS, strict=True)
    )
    weekdays = {each % 7 for each in weekdays}
    seen: set[int] = set()
    for date in _dates(zone, after_ns, until_ns):
        by_day = date.day in days
        by_weekday = (date.weekday() + 1) % 7 in weekdays
        both = parts[2] != "*" and parts[4] != "*"
        chosen = (by_day or by_weekday) if both else (by_day and by_weekday)
        if date.month not in months or not chosen:
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                instant = local_instant(date + timedelta(hours=hour, minutes=minute), zone)
                if after_ns < instant <= until_ns and instant not in seen:
                    seen.add(instant)
                    yield instant


def _cron_field(part: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    if high == 7:
        names = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
    found: set[int] = set()
    for piece in part.lower().split(","):
        span, _, step = piece.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = names.index(first) + low if first in names else int(first)
            end = start if not last else names.index(last) + low if last in names else int(last)
            end = high if step and not last else end
        found |= set(range(start, end + 1, int(step or 1)))
    return found
