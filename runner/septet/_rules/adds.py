"""Adds to a position: orders that rest once its first order has ended, and orders at a close.

Adds skip `min_interval` and the block of re-entry; every other check applies when they are sent.
A resting add that the limits would reduce is not placed, and is not tried again.
"""

from __future__ import annotations

import math
from math import nan

from septet._kernel.layout import LIMIT, MARKET, STOP, TOLERANCE
from septet._kernel.ledger import floor_units
from septet._kernel.match import round_against
from septet._rules.compile_marks import routine
from septet._rules.enter import (
    cap,
    cost_of_rungs,
    describe_entry,
    rejection_by_order_limits,
    rejection_of_increase,
    rejection_of_size,
)
from septet._rules.ledger import place_order
from septet._rules.records import Order
from septet._rules.resting import log_beside, rests_as_limit
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    LATENCY_NS,
    MAKER_FEE,
    R_ADD,
    R_SIZE,
    RUNGS,
    TABLES,
    TAKER_FEE,
    VENUE_FILLS,
)

__all__ = ["enter_adds", "find_adds", "place_ladder", "place_rung", "send_add"]


# ---------------------------------------------------------------- resting


@routine
def place_ladder(k, i, t, time_ns, run: Run):
    """Place the resting adds of k, nearest to its first price first; bar i is the newest known."""
    run.ladder[k] = 1
    if rejection_of_increase(k, 0, 1, run) >= 0:
        return
    side, first_price = 1.0 * run.open_side[k], run.first_price[k]
    for rung in RUNGS:
        level = rung.level(k, side, first_price, run)
        away = side if side * (level - first_price) > 0.0 else -side
        run.B[k, rung.price] = round_against(level, away, run.tick[k])
        run.B[k, rung.units] = 0.0
    tried = 0
    while True:
        number, near = -1, math.inf
        for rung in RUNGS:
            away = abs(run.B[k, rung.price] - first_price)
            if (tried >> rung.number) & 1 == 0 and 0.0 < away < near - TOLERANCE * first_price:
                number, near = rung.number, away
        if number < 0:
            return
        tried = tried | (1 << number)
        for rung in RUNGS:
            if number == rung.number:
                place_rung(k, i, t, rung.units, rung.price, rung.order, rung.size, time_ns, run)


@routine
def place_rung(k, i, t, units_at, price_at, order_at, portion, time_ns, run: Run):
    """Place one resting add if the limits allow all of it; a limit order below the first fill."""
    side, level = 1.0 * run.open_side[k], run.B[k, price_at]
    limits = rests_as_limit(k, level, run)
    working = describe_entry(k, i, False, run)
    market = (1.0 + run.candidate_slippage) * (1.0 + TAKER_FEE)
    run.candidate_side = side
    run.candidate_price = level
    run.candidate_cost = level * (1.0 + MAKER_FEE if limits else market)
    run.candidate_equity = run.candidate_equity - (market - 1.0) * working - cost_of_rungs(run)
    requested = floor_units(portion * run.first_units[k], run.lot[k])
    run.candidate_requested = side * requested / run.scale[k]
    units, capped = cap(k, t, i, time_ns, requested / run.scale[k], 1.0, run)
    if units < requested or rejection_of_size(k, units, capped, run) >= 0:
        return
    if rejection_by_order_limits(k, i, time_ns, units, run) >= 0:
        return
    run.B[k, units_at] = side * units
    if VENUE_FILLS:  # the engine watches its price
        run.B[k, order_at] = -1.0
    else:
        limit, trigger = (level, nan) if limits else (nan, level)
        run.B[k, order_at] = log_beside(
            k,
            Order(
                kind=LIMIT if limits else STOP, units=side * units, reason=R_ADD,
                decision_price=level, limit=limit, trigger=trigger,
            ),
            time_ns, run,
        )  # fmt: skip


# ---------------------------------------------------------------- at a close


@routine
def find_adds(k, i, run: Run):
    """Return a bit for each add of k whose condition is true at bar i and that may act again."""
    due = 0
    for add in ADDS_WHEN:
        may = run.B[k, add.sent] < add.times and run.B[k, add.since] >= add.min_interval
        if may and add.is_met(k, i, run) == 1.0:
            due = due | (1 << add.number)
    return due


@routine
def enter_adds(k, t, i, now_ns, run: Run):
    """Send the adds of k that are due at bar i, as one order at market.

    The decision keeps the reason of the last one that was rejected, and of the last that a limit
    reduced: an accepted one does not hide why another was not.
    """
    due = run.adds_due[k]
    run.adds_due[k] = 0
    run.adds_working[k] = 0
    if TABLES:
        run.capped_code[k, i] = run.rejected_code[k, i] = 0
    for add in ADDS_WHEN:
        if (due >> add.number) & 1 == 1 and send_add(k, t, i, now_ns, add.size, run) < 0:
            run.B[k, add.sent] = run.B[k, add.sent] + 1.0
            run.B[k, add.since] = 0.0


@routine
def send_add(k, t, i, now_ns, portion, run: Run):
    """Send one add of k, or enlarge the one being sent; return the reason to reject it, or -1."""
    capped, units, side = -1, 0.0, 1.0 * run.open_side[k]
    working = describe_entry(k, i, False, run)
    run.candidate_side = side
    rejected = rejection_of_increase(k, run.is_late, 1, run)
    requested = floor_units(portion * run.first_units[k], run.lot[k])
    if rejected < 0 and not requested > 0.0:
        rejected = R_SIZE
    if rejected < 0:
        ratio = run.candidate_cost / run.candidate_price - 1.0
        run.candidate_equity = run.candidate_equity - ratio * working - cost_of_rungs(run)
        run.candidate_requested = side * requested / run.scale[k]
        units, capped = cap(k, t, i, now_ns, requested / run.scale[k], 1.0, run)
        rejected = rejection_of_size(k, units, capped, run)
        if rejected < 0:
            rejected = rejection_by_order_limits(k, i, now_ns, units, run)
    if TABLES:
        run.requested[k, i] = run.requested[k, i] + side * requested / run.scale[k]
        if capped >= 0:
            run.capped_code[k, i] = capped + 1
        if rejected >= 0:
            run.rejected_code[k, i] = rejected + 1
        else:
            run.granted[k, i] = run.granted[k, i] + side * units / run.scale[k]
    if rejected >= 0:
        return rejected
    if run.working[k] == 0:
        row = place_order(
            k,
            Order(
                kind=MARKET, units=side * units, reason=R_ADD, decision_price=run.candidate_price
            ),
            now_ns + LATENCY_NS, 1, 0, now_ns, run,
        )  # fmt: skip
        run.LF[row, 6] = run.equity
    else:
        row = run.log_rows - 1  # the order of the previous add, created at this same time
        run.order_units[k] = run.order_units[k] + side * units
        run.LF[row, 0] = run.order_units[k]
    run.adds_working[k] = run.adds_working[k] + 1
    return -1
