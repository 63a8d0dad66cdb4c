"""A perpetual whose fills come from outside: its liquidation is decided here, and charged."""

from __future__ import annotations

import math

import pytest

from septet._core.books import check_books
from septet._core.events import Traded
from septet._kernel import layout
from tests.core.desk import MINUTE, ONE, Desk

TERMS = {
    "spot": False, "leverage": 10.0, "maintenance": 0.01, "liquidation_fee": 0.005,
    "short_back": 1, "exit_back": 0,
}  # fmt: skip


def opened(moves: str = "++====", **keys: object) -> tuple[Desk, float, float]:
    """A desk that holds one, the price of its entry, and where it is liquidated."""
    desk = Desk(moves, **(TERMS | keys))  # type: ignore[arg-type]
    entry = desk.bought()
    side = 1.0 if entry.units > 0.0 else -1.0
    return desk, entry.price, entry.price * (1.0 - side / 10.0) / (1.0 - side * 0.01)


@pytest.mark.parametrize("moves", ["++====", "--===="])
def test_a_mark_at_the_liquidation_price_closes_the_position(moves: str) -> None:
    desk, _, level = opened(moves)
    held, side = desk.held, math.copysign(1.0, desk.held)
    now_ns = desk.now_ns + MINUTE
    assert desk.engine.mark(0, level + side * 0.01, math.nan, now_ns) == []
    exit_ = desk.order(desk.engine.mark(0, level, math.nan, now_ns))
    assert (exit_.units, desk.why(exit_), exit_.reduces) == (-held * ONE, "liquidation", True)
    assert desk.engine.mark(0, level, math.nan, now_ns) == [], "it is on its way"
    cash, fee = desk.engine.cash, 0.1
    (traded,) = [
        each for each in desk.fill(exit_, exit_.units, level, fee=fee) if isinstance(each, Traded)
    ]
    assert traded.liquidation == pytest.approx(level * 0.005)
    assert desk.engine.cash == pytest.approx(cash + held * level - fee - traded.liquidation)
    assert desk.engine.state.A[layout.LIQUIDATION_PAID] == traded.liquidation
    check_books(desk.engine.state, 10_000.0)
    assert desk.engine.state.I[0, layout.OPEN_SIDE] == 0


def test_a_fill_far_beyond_the_level_costs_no_more_than_the_margin() -> None:
    desk, price, level = opened()
    exit_ = desk.order(desk.engine.mark(0, 0.5 * level, math.nan, desk.now_ns))
    capital = desk.engine.cash + desk.held * price
    (traded,) = [
        each
        for each in desk.fill(exit_, exit_.units, 0.5 * level, fee=0.2)
        if isinstance(each, Traded)
    ]
    assert traded.liquidation < 0.0, "the rest is the venue's"
    assert capital - desk.engine.cash == pytest.approx(price / 10.0)
    check_books(desk.engine.state, 10_000.0)


def test_a_halt_or_an_exit_pays_no_liquidation() -> None:
    desk, _, level = opened()
    desk.engine.halt(desk.now_ns, flatten=True)
    working = desk.engine.working(0)
    desk.fill(working.order, working.units, level)
    assert desk.engine.state.A[layout.LIQUIDATION_PAID] == 0.0
