"""The levels of each held symbol after a decision time, as its decision row shows them.

They are those that the next bar meets: the nearest stop, the nearest price at which a target or a
take closes some of the position, and the nearest resting add. Zero stands for none, and for an
answer of another package's rule that is no price and acts at once.
"""

from __future__ import annotations

import math
from math import nan

from septet._kernel.match import round_against
from septet._rules.checked import usable_level, usable_target
from septet._rules.compile_marks import kernel, routine
from septet._rules.run_state import Run
from septet._rules.settings import (
    ONE_SYMBOL,
    PARTICIPATION,
    PROTECTIVE,
    RUNGS,
    STEPS,
    TAKES_AT,
    TARGETS,
)

__all__ = [
    "keep_levels",
    "keep_levels_of",
    "nearest_add_price",
    "nearest_stop_price",
    "nearest_target_price",
]


@kernel
def keep_levels(t, now_ns, count, run: Run):
    """Store the levels of every listed symbol that is held and has a bar at time t."""
    for n in range(count):
        k = 0 if ONE_SYMBOL else run.active_symbol[n]
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0 and run.open_side[k] != 0:
            keep_levels_of(k, i, now_ns, run)


@routine
def keep_levels_of(k, i, now_ns, run: Run):
    """Store the levels of k after the decisions at bar i."""
    if PROTECTIVE or STEPS:
        level = run.stop_price[k] if STEPS else nearest_stop_price(k, i, now_ns, run)
        run.stop_level[k, i] = level if 0.0 < level < math.inf else 0.0
    if TARGETS or TAKES_AT:
        target = nearest_target_price(k, i, now_ns, run)
        run.target_price[k, i] = target if 0.0 < target < math.inf else 0.0
    if RUNGS:
        run.add_price[k, i] = nearest_add_price(k, i, run)


@kernel
def nearest_stop_price(k, known, now_ns, run: Run):
    """Return the nearest stop of the position as bar `known` left it, or NaN.

    This is the stop that acts. Invalid answers are counted where the stop acts, not here.
    """
    side, nearest = 1.0 * run.open_side[k], nan
    average_price, high_water = run.average_price[k], run.high_water[k]
    entry_ns = run.entry_ns[k]
    for stop in PROTECTIVE:
        price = stop.level(k, side, average_price, high_water, entry_ns, now_ns, known, run)
        if stop.checked:
            price = usable_level(k, side, price, run)
        if price == price and not side * (price - nearest) <= 0.0:
            nearest = price
    return nearest


@kernel
def nearest_target_price(k, known, now_ns, run: Run):
    """Return the nearest price at which some of the position is closed with a gain, or NaN."""
    side, nearest = 1.0 * run.open_side[k], nan
    average_price, high_water = run.average_price[k], run.high_water[k]
    entry_ns = run.entry_ns[k]
    for stop in TARGETS:
        price = stop.level(k, side, average_price, high_water, entry_ns, now_ns, known, run)
        if stop.checked:
            price = usable_target(k, side, price, run)
        if price == price and not side * (price - nearest) >= 0.0:
            nearest = price
    nearest = round_against(nearest, side, run.tick[k])
    for take in TAKES_AT:
        if (run.takes_done[k] >> take.number) & 1 == 0 or (
            PARTICIPATION and run.B[k, take.rest] > 0.0
        ):
            level = take.level(k, side, average_price, run)
            level = round_against(level, side, run.tick[k])
            if level == level and not side * (level - nearest) >= 0.0:
                nearest = level
    return nearest


@kernel
def nearest_add_price(k, i, run: Run):
    """Return the price of the resting add of k that is nearest to the close of bar i, or 0."""
    nearest, near = 0.0, math.inf
    for rung in RUNGS:
        price = run.B[k, rung.price]
        away = abs(price - run.close[k, i])
        if run.B[k, rung.units] != 0.0 and away < near:
            nearest, near = price, away
    return nearest
