"""Recorded reports of other exchanges with a bad value in one field at a time (A2)."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from septet._drill.venue.false_values import VALUES, falsify
from tests.execution.test_unreadable import bad_numbers
from tests.wire.offline import pushed
from tests.wire.test_streams import own

SYMBOLS = ("BTC/USDT", "ETH/USDT", "ETH/BTC", "BNB/BTC")


def fields_of(value: Any) -> set[str]:
    """Every name of a field in a message."""
    if isinstance(value, dict):
        return set(value).union(*(fields_of(each) for each in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(fields_of(each) for each in value))
    return set()


@pytest.mark.parametrize(("exchange", "name"), [("okx", "PushedOrder"), ("bybit", "PushedOrder")])
def test_no_value_of_a_report_gets_through_that_cannot_be(exchange: str, name: str) -> None:
    try:
        messages = pushed(exchange, name)
    except FileNotFoundError:
        pytest.skip("there is no recording of it")
    spoiled = [
        falsify(message, field, value)[0]
        for message in messages[:3]
        for field in sorted(fields_of(message))
        for value in VALUES
    ]
    out = own(exchange, [*spoiled, *messages], *SYMBOLS)
    assert out, "something of it is read"
    for each in out:
        assert isinstance(each, (m.OrderSeen, m.Filled, m.Unreadable))
        assert not bad_numbers(each), each
