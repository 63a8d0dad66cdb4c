"""How far a read of the account may lag behind what is booked (M1)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from septet import messages as m
from septet._core.orders.recent_fills import MOST_FILLS, RecentFills

MS = 1_000_000
KEEP = 100 * MS
fills = st.lists(
    st.tuples(
        st.integers(0, 12), st.integers(0, 5), st.sampled_from(["buy", "sell"]), st.integers(1, 9)
    ),
    max_size=12,
)


def filled(venue_ns: int, side: Any, quantity: float, fee: float = 0.0) -> m.Filled:
    return m.Filled(
        at_ns=0, venue="v", symbol=0, trade_id="t", client_id="c", venue_order_id="o",
        venue_ns=venue_ns, market_ns=0, side=side, quantity=quantity, price=1.0, fee=fee,
        fee_currency="",
    )  # fmt: skip


@given(fills, st.integers(0, 20))
def test_what_the_account_held_at_any_instant_since_is_allowed_for(
    drawn: list[tuple[int, int, str, int]], since: int
) -> None:
    """Whatever the order in which fills are received, and however late."""
    recent, held = RecentFills(), 0.0
    received = sorted((at + late, at, side, quantity) for at, late, side, quantity in drawn)
    for booked, at, side, quantity in received:
        recent.add(filled(at * MS, side, float(quantity)), booked * MS, KEEP)
        held += quantity if side == "buy" else -quantity
    lags, shown = recent.lags(since * MS), 0.0
    for at in range(14):
        shown += sum(q if s == "buy" else -q for each, _, s, q in drawn if each == at)
        if at >= since:
            assert any(low <= shown - held <= high for low, high in lags)


def test_only_positions_that_were_there_are_allowed_for() -> None:
    """Buys and sells of one unit in turn: a read may show one or none, and nothing else."""
    recent = RecentFills()
    for number in range(20):
        recent.add(
            filled(number * MS, "buy" if number % 2 == 0 else "sell", 1.0), number * MS, KEEP
        )
    assert set(recent.lags(0)) == {(0.0, 0.0), (1.0, 1.0)}
    assert recent.lags(30 * MS) == [(0.0, 0.0)]


def test_a_fee_in_the_base_currency_is_allowed_for_and_one_in_another_is_not() -> None:
    recent = RecentFills()
    recent.add(filled(MS, "buy", 1.0, 0.001), MS, KEEP)
    assert recent.lags(0) == [(0.0, 0.0), (-1.001, -0.999)]
    recent.add(filled(2 * MS, "sell", 1.0, 30.0), 2 * MS, KEEP)
    assert recent.lags(2 * MS) == [(0.0, 0.0), (1.0, 1.0)]


def test_more_fills_than_are_kept_conclude_nothing() -> None:
    recent = RecentFills()
    for _ in range(MOST_FILLS + 1):
        recent.add(filled(MS, "buy", 1.0), MS, KEEP)
    assert len(recent.fills) == MOST_FILLS // 2
    assert recent.lags(0) == [(-float("inf"), float("inf"))]
    recent.add(filled(300 * MS, "buy", 1.0), 300 * MS, KEEP)
    assert len(recent.fills) == 1
    assert recent.lags(200 * MS) == [(0.0, 0.0), (-1.0, -1.0)]
