"""What must be true of a position in steps, by the journal alone: nothing is done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from septet import messages as m
from septet._drill.sim.market import LOT
from septet._drill.venue.amounts import SCALE

__all__ = ["LEVELS", "MAX_ADDS", "MAX_TAKES", "MAX_TAKEN_SHARE", "step_checks"]

MAX_TAKES: Final = 2
"""Takes of a form of the simulation: each is sent once a trade."""
MAX_TAKEN_SHARE: Final = 0.8
"""Share of what was entered that they sell together, at most."""
MAX_ADDS: Final = 4
"""Adds of a form: two at levels, and one by a condition that acts twice."""
LEVELS: Final = 4
"""Levels of the grid of a form: each has one order at a time."""
_LARGE_LOTS: Final = 500
"""From so many lots on no two levels of a grid enter the same."""
_FINAL: Final = ("filled", "cancelled", "expired", "rejected")


@dataclass
class _Trade:
    """One trade of a symbol: what was bought, what its takes sold, and its orders."""

    bought: float = 0.0
    sold: float = 0.0
    takes: set[int] = field(default_factory=set)
    adds: set[int] = field(default_factory=set)
    exits: set[int] = field(default_factory=set)
    left: float = 0.0
    halts: int = 0


def step_checks(rows: Sequence[tuple[m.Event, Sequence[m.Command]]]) -> list[str]:
    """Return every take or add that was sent too often, and takes that sold too much."""
    wrong, trades, grids = list[str](), dict[int, _Trade](), dict[int, dict[int, float]]()
    lots = dict[int, float]()
    for event, commands in rows:
        if isinstance(event, m.FiltersChanged):
            lots[event.symbol] = event.lot
        if isinstance(event, m.Operated) and event.action in ("halt", "flatten"):
            for trade in trades.values():  # what works is cancelled, and may be sent once more
                trade.halts += 1
        for each in commands:
            if isinstance(each, m.Placed) and each.reason in ("take", "add"):
                trade = trades.setdefault(each.symbol, _Trade())
                (trade.takes if each.reason == "take" else trade.adds).add(each.order)
                if len(trade.takes) > MAX_TAKES + trade.halts:
                    wrong.append(f"order {each.order} is take number {len(trade.takes)} of a trade")
                if len(trade.adds) > MAX_ADDS:
                    wrong.append(f"order {each.order} is add number {len(trade.adds)} of a trade")
            elif isinstance(each, m.Placed) and each.reason in ("grid", "grid_exit"):
                works = grids.setdefault(each.symbol, {})
                wrong += _level(works, each, lots.get(each.symbol, LOT / SCALE))
                if each.reason == "grid_exit":
                    trades.setdefault(each.symbol, _Trade()).exits.add(each.order)
            elif isinstance(each, m.Changed) and each.state in _FINAL:
                grids.get(each.symbol, {}).pop(each.order, None)
            elif isinstance(each, m.Traded):
                wrong += _fill(trades.setdefault(each.symbol, _Trade()), each)
                if each.position < lots.get(each.symbol, LOT / SCALE):  # flat: less than one lot
                    trades[each.symbol] = _Trade()
    return wrong


def _level(works: dict[int, float], each: m.Placed, lot: float) -> list[str]:
    """Count an order of a level among those that work; return what is wrong with it."""
    wrong = []
    signed = each.quantity if each.reason == "grid" else -each.quantity
    if signed > _LARGE_LOTS * lot and signed in works.values():
        wrong.append(f"order {each.order} enters a level whose order still works")
    works[each.order] = signed
    if len(works) > LEVELS:
        wrong.append(f"{len(works)} orders of a grid of {LEVELS} levels work at once")
    return wrong


def _fill(trade: _Trade, each: m.Traded) -> list[str]:
    """Count a fill; return what is wrong with it."""
    if each.side == "buy":
        trade.bought += each.quantity
    elif each.order in trade.exits:
        trade.left += each.quantity
        if trade.left > trade.bought + LOT / SCALE:
            return [f"levels have sold {trade.left} of {trade.bought} that was bought"]
    elif each.order in trade.takes:
        trade.sold += each.quantity
        if trade.sold > MAX_TAKEN_SHARE * trade.bought + LOT / SCALE:
            return [f"takes have sold {trade.sold} of {trade.bought} that was entered"]
    return []
