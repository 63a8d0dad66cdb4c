"""Rows of the table `fills` that the venue has corrected."""

from __future__ import annotations

from typing import Any, Final

from septet import messages as m

__all__ = ["FILL_COLUMNS", "correct_rows"]

FILL_COLUMNS: Final = (
    "time", "symbol", "venue", "order_id", "trade_id", "side", "quantity", "price", "fee",
    "fee_currency", "fee_quote", "liquidation", "liquidity",
)  # fmt: skip
"""The columns of the table `fills`, in the order of a row."""
TIME, SYMBOL, TRADE_ID, SIDE, QUANTITY, PRICE, FEE, CURRENCY, FEE_QUOTE = map(
    FILL_COLUMNS.index,
    ("time", "symbol", "trade_id", "side", "quantity", "price", "fee", "fee_currency", "fee_quote"),
)
"""Places in a row."""
ZERO_SHARE: Final = 1e-9
"""Relative tolerance for a remainder of zero: sums are rounded."""


def correct_rows(fills: list[tuple[Any, ...]], row: m.Corrected) -> None:
    """Replace the same quantity of presumed fills by the fills that the venue lists.

    A fee that was booked in the base currency stays, in proportion. Where the fee alone is
    corrected, the row of the fill gets it.
    """
    if row.fee_booked is not None:
        _correct_fee(fills, row)
        return
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


def _correct_fee(fills: list[tuple[Any, ...]], row: m.Corrected) -> None:
    """Put the corrected fee into the row of its fill."""
    of = row.booked_ns, row.symbol, row.of, row.side
    for number in range(len(fills) - 1, -1, -1):
        booked = fills[number]
        if (booked[TIME], booked[SYMBOL], booked[TRADE_ID], booked[SIDE]) == of:
            new = list(booked)
            new[FEE], new[CURRENCY], new[FEE_QUOTE] = row.fee, row.fee_currency, row.fee_quote
            fills[number] = tuple(new)
            return
