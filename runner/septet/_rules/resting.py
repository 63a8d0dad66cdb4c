"""Additional open orders of a position in steps: a take, and resting adds.

Takes by a condition share one slot; each resting add (`RUNGS`) has its own, in columns of B: price,
unfilled units (signed) and number. All end with the trade. With venue fills the engine watches the
prices of resting adds: see `septet._rules.venue_steps`.
"""

from __future__ import annotations

from septet._kernel.layout import AFTER_FILL, LIMIT, STATUS, STATUS_CANCELLED
from septet._rules.compile_marks import kernel, routine
from septet._rules.ledger import end_order, log_order, log_row
from septet._rules.records import Order
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    PORTFOLIO,
    R_ADD,
    R_INCREASE,
    R_POSITION_CLOSED,
    RUNGS,
    SENDS_TAKES,
    VENUE_FILLS,
)

__all__ = [
    "end_beside", "end_rungs", "end_steps", "end_take", "leaving_units", "log_beside",
    "log_limit", "rests_as_limit", "rung_worth",
]  # fmt: skip


@kernel
def log_beside(k, order: Order, time_ns, run: Run):
    """Make an order that is not the working one, log it, and return its number."""
    row = log_order(k, order, time_ns, run)
    run.LF[row, 6] = run.equity
    return run.LI[row, 3]


@kernel
def log_limit(k, units, price, reason, time_ns, run: Run):
    """Make a limit order at a price beside the working order, log it, and return its number."""
    return log_beside(
        k, Order(kind=LIMIT, units=units, reason=reason, decision_price=price, limit=price),
        time_ns, run,
    )  # fmt: skip


@kernel
def end_beside(k, order_id, unfilled, status, reason, time_ns, run: Run):
    """Log the end of an order that is not the working one, with its unfilled units (signed)."""
    row = log_row(STATUS, time_ns, k, order_id, status, reason, run)
    run.LF[row, 0] = unfilled


@routine
def end_take(k, reason, time_ns, run: Run):
    """Cancel the take of k that works, if there is one."""
    if run.take_units[k] != 0.0:
        unfilled = run.take_units[k]
        end_beside(k, run.take_id[k], unfilled, STATUS_CANCELLED, reason, time_ns, run)
        run.take_units[k] = 0.0
        if run.break_even[k] == AFTER_FILL:  # a take that has sold nothing moves no stop
            run.break_even[k] = 0


@routine
def end_rungs(k, reason, time_ns, run: Run):
    """Cancel the resting adds of k; they are not placed again in this trade."""
    for rung in RUNGS:
        unfilled = run.B[k, rung.units]
        if unfilled != 0.0:
            if not VENUE_FILLS or run.B[k, rung.order] >= 0.0:  # else its price is only watched
                order_id = int(run.B[k, rung.order])
                end_beside(k, order_id, unfilled, STATUS_CANCELLED, reason, time_ns, run)
            run.B[k, rung.units] = 0.0


@routine
def end_steps(k, side, time_ns, run: Run):
    """End the adds and takes of a closed trade of k on a side."""
    if (ADDS_WHEN or PORTFOLIO) and run.working[k] == 1:
        adds = run.order_reason[k] == R_ADD or (PORTFOLIO and run.order_reason[k] == R_INCREASE)
        if adds and run.order_units[k] * side > 0.0:
            end_order(k, STATUS_CANCELLED, R_POSITION_CLOSED, time_ns, run)
    if RUNGS:
        end_rungs(k, R_POSITION_CLOSED, time_ns, run)
    if SENDS_TAKES:
        end_take(k, R_POSITION_CLOSED, time_ns, run)


@kernel
def leaving_units(k, run: Run):
    """Return the units of k that working market orders will close, at most the position."""
    units = 0.0
    if run.working[k] == 1 and run.reduces[k] == 1:
        units = abs(run.order_units[k])
    if SENDS_TAKES:
        units += abs(run.take_units[k])
    return min(units, abs(run.units[k]))


@kernel
def rests_as_limit(k, level, run: Run):
    """Whether an add of k at a level is a limit order: it lies against the position."""
    return 1.0 * run.open_side[k] * (level - run.first_price[k]) < 0.0


@kernel
def rung_worth(k, run: Run):
    """Notional of the resting adds of k at their prices, signed (quote)."""
    worth = 0.0
    for rung in RUNGS:
        if run.B[k, rung.units] != 0.0:
            worth += run.B[k, rung.units] / run.scale[k] * run.B[k, rung.price]
    return worth
