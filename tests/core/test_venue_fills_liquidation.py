"""A perpetual whose fills come from the venue: its liquidation is decided here, and charged."""

from __future__ import annotations

import math

import pytest

from septet._core.events import Traded
from septet._core.ledger_check import check_books
from septet._kernel import layout
from tests.core.engine_harness import MINUTE, ONE, EngineHarness

TERMS = {
    "spot": False, "leverage": 10.0, "maintenance": 0.01, "liquidation_fee": 0.005,
    "short_back": 1, "exit_back": 0,
}  # fmt: skip


def opened(moves: str = "++====", **keys: object) -> tuple[EngineHarness, float, float]:
    """A harness that holds one, the price of its entry, and where it is liquidated."""
    harness = EngineHarness(moves, **(TERMS | keys))  # type: ignore[arg-type]
    entry = harness.bought()
    side = 1.0 if entry.units > 0.0 else -1.0
    return harness, entry.price, entry.price * (1.0 - side / 10.0) / (1.0 - side * 0.01)


@pytest.mark.parametrize("moves", ["++====", "--===="])
def test_a_mark_at_the_liquidation_price_closes_the_position(moves: str) -> None:
    harness, _, level = opened(moves)
    held, side = harness.held, math.copysign(1.0, harness.held)
    now_ns = harness.now_ns + MINUTE
    assert harness.engine.mark(0, level + side * 0.01, math.nan, now_ns) == []
    exit_ = harness.order(harness.engine.mark(0, level, math.nan, now_ns))
    assert (exit_.units, harness.why(exit_), exit_.reduces) == (-held * ONE, "liquidation", True)
    assert harness.engine.mark(0, level, math.nan, now_ns) == [], "it is on its way"
    cash, fee = harness.engine.cash, 0.1
    (traded,) = [
        each
        for each in harness.fill(exit_, exit_.units, level, fee=fee)
        if isinstance(each, Traded)
    ]
    assert traded.liquidation == pytest.approx(level * 0.005)
    assert harness.engine.cash == pytest.approx(cash + held * level - fee - traded.liquidation)
    assert harness.engine.state.A[layout.LIQUIDATION_PAID] == traded.liquidation
    check_books(harness.engine.state, 10_000.0)
    assert harness.engine.state.I[0, layout.OPEN_SIDE] == 0


def test_a_fill_far_beyond_the_level_costs_no_more_than_the_margin() -> None:
    harness, price, level = opened()
    exit_ = harness.order(harness.engine.mark(0, 0.5 * level, math.nan, harness.now_ns))
    capital = harness.engine.cash + harness.held * price
    (traded,) = [
        each
        for each in harness.fill(exit_, exit_.units, 0.5 * level, fee=0.2)
        if isinstance(each, Traded)
    ]
    assert traded.liquidation < 0.0, "the rest is the venue's"
    assert capital - harness.engine.cash == pytest.approx(price / 10.0)
    check_books(harness.engine.state, 10_000.0)


def test_a_halt_or_an_exit_pays_no_liquidation() -> None:
    harness, _, level = opened()
    harness.engine.halt(harness.now_ns, flatten=True)
    working = harness.engine.working(0)
    harness.fill(working.order, working.units, level)
    assert harness.engine.state.A[layout.LIQUIDATION_PAID] == 0.0
