"""Open orders by client id, as of the last entry of a journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from septet import messages as m

__all__ = ["FINAL", "OpenOrder", "OpenOrders"]

FINAL: Final = ("filled", "cancelled", "expired", "rejected")
"""States that an order does not leave."""


@dataclass(slots=True)
class OpenOrder:
    """An order at the venue, or one of the engine's own that has no client id."""

    client_id: str
    order: int
    symbol: int
    side: str
    order_type: str
    quantity: float
    reduces: bool | None
    limit_price: float | None
    trigger_price: float | None
    state: str = "intent"
    filled: float = 0.0

    @property
    def is_protective_stop(self) -> bool:
        """Whether it is a stop that serves no order of the strategy: it protects a position."""
        return self.order < 0 and bool(self.reduces) and self.trigger_price is not None


class OpenOrders:
    """The orders that are open after the entries processed so far."""

    def __init__(self) -> None:
        self.by_id: dict[str, OpenOrder] = {}
        self._placed: dict[int, OpenOrder] = {}

    @property
    def all(self) -> list[OpenOrder]:
        """Return every open order, those that were placed and not yet sent last."""
        return [*self.by_id.values(), *self._placed.values()]

    def place(self, placed: m.Placed) -> None:
        """Add an order of the strategy that was not sent yet."""
        self._placed[placed.order] = OpenOrder(
            "", placed.order, placed.symbol, placed.side, placed.order_type, placed.quantity, None,
            placed.limit_price, placed.trigger_price,
        )  # fmt: skip

    def submit(self, sent: m.Submit) -> None:
        """Add an order that is sent."""
        self._placed.pop(sent.parent, None)
        earlier = self.by_id.get(sent.client_id)
        self.by_id[sent.client_id] = OpenOrder(
            sent.client_id, sent.parent, sent.symbol, sent.side, sent.order_type, sent.quantity,
            sent.reduces, sent.limit_price, sent.trigger_price,
            earlier.state if earlier is not None else "submitted",
        )  # fmt: skip

    def amend(self, sent: m.Amend) -> None:
        """Add the replacement of an order, which stays until the venue reports that it is gone."""
        replaced = self.by_id.get(sent.client_id)
        self.by_id[sent.new_client_id] = OpenOrder(
            sent.new_client_id, sent.parent, sent.symbol, sent.side,
            replaced.order_type if replaced is not None else "limit", sent.quantity,
            replaced.reduces if replaced is not None else None, sent.limit_price, None, "submitted",
        )  # fmt: skip

    def change(self, row: m.Changed) -> None:
        """Apply a new state; a final one removes the order."""
        if row.state in FINAL:
            self.by_id.pop(row.client_id, None)
            if not row.client_id or not self._serves(row.order):
                self._placed.pop(row.order, None)
            return
        order = self.by_id.get(row.client_id)
        if order is None and row.client_id:  # its state is journalled before it is submitted
            order = self.by_id[row.client_id] = OpenOrder(
                row.client_id, row.order, row.symbol, "", "", 0.0, None, None, None
            )
        elif order is None:
            order = self._placed.get(row.order)
        if order is not None:
            order.state, order.filled = row.state, row.filled

    def trade(self, row: m.Traded) -> None:
        """Apply a fill of an order that has no client id."""
        order = self._placed.get(row.order)
        if order is not None:
            order.filled += row.quantity

    def _serves(self, number: int) -> bool:
        return any(each.order == number for each in self.by_id.values())
