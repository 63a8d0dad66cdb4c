"""The number of symbols held or being entered, limited by `risk.max_positions`."""

from __future__ import annotations

from septet._rules.compile_marks import routine
from septet._rules.grid_orders import grid_worth
from septet._rules.resting import leaving_units
from septet._rules.run_state import Run
from septet._rules.settings import GRID, MAX_POSITIONS, QUEUES, SYMBOLS

__all__ = ["has_place", "is_held_or_entered", "positions_now"]


@routine
def is_held_or_entered(k, run: Run):
    """Whether k is held and not being closed, or is being entered."""
    if QUEUES and run.queued_id[k] != 0:
        return True
    if run.working[k] == 1 and run.reduces[k] == 0:
        return True
    if GRID and grid_worth(k, run) > 0.0:
        return True
    return run.open_side[k] != 0 and abs(run.units[k]) - leaving_units(k, run) >= run.lot[k]


@routine
def positions_now(run: Run):
    """Count the symbols that are held or being entered."""
    count = 0
    for k in range(SYMBOLS):
        if is_held_or_entered(k, run):
            count += 1
    return count


@routine
def has_place(k, run: Run):
    """Whether k may be entered: it counts already, or the limit is not reached."""
    return is_held_or_entered(k, run) or positions_now(run) < MAX_POSITIONS
