"""Numbers with units: what they mean, what is refused, and that writing undoes reading."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from septet_schemas.units import (
    NS_PER_SECOND,
    Bars,
    Fraction,
    MarketDuration,
    Probability,
    SignedFraction,
    Span,
    Trades,
    WallDuration,
    format_duration,
    parse_cost,
    parse_duration,
    parse_fraction,
)

HOUR = 3_600 * NS_PER_SECOND


@pytest.mark.parametrize(
    ("text", "value"),
    [("10%", 0.1), ("5bps", 0.0005), ("5 bp", 0.0005), ("0.1", 0.1), (".5%", 0.005), (0, 0.0),
     ("1e-3", 0.001), (1, 1.0), ("-1bps", -0.0001), (" 100 % ", 1.0), ("250%", 2.5), ("1_0%", 0.1)],
)  # fmt: skip
def test_fraction(text: object, value: float) -> None:
    assert parse_fraction(text) == value


@pytest.mark.parametrize(
    "text", ["", "ten", "10 percent", "%", "10%%", True, None, [], 20, -3, 1.01, "1e999%", "nan"]
)
def test_not_a_fraction(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_fraction(text)


def test_a_bare_percent_is_refused_with_a_hint() -> None:
    with pytest.raises(PydanticCustomError, match="write 20% if you mean percent"):
        parse_fraction(20)


@given(st.integers(0, 10_000))
def test_percent_is_the_nearest_double(hundredths: int) -> None:
    assert parse_fraction(f"{hundredths / 100}%") == (hundredths / 100) / 100
    assert parse_fraction(f"{hundredths}bps") == hundredths / 10_000


@given(st.floats(-1, 1))
def test_a_bare_number_is_itself(value: float) -> None:
    assert parse_fraction(value) == value
    assert parse_fraction(repr(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("500ms", 500_000_000), ("45s", 45 * NS_PER_SECOND), ("2m", 120 * NS_PER_SECOND),
     ("12h", 12 * HOUR), ("90d", 90 * 24 * HOUR), ("1w", 7 * 24 * HOUR), ("1.5h", HOUR * 3 // 2)],
)  # fmt: skip
def test_duration(text: str, value: int) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text", ["", "12", 12, "h", "12 hours", "-1h", "0s", "1y", "1h30m", None, "9" * 30 + "w"]
)
def test_not_a_duration(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_duration(text)


@given(st.integers(1, 7_000), st.sampled_from(["ms", "s", "m", "h", "d", "w"]))
def test_a_duration_is_written_as_it_is_read(number: int, unit: str) -> None:
    value = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(Bars, 20, 20), (Bars, "3 bars", 3), (Bars, "1 bar", 1), (Bars, "7", 7),
     (Trades, "50 trades", 50), (Trades, 5, 5), (Fraction, "10%", 0.1), (Probability, "53%", 0.53),
     (SignedFraction, "-1bps", -0.0001), (MarketDuration, "1h", HOUR), (WallDuration, "1h", HOUR)],
)  # fmt: skip
def test_typed(kind: Any, text: object, value: object) -> None:
    assert TypeAdapter(kind).validate_python(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Bars, 0), (Bars, "3 trades"), (Bars, 2.5), (Bars, True), (Bars, 10**9), (Trades, "3 bars"),
     (Trades, -1), (Fraction, "-1%"), (Probability, "101%"), (Bars, "three bars"), (Bars, None)],
)  # fmt: skip
def test_typed_refusals(kind: Any, text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(text)


@pytest.mark.parametrize(
    ("text", "bars", "ns", "written"),
    [("3 bars", 3, 3 * HOUR, "3 bars"), (1, 1, HOUR, "1 bar"), ("90m", 2, HOUR * 3 // 2, "90m"),
     ("2d", 48, 48 * HOUR, "2d"), (0, 0, 0, "0 bars")],
)  # fmt: skip
def test_span(text: object, bars: int, ns: int, written: str) -> None:
    span = Span.parse(text)
    assert (span.bars(HOUR), span.ns(HOUR), str(span)) == (bars, ns, written)
    assert Span.parse(str(span)) == span
    assert TypeAdapter(Span).validate_python(text) == span
    assert TypeAdapter(Span).dump_python(span, mode="json") == written


@pytest.mark.parametrize("text", [-1, True, "bars", "3 trades", 1.5, None, "0h"])
def test_not_a_span(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        Span.parse(text)


@given(st.integers(1, 10**12), st.integers(1, 10**10))
def test_span_bars_cover_the_duration(duration: int, bar: int) -> None:
    bars = Span(duration_ns=duration).bars(bar)
    assert (bars - 1) * bar < duration <= bars * bar
    assert math.ceil(duration / bar) in (bars - 1, bars, bars + 1)


@pytest.mark.parametrize(("text", "hinted"), [("GTC", True), (" ioc", True), ("soon", False)])
def test_a_venues_word_for_a_time_in_force_is_answered_with_bars(text: str, hinted: bool) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Bars).validate_python(text)
    (error,) = caught.value.errors()
    assert ("time_in_force: 2 bars" in error["ctx"]["hint"]) == hinted


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("15min", "15m"),
        ("1 hour", "1h"),
        ("2 Days", "2d"),
        ("30 seconds", "30s"),
        ("1 Week", "1w"),
        ("4H", "4h"),
        ("1 D", "1 d"),
    ],
)
def test_a_long_name_of_a_unit_is_answered_with_the_short_one(written: str, meant: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_duration(written)
    assert (caught.value.context or {})["hint"] == f"write {meant}"
    assert parse_duration(meant) > 0


def test_a_month_is_not_answered_with_minutes() -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_duration("1M")
    assert (caught.value.context or {})["hint"] == ""


@pytest.mark.parametrize(
    "text",
    ["5 USD", "$1", "1.50 EUR per order", "0.005 per share", "0.005/share", "0.01 USD/share"],
)
def test_a_fee_in_money_is_answered(text: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_cost(text)
    assert (
        "a fixed amount for an order or a share cannot be" in (caught.value.context or {})["hint"]
    )


@pytest.mark.parametrize("text", ["0.001", "1e-3", "10bps", "0.1%", ".5 %"])
def test_a_share_in_a_text_is_no_money(text: str) -> None:
    assert 0.0 < parse_cost(text) < 1.0
