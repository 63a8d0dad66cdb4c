"""Changes of the ledger other than fills: positions that come and go, corrected fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from septet import messages as m
from septet._core import events as core
from septet._core import fees
from septet._core.engine import Engine
from septet._core.expected_fees import ExpectedFees
from septet._core.orders import Corrected
from septet._core.venue_fills import VenueFillsEngine
from septet._core.wiring import Names
from septet._kernel import layout

__all__ = ["Booking", "Change", "adopt", "close_gone", "correct", "correct_fee", "take_up_dust"]

Change: TypeAlias = tuple[int, list[m.Command], Sequence[core.Command]]
"""A symbol, rows of the journal, and what the engine does about it."""
Booking: TypeAlias = Callable[..., Change | None]
"""Books a change that no order made; None if there is none."""


def adopt(
    engine: Engine, k: int, quantity: float, names: Names, scales: Sequence[float], market_ns: int
) -> Change:
    """Adopt a position of the account (base, signed) at the newest price, if there is one."""
    assert isinstance(engine, VenueFillsEngine)
    price = engine.state.B.item(k, layout.MARK)
    if not price > 0.0:
        text = f"{names.symbols[k]} cannot be adopted before it has a price"
        return k, [m.Alerted(level="error", event="position_mismatch", text=text, symbol=k)], ()
    alert = m.Alerted(
        level="warning", event="adopted", text=f"{quantity:.12g} at {price:.12g}", symbol=k
    )
    return k, [alert], engine.adopt(k, float(round(quantity * scales[k])), price, market_ns)


def close_gone(
    engine: Engine, k: int, quantity: float, price: float, names: Names, scales: Sequence[float],
    market_ns: int,
) -> Change:  # fmt: skip
    """Book a part of a position (base, signed) as closed that the account no longer holds."""
    assert isinstance(engine, VenueFillsEngine)
    text = (
        f"{quantity:.12g} {names.base[k]}, which the account no longer held, as a person has "
        f"accepted, is booked as closed at {price:.12g} and without a fee: an estimate, the last "
        "price that was known when the difference was first read. If it was withdrawn, the account "
        "lacks that cash (a warning, insufficient_funds, states it); units that come back are "
        "somebody else's"
    )
    alert = m.Alerted(level="error", event="gone", text=text, symbol=k)
    return k, [alert], engine.close_gone(k, float(round(quantity * scales[k])), price, market_ns)


def take_up_dust(
    engine: Engine, k: int, names: Names, scales: Sequence[float], market_ns: int
) -> Change | None:
    """Make a position of units that were less than a lot, once a finer lot lets them be sold.

    They are at least a lot then, which is not flat: their exit and stop act.
    """
    assert isinstance(engine, VenueFillsEngine)
    units = engine.dust_of_a_lot(k)
    if not units:
        return None
    price = float(engine.state.B[k, layout.MARK])
    text = (
        f"{units / scales[k]:.12g} {names.base[k]} were less than a lot, and are a position again "
        f"with the lot that the venue now reports: booked as sold and bought at {price:.12g}, "
        "without a fee, so that stop and exit act"
    )
    alert = m.Alerted(level="warning", event="adopted", text=text, symbol=k)
    sold = engine.adopt(k, -units, price, market_ns)
    return k, [alert], [*sold, *engine.adopt(k, units, price, market_ns)]


def correct_fee(
    engine: Engine, expected: ExpectedFees, key: str, told: m.Filled | None, names: Names,
    scales: Sequence[float], market_ns: int,
) -> Change:  # fmt: skip
    """Book the fee of a fill that was booked with the expected one.

    `told` is the fill with the fee that the venue states. Without it the account has shown that
    the units which were deducted as a fee are still there: the fee was paid in another currency,
    and its value is taken from the cash. A fee in the base currency, before or after, moves units;
    they are bought or sold at the price of the fill.
    """
    assert isinstance(engine, VenueFillsEngine)
    booked = expected.fills[key]
    before, k = booked.fill, booked.fill.symbol
    quantity = before.quantity if before.side == "buy" else -before.quantity
    if told is None:
        worth = fees.booked(quantity, before, scales[k], names)[2]
        after = msgspec.structs.replace(before, fee=worth, fee_currency=names.quote[k])
        booked.fill = after
    else:
        after = msgspec.structs.replace(told, price=before.price)
        del expected.fills[key]
    _, had, paid = fees.booked(quantity, before, scales[k], names)
    _, has, due = fees.booked(quantity, after, scales[k], names)
    units = expected.without_gone(k, (has - had) / scales[k])
    moved = float(round(units * scales[k]))
    commands = engine.change_units(k, moved, before.price, market_ns) if moved else ()
    cash = engine.correct(k, quantity, before.price, before.price, due - paid, booked.market_ns)
    row = m.Corrected(
        order=booked.order, symbol=k, of=before.trade_id, trade_id=before.trade_id,
        side=before.side, quantity=before.quantity, booked_price=before.price,
        booked_ns=booked.market_ns, price=before.price, fee=after.fee,
        fee_currency=after.fee_currency, fee_quote=due, cash=cash - units * before.price,
        market_ns=market_ns, maker=before.maker, fee_booked=paid, units=units,
        position=engine.held(k), fee_expected=told is None,
    )  # fmt: skip
    return k, [_fee_alert(before, after, names.base[k], told is not None), row], commands


def _fee_alert(before: m.Filled, after: m.Filled, base: str, is_told: bool) -> m.Alerted:
    """Report that a fee was corrected."""
    of = f"{before.client_id}: trade {before.trade_id}"
    if is_told:
        text = (
            f"{of} was booked with the expected fee, {before.fee:.12g} {before.fee_currency}, and "
            f"the venue now states {after.fee:.12g} {after.fee_currency}: the ledger is corrected"
        )
        return m.Alerted(level="info", event="fee_corrected", text=text, symbol=before.symbol)
    text = (
        f"{of}: {before.fee:.12g} {base} were deducted as an expected fee, and the account still "
        f"holds them: the fee was paid in another currency. They are booked as bought at "
        f"{before.price:.12g}, which is what it cost as long as the venue states no other"
    )
    return m.Alerted(level="warning", event="adopted", text=text, symbol=before.symbol)


def correct(
    engine: Engine, outcome: Corrected, names: Names, scales: Sequence[float], market_ns: int
) -> Change:  # fmt: skip
    """Book the difference in price and fee between a booked fill and the venue's list.

    A fee in the base currency was booked with the units, as the account showed them. Only its value
    is corrected.
    """
    assert isinstance(engine, VenueFillsEngine)
    k, fill, quantity = outcome.symbol, outcome.fill, abs(outcome.quantity)
    fee = 0.0
    if outcome.has_fee and fill.fee_currency != names.base[k]:
        fee = fees.booked(outcome.quantity, fill, scales[k], names)[2]
    deducted = outcome.base_fee
    if not outcome.has_fee and fill.fee_currency == names.base[k]:
        deducted = fill.fee
    revalued = round(deducted * scales[k]) / scales[k] * (fill.price - outcome.booked_price)
    cash = engine.correct(
        k, outcome.quantity, outcome.booked_price, fill.price, fee, outcome.booked_ns, revalued
    )
    row = m.Corrected(
        order=outcome.parent, symbol=k, of=outcome.of, trade_id=fill.trade_id, side=fill.side,
        quantity=quantity, booked_price=outcome.booked_price, booked_ns=outcome.booked_ns,
        price=fill.price, fee=fill.fee if outcome.has_fee else 0.0,
        fee_currency=fill.fee_currency, fee_quote=fee, cash=cash, market_ns=market_ns,
        maker=fill.maker, fee_revalued=revalued,
    )  # fmt: skip
    return k, [row], ()
