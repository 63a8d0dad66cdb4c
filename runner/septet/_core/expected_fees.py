"""Fees that were expected in the bought currency, until the account shows whether they were taken.

A purchase whose fee cannot be read is booked net of the expected fee, so that no exit sells more
than the account holds. If the account then holds just those units more, the fee was paid in another
currency: the units are booked as bought at the price of the fill, which is what they cost.
"""

from __future__ import annotations

import msgspec

from septet import messages as m

__all__ = ["ExpectedFees"]


class ExpectedFees(msgspec.Struct):
    """Units deducted as expected fees (base), and their value (quote), by symbol."""

    units: dict[int, float] = {}
    value: dict[int, float] = {}

    def add(self, fill: m.Filled, base: str) -> None:
        """Note the fee of a booked purchase, if it is an expected one in the base currency."""
        if not fill.fee_unread or fill.fee_currency != base or fill.side != "buy":
            return
        k, fee = fill.symbol, fill.fee
        self.units[k] = self.units.get(k, 0.0) + fee
        self.value[k] = self.value.get(k, 0.0) + fee * fill.price

    def not_taken(self, k: int, gap: float, lot: float) -> tuple[float, float]:
        """Return the units that the account has kept (base), and their price (quote); else zeros.

        `gap` is the account's position minus the booked one, which nothing else explains. Fees of
        less than a lot are kept until their sum is one: they could not be told from remainders.
        """
        units = self.units.get(k, 0.0)
        if units < lot or units <= 0.0:
            return 0.0, 0.0
        is_kept = 2.0 * gap > units
        if abs(gap - (units if is_kept else 0.0)) > lot:
            return 0.0, 0.0
        self.units.pop(k)
        price = self.value.pop(k) / units
        return (units, price) if is_kept else (0.0, 0.0)
