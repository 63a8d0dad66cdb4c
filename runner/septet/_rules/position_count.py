"""The number of symbols held or being entered, limited by `risk.max_positions`."""

from __future__ import annotations

from septet._rules.compile_marks import routine
from septet._rules.grid_orders import grid_worth
from septet._rules.resting import leaving_units
from septet._rules.run_state import Run
from septet._rules.settings import GRID, MOST_POSITIONS, ONE_SYMBOL, QUEUES, SYMBOLS

__all__ = ["has_place", "is_beyond_places", "is_held_or_entered", "positions_now"]


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
    return is_held_or_entered(k, run) or positions_now(run) < MOST_POSITIONS


@routine
def is_beyond_places(k, count, run: Run):
    """Whether candidates of higher confidence (ties in universe order) take all free places."""
    if ONE_SYMBOL or is_held_or_entered(k, run):
        return False
    before, reached = 0, 0
    for n in range(count):
        other = run.active_symbol[n]
        if other == k:
            reached = 1
        elif run.target_side[other] != 0.0 and not is_held_or_entered(other, run):
            ahead = run.target_confidence[other] - run.target_confidence[k]
            if ahead > 0.0 or (ahead == 0.0 and reached == 0):
                before += 1
    return positions_now(run) + before >= MOST_POSITIONS
