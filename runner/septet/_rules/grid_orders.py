"""Resting orders of a grid: the columns of its levels in B, their notional, and their end.

A level lies below the centre (long) or above it (short). While it has bought nothing its entry
rests at its price; what it has bought is sold by an exit that rests one level up.
"""

from __future__ import annotations

from septet._kernel.layout import (
    GRID_BOUGHT,
    GRID_CHANGED,
    GRID_ENTRY,
    GRID_EXIT,
    GRID_ORDER,
    GRID_PRICE,
    GRID_WIDTH,
    STATUS_CANCELLED,
)
from septet._kernel.ledger import floor_units
from septet._kernel.match import too_small
from septet._rules.compile_marks import kernel, routine
from septet._rules.resting import end_beside
from septet._rules.run_state import Run
from septet._rules.settings import (
    GRID_FIRST,
    GRID_LEVELS,
    GRID_ROWS,
    MAKER_FEE,
    R_GRID_EXIT,
    R_POSITION_CLOSED,
    SLIPPAGE_HINT,
    TAKER_FEE,
    VENUE_FILLS,
)

__all__ = [
    "column_of_level", "cost_of_entry", "end_grid_entries", "end_grid_orders", "end_grid_trade",
    "end_level", "grid_worth", "remove_grid", "side_of_level", "waits_too_small",
]  # fmt: skip


@kernel
def column_of_level(n):
    """First column of B of level n; those of the long side come first, nearest first."""
    return GRID_FIRST + n * GRID_WIDTH


@kernel
def side_of_level(n):
    """Side that level n enters."""
    return 1.0 if n < GRID_LEVELS else -1.0


@kernel
def cost_of_entry(price, run: Run):
    """Return the cost of one unit that a level enters: maker; with venue fills, at market."""
    if VENUE_FILLS:
        return price * (1.0 + SLIPPAGE_HINT) * (1.0 + TAKER_FEE)
    return price * (1.0 + MAKER_FEE)


@kernel
def waits_too_small(k, run: Run):
    """Whether the exit of k waits because it is worth less than the venue takes.

    A position below a lot that has grown counts as such.
    """
    floored = floor_units(abs(run.units[k]), run.lot[k])
    if run.open_side[k] == 0 or floored == 0.0:
        return run.open_side[k] != 0
    small = too_small(floored, run.scale[k], run.mark[k], run.min_notional[k], run.min_units[k])
    return run.exit_to_retry[k] != 0 and small


@routine
def grid_worth(k, run: Run):
    """Notional of the resting entries of the grid of k at their prices, of both sides (quote)."""
    worth = 0.0
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        worth += abs(run.B[k, at + GRID_ENTRY]) / run.scale[k] * run.B[k, at + GRID_PRICE]
    return worth


@routine
def end_level(k, at, unfilled, reason, time_ns, run: Run):
    """Log the cancel of the order of a level; a level that is only watched has no order."""
    if not VENUE_FILLS or run.B[k, at + GRID_ORDER] >= 0.0:
        order_id = int(run.B[k, at + GRID_ORDER])
        end_beside(k, order_id, unfilled, STATUS_CANCELLED, reason, time_ns, run)


@routine
def end_grid_entries(k, side, reason, time_ns, run: Run):
    """Cancel the resting entries of the grid of k on one side; with 0 on both."""
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        unfilled = run.B[k, at + GRID_ENTRY]
        if unfilled != 0.0 and side * unfilled >= 0.0:
            end_level(k, at, unfilled, reason, time_ns, run)
            run.B[k, at + GRID_ENTRY] = 0.0


@routine
def end_grid_exits(k, reason, time_ns, run: Run):
    """Cancel the resting exits of the grid of k."""
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        unfilled = run.B[k, at + GRID_EXIT]
        if unfilled != 0.0:
            end_level(k, at, unfilled, reason, time_ns, run)
            run.B[k, at + GRID_EXIT] = 0.0


@routine
def end_grid_orders(k, reason, time_ns, run: Run):
    """Cancel every resting order of the grid of k; its levels stay."""
    end_grid_entries(k, 0.0, reason, time_ns, run)
    end_grid_exits(k, reason, time_ns, run)


@routine
def remove_grid(k, reason, time_ns, run: Run):
    """Cancel every resting order of the grid of k, and forget its levels."""
    end_grid_orders(k, reason, time_ns, run)
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        run.B[k, at + GRID_PRICE] = 0.0
        run.B[k, at + GRID_BOUGHT] = 0.0
        run.B[k, at + GRID_CHANGED] = 0.0


@routine
def end_grid_trade(k, reason, time_ns, run: Run):
    """End the trade of k; if an exit of the grid closed it, the entries of the grid continue."""
    if reason == R_GRID_EXIT:
        end_grid_exits(k, R_POSITION_CLOSED, time_ns, run)
        for n in range(GRID_ROWS):
            run.B[k, column_of_level(n) + GRID_BOUGHT] = 0.0
    else:
        remove_grid(k, R_POSITION_CLOSED, time_ns, run)
