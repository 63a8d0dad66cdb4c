"""The fee of an execution: as the venue reports it, or as expected where that is impossible.

An execution whose fee cannot be read is booked at once with its quantity and price, since a
position must have its stop. The fee is then the one expected of the account, deducted from the
received currency: the booked units never exceed those on the account. So is one that reports no
fee, if the file states a rate: venues report fees late, or in their lists only.

A fee in a third currency is booked at its value in the quote currency. Without a known price of it
the value is the fee expected of the account, since no cost counts as zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from septet import messages as m
from septet._core.wiring import Names

__all__ = ["MOST_FEE", "booked", "unread", "with_expected_fee"]

MOST_FEE: Final = 0.05
"""No schedule of fees asks for more of what was traded, nor gives back more."""
ROUNDED: Final = 1e-8
"""Fees are rounded to so much: of next to nothing that is a large part."""


def with_expected_fee(
    fill: m.Filled, names: Names, rates: tuple[float, float], prices: Sequence[float] = ()
) -> m.Filled:  # fmt: skip
    """Return an execution as it is, or with the expected fee in place of an impossible one.

    A fee in a third currency is valued in the quote currency, see `_valued`.

    Parameters
    ----------
    fill
        An execution; where its adapter could not read the fee, `fee_unread` is the reason, and
        `fee` is that of the venue's schedule.
    names
        Of the run: its symbols and their currencies.
    rates
        Of the account, by its file: maker, taker.
    prices
        The last known price of each symbol (quote), 0 for none: an impossible price of the
        execution does not bound the fee. Empty where none is known.
    """
    base, quote = names.base[fill.symbol], names.quote[fill.symbol]
    rate = max(0.0, rates[0] if fill.maker else rates[1])
    known = prices[fill.symbol] if prices else 0.0
    price = known if known and not 0.5 * known <= fill.price <= 2.0 * known else fill.price
    worth = fill.quantity * price
    why = fill.fee_unread or _fault(fill, base, quote, worth, max(MOST_FEE, rate))
    if not fill.fee_currency and rate > 0.0:
        why = why or "no fee is reported"
    if not why:
        return _valued(fill, names, rates, prices)
    buys = fill.side == "buy"
    listed = {base: fill.quantity, quote: fill.quantity * fill.price}.get(fill.fee_currency)
    if fill.fee_unread and listed and 0.0 < fill.fee <= MOST_FEE * listed:
        rate = max(rate, fill.fee / listed)
    fee = rate * (fill.quantity if buys else worth)
    return msgspec.structs.replace(
        fill, fee=fee, fee_currency=base if buys else quote, fee_quote=None, fee_unread=why
    )


def _valued(
    fill: m.Filled, names: Names, rates: tuple[float, float], prices: Sequence[float]
) -> m.Filled:
    """Return an execution whose fee in a third currency has a value in the quote currency.

    `fee_quote` is None where the adapter knows no price of that currency. It is that of a symbol of
    the run then; without one, the fee is valued by the rate of the file, a rebate as zero.
    """
    base, quote, paid_in = names.base[fill.symbol], names.quote[fill.symbol], fill.fee_currency
    if paid_in in (base, quote, "") or fill.fee_quote is not None or not fill.fee:
        return fill
    for k, price in enumerate(prices):
        if price > 0.0 and (names.base[k], names.quote[k]) == (paid_in, quote):
            return msgspec.structs.replace(fill, fee_quote=fill.fee * price)
    rate = max(0.0, rates[0] if fill.maker else rates[1]) if fill.fee > 0.0 else 0.0
    return msgspec.structs.replace(
        fill, fee_quote=rate * fill.quantity * fill.price,
        fee_unread=f"no price of {paid_in} in {quote} is known",
    )  # fmt: skip


def _fault(fill: m.Filled, base: str, quote: str, worth: float, most: float) -> str:
    """Return why the fee of an execution is impossible, or ""."""
    fee, currency = fill.fee, fill.fee_currency
    if not math.isfinite(fee) or not math.isfinite(fill.fee_quote or 0.0):
        return f"fee: {fee} {currency} is no number"
    if not currency:
        return f"fee: {fee:.12g} of no currency" if fee else ""
    traded = fill.quantity if currency == base else worth
    if currency not in (base, quote):
        if fill.fee_quote is None:
            return ""
        fee = fill.fee_quote
    if abs(fee) > most * traded + ROUNDED:
        return f"fee: {fee:.12g} of {traded:.12g} traded is more than {100.0 * most:.3g} %"
    return ""


def booked(
    quantity: float, fill: m.Filled, scale: float, names: Names
) -> tuple[float, float, float]:  # fmt: skip
    """Return the booked values of an execution: units, units net of the fee, fee in quote.

    `quantity` is signed; `scale` is how many units are one of the base currency.
    """
    units = float(round(quantity * scale))
    if fill.fee_currency == names.base[fill.symbol]:
        net_units = float(round((quantity - fill.fee) * scale))
        return (
            units,
            net_units,
            ((units - net_units) / scale if units != net_units else fill.fee) * fill.price,
        )
    if fill.fee_currency == names.quote[fill.symbol]:
        return units, units, fill.fee
    return units, units, fill.fee_quote or 0.0


def unread(fill: m.Filled) -> list[m.Command]:
    """Report that an execution is booked with the expected fee, and query the account.

    The account tells nothing of a fee in a third currency: it is only reported.
    """
    if not fill.fee_unread:
        return []
    if fill.fee_quote is not None:
        text = (
            f"{fill.client_id}: the fee of trade {fill.trade_id}, {fill.fee:.12g} "
            f"{fill.fee_currency}, is booked at the rate of the file, as {fill.fee_quote:.12g} in "
            f"the quote currency: {fill.fee_unread}"
        )
        return [m.Alerted(level="warning", event="fee_unread", text=text, symbol=fill.symbol)]
    text = (
        f"{fill.client_id}: trade {fill.trade_id} is booked with the expected fee, {fill.fee:.12g} "
        f"{fill.fee_currency}: {fill.fee_unread}"
    )
    alarm = m.Alerted(level="error", event="fee_unread", text=text, symbol=fill.symbol)
    return [alarm, m.Refresh(what="holdings")]
