"""Cron expressions of five fields, in UTC, so that clock changes do not move their times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from septet_schemas.late_patterns import late_pattern
from septet_schemas.units import DURATION_PATTERN, format_duration, parse_duration

__all__ = ["Cron", "Step", "parse_step"]

_FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART: Final = late_pattern(r"^(?:(\*)|([0-7]|[a-z]{3})(?:-([0-7]|[a-z]{3}))?)(?:/([1-7]))?$")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FROM, _TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2028, 12, 31, tzinfo=UTC)
_DAY_NS: Final = 86_400_000_000_000
_ENOUGH_DAYS: Final = 1_500


def _fail(reason: str, value: object) -> PydanticCustomError:
    return PydanticCustomError(
        "cron",
        "this cron expression cannot be read: {reason}",
        {
            "reason": reason,
            "expected": "minute, hour, day of month, month and day of week, UTC: '0 0 * * 1'",
            "found": repr(value),
        },
    )


def _weekday(word: str) -> int:
    """Return the cron number of a day of the week: 0 and 7 are Sunday."""
    if word.isdigit():
        return int(word)
    if word not in _DAYS:
        raise ValueError(f"day of week: {word} is no day; write 0 to 7 or sun to sat")
    return _DAYS.index(word)


def _weekdays(field: str) -> str:
    """Convert days of the week to names: APScheduler counts from Monday, cron from Sunday."""
    days: set[int] = set()
    for part in field.lower().split(","):
        match = _PART.match(part)
        if match is None:
            raise ValueError(f"day of week: {part!r} is none of *, 1, mon, 1-5, mon-fri, */2")
        star, low, high, step = match.groups()
        first = 0 if star else _weekday(low)
        last = 6 if star or (high is None and step) else _weekday(high or low)
        if high == "sun" and first > 0:
            last = 7
        if last < first:
            raise ValueError(f"day of week: {part} ends before it begins")
        days |= {day % 7 for day in range(first, last + 1, int(step or 1))}
    return "*" if len(days) == 7 else ",".join(_DAYS[day] for day in sorted(days))


@lru_cache(maxsize=64)
def _trigger(text: str, *, whole_days: bool = False, ends: bool = False) -> Any:
    """Build the APScheduler trigger; with `whole_days` it fires at the start of each day."""
    from apscheduler.triggers.cron import CronTrigger

    minute, hour, day, month, weekday = text.split()
    weekday = _weekdays(weekday)
    if day != "*" and weekday != "*":
        raise ValueError(
            "day of month and day of week are both given, and programs differ on whether one of "
            "them is enough; give one, and * for the other"
        )
    if whole_days:
        minute = hour = "0"
    return CronTrigger(
        minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=UTC,
        end_date=_TO if ends else None,
    )  # fmt: skip


def _reason(text: str, error: ValueError) -> str:
    """Return the field that APScheduler rejects, with its text."""
    from apscheduler.triggers.cron import CronTrigger

    keys = ("minute", "hour", "day", "month")
    for name, key, word in zip(_FIELDS, keys, text.split(), strict=False):
        try:
            CronTrigger(**{key: word}, timezone=UTC)
        except ValueError as found:
            reason = str(found).rpartition(": ")[2]
            return f"{name}: {reason[:1].lower()}{reason[1:]}"
    return str(error)


def _ns(moment: datetime) -> int:
    elapsed: timedelta = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000


def _fires(trigger: Any, moment: datetime) -> Any:
    """Yield the times of a trigger from a given time on, that time included."""
    moment_due = trigger.get_next_fire_time(None, moment)
    while moment_due is not None:
        yield _ns(moment_due)
        moment_due = trigger.get_next_fire_time(None, moment_due + timedelta(seconds=1))


@lru_cache(maxsize=64)
def _longest(text: str) -> int:
    days = list(islice(_fires(_trigger(text, whole_days=True, ends=True), _FROM), _ENOUGH_DAYS))
    day = Cron(text).times(days[0], days[0] + _DAY_NS - 1)
    inside = max((later - earlier for earlier, later in pairwise(day)), default=0)
    between = max((later - earlier for earlier, later in pairwise(days)), default=366 * _DAY_NS)
    return max(inside, between - (day[-1] - day[0]))


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression: minute, hour, day of month, month, day of week, all in UTC.

    Days of the week are names or numbers from Sunday (0 or 7). Day of month and day of week cannot
    both be given.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, value: object) -> Cron:
        """Parse a cron expression such as `0 0 * * 1`: midnight of every Monday."""
        if isinstance(value, Cron):
            return value
        if not isinstance(value, str):
            raise _fail("it is no text", value)
        fields_written = value.split()
        if len(fields_written) != len(_FIELDS):
            fields = ", ".join(_FIELDS)
            raise _fail(f"it has {len(fields_written)} fields, not the five {fields}", value)
        text = " ".join(fields_written)
        try:
            first = _trigger(text, ends=True).get_next_fire_time(None, _FROM)
        except ValueError as error:
            raise _fail(_reason(text, error), value) from None
        if first is None:
            raise _fail("no day of any year is meant by it", value)
        return cls(text)

    @property
    def longest_ns(self) -> int:
        """Longest time between two consecutive times in the years 2000 to 2028, nanoseconds."""
        return _longest(self.text)

    def times(self, first_ns: int, last_ns: int) -> list[int]:
        """Return the times from `first_ns` to `last_ns`, both included (ns since the epoch)."""
        moment = _EPOCH + timedelta(microseconds=-(-first_ns // 1_000))
        times_ns = []
        for time_ns in _fires(_trigger(self.text), moment):
            if time_ns > last_ns:
                break
            times_ns.append(time_ns)
        return times_ns

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "string", "description": "five cron fields in UTC: '0 0 * * 1'"}


def parse_step(value: object) -> int | Cron:
    """Parse a duration (`30d`, as nanoseconds) or a cron expression (`0 0 * * 1`)."""
    if isinstance(value, Cron):
        return value
    if isinstance(value, str) and len(value.split()) > 2:
        return Cron.parse(value)
    try:
        return parse_duration(value)
    except PydanticCustomError:
        expected = "a duration such as 30d, or a cron expression in UTC such as '0 0 * * 1'"
        raise PydanticCustomError(
            "step",
            "expected {expected}, found {found}",
            {"expected": expected, "found": repr(value)},
        ) from None


def _write(step: int | Cron) -> str:
    return str(step) if isinstance(step, Cron) else format_duration(step)


_STEP_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "pattern": DURATION_PATTERN},
            {"type": "string", "pattern": r"^\s*(\S+\s+){4}\S+\s*$"},
        ],
        "description": "a duration: 30d; or a cron expression in UTC: '0 0 * * 1' for Mondays",
    }
)
Step = Annotated[
    int | Cron,
    BeforeValidator(parse_step),
    _STEP_SCHEMA,
    PlainSerializer(_write, return_type=str, when_used="json"),
]
"""Interval in nanoseconds of market time, or a cron expression."""
