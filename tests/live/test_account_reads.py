"""Several strategies compare one account: reads lag, and fills are received late (M1)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._core.live_core import LiveCore
from septet._core.orders.recent_fills import MOST_FILLS
from septet._live.shared_account import AccountGate, AccountLimits
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND, START

BEGINS = 200.0
"""What each of both holds at first."""
fills = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 6), st.integers(0, 1), st.integers(1, 4)),
    max_size=10,
    unique_by=lambda each: each[0],
)
"""When (seconds, no two at once), how much later it is received, whose, and half of what."""
sides = st.sampled_from([1, -1])


class Strategy:
    """The orders of one strategy, by hand, and what `LiveCore` does with a read of the account."""

    def __init__(self, gate: AccountGate, name: str) -> None:
        self.bench = bench = Bench()
        bench.hold(BEGINS)
        self.member: Any = gate.member(
            name, ["BTC/USDT"], bases=["BTC"], quote="USDT", capital=1e3, limits=AccountLimits()
        )
        self.core: Any = SimpleNamespace(
            orders=bench.core, checks=bench.checks, guards=bench.guards, _out=[],
            names=SimpleNamespace(base=["BTC"], quote=["USDT"]),
            rules=SimpleNamespace(adopts=False), _change_ledger=print, _correct_fee=print,
            engine=SimpleNamespace(held=lambda k: bench.position[k], cash=0.0),
        )  # fmt: skip
        self.member.core = cast("LiveCore", self.core)
        self.order: Any = None

    def open(self, quantity: float) -> None:
        if quantity:
            self.order = self.bench.order(
                1, quantity, kind="limit", limit_price=PRICE, reduces=False
            )
            self.bench.ack(self.order)

    def fill(self, quantity: float, venue_s: int, received_s: int) -> None:
        order, bench = self.order, self.bench
        bench.now = START + received_s * SECOND
        fill = m.Filled(
            at_ns=bench.now, venue="v", symbol=0, trade_id=f"x{venue_s}",
            client_id=order.client_id, venue_order_id=f"v-{order.client_id}",
            venue_ns=START + venue_s * SECOND, market_ns=bench.now, side=order.side,
            quantity=quantity, price=PRICE, fee=0.0, fee_currency="USDT",
        )  # fmt: skip
        bench.handle(fill)

    def read(self, event: m.Holdings) -> list[str]:
        self.core._out = []
        LiveCore._holdings(self.core, event)
        return [each.rule for each in self.core._out if isinstance(each, m.Tripped)]


def both() -> tuple[AccountGate, list[Strategy]]:
    gate = AccountGate(now_ns=lambda: START)
    return gate, [Strategy(gate, "one"), Strategy(gate, "two")]


def read_of(total: float, asked_s: int) -> m.Holdings:
    asked_ns = START + asked_s * SECOND
    return m.Holdings(at_ns=asked_ns, balances={"BTC": (total, 0.0)}, asked_ns=asked_ns)


@settings(max_examples=300, deadline=None)
@given(
    drawn=fills, sides=st.tuples(sides, sides), asked=st.integers(0, 30), takes=st.integers(0, 3),
    waits=st.integers(0, 3), age=st.integers(0, FINAL_AFTER + 3),
    stranger=st.sampled_from([0.0, 1.0, -1.0, 1e3, -1e3]),
)  # fmt: skip
def test_m1_fills_of_all_explain_a_read_and_nothing_else_does(
    drawn: list[tuple[int, int, int, int]], sides: tuple[int, int], asked: int, takes: int,
    waits: int, age: int, stranger: float,
) -> None:  # fmt: skip
    """Fills are of even quantities: an odd one is a stranger's, and is found by the first read."""
    gate, strategies = both()
    for who, each in enumerate(strategies):
        each.open(2.0 * sides[who] * sum(half for _, _, whose, half in drawn if whose == who))
    answered, handled = asked + takes, asked + takes + waits
    shown_s = max(answered - age, asked - FINAL_AFTER)
    shown = 2 * BEGINS
    shown += sum(2.0 * sides[who] * half for at, _, who, half in drawn if at <= shown_s)
    received = sorted((at + late, at, who, 2.0 * half) for at, late, who, half in drawn)

    def receive(from_s: int, to_s: int) -> None:
        for received_s, at, who, quantity in received:
            if from_s < received_s <= to_s:
                strategies[who].fill(quantity, at, received_s)

    receive(-1, answered)
    event = gate.beside(strategies[1].member, read_of(shown + stranger, asked))
    receive(answered, handled)
    tripped = strategies[1].read(event)
    waiting = any(received_s > (answered, handled)[who] for received_s, _, who, _ in received)
    if not stranger:
        assert tripped == []
    elif abs(stranger) > 500.0 or not waiting:
        assert tripped == ["position_mismatch:S0"]


@pytest.mark.parametrize("received_s", [4, 6])
def test_a_fill_of_another_during_the_read_is_no_gap(received_s: int) -> None:
    """Whether the other has booked it already, and the read lags, or is still to hear of it."""
    gate, (one, two) = both()
    one.open(3.0)
    booked = received_s <= 5
    if booked:
        one.fill(3.0, 4, received_s)
    shown = 2 * BEGINS + (0.0 if booked else 3.0)
    event = gate.beside(two.member, read_of(shown, 3))
    assert two.read(event) == []
    assert two.read(alone(event)) == ["position_mismatch:S0"]


def alone(event: m.Holdings) -> m.Holdings:
    """Leave out what was reported of the others' orders and fills."""
    return m.Holdings(
        at_ns=event.at_ns, balances=event.balances, asked_ns=event.asked_ns, others=event.others
    )


@pytest.mark.parametrize("missing", [1.0, 3.0])
def test_a_gap_that_stays_is_not_explained_by_open_orders_of_another(missing: float) -> None:
    """A stop of another is always open: what a stranger sold is found once reads are final."""
    gate, (one, two) = both()
    one.open(-3.0)

    def read(asked_s: int, total: float) -> list[str]:
        return two.read(gate.beside(two.member, read_of(total, asked_s)))

    assert read(1, 2 * BEGINS - missing) == []
    assert read(1 + FINAL_AFTER, 2 * BEGINS - missing) == []
    two.bench.twin()
    two.core.guards = two.bench.guards
    two.core.orders = two.member.core.orders = two.bench.core
    assert read(2 + FINAL_AFTER, 2 * BEGINS - missing) == ["position_mismatch:S0"]


def test_gaps_that_come_and_go_are_fills_that_another_was_still_to_receive() -> None:
    gate, (one, two) = both()
    one.open(-3.0)
    for asked_s, gap in ((1, -1.0), (20, 0.0), (40, -1.0), (60, -2.0), (80, -1.0)):
        event = gate.beside(two.member, read_of(2 * BEGINS + gap, asked_s))
        assert two.read(event) == []


def test_fills_of_another_that_were_too_many_to_keep_conclude_nothing() -> None:
    gate, (one, two) = both()
    one.open(2.0 * MOST_FILLS)
    for number in range(MOST_FILLS + 1):
        one.fill(1.0, number, 4)
    assert two.read(gate.beside(two.member, read_of(0.0, 4))) == []
    assert two.read(gate.beside(two.member, read_of(0.0, 4 + FINAL_AFTER + 1))) != []


def test_an_open_order_of_a_stranger_explains_no_difference() -> None:
    """Nothing of it will be booked."""
    gate, (one, two) = both()
    seen = m.OrderSeen(
        at_ns=START, client_id="web_1", venue_order_id="9", symbol=0, side="buy", state="open",
        quantity=5.0, filled=0.0,
    )  # fmt: skip
    for each in (one, two):
        each.bench.handle(seen)
    event = gate.beside(two.member, read_of(2 * BEGINS + 5.0, 1))
    assert event.others_open == {}
    assert two.read(event) != []
