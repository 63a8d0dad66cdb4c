"""Parsers and formatters of numbers with units in a strategy file.

Fractions (`10%`, `5bps`, `0.1`) become plain floats, durations (`12h`, `90d`) integer nanoseconds,
counts (`20`, `3 bars`, `50 trades`) integers. Market time and wall time are different types, so
that the age of a bar is never compared with that of a socket.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, NewType

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from septet_schemas.late_patterns import late_pattern

__all__ = [
    "Bars",
    "BarsOrZero",
    "Cost",
    "Fraction",
    "MarketDuration",
    "MarketNs",
    "NS_PER_SECOND",
    "Probability",
    "SignedCost",
    "SignedFraction",
    "Span",
    "Trades",
    "WallDuration",
    "WallNs",
    "format_duration",
    "format_fraction",
    "parse_bars",
    "parse_cost",
    "parse_duration",
    "parse_fraction",
]

MarketNs = NewType("MarketNs", int)
"""A duration in market time, nanoseconds."""
WallNs = NewType("WallNs", int)
"""A duration on this machine's clock, nanoseconds."""

NS_PER_SECOND: Final = 1_000_000_000
_NS: Final = {
    "ms": 1_000_000,
    "s": NS_PER_SECOND,
    "m": 60 * NS_PER_SECOND,
    "h": 3_600 * NS_PER_SECOND,
    "d": 86_400 * NS_PER_SECOND,
    "w": 7 * 86_400 * NS_PER_SECOND,
}
_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FRACTION = late_pattern(rf"^\s*({_NUMBER})\s*(%|bps|bp)?\s*$")
_DURATION = late_pattern(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*$")
_LONG_UNIT = late_pattern(
    r"^\s*(\d+)\s*(sec(?:ond)?s?|min(?:ute)?s?|hrs?|hours?|days?|wks?|weeks?)\s*$", re.IGNORECASE
)
_MONEY = late_pattern(
    r"^\s*(?:[$€£]\s*[\d._]+|[\d._]+\s*(?:[$€£]|[A-Z]{3,5}|(?=/|per\b)))\s*(?:(?:/|per\b).*)?$"
)
_COUNT = late_pattern(r"^\s*(\d+)\s*(bars?|trades?)?\s*$")
FRACTION_PATTERN: Final = r"^\s*[-+]?[0-9._eE+-]+\s*(%|bps|bp)?\s*$"
DURATION_PATTERN: Final = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*$"


def _fail(kind: str, expected: str, value: object, hint: str = "") -> PydanticCustomError:
    context = {"expected": expected, "found": repr(value), "hint": hint}
    return PydanticCustomError(kind, "expected {expected}, found {found}", context)


def parse_fraction(value: object) -> float:
    """Parse `10%`, `5bps` or `0.1` as a fraction; a bare number above 1 is rejected."""
    expected = "a fraction such as 10%, 5bps or 0.1"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _fail("fraction", expected, value)
    if isinstance(value, str):
        match = _FRACTION.match(value)
        if match is None:
            raise _fail("fraction", expected, value)
        digits, unit = match.groups()
        # Divide, never multiply by 0.01: 10 / 100 is the double nearest to 0.1.
        number = float(digits.replace("_", ""))
        number = number / {"%": 100.0, "bps": 10_000.0, "bp": 10_000.0, None: 1.0}[unit]
    else:
        number, unit = float(value), None
    if not math.isfinite(number):
        raise _fail("fraction", expected, value)
    if unit is None and abs(number) > 1.0:
        raise _fail("fraction", f"{expected} (write {number:g}% if you mean percent)", value)
    return number


def format_fraction(value: float) -> float | str:
    """Format a fraction so that `parse_fraction` reads the same bits; above 1 it needs its unit."""
    if not abs(value) > 1.0:
        return value
    percent = value * 100.0
    for each in (percent, math.nextafter(percent, math.inf), math.nextafter(percent, -math.inf)):
        if each / 100.0 == value:
            return f"{each!r}%"
    return f"{value * 10_000.0!r}bps"


def parse_cost(value: object) -> float:
    """Parse a cost such as `10bps` or `0.1%`; a bare number above 1 is rejected as basis points."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > 1.0:
        expected = f"a cost such as 10bps or 0.1% (write {value:g}bps if you mean basis points)"
        raise _fail("fraction", expected, value)
    if isinstance(value, str) and _MONEY.match(value):
        hint = "a fixed amount for an order or a share cannot be written: write its usual share"
        raise _fail("fraction", "a share of the value, such as 10bps or 0.1%", value, hint)
    fraction = parse_fraction(value)
    if abs(fraction) >= 1.0:
        raise _fail("cost", "a cost below 100%, such as 10bps or 0.1%", value)
    return fraction


def parse_duration(value: object) -> int:
    """Parse `500ms`, `45s`, `2m`, `12h`, `90d` or `1w` as nanoseconds.

    Raises pydantic's `PydanticCustomError` for anything else, zero included.
    """
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise _fail(
            "duration", "a duration such as 45s, 2m, 12h, 90d or 1w", value, _short_unit(value)
        )
    digits, unit = match.groups()
    duration_ns = int(digits) * _NS[unit] if digits.isdigit() else round(float(digits) * _NS[unit])
    if duration_ns <= 0:
        raise _fail("duration", "a duration above zero", value)
    if duration_ns > 2**62:
        raise _fail("duration", f"a duration of {2**62 // _NS['w']:,} weeks at most", value)
    return duration_ns


def _short_unit(value: object) -> str:
    """Return a duration with the short name of its unit as a hint, if it has a long one."""
    if not isinstance(value, str):
        return ""
    if _DURATION.match(value.lower()) and not value.strip().endswith("M"):  # M may be a month
        return f"write {value.strip().lower()}"
    match = _LONG_UNIT.match(value)
    return "" if match is None else f"write {match[1]}{match[2][0].lower()}"


def format_duration(duration_ns: int) -> str:
    """Format nanoseconds in the largest unit that divides them."""
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if duration_ns % _NS[unit] == 0 and not (unit == "w" and duration_ns // _NS[unit] > 1):
            return f"{duration_ns // _NS[unit]}{unit}"
    return f"{duration_ns}ns"


def _hint_of_count(value: object) -> str:
    """Return the hint for a venue's name of a time in force, or an empty text."""
    if str(value).strip().upper() in ("GTC", "GTD", "DAY", "IOC", "FOK"):
        return "a time in force is counted in bars here, and has an end: time_in_force: 2 bars"
    return ""


def _parse_count(unit: str) -> Any:
    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():  # columns of numbers are always floats
            return int(value)
        match = _COUNT.match(value) if isinstance(value, str) else None
        if match is None or (match[2] and not match[2].startswith(unit)):
            expected = f"a whole number of {unit}s such as 20 or '20 {unit}s'"
            raise _fail("count", expected, value, _hint_of_count(value))
        return int(match[1])

    return parse


parse_bars: Final = _parse_count("bar")
"""Parse a number of bars: `20`, `3 bars`."""


def _number_or_text(pattern: str, description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": pattern}],
            "description": description,
        }
    )


_FRACTION_SCHEMA = _number_or_text(FRACTION_PATTERN, "a fraction: 10%, 5bps or 0.1")
_COST_SCHEMA = _number_or_text(FRACTION_PATTERN, "a cost: 10bps, 0.1% or 0.001")
_DURATION_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": DURATION_PATTERN, "description": "a duration: 45s, 2m, 12h, 90d"}
)
_WRITE_DURATION = PlainSerializer(format_duration, return_type=str, when_used="json")
_WRITE_FRACTION = PlainSerializer(format_fraction, return_type=float | str, when_used="json")

Fraction = Annotated[
    float, Field(ge=0.0), BeforeValidator(parse_fraction), _FRACTION_SCHEMA, _WRITE_FRACTION
]
"""A share of something, zero or more: `10%`, `5bps`, `0.1`."""
SignedFraction = Annotated[
    float, BeforeValidator(parse_fraction), _FRACTION_SCHEMA, _WRITE_FRACTION
]
"""A share that may be negative: `-1bps`."""
Cost = Annotated[float, Field(ge=0.0), BeforeValidator(parse_cost), _COST_SCHEMA]
"""Cost of a trade as a share of its value, zero or more and below 1: `10bps`, `0.1%`."""
SignedCost = Annotated[float, BeforeValidator(parse_cost), _COST_SCHEMA]
"""A cost that may be negative, a rebate: `-1bps`."""
Probability = Annotated[
    float, Field(ge=0.0, le=1.0), BeforeValidator(parse_fraction), _FRACTION_SCHEMA
]
"""A number from 0 to 1."""
MarketDuration = Annotated[int, BeforeValidator(parse_duration), _DURATION_SCHEMA, _WRITE_DURATION]
"""Nanoseconds of market time: `1h`, `90d`."""
WallDuration = Annotated[int, BeforeValidator(parse_duration), _DURATION_SCHEMA, _WRITE_DURATION]
"""Nanoseconds of this machine's clock: `45s`."""
Bars = Annotated[
    int,
    Field(ge=1, le=10_000_000),
    BeforeValidator(parse_bars),
    _number_or_text(r"^\s*\d+\s*(bars?)?\s*$", "a number of bars: 20 or '20 bars'"),
]
"""A number of bars, 1 or more: `20`, `3 bars`."""
BarsOrZero = Annotated[
    int,
    Field(ge=0, le=10_000_000),
    BeforeValidator(parse_bars),
    _number_or_text(r"^\s*\d+\s*(bars?)?\s*$", "a number of bars: 1 or '0 bars'"),
]
"""A number of bars, 0 or more: `1`, `0 bars`."""
Trades = Annotated[
    int,
    Field(ge=1, le=1_000_000),
    BeforeValidator(_parse_count("trade")),
    _number_or_text(r"^\s*\d+\s*(trades?)?\s*$", "a number of trades: 50 or '50 trades'"),
]
"""A number of closed trades, 1 or more: `50 trades`."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length written in bars (`3 bars`) or in market time (`12h`); one of the two is set."""

    bar_count: int = 0
    duration_ns: int = 0

    def bars(self, bar_ns: int) -> int:
        """Number of bars of `bar_ns` that cover this span, at least 1 (0 stays 0)."""
        return self.bar_count if self.bar_count else -(-self.duration_ns // bar_ns)

    def ns(self, bar_ns: int) -> MarketNs:
        """Covered market time, nanoseconds."""
        return MarketNs(self.bar_count * bar_ns if self.bar_count else self.duration_ns)

    def __str__(self) -> str:
        if self.duration_ns:
            return format_duration(self.duration_ns)
        return f"{self.bar_count} bar" + ("" if self.bar_count == 1 else "s")

    @classmethod
    def parse(cls, value: object) -> Span:
        """Parse `3 bars`, `3`, `0` or a duration such as `12h`."""
        if isinstance(value, Span):
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(bar_count=value)
        if isinstance(value, str):
            match = _COUNT.match(value)
            if match and (match[2] is None or match[2].startswith("bar")):
                return cls(bar_count=int(match[1]))
            if _DURATION.match(value):
                return cls(duration_ns=parse_duration(value))
        raise _fail("span", "a number of bars or a duration, such as '3 bars' or 12h", value)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, object]:
        pattern = r"^\s*\d+(\.\d+)?\s*(bars?|ms|s|m|h|d|w)?\s*$"
        return {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": pattern}],
            "description": "bars or market time: '3 bars', 12h",
        }
