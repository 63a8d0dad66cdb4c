"""Changes of the ledger other than fills: positions that come and go, corrected fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from septet import messages as m
from septet._core import events as core
from septet._core import fees
from septet._core.engine import Engine
from septet._core.orders import Corrected
from septet._core.venue_fills import VenueFillsEngine
from septet._core.wiring import Names
from septet._kernel import layout

__all__ = ["Change", "adopt", "close_gone", "correct", "take_up_dust", "take_up_fee"]

Change: TypeAlias = Callable[..., tuple[m.Alerted, Sequence[core.Command]] | None]
"""Books a change that no order made; None if there is none."""


def adopt(
    engine: Engine, k: int, quantity: float, names: Names, scales: Sequence[float], market_ns: int
) -> tuple[m.Alerted, Sequence[core.Command]]:
    """Adopt a position of the account (base, signed) at the newest price, if there is one."""
    assert isinstance(engine, VenueFillsEngine)
    price = engine.state.B.item(k, layout.MARK)
    if not price > 0.0:
        text = f"{names.symbols[k]} cannot be adopted before it has a price"
        return m.Alerted(level="error", event="position_mismatch", text=text, symbol=k), ()
    alert = m.Alerted(
        level="warning", event="adopted", text=f"{quantity:.12g} at {price:.12g}", symbol=k
    )
    return alert, engine.adopt(k, float(round(quantity * scales[k])), price, market_ns)


def close_gone(
    engine: Engine, k: int, quantity: float, price: float, names: Names, scales: Sequence[float],
    market_ns: int,
) -> tuple[m.Alerted, Sequence[core.Command]]:  # fmt: skip
    """Book a part of a position (base, signed) as closed that the account no longer holds."""
    assert isinstance(engine, VenueFillsEngine)
    text = (
        f"{quantity:.12g} {names.base[k]}, which the account no longer held, as a person has "
        f"accepted, is booked as closed at {price:.12g} and without a fee: an estimate, the last "
        "price that was known when the difference was first read. If it was withdrawn, the account "
        "lacks that cash (insufficient_funds); units that come back are somebody else's"
    )
    alert = m.Alerted(level="error", event="gone", text=text, symbol=k)
    return alert, engine.close_gone(k, float(round(quantity * scales[k])), price, market_ns)


def take_up_dust(
    engine: Engine, k: int, names: Names, scales: Sequence[float], market_ns: int
) -> tuple[m.Alerted, Sequence[core.Command]] | None:
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
    return alert, [*sold, *engine.adopt(k, units, price, market_ns)]


def take_up_fee(
    engine: Engine, k: int, quantity: float, price: float, names: Names, scales: Sequence[float],
    market_ns: int,
) -> tuple[m.Alerted, Sequence[core.Command]]:  # fmt: skip
    """Book units (base) that were deducted as an expected fee, and that the account has kept."""
    assert isinstance(engine, VenueFillsEngine)
    text = (
        f"{quantity:.12g} {names.base[k]} were deducted as an expected fee, and the account still "
        f"holds them: the fee was paid in another currency, and they are booked as bought at "
        f"{price:.12g}, which is what it cost"
    )
    alert = m.Alerted(level="warning", event="adopted", text=text, symbol=k)
    return alert, engine.adopt(k, float(round(quantity * scales[k])), price, market_ns)


def correct(
    engine: Engine, outcome: Corrected, names: Names, scales: Sequence[float], market_ns: int
) -> m.Corrected:  # fmt: skip
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
    return m.Corrected(
        order=outcome.parent, symbol=k, of=outcome.of, trade_id=fill.trade_id, side=fill.side,
        quantity=quantity, booked_price=outcome.booked_price, booked_ns=outcome.booked_ns,
        price=fill.price, fee=fill.fee if outcome.has_fee else 0.0,
        fee_currency=fill.fee_currency, fee_quote=fee, cash=cash, market_ns=market_ns,
        maker=fill.maker, fee_revalued=revalued,
    )  # fmt: skip
