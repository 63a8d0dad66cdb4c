"""Records that rules pass to each other: values that belong together, by name.

A rule takes a record as a parameter that is annotated with it (``fill: Fill``), reads its fields
(``fill.units``) and passes it on, whole (``fill``) or with other values
(``fill._replace(units=units)``). In the text of a plan each field is a parameter of its own, so a
record costs nothing there: see `septet._plan.specialise`.
"""

from __future__ import annotations

from math import nan
from typing import Final, NamedTuple

__all__ = ["RECORDS", "Fill", "Order", "RungColumns"]


class Order(NamedTuple):
    """An order as its decision makes it."""

    kind: int
    """Market, limit, stop or stop-limit, as in `layout`."""
    units: float
    """Signed: a sale is negative."""
    reason: int
    """Number of the reason it is made for."""
    decision_price: float
    """The price that the decision saw."""
    limit: float = nan
    """Its limit price; NaN without one."""
    trigger: float = nan
    """Its trigger price; NaN without one."""


class Fill(NamedTuple):
    """A fill of an order."""

    units: float
    """Signed, before a fee that is withheld in the base currency."""
    price: float
    maker: int
    """1 if the order rested, which decides the fee; else 0."""
    time_ns: int
    order_id: int
    reason: int
    """Number of the reason for which the order was made."""
    decision_price: float
    """The price that the decision saw; the difference is counted as slippage."""
    intrabar: int = 0
    """1 if it happens inside a bar, 0 at an open or at a venue."""


class RungColumns(NamedTuple):
    """Where B keeps a resting add of a symbol."""

    units: int
    price: int
    order: int
    filled: int


RECORDS: Final[dict[str, type[Fill | Order | RungColumns]]] = {
    each.__name__: each for each in (Fill, Order, RungColumns)
}
"""The records, by name."""
