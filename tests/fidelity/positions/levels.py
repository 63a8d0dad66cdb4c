"""Prices of a trade: its stop, R, break-even, and the levels of adds and takes.

Rules: distances are read at the entry's T and fixed. R runs from `first_price` to the first stop;
without a stop there is no R. Adds count from `first_price`, takes and stops from `entry_price`.
A stop is only ever tightened, by adds as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.exact_fraction import Fraction
from tests.fidelity.positions.account import Holding
from tests.fidelity.positions.exact import ZERO, exact, on_tick
from tests.fidelity.positions.expression import number
from tests.fidelity.positions.settings import Costs, Stops

__all__ = ["Distance", "Plan", "TradeState", "break_even", "distance_of", "offset", "plan_of",
           "read_level", "start", "stop_at", "tighten"]  # fmt: skip

_SHARE = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*%\s*")
_MULTIPLE = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*R\s*")


@dataclass(frozen=True)
class Distance:
    """A distance that is fixed: a share of the price it is taken from, R, or an amount."""

    kind: str
    value: Fraction


def distance_of(text: str, words: Mapping[str, float]) -> Distance | None:
    """Read a distance at the entry's T; None where it is not a number."""
    share, multiple = _SHARE.fullmatch(text), _MULTIPLE.fullmatch(text)
    if share:
        return Distance("share", exact(share[1]) / 100)
    if multiple:
        return Distance("r", exact(multiple[1]))
    value = number(text, words)
    return Distance("amount", exact(value)) if math.isfinite(value) else None


def offset(base: Fraction, side: int, distance: Distance | None, r: Fraction | None) -> (
    Fraction | None
):  # fmt: skip
    """Return the price that lies a distance from a base in the position's favour."""
    if distance is None or (distance.kind == "r" and r is None):
        return None
    if distance.kind == "share":
        return base + side * base * distance.value
    if distance.kind == "r":
        assert r is not None
        return base + side * r * distance.value
    return base + side * distance.value


@dataclass(frozen=True)
class Plan:
    """What was read at the entry's T: distances of stops and targets, of adds and takes."""

    row: int
    stop_loss: Distance | None
    level: Fraction | None
    trailing: Distance | None
    trailing_after: Distance | None
    waits: bool
    break_even_after: Distance | None
    take_profit: Distance | None
    adds: tuple[tuple[Distance | None, ...], ...]
    takes: tuple[Distance | None, ...]


def plan_of(
    stops: Stops, adds: tuple[tuple[str, ...], ...], takes: tuple[str | None, ...], side: int,
    words: Mapping[str, float], row: int,
) -> Plan:  # fmt: skip
    """Read every distance at the entry's T."""

    def read(text: str | None) -> Distance | None:
        return None if text is None else distance_of(text, words)

    trailing = stops.trailing
    return Plan(
        row=row,
        stop_loss=read(stops.stop_loss),
        level=read_level(stops, side, words),
        trailing=read(trailing.distance) if trailing else None,
        trailing_after=read(trailing.after) if trailing else None,
        waits=trailing is not None and trailing.after is not None,
        break_even_after=read(stops.break_even),
        take_profit=read(stops.take_profit),
        adds=tuple(tuple(read(each) for each in levels) for levels in adds),
        takes=tuple(map(read, takes)),
    )


def read_level(stops: Stops, side: int, words: Mapping[str, float]) -> Fraction | None:
    """Return the stop's price as it is read at a T, None where it is not a number."""
    text = stops.level_of(side)
    if text is None:
        return None
    value = number(text, words)
    return exact(value) if math.isfinite(value) else None


@dataclass
class TradeState:
    """What a trade's steps have done so far."""

    plan: Plan
    side: int
    first_units: Fraction
    stop: Fraction | None = None
    stop_name: str = ""
    r: Fraction | None = None
    share_taken: Fraction = ZERO
    takes_done: set[int] = field(default_factory=set)
    takes_left: dict[int, Fraction] = field(default_factory=dict)
    has_ladder: bool = False
    sent: dict[int, int] = field(default_factory=dict)
    sent_row: dict[int, int] = field(default_factory=dict)
    has_break_even: bool = False


def stop_at(
    plan: Plan, side: int, entry: Fraction, best: Fraction, r: Fraction | None
) -> list[tuple[Fraction, str]]:
    """Return the stops that are in force at an average cost and a best price.

    The trailing stop waits until the best price has reached `after`, counted from `entry_price`.
    """
    found = []
    loss = offset(entry, -side, plan.stop_loss, r)
    if loss is not None:
        found.append((loss, "stop_loss"))
    if plan.level is not None:
        found.append((plan.level, "level"))
    reached = offset(entry, side, plan.trailing_after, r)
    active = not plan.waits or (reached is not None and side * (best - reached) >= 0)
    trail = offset(best, -side, plan.trailing, r)
    if trail is not None and active:
        found.append((trail, "trailing"))
    return found


def _tightest(found: list[tuple[Fraction, str]], side: int) -> tuple[Fraction, str] | None:
    return max(found, key=lambda each: side * each[0]) if found else None


def start(plan: Plan, side: int, held: Holding) -> TradeState:
    """Return the state of a trade at its first fill, its first stop and its R."""
    state = TradeState(plan, side, abs(held.units))
    first = _tightest(stop_at(plan, side, held.entry_price, held.best, None), side)
    if first is not None:
        state.stop, state.stop_name = first
        distance = side * (held.first_price - first[0])
        state.r = distance if distance > 0 else None
    return state


def _zero_after_fees(held: Holding, costs: Costs) -> Fraction:
    """Return the price at which what is held closes at zero after entry and taker fees."""
    rate, side = exact(costs.taker), held.side
    return (held.cost + side * held.entry_fees) / (abs(held.units) * (1 - side * rate))


def break_even(held: Holding, costs: Costs, tick: Fraction) -> Fraction:
    """Return that price rounded to the tick, up for a long position and down for a short one."""
    return on_tick(_zero_after_fees(held, costs), tick, held.side)


def tighten(state: TradeState, held: Holding, level: Fraction | None, costs: Costs,
            tick: Fraction) -> None:  # fmt: skip
    """Move the stop to the tightest of what holds now; never away from the price."""
    found = stop_at(state.plan, state.side, held.entry_price, held.best, state.r)
    if level is not None:
        found.append((level, "level"))
    reached = offset(held.entry_price, state.side, state.plan.break_even_after, state.r)
    if reached is not None and state.side * (held.best - reached) >= 0:
        zero = _zero_after_fees(held, costs)
        if state.side * (held.best - zero) > 0:
            found.append((zero, "break_even"))
    if state.has_break_even:
        found.append((break_even(held, costs, tick), "break_even"))
    best = _tightest(found, state.side)
    if best is not None and (state.stop is None or state.side * (best[0] - state.stop) > 0):
        state.stop, state.stop_name = best
