"""Steps 1 and 2 of a rebalance with `use: top`: which members are ranked, which are chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.fidelity.positions.exact import sign
from tests.fidelity.positions.settings import Portfolio

__all__ = ["Choice", "Row", "choose", "ranked"]


@dataclass(frozen=True)
class Row:
    """What is known of one member at T; `where` by side, None where it is unknown."""

    has_bar: bool = True
    member: bool = True
    by: float = math.nan
    where_long: bool | None = True
    where_short: bool | None = True
    volatility: float = 1.0
    beta: float = 0.0

    def where(self, side: int) -> bool | None:
        """Return the condition of a side."""
        return self.where_long if side > 0 else self.where_short

    def is_finite(self) -> bool:
        """Return whether every input of rank and weight is there."""
        return all(map(math.isfinite, (self.by, self.volatility, self.beta))) and (
            self.volatility > 0.0
        )


@dataclass
class Choice:
    """The chosen of each side, best for the side first, and names that keep weight and slot."""

    long: list[str] = field(default_factory=list)
    short: list[str] = field(default_factory=list)
    kept: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def _is_held(previous: Mapping[str, float], name: str, side: int) -> bool:
    """Held means: has a weight of that side in the previous target, whatever the account holds."""
    return sign(previous.get(name, 0.0)) == side


def ranked(rows: Mapping[str, Row], previous: Mapping[str, float], side: int) -> list[str]:
    """Step 1: return the ranked names of a side, the best for that side first.

    A member is ranked with a bar at T, finite inputs and a true `where`; a held one also where
    the condition is unknown. High is good, ties stand in universe order; shorts count the same
    list from its other end.
    """
    found = []
    for number, (name, row) in enumerate(rows.items()):
        if not (row.member and row.has_bar and row.is_finite()):
            continue
        where = row.where(side)
        if where or (where is None and _is_held(previous, name, side)):
            found.append((-row.by, number, name))
    names = [name for _, _, name in sorted(found)]
    return names if side > 0 else names[::-1]


def _kept(rows: Mapping[str, Row], previous: Mapping[str, float]) -> dict[str, float]:
    """Return held names that have no bar or no rank: they keep weight and slot.

    A condition that is false ends that, and so does leaving the universe.
    """
    kept = {}
    for name, weight in previous.items():
        row = rows[name]
        if not weight or not row.member:
            continue
        if not row.has_bar or (not row.is_finite() and row.where(sign(weight)) is not False):
            kept[name] = weight
    return kept


def _shrunk(free: tuple[int, int], count: int) -> tuple[int, int]:
    """Fewer ranked than both sides need: both shrink in proportion, rounded down."""
    need = free[0] + free[1]
    if count >= need:
        return free
    return free[0] * count // need, free[1] * count // need


def _held_first(
    names: Sequence[str], previous: Mapping[str, float], side: int, hold_rank: int
) -> list[str]:
    """Return held names whose rank is `hold_rank` or better, best first."""
    return [name for name in names[:hold_rank] if _is_held(previous, name, side)]


def choose(portfolio: Portfolio, rows: Mapping[str, Row], previous: Mapping[str, float]) -> Choice:
    """Step 2: held names within `hold_rank`, best first, then the best others, up to the slots."""
    choice = Choice(kept=_kept(rows, previous))
    lists = {side: ranked(rows, previous, side) for side in (1, -1)}
    needed = {1: portfolio.long, -1: portfolio.short}
    free = {
        side: max(0, needed[side] - sum(sign(w) == side for w in choice.kept.values()))
        for side in (1, -1)
    }
    sides = [side for side in (1, -1) if needed[side]]
    count = len(set().union(*(lists[side] for side in sides)))
    free[1], free[-1] = _shrunk((free[1], free[-1]), count)
    taken: set[str] = set()
    chosen: dict[int, list[str]] = {1: [], -1: []}
    for stay in (True, False):  # held names of both sides come before others of either
        for side in sides:
            names = lists[side]
            pool = _held_first(names, previous, side, portfolio.hold_rank) if stay else names
            for name in pool:
                if len(chosen[side]) < free[side] and name not in taken:
                    chosen[side].append(name)
                    taken.add(name)
    choice.long = [name for name in lists[1] if name in chosen[1]]
    choice.short = [name for name in lists[-1] if name in chosen[-1]]
    _explain(choice, rows, previous, lists)
    return choice


def _explain(
    choice: Choice,
    rows: Mapping[str, Row],
    previous: Mapping[str, float],
    lists: Mapping[int, Sequence[str]],
) -> None:
    for name, row in rows.items():
        if name in choice.kept:
            reason = "kept_no_rank" if row.has_bar else "kept_no_bar"
        elif name in choice.long or name in choice.short:
            side = 1 if name in choice.long else -1
            reason = "held" if _is_held(previous, name, side) else "chosen"
        elif not row.member:
            reason = "not_member"
        elif name in lists[1] or name in lists[-1]:
            reason = "below_rank"
        else:
            reason = "not_ranked"
        choice.reasons[name] = reason
