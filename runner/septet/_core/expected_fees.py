"""Fills that are booked with an expected fee, until the venue or the account shows the real one.

A fill whose fee cannot be read is booked with the expected one: of a purchase deducted from the
bought units, so that no exit sells more than the account holds. The venue may state the fee later,
in its list of executions; the ledger is then corrected to it. Until then, if the account holds just
the deducted units more, the fee was paid in another currency: its value stays, and is paid in the
quote currency.
"""

from __future__ import annotations

from typing import Final

import msgspec

from septet import messages as m

__all__ = ["BookedFee", "ExpectedFees"]

MOST_FILLS: Final = 4_096
"""Most fills whose fee is awaited; of more, the oldest are given up."""
ASK_NS: Final = 600_000_000_000
"""How long after a fill the list of executions is asked for its fee (wall time)."""
BEFORE_NS: Final = 60_000_000_000
"""How long before a fill the list begins: clocks differ (wall time)."""


class BookedFee(msgspec.Struct):
    """A fill as it is booked, with a fee that may be another one.

    `fill` has the booked price and fee; `order` and `market_ns` are those it is booked with;
    `is_open` while it is not known whether a fee deducted from the units was taken.
    """

    fill: m.Filled
    order: int
    market_ns: int
    is_open: bool


class ExpectedFees(msgspec.Struct):
    """Fills with an expected fee, by the key of their trade.

    `gone` has the units (base) of each symbol that a person has accepted as gone since: a fee that
    was larger than expected may have taken them.
    """

    fills: dict[str, BookedFee] = {}
    gone: dict[int, float] = {}

    def add(self, key: str, fill: m.Filled, base: str, order: int, market_ns: int) -> None:
        """Note a booked fill, if its fee is an expected one."""
        if not fill.fee_unread:
            return
        is_open = fill.fee_currency == base and fill.side == "buy"
        self.fills[key] = BookedFee(fill, order, market_ns, is_open)
        if len(self.fills) > MOST_FILLS:
            del self.fills[next(iter(self.fills))]

    def reports(self, key: str, fill: m.Filled) -> bool:
        """Whether a fill that is booked already tells the fee that was awaited."""
        booked = self.fills.get(key)
        return booked is not None and not fill.fee_unread and fill.quantity == booked.fill.quantity

    def reprice(self, key: str, price: float) -> m.Filled | None:
        """Note that a fill is now booked at a price; return it, None if its fee is not awaited."""
        booked = self.fills.get(key)
        if booked is None:
            return None
        booked.fill = msgspec.structs.replace(booked.fill, price=price)
        return booked.fill

    def not_taken(self, k: int, gap: float, lot: float) -> list[str]:
        """Return the keys of the fills whose deducted units the account has kept.

        `gap` is the account's position minus the booked one, which nothing else explains. Fees of
        less than a lot are kept until their sum is one: they could not be told from remainders.
        """
        keys = [
            key for key, booked in self.fills.items() if booked.is_open and booked.fill.symbol == k
        ]
        units = sum(self.fills[key].fill.fee for key in keys)
        if units < lot or units <= 0.0:
            return []
        is_kept = 2.0 * gap > units
        if abs(gap - (units if is_kept else 0.0)) > lot:
            return []
        for key in keys:
            self.fills[key].is_open = False
        return keys if is_kept else []

    def accepted_gone(self, k: int, units: float) -> None:
        """Note units (base) that are booked as gone."""
        if units > 0.0 and any(booked.fill.symbol == k for booked in self.fills.values()):
            self.gone[k] = self.gone.get(k, 0.0) + units

    def without_gone(self, k: int, units: float) -> float:
        """Return by how much a corrected fee changes a position (base, signed).

        What a fee has taken beyond the expected one is left out as far as it is booked as gone.
        """
        gone = self.gone.get(k, 0.0)
        if not gone or units >= 0.0:
            return units
        used = min(gone, -units)
        self.gone[k] = gone - used
        return units + used

    def ask(self, now_ns: int) -> list[m.Command]:
        """Ask for the executions of every symbol with a recent fill whose fee is awaited."""
        since: dict[int, int] = {}
        for booked in self.fills.values():
            if now_ns - booked.fill.at_ns <= ASK_NS:
                since.setdefault(booked.fill.symbol, max(0, booked.fill.at_ns - BEFORE_NS))
        return [
            m.Refresh(what="fills", symbols=(k,), since_ns=since_ns)
            for k, since_ns in since.items()
        ]
