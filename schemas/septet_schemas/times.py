"""Points in time and times of day in a strategy file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from septet_schemas.late_patterns import late_pattern
from septet_schemas.units import format_duration, parse_duration

__all__ = [
    "Daily",
    "DayTime",
    "EndTime",
    "MarketDelay",
    "Poll",
    "StartTime",
    "TimeZone",
    "WallDelay",
    "fixed_zone_hint",
    "format_day_time",
    "format_moment",
    "parse_day_time",
    "parse_delay",
    "parse_moment",
    "parse_time_zone",
]

_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _NS
_DATE: Final = late_pattern(r"^\d{4}-\d{2}-\d{2}$")
_CLOCK: Final = late_pattern(r"^(\d{2}):(\d{2})(?::(\d{2}))?$")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIXED: Final = {"EST": "America/New_York", "MST": "America/Denver", "HST": "Pacific/Honolulu"}
"""Abbreviations that are zones without daylight saving time in the database, and the intended
zone."""


def _fail(kind: str, expected: str, found: object, hint: str = "") -> PydanticCustomError:
    context = {"expected": expected, "found": repr(found), "hint": hint}
    return PydanticCustomError(kind, "expected {expected}, found {found}", context)


def parse_moment(value: object, *, ends: bool = False) -> int:
    """Parse a date or a time as nanoseconds since the epoch; without an offset it is UTC.

    A date means its first instant, or with `ends` the midnight at its end, so that the day itself
    is included.
    """
    expected = "a date such as 2023-12-31 or a time such as 2023-12-31T16:00:00Z"
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    text = value.isoformat() if isinstance(value, datetime) else value
    if not isinstance(text, str):
        raise _fail("moment", expected, value)
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        reason = f"{expected} ({error})" if _DATE.match(text) else expected
        raise _fail("moment", reason, value) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elapsed: timedelta = moment - _EPOCH
    time_ns = (elapsed.days * 86_400 + elapsed.seconds) * _NS + elapsed.microseconds * 1_000
    if not 0 <= time_ns < 2**63 - _DAY_NS:
        raise _fail("moment", "a time between 1970 and 2262", value)
    return time_ns + _DAY_NS if ends and _DATE.match(text) else time_ns


def _parse_end(value: object) -> int:
    return parse_moment(value, ends=True)


def format_moment(time_ns: int) -> str:
    """Format nanoseconds since the epoch as ISO text, as short as possible."""
    seconds, nanoseconds = divmod(time_ns, _NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{text}{fraction}Z"


def parse_day_time(value: object) -> int:
    """Parse a time of day, `00:00` or `16:30`, as nanoseconds since midnight."""
    match = _CLOCK.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise _fail("day_time", "a time of day in quotes, such as '00:00' or '16:30'", value)
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise _fail("day_time", "a time of day between '00:00' and '23:59:59'", value)
    return (hours * 3_600 + minutes * 60 + seconds) * _NS


def format_day_time(time_ns: int) -> str:
    """Format nanoseconds since midnight as `16:30`, with seconds if they are not zero."""
    minutes, seconds = divmod(time_ns // _NS, 60)
    tail = f":{seconds:02d}" if seconds else ""
    return f"{minutes // 60:02d}:{minutes % 60:02d}{tail}"


def parse_delay(value: object) -> int:
    """Parse a duration that may be zero: `24h`, `0`, `0s`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return 0
    if isinstance(value, str) and value.strip() in ("0", "0s", "0m", "0h", "0d"):
        return 0
    return parse_duration(value)


def _format_delay(duration_ns: int) -> str:
    return format_duration(duration_ns) if duration_ns else "0s"


def fixed_zone_hint(zone: str) -> str:
    """Return a hint in place of an abbreviation of a zone without daylight saving time."""
    zone_name = _FIXED.get(zone)
    if zone_name is None:
        return ""
    return f"{zone} has no daylight saving time in the time zone database: write {zone_name}"


def parse_time_zone(value: object) -> str:
    """Parse an IANA time zone of the time zone database: `UTC`, `America/New_York`."""
    from zoneinfo import ZoneInfo

    expected = "a time zone such as UTC or America/New_York"
    if not isinstance(value, str):
        raise _fail("time_zone", expected, value)
    if value == "UTC":
        return value
    if hint := fixed_zone_hint(value):
        raise _fail("time_zone", expected, value, hint)
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise _fail("time_zone", expected, value) from None
    return value


_MOMENT_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}", "description": "a date or a time (UTC)"}
)
_WRITE_MOMENT = PlainSerializer(format_moment, return_type=str, when_used="json")
_DELAY_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"const": 0},
            {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[a-z]*$"},
        ],
        "description": "a duration, or 0: 24h, 45s",
    }
)
_WRITE_DELAY = PlainSerializer(_format_delay, return_type=str, when_used="json")

StartTime = Annotated[int, BeforeValidator(parse_moment), _MOMENT_SCHEMA, _WRITE_MOMENT]
"""Nanoseconds since the epoch; a date is its first instant."""
EndTime = Annotated[int, BeforeValidator(_parse_end), _MOMENT_SCHEMA, _WRITE_MOMENT]
"""Nanoseconds since the epoch; a date includes that day: bars with `known_ns` <= this."""
MarketDelay = Annotated[int, BeforeValidator(parse_delay), _DELAY_SCHEMA, _WRITE_DELAY]
"""Nanoseconds of market time, zero or more."""
WallDelay = Annotated[int, BeforeValidator(parse_delay), _DELAY_SCHEMA, _WRITE_DELAY]
"""Nanoseconds of this machine's clock, zero or more."""
DayTime = Annotated[
    int,
    BeforeValidator(parse_day_time),
    WithJsonSchema({"type": "string", "pattern": r"^\d{2}:\d{2}(:\d{2})?$"}),
    PlainSerializer(format_day_time, return_type=str, when_used="json"),
]
"""Nanoseconds since midnight: `'16:30'`."""
TimeZone = Annotated[str, BeforeValidator(parse_time_zone), WithJsonSchema({"type": "string"})]
"""An IANA time zone: `UTC`, `America/New_York`."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Polling schedule of a source: every `every_ns`, `offset_ns` after each multiple (UTC)."""

    every_ns: int
    offset_ns: int = 0

    def __str__(self) -> str:
        tail = f" at {format_day_time(self.offset_ns)}" if self.offset_ns else ""
        return format_duration(self.every_ns) + tail

    @classmethod
    def parse(cls, value: object) -> Poll:
        """Parse `1h` or `1d at 00:10`."""
        if isinstance(value, Poll):
            return value
        expected = "an interval such as 1h or '1d at 00:10'"
        if not isinstance(value, str):
            raise _fail("poll", expected, value)
        every, at, clock = value.partition(" at ")
        try:
            poll = cls(parse_duration(every), parse_day_time(clock) if at else 0)
        except PydanticCustomError:
            raise _fail("poll", expected, value) from None
        if poll.offset_ns >= poll.every_ns:
            raise _fail("poll", f"{expected}, with a time inside the interval", value)
        return poll

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "string", "description": "an interval: 1h, '1d at 00:10'"}


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day at a time of day in a time zone: `daily 08:00 UTC`."""

    at_ns: int
    time_zone: str = "UTC"

    def __str__(self) -> str:
        return f"daily {format_day_time(self.at_ns)} {self.time_zone}"

    @classmethod
    def parse(cls, value: object) -> Daily:
        """Parse `daily 08:00` or `daily 08:00 Europe/Paris`."""
        if isinstance(value, Daily):
            return value
        parts = value.split() if isinstance(value, str) else []
        if not 2 <= len(parts) <= 3 or parts[0] != "daily":
            raise _fail("daily", "a time such as 'daily 08:00 UTC'", value)
        return cls(
            parse_day_time(parts[1]), parse_time_zone(parts[2]) if len(parts) == 3 else "UTC"
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "string", "description": "a time of every day: 'daily 08:00 UTC'"}
