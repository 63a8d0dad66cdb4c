"""Market orders decided at a level of a grid that could not be sent at once.

Another order, an in-flight request or a pause of the venue may hold them back. A level behaves as a
limit and not as a stop: a delayed sale is not sent below its price.
"""

from __future__ import annotations

from typing import Final

from septet._core.orders.lifecycle import OrderLifecycle
from septet._core.orders.records import SECOND_NS, Work

__all__ = ["has_left"]

LATE_NS: Final = SECOND_NS
"""The cancel of a stop, which comes before each reduction, takes less."""


def has_left(lifecycle: OrderLifecycle, work: Work, now_ns: int) -> bool:
    """Whether an order has waited, and the price is not beyond its level any more."""
    parent, k = work.parent, work.parent.symbol
    if parent.kind != "market" or parent.limit_price is None or now_ns - work.placed_ns < LATE_NS:
        return False
    quote, price = lifecycle.records.quotes.get(k), lifecycle.checks.symbols[k].price
    if quote is not None and now_ns - quote[2] <= lifecycle.timing.quote_age_ns:
        price = quote[1 if parent.sign > 0 else 0]
    return price > 0.0 and not parent.sign * (price - parent.limit_price) < 0.0
