"""The side that may not be entered again for a while: a stop, a time limit or a halt closed it."""

from __future__ import annotations

from septet._kernel.layout import FLATTEN
from septet._rules.compile_marks import kernel, routine
from septet._rules.run_state import Run
from septet._rules.settings import COOLDOWN_BARS, EXITS, HALTS, REENTRY

__all__ = ["block_after", "block_after_fill", "block_side", "is_left"]


@kernel
def is_left(k, side, run: Run):
    """Whether k has left a side: bars and signals count towards the end of its block from then on.

    The side of an exit that is too small to be sent counts as left: such an exit may wait for long.
    """
    return run.open_side[k] != side or run.exit_to_retry[k] != 0


@kernel
def block_side(k, side, run: Run):
    """Block the side of a stop from re-entry; the block of the other side does not change.

    Bars count from that of the exit's fill: this many decisions are rejected from its close on.
    """
    if REENTRY != "immediate":
        if side > 0:
            run.blocked_long[k] = COOLDOWN_BARS + 1
        elif side < 0:
            run.blocked_short[k] = COOLDOWN_BARS + 1


@routine
def block_after_fill(k, side, order_id, reason, run: Run):
    """Block the side of a position that a fill has closed; an exit that waited has blocked it.

    If an exit for another reason was already working, the position closes for that reason.
    """
    if order_id < 0 or run.waited_exit[k] != order_id + 1:
        block_after(k, side, reason, run)


@routine
def block_after(k, side, reason, run: Run):
    """Block the side of a position if a time limit or a halt is the reason to close it."""
    for stop in EXITS:
        if reason == stop.code:
            block_side(k, side, run)
    for halt in HALTS:
        if halt.then == FLATTEN and reason == halt.code:
            block_side(k, side, run)
