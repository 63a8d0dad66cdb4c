"""Positions that the venue's filters do not let go, and that are worth an alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from septet import messages as m
from septet._core.checks import floor_to_lot
from septet._kernel import layout

if TYPE_CHECKING:
    from septet._core.checks import Checks
    from septet._core.engine import Engine
    from septet._core.guards import Guards

__all__ = ["can_close", "filters_text", "is_dust", "is_gone", "unsold"]

WORTHY: Final = 0.01
"""Share of equity from which a position that cannot be sold is no remainder of another."""


def can_close(engine: Engine, checks: Checks | None, k: int) -> bool:
    """Whether a position is held that the venue's filters let go at the last price."""
    held = engine.held(k)
    if held == 0.0 or checks is None:
        return False
    instrument, price = checks.symbols[k].instrument, float(engine.state.B[k][layout.MARK])
    quantity = floor_to_lot(abs(held), instrument.lot)
    return quantity > 0.0 and not instrument.is_too_small(quantity, price)


def is_gone(checks: Checks, guards: Guards, k: int, held: float) -> bool:
    """Whether a person has accepted that nothing is left of a position that can be sold.

    No stop or exit of it can be accepted by the venue, and nothing of it is left to protect.
    """
    sellable = abs(guards.sellable_position(k, held))
    instrument, price = checks.symbols[k].instrument, checks.symbols[k].price
    return sellable < abs(held) and (
        sellable < instrument.lot or instrument.is_too_small(sellable, price)
    )


def is_dust(
    dust: Mapping[int, float], checks: Checks | None, guards: Guards, k: int, held: float
) -> bool:
    """Whether a position is one that could not be sold (`dust`, by symbol), and still cannot.

    It is too small, or others have sold it, as a person has accepted.
    """
    if checks is None or dust.get(k) != held:
        return False
    if is_gone(checks, guards, k, held):
        return True
    return checks.symbols[k].instrument.is_too_small(abs(held), checks.symbols[k].price)


def filters_text(engine: Engine, event: m.FiltersChanged) -> str:
    """Return what an alarm states of filters that do not let a position go any more."""
    least = "" if event.min_quantity is None else f"minimum quantity {event.min_quantity:.12g}, "
    return (
        f"{engine.held(event.symbol):.12g} could be sold, and cannot with the filters that the "
        f"venue now reports (lot {event.lot:.12g}, {least}minimum notional "
        f"{event.min_notional:.12g}): a stop that rests stays, no other exit can be sent; they are "
        "asked for again; if they are right, close the position at the venue"
    )


def unsold(engine: Engine, checks: Checks | None) -> Iterator[tuple[int, str]]:
    """Yield the positions that no order can close, and what an alarm states of each.

    Remainders, worth less than a hundredth of equity, are left out.
    """
    for k in range(len(engine.state.B) if checks is not None else 0):
        held = engine.held(k)
        worth = abs(held) * float(engine.state.B[k][layout.MARK])
        if worth > WORTHY * engine.equity and not can_close(engine, checks, k):
            text = f"{held:.12g}, worth {worth:.12g}, is less than the venue's filters let be sold"
            yield k, f"{text}: no exit is sent until they do; close the position at the venue"
