"""What is booked against what the account holds, symbol by symbol."""

from __future__ import annotations

from septet import messages as m
from septet._core.guards import Guards
from septet._core.orders import Orders

__all__ = ["compare", "held_at_venue"]


def held_at_venue(event: m.Holdings, base: str) -> float:
    """Return what the account holds of a symbol but for what other strategies hold of it."""
    free, locked = event.balances.get(base, (0.0, 0.0))
    return free + locked - event.others.get(base, 0.0)


def compare(
    guards: Guards, orders: Orders, event: m.Holdings, k: int, base: str, ours: float, lot: float
) -> list[m.Command]:
    """Compare the position of one symbol; return what blocks or no longer blocks its entries."""
    theirs = held_at_venue(event, base)
    if orders.settle_disputes(k, base, theirs - ours, lot, event.asked_ns, event.at_ns):
        return []
    return guards.compare(
        k, ours, theirs, tolerance=lot, band=orders.band(k),
        lags=orders.lags(k, event.asked_ns, event.others_fills.get(base, ())),
        now_ns=event.at_ns, others=event.others_open.get(base, (0.0, 0.0)),
        settled_ns=orders.settled_ns(event.asked_ns),
    )  # fmt: skip
