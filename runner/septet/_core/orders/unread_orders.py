"""Which open orders may have been executed without a report of it: they explain a difference.

An order that was read later than the difference, and shows no more than is booked, does not.
"""

from __future__ import annotations

from septet._core.orders.finality import complete_until_ns
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import RANK, Child

__all__ = ["band"]


def band(lifecycle: OrderLifecycle, k: int, since_ns: int | None = None) -> tuple[float, float]:
    """Return low and high change of a position by unreported fills of open orders (base).

    With `since_ns` (wall time) only by fills up to then: orders that were read late enough after it
    are left out. Orders of third parties are never booked: a difference that one of them makes is
    reported.
    """
    low = high = 0.0
    for name in lifecycle.records.live:
        child = lifecycle.records.children[name]
        if child.symbol != k or (since_ns is not None and _is_read(lifecycle, child, since_ns)):
            continue
        if child.sign > 0:
            high += child.rest
        else:
            low -= child.rest
    return low, high


def _is_read(lifecycle: OrderLifecycle, child: Child, since_ns: int) -> bool:
    """Whether a read shows that all executions of an order up to a time are booked.

    A read may show the order as it was `answers_final_after` before it was received.
    """
    if RANK[child.state] < RANK["open"] or child.claim is not None or child.unexplained:
        return False
    if child.unconfirmed is not None or child.missing_ns or child.contradicted_ns or child.lost:
        return False
    complete_ns = complete_until_ns(lifecycle, child.read_ns)
    return complete_ns > since_ns and child.read_filled <= child.counted + child.tolerance
