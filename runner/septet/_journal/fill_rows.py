"""Rows of the table `fills` that the venue has corrected."""

from __future__ import annotations

from typing import Any, Final

from septet import messages as m

__all__ = ["correct_rows"]

SYMBOL, TRADE_ID, QUANTITY, PRICE, FEE, CURRENCY, FEE_QUOTE = 1, 4, 6, 7, 8, 9, 10
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
        for place in (FEE, FEE_QUOTE):
            listed[place] = presumed[place] * share
            remainder[place] = presumed[place] * (1.0 - share)
        listed[FEE_QUOTE] += row.fee_revalued
        if row.fee_quote:
            listed[FEE], listed[CURRENCY], listed[FEE_QUOTE] = (
                row.fee, row.fee_currency, row.fee_quote
            )  # fmt: skip
        remainder[QUANTITY] = presumed[QUANTITY] - row.quantity
        rows = [tuple(listed)]
        if remainder[QUANTITY] > ZERO_SHARE * presumed[QUANTITY]:
            rows.append(tuple(remainder))
        fills[number : number + 1] = rows
        return
