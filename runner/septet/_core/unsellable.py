"""Positions that the venue's filters do not let go, and that are worth an alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from septet import messages as m
from septet._core.checks import floor_to_lot
from septet._kernel import layout

if TYPE_CHECKING:
    from septet._core.checks import Checks
    from septet._core.engine import Engine
    from septet._core.guards import Guards
    from septet._core.orders import Orders

__all__ = [
    "Before", "as_before", "before_filters", "can_close", "filters_alarm", "is_dust", "is_gone",
    "unsold",
]  # fmt: skip

RULE: Final = "filters_changed"
WORTHY: Final = 0.01
"""Share of equity from which a position that cannot be sold is no remainder of another."""


COARSE: Final = 0.01
"""Share of the price from which a coarser tick is one that levels cannot be kept with."""


class Before(NamedTuple):
    """What held before the venue reported other filters; `filters` are those of `_filters_of`."""

    could_close: bool
    tick: float
    filters: tuple[float, ...]
    is_blocked: bool


def before_filters(engine: Engine, checks: Checks | None, guards: Guards, k: int) -> Before:
    """Return whether the filters in force let a position go, and what they are."""
    tick = 0.0 if checks is None else checks.symbols[k].instrument.tick
    return Before(
        can_close(engine, checks, k), tick, _filters_of(checks, k), k in guards.symbols_of(RULE)
    )


def _filters_of(checks: Checks | None, k: int) -> tuple[float, ...]:
    """Return the filters in force: lot, tick, least value, least and largest quantity."""
    if checks is None:
        return ()
    of = checks.symbols[k].instrument
    return of.lot, of.tick, of.min_notional, of.min_quantity, of.max_quantity


def as_before(
    checks: Checks | None, guards: Guards, event: m.FiltersChanged, before: Before
) -> list[m.Command]:  # fmt: skip
    """End the block of changed filters once they are those from before the change again.

    Sizes were decided with those. Filters that change once more, to others, stay blocked.
    """
    k = event.symbol
    if k not in guards.symbols_of(RULE):
        guards.filters_before.pop(k, None)
        return []
    if not before.is_blocked:
        guards.filters_before[k] = before.filters
    if not event.listed or guards.filters_before.get(k) != _filters_of(checks, k):
        return []
    del guards.filters_before[k]
    return guards.clear(RULE, "the filters are as before", symbol=k)


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


def filters_alarm(
    engine: Engine, checks: Checks | None, orders: Orders | None, guards: Guards,
    event: m.FiltersChanged, before: Before,
) -> list[m.Command]:  # fmt: skip
    """Return the alarm, and the block, after filters that do not let a position go any more.

    A tick that has become as coarse as `COARSE` blocks too: stops cannot rest near their levels.
    A symbol that is not listed is blocked already.
    """
    k = event.symbol
    if not event.listed:
        text = _unlisted_text(engine, checks, orders, k)
        return [m.Alerted(level="critical", event="unlisted", text=text, symbol=k)] if text else []
    coarse = _coarse_tick(checks, guards, event, before.tick)
    if not before.could_close or can_close(engine, checks, k):
        return coarse
    text = _filters_text(engine, event)
    return [
        *coarse,
        m.Alerted(level="critical", event="unsellable", text=text, symbol=k),
        *guards.trip(RULE, event.at_ns, symbol=k, text=text),
    ]


def _coarse_tick(
    checks: Checks | None, guards: Guards, event: m.FiltersChanged, before: float
) -> list[m.Command]:  # fmt: skip
    price = 0.0 if checks is None else checks.symbols[event.symbol].price
    if not 0.0 < COARSE * price < event.tick or event.tick <= before:
        return []
    text = (
        f"the tick was {before:.12g} and is {event.tick:.12g}, {100.0 * event.tick / price:.0f} % "
        "of the price: no stop can rest near its level"
    )
    return guards.trip(RULE, event.at_ns, symbol=event.symbol, text=text)


def _filters_text(engine: Engine, event: m.FiltersChanged) -> str:
    least = "" if event.min_quantity is None else f"minimum quantity {event.min_quantity:.12g}, "
    return (
        f"{engine.held(event.symbol):.12g} could be sold, and cannot with the filters that the "
        f"venue now reports (lot {event.lot:.12g}, {least}minimum notional "
        f"{event.min_notional:.12g}): a stop that rests stays, no other exit can be sent; they are "
        "asked for again; if they are right, close the position at the venue"
    )


def _unlisted_text(engine: Engine, checks: Checks | None, orders: Orders | None, k: int) -> str:
    """Return what an alarm states of a symbol that the exchange no longer lists.

    "" if nothing is held of it, and no order of the run is open there.
    """
    if checks is None or orders is None:
        return ""
    held, records = engine.held(k), orders.records
    working = [name for name in records.live if records.children[name].symbol == k]
    if not held and not working:
        return ""
    parts = []
    if held:
        worth = abs(held) * float(engine.state.B[k][layout.MARK])
        parts.append(f"{held:.12g} is held, worth {worth:.12g} at the last price")
    if working:
        parts.append(f"it is not known what became of {', '.join(working)}")
    return (
        f"the exchange no longer lists {checks.symbols[k].instrument.symbol}, and "
        f"{', and '.join(parts)}: no order of it can be sent, cancelled or asked about, so nothing "
        "protects the position and nothing closes it; the books keep it as it is, and the other "
        "symbols are traded on. See what the exchange does with the balance, and withdraw or "
        "convert it there; septet resume accepts what the account then holds"
    )


def unsold(
    engine: Engine, checks: Checks | None, orders: Orders | None, guards: Guards
) -> Iterator[tuple[int, str]]:
    """Yield the positions that no order can close, and what an alarm states of each.

    Remainders, worth less than a hundredth of equity, are left out.
    """
    for k in range(len(engine.state.B) if checks is not None else 0):
        held = engine.held(k)
        worth = abs(held) * float(engine.state.B[k][layout.MARK])
        if held and guards.is_unlisted(k):
            yield k, _unlisted_text(engine, checks, orders, k)
            continue
        if worth > WORTHY * engine.equity and not can_close(engine, checks, k):
            text = f"{held:.12g}, worth {worth:.12g}, is less than the venue's filters let be sold"
            yield k, f"{text}: no exit is sent until they do; close the position at the venue"
