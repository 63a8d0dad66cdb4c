"""Books the executions of another copy of the run, once a person has resumed.

They are executions with the run's own tag, with price, quantity, fee and trade id. They are booked
where that is exact: every execution that the orders of a symbol show was found, and the ledger
holds at each of them what it sells. Otherwise nothing of the symbol is booked, and the resume says
why. In their order by the venue's time they open and close trades as they happened, with the reason
`foreign_order`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from septet import messages as m
from septet._core.orders.lifecycle import OrderLifecycle, trade_key
from septet._core.orders.records import (
    NO_ORDER,
    Booked,
    ForeignOrder,
    RecentFills,
    tolerated,
)

__all__ = ["book", "is_booked"]

KNOWN = 16_384
"""Executions that are remembered as booked."""


def is_booked(lifecycle: OrderLifecycle, fill: m.Filled) -> bool:
    """Whether an execution of another copy was booked already."""
    return trade_key(fill, fill.client_id) in lifecycle.records.foreign_booked


def book(
    lifecycle: OrderLifecycle, orders: Sequence[ForeignOrder], now_ns: int
) -> tuple[dict[int, float], list[str]]:
    """Book what is not booked yet of orders; return the moves (base, by symbol) and what is not.

    The moves are applied to the ledger later in this turn.
    """
    moved: dict[int, float] = {}
    why: list[str] = []
    for k in sorted({order.symbol for order in orders}):
        of_symbol = [order for order in orders if order.symbol == k]
        fills = sorted(_unbooked(lifecycle, of_symbol), key=lambda each: each.venue_ns)
        fault = _fault(lifecycle, k, of_symbol, fills)
        if fault:
            why.append(fault)
            continue
        for fill in fills:
            moved[k] = moved.get(k, 0.0) + _signed(fill)
            _book(lifecycle, fill, now_ns)
    if moved:
        lifecycle.commands.append(m.Refresh(what="holdings"))
    return moved, why


def _unbooked(lifecycle: OrderLifecycle, orders: Iterable[ForeignOrder]) -> list[m.Filled]:
    fills = (fill for order in orders for fill in order.fills)
    return [fill for fill in fills if not is_booked(lifecycle, fill)]


def _fault(
    lifecycle: OrderLifecycle, k: int, orders: Sequence[ForeignOrder], fills: Sequence[m.Filled]
) -> str:
    """Return why the executions of a symbol cannot be booked exactly, or ""."""
    lot = lifecycle.instrument(k).lot
    for order in orders:
        if order.client_id in lifecycle.records.children:
            return f"{order.client_id} is the id of another order"
        if order.executed < order.filled - tolerated(order.quantity, lot):
            return f"{order.client_id}: {order.filled:.12g} filled, {order.executed:.12g} found"
    position = lifecycle.position(k)
    for fill in fills:
        position += _signed(fill)
        if position <= -lot:
            name = lifecycle.instrument(k).symbol
            return f"trade {fill.trade_id} sells more {name} than the ledger holds"
    return ""


def _signed(fill: m.Filled) -> float:
    return fill.quantity if fill.side == "buy" else -fill.quantity


def _book(lifecycle: OrderLifecycle, fill: m.Filled, now_ns: int) -> None:
    records, k, timing = lifecycle.records, fill.symbol, lifecycle.timing
    records.foreign_booked[trade_key(fill, fill.client_id)] = fill.venue_ns
    while len(records.foreign_booked) > KNOWN:
        del records.foreign_booked[next(iter(records.foreign_booked))]
    kept = records.recent_fills.setdefault(k, RecentFills())
    kept.add(fill, now_ns, 2 * timing.answers_final_after_ns)
    lifecycle.touched.add(k)
    lifecycle.outcomes.append(Booked(NO_ORDER, k, fill.client_id, _signed(fill), fill, late=True))
