"""The side that may not be entered again for a while: a stop, a time limit or a halt closed it."""

from __future__ import annotations

from septet._rules.compile_marks import kernel, routine
from septet._rules.run_state import Run
from septet._rules.settings import COOLDOWN_BARS, EXITS, HALTS, REENTRY

__all__ = ["block_after", "block_side", "is_left"]


@kernel
def is_left(k, side, run: Run):
    """Whether k has left a side: its block ends by bars or signals from the closing fill on.

    An exit that is too small to be sent may wait for long: its side is left as well.
    """
    return run.open_side[k] != side or run.exit_to_retry[k] != 0


@kernel
def block_side(k, side, run: Run):
    """Block the side of a stop from re-entry; the block of the other side does not change.

    The bar whose end is counted first is that of the exit's fill: so many decisions are rejected
    from its close on.
    """
    if REENTRY != "immediate":
        if side > 0:
            run.blocked_long[k] = COOLDOWN_BARS + 1
        elif side < 0:
            run.blocked_short[k] = COOLDOWN_BARS + 1


@routine
def block_after(k, side, reason, run: Run):
    """Block the side of a position that a time limit or a halt has closed, and no other reason.

    An exit for another reason that was on its way first closes it for that reason.
    """
    for stop in EXITS:
        if reason == stop.code:
            block_side(k, side, run)
    for halt in HALTS:
        if halt.then == 0 and reason == halt.code:
            block_side(k, side, run)
