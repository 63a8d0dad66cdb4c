"""Positions without a stop at the venue, and for how long, from the venue's journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from septet._drill.venue.orders import FINAL
from septet._drill.venue.venue_journal import FillMade, OrderChanged

__all__ = ["Cover", "Terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """The smallest value of a position for which an order can be sent."""

    base: str
    lot: Decimal
    min_notional: Decimal


@dataclass(slots=True)
class Cover:
    """The run's positions, and the orders at the venue that would close them.

    A position is bare while no order of ours that sells its symbol is open at the venue. What is
    below a lot or the minimum notional is none. `uses_stops` means that a stop was ever placed.

    What was bought by an order that is listed under another client id counts from when the run has
    found it: it can protect no units that it does not know of. `unclaimed` are those that it has
    not found, by the venue's order id, with the client ids of their requests.
    """

    terms: Mapping[str, Terms] = field(default_factory=dict)
    uses_stops: bool = False
    unclaimed: dict[int, str] = field(default_factory=dict)
    _held: dict[str, Decimal] = field(default_factory=dict)
    _price: dict[str, Decimal] = field(default_factory=dict)
    _selling: dict[str, set[int]] = field(default_factory=dict)
    _since: dict[str, int] = field(default_factory=dict)
    _spans: list[tuple[str, int, int]] = field(default_factory=list)
    _claimed: set[int] = field(default_factory=set)
    _unknown: dict[int, list[FillMade]] = field(default_factory=dict)

    def take(self, row: OrderChanged | FillMade) -> None:
        """Process a row of the venue's journal about an order of the run."""
        if row.owner == "other" or row.symbol not in self.terms:
            return
        if row.sent_as and row.side == "BUY" and row.order_id not in self._claimed:
            self.unclaimed[row.order_id] = row.sent_as
            if isinstance(row, FillMade):
                self._unknown.setdefault(row.order_id, []).append(row)
        elif isinstance(row, OrderChanged):
            self.uses_stops |= "STOP" in row.type
            selling = self._selling.setdefault(row.symbol, set())
            if row.side == "SELL" and row.status not in FINAL:
                selling.add(row.order_id)
            else:
                selling.discard(row.order_id)
        else:
            self._book(row)
        self._weigh(row.symbol, row.at_ns)

    def claim(self, order_id: int, at_ns: int) -> None:
        """Count an order that the run has found under another client id, from a time on."""
        self.unclaimed.pop(order_id)
        self._claimed.add(order_id)
        for row in self._unknown.pop(order_id, []):
            self._book(row)
            self._weigh(row.symbol, max(row.at_ns, at_ns))

    def _book(self, row: FillMade) -> None:
        net = Decimal(row.quantity) if row.side == "BUY" else -Decimal(row.quantity)
        if row.fee_asset == self.terms[row.symbol].base:
            net -= Decimal(row.fee)
        self._held[row.symbol] = self._held.get(row.symbol, Decimal(0)) + net
        self._price[row.symbol] = Decimal(row.price)

    def _weigh(self, symbol: str, at_ns: int) -> None:
        terms, held = self.terms[symbol], self._held.get(symbol, Decimal(0))
        sendable = held // terms.lot * terms.lot
        counts = sendable > 0 and sendable * self._price[symbol] >= terms.min_notional
        if counts and not self._selling.get(symbol):
            self._since.setdefault(symbol, at_ns)
        elif (since_ns := self._since.pop(symbol, 0)) and at_ns > since_ns:
            self._spans.append((symbol, since_ns, at_ns))

    def unprotected(self, before_ns: int = 1 << 62) -> list[str]:
        """Return the symbols whose positions have had no stop since before a time.

        None where no stop was ever placed.
        """
        found = sorted(name for name, since_ns in self._since.items() if since_ns < before_ns)
        return found if self.uses_stops else []

    def longest_ms(self, since_ns: int, now_ns: int) -> tuple[float, str]:
        """Return the longest time that a position had no stop since a time, and its symbol."""
        spans = [*self._spans, *((name, begin, now_ns) for name, begin in self._since.items())]
        times = [
            ((end - max(begin, since_ns)) / 1e6, name)
            for name, begin, end in spans
            if end > since_ns
        ]
        return max(times, default=(0.0, "")) if self.uses_stops else (0.0, "")
