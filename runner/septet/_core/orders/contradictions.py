"""Handles reports of an order whose figures contradict each other or the booked state.

Such a report books nothing and ends no order, not even a protective stop. It is logged
once per order, the order, its executions and the account are queried, and entries of
the symbol are blocked (`lost_fill`; `unknown_order` as well if nothing else has shown the
order). It is resolved by a read of the order and one of the account that agree with the books,
by a consistent report, by executions, or, if the venue repeats it for longer than
`answers_final_after`, by the account and the executed quantity that a query shows
(`lost_fills.resolve`).
"""

from __future__ import annotations

from septet import messages as m
from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import Child

__all__ = ["contradicts_itself", "fault_of", "fault_of_fill", "resolve", "take"]


def contradicts_itself(
    state: m.OrderState, quantity: float | None, filled: float, tolerance: float
) -> bool:
    """Return whether a reported state contradicts the quantities reported with it.

    Parameters
    ----------
    quantity
        The quantity of the order (base); None or 0 where the venue does not report it.
    filled
        The total executed quantity (base).
    tolerance
        Difference up to which quantities count as equal (base).
    """
    ordered = quantity or 0.0
    if ordered and filled > ordered + tolerance:
        return True
    match state:
        case "filled":
            return filled < ordered - tolerance
        case "partially_filled":
            return filled <= tolerance or 0.0 < ordered <= filled + tolerance
        case "open":
            return filled > tolerance
        case _:
            return False


def fault_of(child: Child, state: m.OrderState, quantity: float | None, filled: float) -> str:
    """Return how a report contradicts itself or the known state of the order, or ""."""
    ordered, tolerance = quantity or child.quantity, child.tolerance
    reported = f"{state} with {filled:.12g} executed of {ordered:.12g}"
    if contradicts_itself(state, ordered, filled, tolerance):
        return reported
    if contradicts_itself(state, child.quantity, filled, tolerance):
        return f"{reported}, and the order is one of {child.quantity:.12g}"
    ended = state in ("cancelled", "expired", "rejected") and not child.is_final
    if ended and not child.presumed and filled < child.counted - tolerance:
        return f"{reported}, and {child.counted:.12g} of it is booked"
    return ""


def fault_of_fill(child: Child, fill: m.Filled) -> str:
    """Return how the report of an execution contradicts itself, or ""."""
    if fill.cumulative is None or fill.quantity <= fill.cumulative + child.tolerance:
        return ""
    return (
        f"{fill.quantity:.12g} executed in trade {fill.trade_id}, and {fill.cumulative:.12g} "
        "executed in all"
    )


def take(
    lifecycle: OrderLifecycle, child: Child, state: m.OrderState | None, why: str, now_ns: int
) -> None:
    """Process a contradictory report: report it, query, and book nothing."""
    if not child.contradiction:
        text = f"{child.client_id}: the venue reports {why}; nothing of that is taken"
        if not child.is_final:
            text += ", it is asked again, and entries wait until the order and the account agree"
        lifecycle.alert("error", "unreadable", text, child.symbol)
    first, child.contradiction = child.contradicted_ns == 0, why
    if child.is_final:
        lifecycle.refresh_fills(child)
        return
    child.contradicted_ns = max(1, now_ns)
    child.contradicted_end = state if state is not None and lifecycle.is_final(state) else None
    child.received_ns = max(child.received_ns, now_ns)
    if first:  # queried at growing intervals, however often it is reported
        child.reported_ns = now_ns
        if child.exists:
            lifecycle.query_until_known(child, now_ns)
        else:
            lifecycle.mark_unknown(child, now_ns, f"the venue reports {why}")
    elif not child.query_next_ns:
        child.query_next_ns = now_ns + lifecycle.timing.query_first_ns
    lifecycle.update(child, now_ns)


def resolve(lifecycle: OrderLifecycle, k: int, gap: float, asked_ns: int, now_ns: int) -> None:
    """Clear contradictions that a read of the order and one of the account do not confirm."""
    if abs(gap) > lifecycle.instrument(k).lot:
        return
    for name in list(lifecycle.records.live):
        child = lifecycle.records.children[name]
        since_ns = child.contradicted_ns
        if child.symbol == k and since_ns and min(child.agreed_ns, asked_ns) > since_ns:
            child.contradicted_ns, child.contradicted_end = 0, None
            lifecycle.schedule_review(child, now_ns)
            lifecycle.update(child, now_ns)
