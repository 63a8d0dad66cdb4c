"""What any adapter reports is checked by type, word, symbol and time before it reaches the core."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._live.clock import ManualClock
from septet._live.venue_gate import GatedVenue

CLOCK = ManualClock(1_700_000_000_000_000_000)
NOW = CLOCK.now_ns()
ORDER: dict[str, Any] = {
    "at_ns": NOW, "client_id": "a", "venue_order_id": "1", "symbol": 0, "side": "buy",
    "state": "open", "quantity": 1.0, "filled": 0.0,
}  # fmt: skip
FILL: dict[str, Any] = {
    "at_ns": NOW, "venue": "v", "symbol": 0, "trade_id": "7", "client_id": "a", "side": "buy",
    "venue_order_id": "1", "venue_ns": NOW, "market_ns": NOW, "quantity": 1.0, "price": 1.0,
    "fee": 0.0, "fee_currency": "BTC",
}  # fmt: skip
LATER = NOW + 10**18
FALSE_EVENTS: list[Any] = [
    *((m.OrderSeen, {**ORDER, **each}) for each in (
        {"state": "accepted"}, {"state": "FILLED"}, {"side": "SELL"}, {"venue_order_id": 12},
        {"symbol": 7}, {"symbol": -2}, {"symbol": "BTC/USDT"}, {"filled": "0.5"}, {"text": None},
        {"price": "100"}, {"client_id": None}, {"at_ns": LATER}, {"at_ns": 1.5}, {"by": "rumour"},
    )),
    *((m.Filled, {**FILL, **each}) for each in (
        {"side": "SELL"}, {"quantity": "0.1"}, {"trade_id": 77}, {"symbol": 7}, {"at_ns": LATER},
        {"market_ns": LATER}, {"venue_ns": LATER}, {"venue_ns": None}, {"maker": "yes"},
    )),
    (m.Holdings, {"at_ns": NOW, "asked_ns": NOW, "balances": {"USDT": ("1", "0")}}),
    (m.Holdings, {"at_ns": NOW, "asked_ns": NOW, "balances": {"USDT": 1.0}}),
    (m.Holdings, {"at_ns": NOW, "asked_ns": LATER, "balances": {}}),
    (m.FiltersChanged, {"at_ns": NOW, "symbol": 9, "lot": 1.0, "tick": 1.0, "min_notional": 0.0}),
    (m.OpenOrders, {"at_ns": NOW, "asked_ns": NOW,
                    "orders": (m.OrderSeen(**{**ORDER, "state": "NEW"}),)}),
    (m.OpenOrders, {"at_ns": NOW, "asked_ns": NOW,
                    "orders": (m.OrderSeen(**{**ORDER, "symbol": 7}),)}),
    (m.VenueChanged, {"at_ns": NOW, "venue": "v", "state": "gone"}),
    (m.Operated, {"at_ns": NOW, "action": "resume", "name": "venue", "reason": ""}),
    (m.Quoted, {"at_ns": NOW, "symbol": 0, "venue_ns": NOW, "bid": 1.0, "bid_quantity": 1.0,
                "ask": 1.0, "ask_quantity": 1.0}),
    (dict, {"state": "filled"}),
]  # fmt: skip
"""Events that no adapter may send: wrong types, words, symbols, times; the shell's own events."""


@pytest.mark.parametrize("number", range(len(FALSE_EVENTS)))
def test_an_event_of_wrong_types_words_or_times_never_gets_through(number: int) -> None:
    """What passes the gate can be handled, journalled and read again at a restart."""
    kind, fields = FALSE_EVENTS[number]
    received: list[Any] = []
    venue: Any = SimpleNamespace()
    gated = GatedVenue(venue, CLOCK)
    gated._sink, gated._symbols = received.append, 2
    gated._receive(kind(**fields))
    (reported,) = received
    assert isinstance(reported, m.Unreadable)
    assert -1 <= reported.symbol < 2


TRUE_EVENTS: list[Any] = [
    m.OrderSeen(**ORDER), m.Filled(**FILL),
    m.Acked(at_ns=NOW, client_id="a", venue_order_id="1", state="open", side="buy", quantity=1.0),
    m.OpenOrders(at_ns=NOW, asked_ns=NOW, orders=(m.OrderSeen(**ORDER),)),
    m.Holdings(at_ns=NOW, asked_ns=NOW, balances={"USDT": (1.0, 0.0)}),
    m.FiltersChanged(at_ns=NOW, symbol=0, lot=1.0, tick=1.0, min_notional=0.0),
    m.Skewed(at_ns=NOW, venue="v", skew_ns=0),
]  # fmt: skip
NO_NUMBERS = (math.nan, math.inf, -math.inf, 1e308)
READ_WITHOUT = {"fee", "fee_quote"}
"""An execution whose fee is none is booked with the expected one."""


def _falsified(event: Any, false: float) -> Iterator[tuple[str, Any]]:
    """Return an event with a number that is none in one field after the other, also inside."""
    for field in msgspec.structs.fields(type(event)):
        value, name = getattr(event, field.name), field.name
        if "float" in str(field.type) and not isinstance(value, dict) and name not in READ_WITHOUT:
            yield name, msgspec.structs.replace(event, **{name: false})
        elif isinstance(value, dict) and value:
            yield name, msgspec.structs.replace(event, **{name: {"USDT": (1.0, false)}})
        elif name == "orders":
            for inner, other in _falsified(value[0], false):
                yield f"{name}.{inner}", msgspec.structs.replace(event, orders=(other,))


@pytest.mark.parametrize("event", TRUE_EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("false", NO_NUMBERS)
def test_no_field_of_an_event_gets_through_with_a_number_that_is_none(
    event: Any, false: float
) -> None:
    """The gate looks at each field, whatever its adapter has read of it."""
    received: list[Any] = []
    venue: Any = SimpleNamespace()
    gated = GatedVenue(venue, CLOCK)
    gated._sink, gated._symbols = received.append, 2
    gated._receive(event)
    assert received == [event]
    fields = dict(_falsified(event, false))
    assert fields or isinstance(event, m.Skewed)
    for name, other in fields.items():
        received.clear()
        gated._receive(other)
        assert all(isinstance(each, m.Unreadable) for each in received), name


@pytest.mark.parametrize(("kind", "fields"), [(m.OrderSeen, ORDER), (m.Filled, FILL)])
def test_what_a_venue_may_report_gets_through(kind: Any, fields: dict[str, Any]) -> None:
    received: list[Any] = []
    venue: Any = SimpleNamespace()
    gated = GatedVenue(venue, CLOCK)
    gated._sink, gated._symbols = received.append, 2
    gated._receive(kind(**fields))
    assert received == [kind(**fields)]


def test_an_answer_of_another_kind_than_was_asked_for_is_none() -> None:
    async def case() -> None:
        async def other(*_: Any) -> Any:
            return m.Skewed(at_ns=NOW, venue="v", skew_ns=0)

        venue: Any = SimpleNamespace(holdings=other, open_orders=other, skew=other)
        gated = GatedVenue(venue, CLOCK)
        assert await gated.holdings() is None
        assert await gated.open_orders() is None
        assert isinstance(await gated.skew(), m.Skewed)

    asyncio.run(case())
