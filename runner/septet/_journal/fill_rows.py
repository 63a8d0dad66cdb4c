"""Rows of the table `fills` that the venue has corrected."""

from __future__ import annotations

from typing import Any, Final

from septet import messages as m

__all__ = ["correct_rows"]

SYMBOL, TRADE_ID, QUANTITY, PRICE, FEE, CURRENCY = 1, 4, 6, 7, 8, 9
"""Places in a row."""
NOTHING: Final = 1e-9
"""Share of a quantity that is none: sums are rounded."""


def correct_rows(fills: list[tuple[Any, ...]], row: m.Corrected) -> None:
    """Replace the same quantity of presumed fills by the fills that the venue lists.

    A fee that was booked in the base currency stays, in proportion.
    """
    for number in range(len(fills) - 1, -1, -1):
        old = fills[number]
        if old[SYMBOL] != row.symbol or old[TRADE_ID] != row.of:
            continue
        share = min(1.0, row.quantity / old[QUANTITY])
        new, rest = list(old), list(old)
        new[TRADE_ID], new[QUANTITY], new[PRICE] = row.trade_id, row.quantity, row.price
        new[FEE] = old[FEE] * share
        if row.fee_quote:
            new[FEE], new[CURRENCY] = row.fee, row.fee_currency
        rest[QUANTITY], rest[FEE] = old[QUANTITY] - row.quantity, old[FEE] * (1.0 - share)
        rows = [tuple(new)]
        if rest[QUANTITY] > NOTHING * old[QUANTITY]:
            rows.append(tuple(rest))
        fills[number : number + 1] = rows
        return
