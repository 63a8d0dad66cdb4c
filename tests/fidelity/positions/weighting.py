"""Steps 3 to 5 of a rebalance: budgets and weights, caps, turnover. Data alone, no account."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from tests.fidelity.positions.exact import sign
from tests.fidelity.positions.selection import Choice, Row
from tests.fidelity.positions.settings import Limits, Net, Portfolio

__all__ = [
    "Turnover", "budgets", "cap_weights", "drifted", "limit_turnover", "limit_weights",
    "neutralise", "scale_to_gross", "weigh",
]  # fmt: skip

Weights = dict[str, float]
_EDGE = 1e-12


def budgets(portfolio: Portfolio) -> dict[int, float]:
    """Return what each side may have with every slot filled.

    Its slots' part of `gross`; with a net target (gross + target)/2 and (gross - target)/2.
    """
    gross, net = portfolio.gross, portfolio.net
    if net is not None:
        return {1: (gross + net.target) / 2.0, -1: (gross - net.target) / 2.0}
    slots = portfolio.long + portfolio.short
    return {1: gross * portfolio.long / slots, -1: gross * portfolio.short / slots}


def _raw(portfolio: Portfolio, name: str, row: Row, side: int, place: int, count: int) -> float:
    """Return what a name's weight is proportional to; `place` counts from 1 for the best."""
    if portfolio.weight == "equal":
        return 1.0
    if portfolio.weight == "score":
        return abs(row.by) if sign(row.by) == side else 0.0
    if portfolio.weight == "rank":
        return float(count + 1 - place)
    if isinstance(portfolio.weight, Mapping):
        return 1.0 / row.volatility
    raise ValueError(f"not a weight: {portfolio.weight} of {name}")


def weigh(portfolio: Portfolio, choice: Choice, rows: Mapping[str, Row]) -> Weights:
    """Step 3: share each side's budget, times filled/slots; empty slots stay cash.

    A score of the wrong sign has no weight and leaves its slot empty. A name that keeps its weight
    has its slot and takes nothing of the others' part.
    """
    weights: Weights = {}
    budget, slots = budgets(portfolio), {1: portfolio.long, -1: portfolio.short}
    for side, names in ((1, choice.long), (-1, choice.short)):
        raw = {
            name: _raw(portfolio, name, rows[name], side, place, len(names))
            for place, name in enumerate(names, 1)
        }
        filled = [name for name in names if raw[name] > 0.0]
        for name in set(names) - set(filled):
            choice.reasons[name] = "wrong_sign"
        whole = math.fsum(raw.values())
        for name in filled:
            part = budget[side] * len(filled) / slots[side]
            weights[name] = side * part * raw[name] / whole
    return weights | choice.kept


def cap_weights(weights: Weights, max_weight: float | None, fixed: Set[str]) -> Weights:
    """Step 4, first: what is above `max_weight` goes to the side's others in proportion.

    Repeated until no name is above; what no name can take stays cash. Fixed names keep theirs.
    """
    if max_weight is None:
        return dict(weights)
    capped = dict(weights)
    for side in (1, -1):
        names = [n for n, w in weights.items() if sign(w) == side and n not in fixed]
        while True:
            above = [n for n in names if abs(capped[n]) > max_weight + _EDGE]
            if not above:
                break
            excess = math.fsum(abs(capped[n]) - max_weight for n in above)
            for name in above:
                capped[name] = side * max_weight
            others = [n for n in names if abs(capped[n]) < max_weight - _EDGE]
            whole = math.fsum(abs(capped[n]) for n in others)
            for name in others:
                capped[name] += side * excess * abs(capped[name]) / whole
    return capped


def _scale(weights: Weights, names: Sequence[str], most: float, fixed: Set[str]) -> None:
    """Scale some names so that their gross is at most a bound; fixed ones count and stay."""
    moved = [name for name in names if name not in fixed]
    kept = math.fsum(abs(weights[name]) for name in names if name in fixed)
    free = math.fsum(abs(weights[name]) for name in moved)
    if free > 0.0 and kept + free > most + _EDGE:
        factor = max(0.0, most - kept) / free
        for name in moved:
            weights[name] *= factor


def scale_to_gross(weights: Weights, gross: float, fixed: Set[str]) -> bool:
    """Scale weights whose sum is above `gross` down to it; return whether that was needed."""
    before = dict(weights)
    _scale(weights, list(weights), gross, fixed)
    return weights != before


def limit_weights(weights: Weights, limits: Limits, fixed: Set[str]) -> Weights:
    """Step 4, second: the limits over all weights: position, groups, gross."""
    found = {
        name: weight if name in fixed else sign(weight) * min(abs(weight), limits.position)
        for name, weight in weights.items()
    }
    for symbols, most in limits.groups.values():
        _scale(found, [name for name in found if name in symbols], most, fixed)
    _scale(found, list(found), limits.gross, fixed)
    return found


def neutralise(
    weights: Weights, net: Net | None, betas: Mapping[str, float], fixed: Set[str]
) -> Weights:
    """Step 4, third: with a net target the larger side is scaled down until the sum is met.

    `betas` are those of the last rebalance at which each was known.
    """
    if net is None:
        return dict(weights)
    exposure = {
        n: w * (betas[n] if net.beta and w else 1.0) for n, w in weights.items()
    }  # a name without a weight needs no beta
    total = math.fsum(exposure.values())
    larger = sign(total - net.target)
    names = [n for n, w in weights.items() if sign(w) == larger and n not in fixed]
    side = math.fsum(exposure[n] for n in names)
    if not larger or not side:
        return dict(weights)
    factor = min(1.0, max(0.0, (side - (total - net.target)) / side))
    return {n: w * factor if n in names else w for n, w in weights.items()}


def drifted(
    weights: Mapping[str, float], before: Mapping[str, float], now: Mapping[str, float]
) -> Weights:
    """Return previous targets as prices have moved them since they were set."""
    worth = {name: w * now[name] / before[name] for name, w in weights.items() if w}
    whole = 1.0 + math.fsum(worth[name] - weights[name] for name in worth)
    return {name: each / whole for name, each in worth.items()}


@dataclass(frozen=True)
class Turnover:
    """Weights after step 5, the turnover asked for, and the factor on every change."""

    weights: Weights
    asked: float
    factor: float


def limit_turnover(weights: Weights, start: Mapping[str, float], most: float | None) -> Turnover:
    """Step 5: the sum of |change|, buys and sells; beyond the maximum one factor scales all."""
    names = list(dict.fromkeys([*weights, *start]))
    changes = {name: weights.get(name, 0.0) - start.get(name, 0.0) for name in names}
    asked = math.fsum(map(abs, changes.values()))
    if most is None or asked <= most + _EDGE:
        return Turnover({name: weights.get(name, 0.0) for name in names}, asked, 1.0)
    factor = most / asked
    scaled = {name: start.get(name, 0.0) + factor * changes[name] for name in names}
    return Turnover(scaled, asked, factor)
