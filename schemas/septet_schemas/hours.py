"""Trading hours in a strategy file: weekly spans in a time zone, or a calendar."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from septet_schemas.base import Config
from septet_schemas.late_patterns import late_pattern
from septet_schemas.times import (
    MarketDelay,
    fixed_zone_hint,
    format_day_time,
    parse_day_time,
    parse_time_zone,
)

__all__ = ["Blackout", "HoursField", "OpenHours", "TradingHours", "WeeklySpan"]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NS: Final = 86_400_000_000_000
_SPAN: Final = late_pattern(
    r"([a-z]{3})(?:-([a-z]{3}))? (\d\d:\d\d(?::\d\d)?)-(\d\d:\d\d(?::\d\d)?)"
)
_CALENDAR: Final = late_pattern(r"^[A-Za-z0-9_./]+$")
_EXPECTED: Final = (
    "weekly hours with a time zone, such as 'mon-fri 09:30-16:00 America/New_York', or an "
    "exchange's calendar, such as XNYS"
)


def _fail(found: object, expected: str = _EXPECTED, hint: str = "") -> PydanticCustomError:
    context = {"expected": expected, "found": repr(found), "hint": hint}
    return PydanticCustomError("hours", "expected {expected}, found {found}", context)


@dataclass(frozen=True, slots=True)
class WeeklySpan:
    """Hours of some weekdays (0 is Monday), from `from_ns` to before `to_ns` after midnight.

    `to_ns` above one day is a time of the next date: a span across midnight belongs to the day on
    which it begins.
    """

    days: tuple[int, ...]
    from_ns: int
    to_ns: int

    def __str__(self) -> str:
        first, last = DAYS[self.days[0]], DAYS[self.days[-1]]
        days = first if len(self.days) == 1 else f"{first}-{last}"
        ends = self.to_ns if self.to_ns == DAY_NS else self.to_ns % DAY_NS
        return f"{days} {format_day_time(self.from_ns)}-{format_day_time(ends)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `mon-fri 09:30-16:00`, `sat 10:00-11:00`, `sun-thu 18:00-02:00`."""
        match = _SPAN.fullmatch(" ".join(text.lower().split()))
        first, last = (match[1], match[2] or match[1]) if match is not None else ("", "")
        if match is None or first not in DAYS or last not in DAYS:
            raise _fail(text, "days and hours such as 'mon-fri 09:30-16:00'")
        low, high = DAYS.index(first), DAYS.index(last)
        days = tuple((low + n) % 7 for n in range((high - low) % 7 + 1))
        from_ns = parse_day_time(match[3])
        to_ns = DAY_NS if match[4] == "24:00" else parse_day_time(match[4])
        return cls(days, from_ns, to_ns if to_ns > from_ns else to_ns + DAY_NS)


@dataclass(frozen=True, slots=True)
class OpenHours:
    """Hours in which increases may fill: weekly `spans` in a time zone, or a named `calendar`."""

    spans: tuple[WeeklySpan, ...] = ()
    time_zone: str = "UTC"
    calendar: str = ""

    def __str__(self) -> str:
        return self.calendar or f"{', '.join(map(str, self.spans))} {self.time_zone}"

    @classmethod
    def parse(cls, value: object) -> "OpenHours":
        """Parse weekly spans, separated by commas, and their time zone; or a calendar's name."""
        if isinstance(value, OpenHours):
            return value
        text = " ".join(value.split()) if isinstance(value, str) else ""
        if _CALENDAR.match(text):
            return cls(calendar=text)
        spans, _, zone = text.rpartition(" ")
        if not spans or _SPAN.fullmatch(text.rpartition(",")[2].strip().lower()):
            raise _fail(value, f"{_EXPECTED}; these name no time zone" if spans else _EXPECTED)
        try:
            zone_name = parse_time_zone(zone)
        except PydanticCustomError:
            expected = f"a time zone such as UTC or America/New_York after the hours, not {zone}"
            raise _fail(value, expected, fixed_zone_hint(zone)) from None
        hours = cls(tuple(WeeklySpan.parse(each) for each in spans.split(",")), zone_name)
        if hours.overlaps:
            raise _fail(value, "spans that do not overlap")
        return hours

    @property
    def overlaps(self) -> bool:
        """Whether two spans of a week have an instant in common."""
        spans = sorted(self._of_week())
        if not spans:
            return False
        (first, _), (_, last) = spans[0], max(spans, key=lambda each: each[1])
        wraps = last - 7 * DAY_NS > first
        return wraps or any(after[0] < before[1] for before, after in pairwise(spans))

    @property
    def is_always(self) -> bool:
        """Whether spans that do not overlap cover the whole week."""
        return sum(high - low for low, high in self._of_week()) == 7 * DAY_NS

    def _of_week(self) -> Iterator[tuple[int, int]]:
        for span in self.spans:
            for day in span.days:
                yield day * DAY_NS + span.from_ns, day * DAY_NS + span.to_ns

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        text = "'mon-fri 09:30-16:00 America/New_York', or a calendar: XNYS"
        return {"type": "string", "description": text}


class Blackout(Config):
    """Time around each event of a series in which no increase may fill: `before` and `after` it.

    `series` names an entry of `data`: each of its rows is an event at the row's stamp, and is
    considered once the row is known. `before` or `after` may be 0, but not both.
    """

    series: Annotated[str, Field(min_length=1)]
    """An entry of `data`; each of its rows is an event at its stamp."""
    before: MarketDelay = 0
    """Time before an event in which no position may be increased."""
    after: MarketDelay = 0
    """Time after an event in which no position may be increased."""

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.before or self.after:
            return self
        raise _at("before", self.before, "empty_blackout", "a blackout of no time blocks nothing",
                  "before or after, or both, such as 30m")  # fmt: skip


class TradingHours(Config):
    """Times at which a position may be increased; exits and stops always act.

    An increase is decided at T only if the earliest instant at which it may fill is in the hours
    and outside every blackout. `flat_at_close` closes all positions at the last decision whose fill
    is inside the hours, and allows no increase at that decision.
    """

    open: OpenHours | None = None
    """Weekly hours with a time zone, or a calendar: mon-fri 09:30-16:00 America/New_York. Several
    are separated by commas."""
    flat_at_close: bool = False
    """Close all positions at the last decision whose fill is inside the hours."""
    blackout: Blackout | None = None
    """Times around the events of a series in which no position may be increased."""

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.open is None and self.flat_at_close:
            raise _at("flat_at_close", True, "no_close", "without hours there is no close to be "
                      "flat at", f"open: {_EXPECTED}")  # fmt: skip
        if self.open is None and self.blackout is None:
            raise _at("open", None, "no_hours", "these hours name no hours",
                      f"open: {_EXPECTED}, or a blackout")  # fmt: skip
        return self


def _at(key: str, value: object, kind: str, message: str, expected: str) -> ValidationError:
    """Return an error at one key of the block."""
    problem = PydanticCustomError(kind, message, {"expected": expected})
    detail = InitErrorDetails(type=problem, loc=(key,), input=value)
    return ValidationError.from_exception_data("trading_hours", [detail])


def _short(value: Any) -> Any:
    return {"open": value} if isinstance(value, str) else value


class _OrOpen:
    """Adds the short form to the JSON Schema."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        text = OpenHours.__get_pydantic_json_schema__(schema, handler)
        return {"anyOf": [text, handler(schema)]}


HoursField = Annotated[TradingHours | None, BeforeValidator(_short), _OrOpen()]
"""Trading hours; a bare value is read as `open`."""
