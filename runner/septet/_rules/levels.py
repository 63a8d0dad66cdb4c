"""Levels of a position's stops and targets; with steps the stop is stored, and only tightened.

Distances are read when the entry is decided, and fixed. R is the distance of the first fill from
the first stop. A stop that is read at every decision time (`reads`) can only tighten, as can one
that an add, a lower average or `break_even` would move.
"""

from __future__ import annotations

from math import nan

from septet._kernel.match import break_even_price, round_against, too_small
from septet._rules.checked import checked_level, checked_target
from septet._rules.compile_marks import kernel, routine
from septet._rules.resting import end_rungs
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    DISTANCES,
    GRID_SHORT_LEVEL,
    GRID_SIDES,
    PARTICIPATION,
    PROTECTIVE,
    R_BREAK_EVEN,
    R_POSITION_CLOSED,
    R_STOP_UNKNOWN,
    RUNGS,
    SIZES_BY_STOP,
    STEPS,
    TAKER_FEE,
    TAKES_AT,
    TAKES_WHEN,
    TARGETS,
    TRACKS_POSITION,
    order_prices,
)

__all__ = [
    "begin_again", "begin_steps", "break_even_of", "distance_to_first_stop", "is_too_small",
    "price_of_entry", "protective_level", "read_distances", "rejection_of_distances",
    "rejection_of_stops", "restart_counts", "swap_distances", "target_level", "tighten",
    "tightened", "tightest_stop",
]  # fmt: skip


@kernel
def tightest_stop(
    k, side, average_price, high_water, entry_ns, now_ns, known, read, run: Run
):  # fmt: skip
    """Nearest protective level of a position, as bar `known` left it, and its reason.

    NaN and -1 where there is none. With `read` 0 those that are read at every time are left out.
    """
    level, reason = nan, -1
    for stop in PROTECTIVE:
        if not (STEPS and stop.reads) or read == 1:
            price = stop.level(k, side, average_price, high_water, entry_ns, now_ns, known, run)
            if stop.checked:
                price = checked_level(stop.rule, k, side, price, known, run)
            if price == price and (level != level or side * (price - level) > 0.0):
                level, reason = price, stop.code
    return level, reason


@kernel
def protective_level(k, known, now_ns, run: Run):
    """Nearest protective level of the position of k, as bar `known` left it, and its reason.

    NaN and -1 where there is none. One that reads columns reads them at bar `known`.
    """
    side = 1.0 * run.open_side[k]
    if side == 0.0:
        return nan, -1
    if STEPS:
        return run.stop_price[k], run.stop_reason[k]
    return tightest_stop(
        k, side, run.average_price[k], run.high_water[k], run.entry_ns[k], now_ns, known, 1, run
    )


@kernel
def target_level(k, known, now_ns, run: Run):
    """Nearest target of the position of k, rounded against it, and its reason."""
    level, reason = nan, -1
    side = 1.0 * run.open_side[k]
    if side == 0.0:
        return level, reason
    average_price = run.average_price[k]
    high_water = run.high_water[k]
    entry_ns = run.entry_ns[k]
    for stop in TARGETS:
        price = stop.level(k, side, average_price, high_water, entry_ns, now_ns, known, run)
        if stop.checked:
            price = checked_target(stop.rule, k, side, price, known, run)
        if price == price and (level != level or side * (price - level) < 0.0):
            level, reason = price, stop.code
    return round_against(level, side, run.tick[k]), reason


# ---------------------------------------------------------------- a position in steps


@routine
def read_distances(k, i, side, now_ns, run: Run):
    """Read distances and levels of an entry at bar i; return 0 where a required one is unknown."""
    complete = 1
    for each in DISTANCES:
        distance = each.distance(k, i, run)
        if not each.signed and not distance > 0.0:
            distance = nan
        run.B[k, each.read] = distance
        if each.required and distance != distance:
            complete = 0
    known, price = i, run.close[k, i]
    best = nan
    for stop in PROTECTIVE:
        if stop.reads:
            level = stop.level(k, side, price, price, now_ns, now_ns, known, run)
            if level == level and (best != best or side * (level - best) > 0.0):
                best = level
            if level != level and (stop.is_for_long if side > 0.0 else stop.is_for_short):
                complete = 0
    if GRID_SIDES and side < 0.0:  # both sides of the grid are read at the same time
        run.B[k, GRID_SHORT_LEVEL] = best
    else:
        run.level_at_entry[k] = best
    return complete


@routine
def rejection_of_distances(k, i, side, now_ns, run: Run):
    """Read the distances of an entry; return why a missing one rejects it, or -1."""
    if read_distances(k, i, side, now_ns, run) == 0:
        return R_STOP_UNKNOWN
    if SIZES_BY_STOP:
        run.candidate_distance = distance_to_first_stop(k, i, side, now_ns, run)
    return -1


@routine
def rejection_of_stops(k, i, side, price, now_ns, run: Run):
    """Read the distances and the level of an entry at a price; return why one rejects it, or -1.

    A level that the price has passed would close the position as soon as it is open.
    """
    rejected = rejection_of_distances(k, i, side, now_ns, run)
    level = run.level_at_entry[k]
    if rejected < 0 and level == level and not side * (price - level) > 0.0:
        return R_STOP_UNKNOWN
    return rejected


@kernel
def price_of_entry(k, i, run: Run):
    """Return the price an entry waits for: its trigger or limit, or the close of bar i."""
    limit_price, trigger_price = order_prices(k, i, run)
    if trigger_price == trigger_price:
        return trigger_price
    return limit_price if limit_price == limit_price else run.close[k, i]


@routine
def swap_distances(k, run: Run):
    """Exchange the distances of the position with those of the entry that was read last."""
    for each in DISTANCES:
        fixed = run.B[k, each.fixed]
        run.B[k, each.fixed] = run.B[k, each.read]
        run.B[k, each.read] = fixed


@routine
def distance_to_first_stop(k, i, side, now_ns, run: Run):
    """Distance of the close of bar i to the first stop of an entry there (quote); NaN for none."""
    price = run.close[k, i]
    risk, best = run.first_risk[k], run.high_water[k]
    swap_distances(k, run)
    run.first_risk[k], run.high_water[k] = nan, price
    level, _ = tightest_stop(k, side, price, price, now_ns, now_ns, i, 1, run)
    run.first_risk[k], run.high_water[k] = risk, best
    swap_distances(k, run)
    return side * (price - level)


@routine
def begin_steps(k, now_ns, run: Run):
    """Begin a trade in steps: fix its distances, and compute R from its first stop."""
    for each in DISTANCES:
        run.B[k, each.fixed] = run.B[k, each.read]
    run.first_risk[k] = nan
    run.break_even[k] = 0
    if TAKES_AT or TAKES_WHEN:
        run.takes_done[k] = 0
        run.taken_share[k] = 0.0
    if RUNGS:
        run.ladder[k] = 0
    if PARTICIPATION:
        for take in TAKES_AT:
            run.B[k, take.rest] = 0.0
        for rung in RUNGS:
            run.B[k, rung.filled] = 0.0
    for add in ADDS_WHEN:
        run.B[k, add.sent] = 0.0
        run.B[k, add.since] = 1.0 * run.bars_since_entry[k]  # a flip in flight may restart that
    side, price = 1.0 * run.open_side[k], run.average_price[k]
    level, reason = tightest_stop(k, side, price, price, now_ns, now_ns, 0, 0, run)
    for stop in PROTECTIVE:
        if stop.reads:
            entry = run.level_at_entry[k]
            if GRID_SIDES and side < 0.0:
                entry = run.B[k, GRID_SHORT_LEVEL]
            if entry > 0.0 and (level != level or side * (entry - level) > 0.0):
                level, reason = entry, stop.code
    run.stop_price[k], run.stop_reason[k] = level, reason
    if side * (price - level) > 0.0:
        run.first_risk[k] = side * (price - level)


@kernel
def is_too_small(k, price, run: Run):
    """Whether k holds a position that is worth less than the minimum notional at a price."""
    small = too_small(run.units[k], run.scale[k], price, run.min_notional[k], run.min_units[k])
    return run.open_side[k] != 0 and small


@routine
def restart_counts(k, i, now_ns, run: Run):
    """Restart the clocks of an unsellable remainder: they do not end the entry sent at bar i.

    With the first fill of that entry its position begins again.
    """
    run.entry_ns[k], run.held_bars[k] = now_ns, 0
    run.high_water[k] = run.close[k, i]
    run.begins_again[k] = run.order_id[k] + 1


@routine
def begin_again(k, units, intrabar, now_ns, run: Run):
    """Begin the position of k again: an entry of `units` was added to what could not be sold.

    The exit that waited is dropped, as are resting adds and the block of its side. Times, stops, R
    and takes follow from the average cost of all, adds from this entry. The trade continues.
    """
    run.exit_to_retry[k] = 0
    run.begins_again[k] = 0
    run.entry_ns[k], run.held_bars[k] = now_ns, 0
    run.began_in_bar[k] = intrabar
    run.high_water[k] = run.average_price[k]
    if run.open_side[k] > 0:
        run.blocked_long[k] = 0
    else:
        run.blocked_short[k] = 0
    if TRACKS_POSITION:
        run.first_price[k] = run.average_price[k]
        run.first_units[k] = abs(units)
        run.entered_units[k] = abs(run.units[k])
        run.trade_bars[k] = 0
        run.adds[k] = 0
    if STEPS:
        if RUNGS:
            end_rungs(k, R_POSITION_CLOSED, now_ns, run)
        begin_steps(k, now_ns, run)


@kernel
def break_even_of(k, run: Run):
    """Return the break-even price of the position of k after fees, on a tick and not below zero."""
    side = 1.0 * run.open_side[k]
    entry_fee = run.entry_fees[k] * run.scale[k] / abs(run.units[k])
    price = break_even_price(side, run.average_price[k], entry_fee, TAKER_FEE)
    return round_against(price, side, run.tick[k])


@routine
def tightened(k, known, now_ns, read, run: Run):
    """Return the tightest stop of k that holds now, never away from the price, and its reason."""
    side = 1.0 * run.open_side[k]
    level, reason = tightest_stop(
        k, side, run.average_price[k], run.high_water[k], run.entry_ns[k], now_ns, known, read, run
    )
    if run.break_even[k] == 1:
        price = break_even_of(k, run)
        if level != level or side * (price - level) > 0.0:
            level, reason = price, R_BREAK_EVEN
    before = run.stop_price[k]
    if level == level and (before != before or side * (level - before) > 0.0):
        return level, reason
    return before, run.stop_reason[k]


@routine
def tighten(k, known, now_ns, read, run: Run):
    """Move the stop of k to the tightest of what holds now."""
    if run.open_side[k] != 0:
        run.stop_price[k], run.stop_reason[k] = tightened(k, known, now_ns, read, run)
