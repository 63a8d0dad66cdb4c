"""Rows of the table `fills` that the venue has corrected."""

from __future__ import annotations

from typing import Any, Final

from septet import messages as m

__all__ = ["correct_rows"]

SYMBOL, TRADE_ID, QUANTITY, PRICE, FEE, CURRENCY = 1, 4, 6, 7, 8, 9
"""Places in a row."""
ZERO_SHARE: Final = 1e-9
"""Share of a quantity that is none: sums are rounded."""


def correct_rows(fills: list[tuple[Any, ...]], row: m.Corrected) -> None:
    """Replace the same quantity of presumed fills by the fills that the venue lists.

    A fee that was booked in the base currency stays, in proportion.
    """
    for number in range(len(fills) - 1, -1, -1):
        presumed = fills[number]
        if presumed[SYMBOL] != row.symbol or presumed[TRADE_ID] != row.of:
            continue
        share = min(1.0, row.quantity / presumed[QUANTITY])
        listed, remainder = list(presumed), list(presumed)
        listed[TRADE_ID], listed[QUANTITY], listed[PRICE] = row.trade_id, row.quantity, row.price
        listed[FEE] = presumed[FEE] * share
        if row.fee_quote:
            listed[FEE], listed[CURRENCY] = row.fee, row.fee_currency
        remainder[QUANTITY], remainder[FEE] = (
            presumed[QUANTITY] - row.quantity,
            presumed[FEE] * (1.0 - share),
        )
        rows = [tuple(listed)]
        if remainder[QUANTITY] > ZERO_SHARE * presumed[QUANTITY]:
            rows.append(tuple(remainder))
        fills[number : number + 1] = rows
        return
