"""A grid whose orders a venue fills: levels are decided at T, and matched with prices here.

Nothing rests at the venue. A level that a price has passed is one order at market beside the
working one: its entry, or the reduction by what it has bought. It acts once between two closes,
and has one order at a time. Bought and sold units are counted with each fill, so the units of a
level are the sum of its fills. A flat grid is not recomputed while one of its orders is in flight.
"""

from __future__ import annotations

from septet._kernel.layout import (
    GRID_BOUGHT,
    GRID_ENTRY,
    GRID_EXIT,
    GRID_ORDER,
    GRID_OUT,
    GRID_PRICE,
    MARKET,
)
from septet._kernel.ledger import floor_units
from septet._kernel.match import too_small
from septet._kernel.touch import passes
from septet._rules.compile_marks import kernel, routine
from septet._rules.grid_orders import column_of_level, side_of_level, waits_too_small
from septet._rules.records import Order
from septet._rules.resting import end_beside, leaving_units, log_beside
from septet._rules.run_state import Run
from septet._rules.settings import GRID_ROWS, R_GRID, R_GRID_EXIT
from septet._rules.stops import exit_is_working

__all__ = [
    "count_level", "count_sent", "end_sent_level", "level_of_order", "sent_exit_units", "share_out",
    "touch_grid", "touch_grid_entries", "touch_grid_exits", "watch_again",
]  # fmt: skip


# ---------------------------------------------------------------- a price


@routine
def touch_grid(k, exit_price, entry_price, now_ns, run: Run):
    """Send the orders of the grid levels of k that a price has passed: reductions, then entries.

    While flat, the two prices are the entry prices of the two sides.
    """
    if exit_is_working(k, run):
        return
    if waits_too_small(k, run):
        touch_grid_entries(k, entry_price, entry_price, now_ns, run)
    elif run.exit_to_retry[k] != 0:
        return
    elif run.open_side[k] != 0:
        touch_grid_exits(k, exit_price, now_ns, run)
        touch_grid_entries(k, entry_price, entry_price, now_ns, run)
    elif exit_price == exit_price and entry_price == entry_price:
        buy, sell = max(exit_price, entry_price), min(exit_price, entry_price)
        touch_grid_entries(k, buy, sell, now_ns, run)


@routine
def touch_grid_exits(k, exit_price, now_ns, run: Run):
    """Send the exit of every level of k that `exit_price` has passed, at most the position."""
    side = 1.0 * run.open_side[k]
    free = abs(run.units[k]) - leaving_units(k, run) - sent_exit_units(k, run)
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        waits = run.B[k, at + GRID_EXIT] != 0.0 and run.B[k, at + GRID_ORDER] < 0.0
        if waits and passes(side, exit_price, run.B[k, at + GRID_OUT]):
            units = floor_units(max(0.0, min(abs(run.B[k, at + GRID_EXIT]), free)), run.lot[k])
            if units >= run.lot[k] and not too_small(
                units, run.scale[k], exit_price, run.min_notional[k], run.min_units[k]
            ):
                free -= units
                run.B[k, at + GRID_EXIT] = -side * units
                run.B[k, at + GRID_ORDER] = log_beside(
                    k,
                    Order(
                        kind=MARKET, units=-side * units, reason=R_GRID_EXIT,
                        decision_price=run.mark[k], limit=run.B[k, at + GRID_OUT],
                    ),
                    now_ns, run,
                )  # fmt: skip


@routine
def touch_grid_entries(k, buy_price, sell_price, now_ns, run: Run):
    """Send the entry of every level of k that a price has traded through, nearest first."""
    if run.blocked > 0:
        return
    if run.open_side[k] != 0 and leaving_units(k, run) >= abs(run.units[k]):
        return
    held = 1.0 * run.open_side[k]
    for n in range(GRID_ROWS):
        at, side = column_of_level(n), side_of_level(n)
        price = buy_price if side > 0.0 else sell_price
        passed = passes(-side, price, run.B[k, at + GRID_PRICE])
        waits = run.B[k, at + GRID_ENTRY] != 0.0 and run.B[k, at + GRID_ORDER] < 0.0
        units = side * floor_units(abs(run.B[k, at + GRID_ENTRY]), run.lot[k])  # it may have grown
        if waits and passed and side * held >= 0.0 and units != 0.0:
            run.B[k, at + GRID_ENTRY] = units
            run.B[k, at + GRID_ORDER] = log_beside(
                k,
                Order(
                    kind=MARKET, units=units, reason=R_GRID, decision_price=run.mark[k],
                    limit=run.B[k, at + GRID_PRICE],
                ),
                now_ns, run,
            )  # fmt: skip


# ---------------------------------------------------------------- orders that were sent


@routine
def level_of_order(k, order_id, run: Run):
    """First column of the level of k whose order has this number, or -1."""
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        works = run.B[k, at + GRID_ENTRY] != 0.0 or run.B[k, at + GRID_EXIT] != 0.0
        if works and run.B[k, at + GRID_ORDER] == 1.0 * order_id:
            return at
    return -1


@routine
def count_sent(k, run: Run):
    """Count the levels of k whose order was sent and has not ended."""
    count = 0
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        works = run.B[k, at + GRID_ENTRY] != 0.0 or run.B[k, at + GRID_EXIT] != 0.0
        if works and run.B[k, at + GRID_ORDER] >= 0.0:
            count += 1
    return count


@routine
def sent_exit_units(k, run: Run):
    """Return the units of k that the exits of levels already sent will close."""
    units = 0.0
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        if run.B[k, at + GRID_ORDER] >= 0.0:
            units += abs(run.B[k, at + GRID_EXIT])
    return units


@kernel
def count_level(k, at, units, run: Run):
    """Count a fill of the order of a level; return 1 once it is filled completely."""
    column = at + GRID_ENTRY if run.B[k, at + GRID_ENTRY] != 0.0 else at + GRID_EXIT
    ordered = run.B[k, column]
    unfilled = ordered - units
    done = 1 if unfilled * ordered <= 0.0 or abs(unfilled) < run.lot[k] else 0
    run.B[k, column] = 0.0 if done == 1 else unfilled
    return done


@routine
def end_sent_level(k, at, order_id, status, time_ns, run: Run):
    """Process the end of a level's order at the venue; it is active again at the next close."""
    unfilled = run.B[k, at + GRID_ENTRY] + run.B[k, at + GRID_EXIT]
    reason = R_GRID if run.B[k, at + GRID_ENTRY] != 0.0 else R_GRID_EXIT
    run.B[k, at + GRID_ENTRY] = 0.0
    run.B[k, at + GRID_EXIT] = 0.0
    end_beside(k, order_id, unfilled, status, reason, time_ns, run)


@routine
def watch_again(k, run: Run):
    """Let the exits of k that were not sent be decided anew: lot and minimum may have changed."""
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        if run.B[k, at + GRID_EXIT] != 0.0 and run.B[k, at + GRID_ORDER] < 0.0:
            run.B[k, at + GRID_EXIT] = 0.0


@routine
def share_out(k, first, run: Run):
    """Assign units of k that no level has bought to the nearest level of their side.

    Such units are late fills and remainders of a lot; they are sold one level up like all others.
    A level that waits to sell keeps its order.
    """
    excess = abs(run.units[k])
    for n in range(GRID_ROWS):
        excess -= run.B[k, column_of_level(n) + GRID_BOUGHT]
    excess = floor_units(max(0.0, excess), run.lot[k])
    if excess >= run.lot[k] and run.B[k, first + GRID_PRICE] > 0.0:
        run.B[k, first + GRID_BOUGHT] = run.B[k, first + GRID_BOUGHT] + excess
        if run.B[k, first + GRID_ENTRY] != 0.0 and run.B[k, first + GRID_ORDER] < 0.0:
            run.B[k, first + GRID_ENTRY] = 0.0
