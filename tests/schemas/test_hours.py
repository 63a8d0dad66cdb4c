"""Trading hours as a file writes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from septet_schemas.hours import DAYS, HoursField, OpenHours, TradingHours
from septet_schemas.units import parse_duration

HOUR = parse_duration("1h")
DAY = 24 * HOUR
FIELD: TypeAdapter[TradingHours | None] = TypeAdapter(HoursField)


def test_weekly_hours_have_days_a_span_and_a_zone() -> None:
    hours = OpenHours.parse("mon-fri 09:30-16:00 America/New_York")
    (span,) = hours.spans
    assert (span.days, span.from_ns, span.to_ns) == (
        (0, 1, 2, 3, 4),
        9 * HOUR + HOUR // 2,
        16 * HOUR,
    )
    assert (hours.time_zone, hours.calendar) == ("America/New_York", "")


def test_a_span_may_pass_midnight_and_a_week_its_end() -> None:
    late, whole = OpenHours.parse("SUN-thu 18:00-02:00, sat 00:00-24:00 UTC").spans
    assert (late.days, late.to_ns - late.from_ns) == ((6, 0, 1, 2, 3), 8 * HOUR)
    assert (whole.from_ns, whole.to_ns) == (0, DAY)


def test_one_word_is_a_calendar() -> None:
    assert OpenHours.parse("XNYS") == OpenHours(calendar="XNYS")
    assert OpenHours.parse("CME_Equity").calendar == "CME_Equity"


@given(
    st.sampled_from(DAYS), st.sampled_from(DAYS), st.integers(0, 1439), st.integers(0, 1440),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)  # fmt: skip
def test_what_is_written_is_read_again(
    first: str, last: str, opens: int, closes: int, zone: str
) -> None:
    """One span is a day long at most, and so never overlaps itself."""
    span = f"{first}-{last} {opens // 60:02d}:{opens % 60:02d}-{closes // 60:02d}:{closes % 60:02d}"
    hours = OpenHours.parse(f"{span} {zone}")
    assert OpenHours.parse(str(hours)) == hours


@pytest.mark.parametrize(
    ("text", "message_part"),
    [
        ("mon-fri 09:30-16:00", "these name no time zone"),
        ("mon-fri 9:30-16:00 UTC", "days and hours such as"),
        ("mon-foo 09:30-16:00 UTC", "days and hours such as"),
        ("mon-fri 09:30-16:00 Mars/Olympus", "a time zone such as UTC"),
        ("mon-fri 09:30-25:00 UTC", "a time of day"),
        ("mon-fri 09:00-12:00, wed 11:00-13:00 UTC", "do not overlap"),
        ("sun 20:00-04:00, mon 03:00-05:00 UTC", "do not overlap"),
        ("09:30-16:00", "weekly hours"),
        ("", "weekly hours"),
        (930, "weekly hours"),
    ],
)
def test_what_is_no_hours_is_refused_with_what_is_expected(text: Any, message_part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FIELD.validate_python({"open": text})
    (error,) = caught.value.errors()
    assert message_part in error["ctx"]["expected"] or message_part in error["msg"]


def test_a_bare_value_is_open() -> None:
    assert FIELD.validate_python("XNYS") == TradingHours(open=OpenHours(calendar="XNYS"))
    assert FIELD.validate_python(None) is None


@pytest.mark.parametrize(
    ("block", "at", "message_part"),
    [
        ({}, "open", "no hours"),
        ({"flat_at_close": True}, "flat_at_close", "no close"),
        ({"open": "XNYS", "blackout": {"series": "news"}}, "before", "no time"),
    ],
)
def test_hours_that_state_nothing_are_refused_at_their_key(
    block: dict[str, Any], at: str, message_part: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        FIELD.validate_python(block)
    (error,) = caught.value.errors()
    assert error["loc"][-1] == at
    assert message_part in error["msg"]


def test_a_blackout_has_market_time_on_either_side() -> None:
    hours = FIELD.validate_python({"blackout": {"series": "news", "before": "30m", "after": 0}})
    assert hours is not None
    assert hours.blackout is not None
    assert (hours.blackout.before, hours.blackout.after) == (HOUR // 2, 0)
