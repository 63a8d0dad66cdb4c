"""Resting orders of a simulated venue, as the core remembers them over a restart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from septet import messages as m
from septet._core.orders.records import Child

__all__ = ["Resting", "resting"]


@dataclass(frozen=True, slots=True)
class Resting:
    """An open order as the core remembers it, for a venue that was restarted."""

    order: m.Submit
    filled: float = 0.0
    triggered: bool = False


def resting(children: Iterable[Child]) -> list[Resting]:
    """Return the resting orders among all that an order manager remembers.

    Requests without an answer are left out: a venue inside the process has lost them, and reports
    that when queried.
    """
    return [
        Resting(
            m.Submit(
                client_id=each.client_id, parent=each.parent, symbol=each.symbol,
                side="buy" if each.sign > 0 else "sell", order_type=each.kind,
                quantity=each.quantity, reduces=each.reduces, deadline_ns=0,
                limit_price=each.limit_price, trigger_price=each.trigger_price, trace=each.trace,
            ),
            each.counted,
            each.counted > 0.0,
        )
        for each in children
        if each.state in ("open", "partially_filled")
    ]  # fmt: skip
