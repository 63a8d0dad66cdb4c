"""What an unquoted word means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._config.scalars import read_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("False", False),
        ("0", 0), ("-7", -7), ("1_000", 1000), ("0x1F", 31), ("-0x10", -16),
        ("1e-3", 0.001), ("1E5", 1e5), (".5", 0.5), ("1.", 1.0), ("+2.5e+1", 25.0),
        ("2021-01-01", "2021-01-01"), ("10%", "10%"), ("3 bars", "3 bars"), ("12h", "12h"),
        ("1.2.3", "1.2.3"), ("-", "-"), ("BTC/USDT", "BTC/USDT"), ("y", "y"), ("n", "n"),
        ("08:00", "08:00"),
    ],
)  # fmt: skip
def test_value(text: str, value: Any) -> None:
    reading = read_plain(text)
    assert reading.value == value
    assert type(reading.value) is type(value)
    assert reading.problem == ""


@pytest.mark.parametrize(
    ("text", "meant"),
    [("yes", "true"), ("On", "true"), ("NO", "false"), ("off", "false"), ("12:30", "750"),
     ("1:30:00", "5400"), ("010", "10"), ("-007", "7"), (".inf", "finite"), ("-.Inf", "finite"),
     (".nan", "finite"), ("9" * 41, "40 digits"), ("08_", "8")],
)  # fmt: skip
def test_trap_shows_what_it_would_become(text: str, meant: str) -> None:
    reading = read_plain(text)
    assert reading.problem
    assert meant in f"{reading.problem} {reading.expected}"


@given(st.integers(-(10**18), 10**18))
def test_every_integer(number: int) -> None:
    assert read_plain(str(number)).value == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float(number: float) -> None:
    assert read_plain(repr(number)).value == number


@given(st.text(min_size=1, max_size=30))
def test_any_text_is_read(text: str) -> None:
    read_plain(text)
