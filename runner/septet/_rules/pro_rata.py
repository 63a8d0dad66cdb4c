"""Entries of one time that cost more than cash or margin allows: one factor scales them all.

Every entry passes all checks but cash; of the others it counts only the places that those of
higher confidence occupy. The factor is the free funds over the cost of all accepted entries: it
does not depend on the order of the universe, and rejected entries do not count. Positions that a
flip closes count as closed for all. The limits then apply to the scaled entries one by one.
"""

from __future__ import annotations

from septet._kernel.ledger import floor_units
from septet._rules.adds import enter_adds
from septet._rules.compile_marks import routine
from septet._rules.enter import (
    buying_power,
    cap,
    cost_of_rungs,
    describe_entry,
    enter,
    gross_now,
    place_entry,
    rejection_of_order,
    rejection_of_size,
    requested_size,
    take_costs,
)
from septet._rules.levels import rejection_of_distances
from septet._rules.orders import send_exit
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    CASH_BUFFER,
    GRID,
    KEEPS_CASH,
    LEVERAGE,
    R_CASH,
    R_MARGIN,
    R_OPPOSITE,
    REBALANCES,
    RUNGS,
    SLIPPAGE_HINT,
    SPOT,
    STEPS,
    TABLES,
    TAKER_FEE,
)

__all__ = ["enter_share", "funds_for_entries", "plan_entry", "share_of_entries"]


@routine
def share_of_entries(t, now_ns, count, run: Run):
    """Plan all entries and return the share of them that can be paid for, at most 1.

    Adds are not scaled: they are entered before. Rejected candidates are dropped, and resizes that
    reduce are sent. Until its order is placed, the `limit_price` of a candidate holds its planned
    units, and a position that it reverses is a working order that closes it.
    """
    for n in range(count):
        k = run.active_symbol[n]
        if run.target_side[k] == 0.0:
            continue
        if ADDS_WHEN and run.adds_due[k] != 0:
            enter_adds(k, t, run.bar[k, t], now_ns, run)
            run.target_side[k] = 0.0
            continue
        run.limit_price[k] = -1.0
        if run.target_side[k] * run.open_side[k] < 0.0:
            run.working[k], run.reduces[k], run.order_units[k] = 1, 0, -run.units[k]
    planned_cost = 0.0
    while True:
        best = -1
        for n in range(count):
            k = run.active_symbol[n]
            if (run.target_side[k] != 0.0 and run.limit_price[k] < 0.0) and (
                best < 0 or run.target_confidence[k] > run.target_confidence[best]
            ):
                best = k
        if best < 0:
            break
        planned_cost += plan_entry(best, t, run.bar[best, t], now_ns, run)
    for n in range(count):
        k = run.active_symbol[n]
        if run.target_side[k] != 0.0:
            run.orders_this_minute = run.orders_this_minute - 1
            if not run.target_side[k] * run.open_side[k] < 0.0:
                run.working[k] = 0
    free = funds_for_entries(now_ns, run)
    return free / planned_cost if planned_cost > free else 1.0


@routine
def plan_entry(k, t, i, now_ns, run: Run):
    """Apply all checks but cash to k, and reserve its place; return the funds it needs (quote)."""
    flips = run.target_side[k] * run.open_side[k] < 0.0
    if flips:
        run.working[k], run.order_units[k] = 0, 0.0
    units = enter(k, t, i, now_ns, -1.0, run)
    run.limit_price[k] = units
    if not units > 0.0:
        run.target_side[k] = 0.0
        return 0.0
    run.working[k], run.reduces[k] = 1, 0
    run.order_units[k] = -run.units[k] if flips else 0.0
    run.orders_this_minute = run.orders_this_minute + 1
    price, cost = run.candidate_price, run.candidate_cost
    need = cost if SPOT else price + LEVERAGE * (cost - price)
    return units / run.scale[k] * need


@routine
def funds_for_entries(now_ns, run: Run):
    """Return the funds for all planned entries (quote): cash, or notional that margin allows."""
    if SPOT:
        return max(0.0, buying_power(now_ns, run))
    gross, working = gross_now(-1, run)
    equity = run.equity - ((1.0 + SLIPPAGE_HINT) * (1.0 + TAKER_FEE) - 1.0) * working
    if RUNGS or GRID:
        equity -= cost_of_rungs(run)
    if KEEPS_CASH:
        equity -= CASH_BUFFER * run.equity
    return max(0.0, LEVERAGE * equity - gross)


@routine
def enter_share(k, t, i, now_ns, share, run: Run):
    """Place the share of a planned entry as far as limits allow, or reject it."""
    side, planned = run.target_side[k], run.limit_price[k]
    flips = side * run.open_side[k] < 0.0
    if flips:
        run.working[k], run.order_units[k] = 0, 0.0
    working = describe_entry(k, i, flips, run)
    if STEPS and (flips or run.open_side[k] == 0):
        rejection_of_distances(k, i, side, now_ns, run)
    size_base = requested_size(k, i, now_ns, run)
    if REBALANCES and (run.open_side[k] != 0 and not flips):
        size_base -= abs(run.candidate_held)
    run.candidate_requested = side * size_base
    take_costs(k, working, flips, run)
    part = planned * share
    units, capped = cap(k, t, i, now_ns, part / run.scale[k], -1.0, run)
    if capped < 0 and floor_units(part, run.lot[k]) < floor_units(planned, run.lot[k]):
        capped = R_CASH if SPOT else R_MARGIN
    rejected = rejection_of_size(k, units, capped, run)
    if rejected < 0:
        rejected = rejection_of_order(k, i, now_ns, side, units, run)
    if TABLES:
        run.granted[k, i] = side * units / run.scale[k] if rejected < 0 else 0.0
        run.rejected_code[k, i] = rejected + 1
        if capped >= 0:
            run.capped_code[k, i] = capped + 1
    if rejected < 0:
        place_entry(k, i, now_ns, side * units, flips, run)
    elif flips:
        send_exit(k, R_OPPOSITE, now_ns, run)
