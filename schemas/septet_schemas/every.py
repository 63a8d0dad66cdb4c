"""Recurring schedules: bars, an interval or a cron expression, on the clock of a time zone.

``3 bars`` counts bars by ``open_ns // bar_ns``; ``15m`` and ``4h`` are multiples since the Unix
epoch; ``1d at 12:00``, ``1w on mon 00:00``, ``1mo`` and cron are read on the clock of a zone. A
local time that a clock change skips means the next existing instant; one that occurs twice counts
once.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic_core import PydanticCustomError, core_schema

from septet_schemas.cron import Cron
from septet_schemas.late_patterns import late_pattern

__all__ = ["Every", "local_instant"]

_HOUR_NS: Final = 3_600_000_000_000
_UNITS: Final = {"m": _HOUR_NS // 60, "h": _HOUR_NS}
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS: Final = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
)  # fmt: skip
_SUNDAY_FIRST: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BARS: Final = late_pattern(r"^(\d+) ?bars?$")
_INTERVAL: Final = late_pattern(
    r"^(\d+) ?(mo|m|h|d|w)(?: on (mon|tue|wed|thu|fri|sat|sun))?(?: (?:at )?(\d\d):(\d\d))?$"
)
_FIELD: Final = late_pattern(r"^(\*|\w+(?:-\w+)?)(?:/(\d+))?$")
_LIMITS: Final = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 7, _SUNDAY_FIRST))
_EXPECTED: Final = (
    "a number of bars (3 bars), an interval (4h, '1d at 12:00', '1w on mon 00:00', 1mo), or a "
    "cron expression ('0 0 * * 1')"
)


def _fail(value: object, found: str = "") -> PydanticCustomError:
    return PydanticCustomError(
        "every", "expected {expected}, found {found}",
        {"expected": _EXPECTED, "found": found or repr(value)},
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Every:
    """A recurring schedule; `kind` is ``bars``, ``span``, ``dates`` or ``cron``."""

    text: str
    kind: str
    count: int = 1
    unit: str = ""
    weekday: int = 0
    minutes: int = 0

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, value: object) -> Every:
        """Read the value of a strategy file.

        Raises
        ------
        PydanticCustomError
            If the text is neither a number of bars nor an interval nor a cron expression.
        """
        if isinstance(value, Every):
            return value
        if not isinstance(value, str):
            raise _fail(value)
        text = " ".join(value.lower().split())
        if bars := _BARS.match(text):
            return cls._counted(text, "bars", int(bars[1]))
        if interval := _INTERVAL.match(text):
            return cls._interval(text, interval)
        if len(text.split()) != 5:
            raise _fail(value)
        Cron.parse(text)
        try:
            _cron_fields(text)
        except ValueError as error:
            raise _fail(value, f"{value!r}: {error}") from None
        return cls(text, "cron")

    @classmethod
    def _counted(cls, text: str, kind: str, count: int, **more: Any) -> Every:
        if not 0 < count <= 10_000:
            raise _fail(text)
        return cls(text, kind, count, **more)

    @classmethod
    def _interval(cls, text: str, match: re.Match[str]) -> Every:
        number, unit, day, hour, minute = match.groups()
        clock = int(hour or 0) * 60 + int(minute or 0)
        dated = unit in ("d", "w", "mo")
        if (day and unit != "w") or (hour and not dated) or int(hour or 0) > 23:
            raise _fail(text)
        if int(minute or 0) > 59:
            raise _fail(text)
        return cls._counted(
            text, "dates" if dated else "span", int(number), unit=unit,
            weekday=_DAYS.index(day or "mon"), minutes=clock,
        )  # fmt: skip

    def is_due(self, after_ns: int, until_ns: int, zone: str, bar_ns: int) -> bool:
        """Whether one of its instants is after `after_ns` and not after `until_ns` (UTC, ns)."""
        if self.kind == "bars":
            # the bar that ends at T has the number (T - 1) // bar_ns
            period = self.count * bar_ns
            return (until_ns - bar_ns) // period > (after_ns - bar_ns) // period
        if self.kind == "span":
            step = self.count * _UNITS[self.unit]
            return until_ns // step > after_ns // step
        if until_ns <= after_ns:
            return False
        # a local date differs by at most one day from the UTC date of the same instant
        first, last = (_date_of(each) for each in (after_ns, until_ns))
        for year in range((first - timedelta(1)).year, (last + timedelta(1)).year + 1):
            instants = _instants(self, zone, year)
            index = bisect_right(instants, after_ns)
            if index < len(instants) and instants[index] <= until_ns:
                return True
        return False

    def may_fall_within(self, span_ns: int, bar_ns: int) -> bool:
        """Whether two instants of the schedule may be at most `span_ns` apart."""
        if self.kind == "bars":
            return self.count * bar_ns <= span_ns
        if self.kind == "span":
            return self.count * _UNITS[self.unit] <= span_ns
        return span_ns >= 23 * _HOUR_NS or self.kind == "cron"

    def falls_in(self, first_ns: int, last_ns: int, zone: str) -> list[int]:
        """Return the instants of dates or cron from `first_ns` to `last_ns`, both included."""
        assert self.kind in ("dates", "cron")
        years = range(_date_of(first_ns).year - 1, _date_of(last_ns).year + 2)
        instants = sorted({each for year in years for each in _instants(self, zone, year)})
        return instants[bisect_left(instants, first_ns) : bisect_right(instants, last_ns)]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "string", "description": _EXPECTED}


def _date_of(time_ns: int) -> date:
    return (_EPOCH + timedelta(seconds=time_ns // 1_000_000_000)).date()


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1) * 1_000_000_000


def local_instant(wall: datetime, zone: str) -> int:
    """Return the instant (UTC, ns) of a local time in a time zone.

    A local time that a clock change skips means the first instant after the gap; for one that
    occurs twice the first is returned.
    """
    if zone == "UTC":
        return _ns(wall.replace(tzinfo=UTC))
    clock = ZoneInfo(zone)
    instant = wall.replace(tzinfo=clock, fold=0).astimezone(UTC)
    while instant.astimezone(clock).replace(tzinfo=None) != wall:
        # inside a gap fold 0 uses the offset before it: go back to the last existing minute
        wall -= timedelta(minutes=1)
        instant = wall.replace(tzinfo=clock, fold=0).astimezone(UTC)
        if instant.astimezone(clock).replace(tzinfo=None) == wall:
            return _ns(instant + timedelta(minutes=1))
    return _ns(instant)


@lru_cache(maxsize=256)
def _instants(every: Every, zone: str, year: int) -> tuple[int, ...]:
    """Return the instants of a local year, sorted, each once."""
    instants: set[int] = set()
    day = datetime(year, 1, 1)
    while day.year == year:
        instants.update(local_instant(wall, zone) for wall in _walls(every, day))
        day += timedelta(days=1)
    return tuple(sorted(instants))


def _walls(every: Every, day: datetime) -> Iterator[datetime]:
    """Yield the local times of the instants of a local date."""
    if every.kind == "dates":
        if _is_due_on(every, day):
            yield day + timedelta(minutes=every.minutes)
        return
    minutes, hours, days, months, weekdays = _cron_fields(every.text)
    if day.day not in days or day.month not in months:
        return
    if (day.weekday() + 1) % 7 not in weekdays:
        return
    for hour in hours:
        for minute in minutes:
            yield day + timedelta(hours=hour, minutes=minute)


def _is_due_on(every: Every, day: datetime) -> bool:
    number = (day - datetime(1970, 1, 1)).days  # a Thursday
    if every.unit == "d":
        return number % every.count == 0
    if every.unit == "w":
        return day.weekday() == every.weekday and (number + 3) // 7 % every.count == 0
    return day.day == 1 and (day.year * 12 + day.month - 1) % every.count == 0


@lru_cache(maxsize=64)
def _cron_fields(text: str) -> tuple[tuple[int, ...], ...]:
    """Return the values of each field: minute, hour, day, month, weekday (0 is Sunday)."""
    fields = [
        _cron_field(part, low, high, names)
        for part, (low, high, names) in zip(text.split(), _LIMITS, strict=True)
    ]
    fields[4] = {each % 7 for each in fields[4]}
    return tuple(tuple(sorted(each)) for each in fields)


def _cron_field(part: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    values: set[int] = set()
    for piece in part.split(","):
        match = _FIELD.match(piece)
        if match is None:
            raise ValueError(f"{piece} is none of *, 1, 1-5, mon-fri, */2")
        span, step = match.groups()
        first, dash, last = span.partition("-")
        start, end = low, high
        if span != "*":
            start = _number(first, low, names)
            end = _number(last, low, names) if dash else high if step else start
            if last == "sun" and end < start:
                end = high
        if not low <= start <= end <= high:
            raise ValueError(f"{piece} lies outside of {low}-{high}, or ends before it begins")
        values |= set(range(start, end + 1, int(step or 1)))
    return values


def _number(word: str, low: int, names: tuple[str, ...]) -> int:
    if word in names:
        return names.index(word) + low
    if not word.isdigit():
        raise ValueError(f"{word} is no number")
    return int(word)
