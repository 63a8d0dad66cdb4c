"""Orders of both runs by their origin."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from septet import messages as m
from septet._diff.live_side import Booking, Lived

__all__ = ["STEPS", "Origin", "Outcome", "outcomes_of", "stops_of"]


STEPS: Final = ("take", "add")
"""Reasons of orders of a position in steps: a price triggers them, or a condition at a close."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of an order: a decision, or a level reached within the bar that closes then."""

    symbol: str
    time_ns: int
    stops: bool = False


@dataclass
class Outcome:
    """Outcome of the orders of one origin: the signed quantity filled and the last state."""

    filled: float = 0.0
    end: m.Changed | None = None


def stops_of(strategy: Any) -> frozenset[str]:
    """Return the reasons of orders that a price triggers within a bar, without a decision."""
    blocks = strategy.risk.stops.items()
    names = {name for name, block in blocks if (block.declaration.role or "stop") != "exit"}
    return frozenset({*names, "break_even", "liquidation", "protective_stop"})


def outcomes_of(
    lived: Lived, bookings: Iterable[Booking], stops: frozenset[str]
) -> dict[Origin, Outcome]:
    """Sum the live run's fills by origin, with the last state of its orders."""
    times = sorted(lived.decision_times)
    by_origin: dict[Origin, Outcome] = {}
    for booking in bookings:
        outcome = by_origin.setdefault(_of_fill(lived, booking, stops, times), Outcome())
        outcome.filled += booking.sign * booking.traded.quantity
    for order, end in lived.ends.items():
        placed = lived.placed.get(order)
        if placed is not None:
            by_origin.setdefault(_of_order(lived, placed, stops, times), Outcome()).end = end
    return by_origin


def _of_fill(lived: Lived, booking: Booking, stops: frozenset[str], times: Sequence[int]) -> Origin:
    traded = booking.traded
    placed = lived.placed.get(traded.order)
    if placed is not None:
        return _of_order(lived, placed, stops, times)
    submitted = lived.sent.get(booking.fill.client_id) if booking.fill is not None else None
    is_within_bar = (
        submitted is not None and submitted.reason in stops
    )  # a stop that the venue holds
    return _origin(lived.symbols[traded.symbol], traded.market_ns, is_within_bar, times)


def _of_order(
    lived: Lived, placed: m.Placed, stops: frozenset[str], times: Sequence[int]
) -> Origin:
    symbol = lived.symbols[placed.symbol]
    is_within_bar = placed.reason in stops
    if placed.reason in STEPS:  # by a condition it is of a decision time
        is_within_bar = placed.time_ns not in lived.decision_times
    return _origin(symbol, placed.time_ns, is_within_bar, times)


def _origin(symbol: str, time_ns: int, is_within_bar: bool, times: Sequence[int]) -> Origin:
    """Return an origin; an event within a bar is assigned to its close."""
    at = bisect_left(times, time_ns) if is_within_bar else len(times)
    return Origin(symbol, times[at] if at < len(times) else time_ns, is_within_bar)
