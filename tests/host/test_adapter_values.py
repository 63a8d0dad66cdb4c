"""Which exceptions of an adapter are its own, and which a value of the venue caused."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._host.adapter_values import (
    Notices,
    Unreadable,
    fault_of,
    is_programming_error,
    read_id,
    read_number,
)


def _needs(one: int) -> int:
    return one


OWN: list[Callable[[], Any]] = [
    lambda: undefined,  # type: ignore[name-defined]  # noqa: F821
    lambda: math.no_such_function,  # type: ignore[attr-defined]
    lambda: SimpleNamespace().fetch_ohlcv,
    lambda: getattr(None, "fetch_ohlcv"),  # noqa: B009
    lambda: _needs(),  # type: ignore[call-arg]
    lambda: _needs(1, 2),  # type: ignore[call-arg]
    lambda: _needs(two=2),  # type: ignore[call-arg]
]
NONE: Any = None
EMPTY: dict[str, Any] = {}
ROW: Any = []
TEXT: Any = "text"
THE_VENUES: list[Callable[[], Any]] = [
    lambda: float("x"),
    lambda: float(NONE),
    lambda: int(ROW),
    lambda: NONE["price"],
    lambda: EMPTY["price"],
    lambda: ROW[3],
    lambda: TEXT.get("price"),
    lambda: NONE.lower(),
    lambda: ROW.items(),
    lambda: 1 / 0,
    lambda: TEXT + 1,
    lambda: int(float("inf")),
    lambda: read_number("nan", "price"),
]


def _raised(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any of them
        call()
    return caught.value


@pytest.mark.parametrize("call", OWN, ids=range(len(OWN)))
def test_a_fault_of_the_code_is_named_as_one(call: Callable[[], Any]) -> None:
    error = _raised(call)
    assert is_programming_error(error)
    seen: list[m.Unreadable] = []
    clock: Any = SimpleNamespace(now_ns=lambda: 1)
    Notices(clock, seen.append).notify("bar", error)
    assert seen[0].text.startswith("a programming error of the adapter, no value of the venue: ")
    assert "test_adapter_values.py:" in seen[0].text


@pytest.mark.parametrize("call", THE_VENUES, ids=range(len(THE_VENUES)))
def test_what_a_value_causes_is_none(call: Callable[[], Any]) -> None:
    error = _raised(call)
    assert not is_programming_error(error)
    assert not is_programming_error(Unreadable("price", 1, "a price"))


def test_half_of_a_surrogate_pair_is_no_event() -> None:
    event = m.VenueChanged(at_ns=1, venue="x", state="up", reason="no \ud800")
    assert "half a character" in fault_of(event, 1)
    assert fault_of(msgspec.structs.replace(event, reason="n\u00f6 \U0001f600"), 1) == ""


@pytest.mark.parametrize(
    "value",
    ["-Infinity", "+inf", "-nan", "NaN", "1e400", "-1", "-1e3", "-0.5", "", "null", None, 1.5, True,
     "a\nb", "x" * 129, []],
)  # fmt: skip
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(Unreadable):
        read_id(value, "trade id")


@pytest.mark.parametrize("value", ["0", 17, "17", "640000000000000000000e99", "TX-1", "-a", "nano"])
def test_what_is_an_id(value: Any) -> None:
    assert read_id(value, "trade id") == str(value)
