"""Orders and executions of third parties: they count into limits, and are reported once."""

from __future__ import annotations

from typing import Final

from septet import messages as m
from septet._core.orders import ghosts, unexplained, unnamed_fills
from septet._core.orders.lifecycle import OrderLifecycle, trade_key
from septet._core.orders.records import ThirdPartyActivity, ThirdPartyOrder

__all__ = ["OPEN", "of_order", "take_fill", "take_order"]

OPEN: Final = ("open", "partially_filled")
"""States of an order that may still be executed."""
KEPT_FILLS: Final = 4_096
"""How many fills of others are remembered, so that each is reported once."""


def of_order(seen: m.OrderSeen) -> tuple[str, ThirdPartyOrder]:
    """Return the key of an order and its open quantity."""
    rest = max(0.0, seen.quantity - seen.filled)
    sign = 1 if seen.side == "buy" else -1
    key = f"{seen.symbol}:{seen.venue_order_id or seen.client_id}"
    return key, ThirdPartyOrder(seen.symbol, sign, rest, seen.price)


def take_order(lifecycle: OrderLifecycle, seen: m.OrderSeen, now_ns: int) -> None:
    """Handle an order of a third party: it counts into the limits while it is open."""
    records, k = lifecycle.records, seen.symbol
    unexplained.note_order(lifecycle, seen, now_ns)
    key, order = of_order(seen)
    lifecycle.touched.add(k)
    if seen.state not in OPEN:
        ghosts.ended(lifecycle, seen.client_id, now_ns)
        records.third_party.pop(key, None)
        return
    if key not in records.third_party:
        quantity = order.sign * order.rest
        lifecycle.outcomes.append(ThirdPartyActivity(k, seen.client_id, quantity))
        text = f"an order of a third party: {seen.side} {seen.quantity:.12g}"
        lifecycle.alert("warning", "third_party_order", text, k)
    records.third_party[key] = order


def take_fill(lifecycle: OrderLifecycle, fill: m.Filled) -> None:
    """Handle an execution of a third party."""
    key = trade_key(fill, fill.client_id or f"#{fill.venue_order_id}")
    records = lifecycle.records
    old = not fill.client_id and fill.venue_ns <= records.forgotten_ns.get(fill.symbol, 0)
    if key in records.trades or old:
        return
    records.trades[key] = ""
    records.third_party_fills.append(key)
    if len(records.third_party_fills) > KEPT_FILLS:
        records.trades.pop(records.third_party_fills.pop(0), None)
    unexplained.note_fill(lifecycle, fill, fill.at_ns)
    unnamed_fills.note(lifecycle, fill)
    quantity = fill.quantity if fill.side == "buy" else -fill.quantity
    lifecycle.outcomes.append(ThirdPartyActivity(fill.symbol, fill.client_id, quantity, fill))
