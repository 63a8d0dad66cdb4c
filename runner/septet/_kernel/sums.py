"""Rolling sums that neither drift nor remember where history began.

A rolling sum is kept as a pair (total, carry) whose exact sum is the window's sum to about twice
double precision: whatever a rounded addition loses is added to the carry (Knuth's two-sum). Every
`period` numbers of the time grid the pair is taken anew from the window itself, so that two runs
that began on different bars hold the same bits from then on.

NaN policy: a NaN or an infinity in the window gives NaN until it has left the window; then the
sum is taken anew. State slots are addressed as ``state[at + n]``; no views are made.
"""

from __future__ import annotations

import math
from typing import Any, Final

from septet._kernel.maths import NAN, finite, helper, usual

__all__ = [
    "SUM",
    "WEIGHTED",
    "add",
    "due",
    "gather",
    "roll",
    "take_sum",
    "weighted_sum",
    "window_sum",
]

SUM: Final = ("anchor", "total", "carry")
"""Slots of `window_sum`."""
WEIGHTED: Final = ("anchor", "total", "carry", "weighted", "weighted_carry")
"""Slots of `weighted_sum`."""


@helper
def due(i: int, slot: Any, period: int, state: Any, at: int) -> bool:
    """Whether the time grid passed a multiple of `period` since the last call, or none was made.

    ``state[at]`` holds the next multiple; zero means never called, or asks for it again.
    (Where the next multiple is zero itself, in the last stretch before 1970, every bar is due:
    slower, and the same bits.) A quotient of whole numbers below 2**53 never rounds up to the
    next one, so that its floor is exact; ``//`` of floats is not a division but a slow remainder.
    """
    passes = state[at]
    if passes != 0.0 and slot[i] < passes:
        return False
    state[at] = (math.floor(slot[i] / period) + 1) * period
    return True


@helper
def gather(total: float, carry: float, x: float) -> tuple[float, float]:
    """Add `x` to the pair (total, carry), compensated: total + carry is the sum.

    Knuth's two-sum: the rounding error of each addition goes into the carry. NaN and infinity stay
    in the pair.
    """
    grown = total + x
    part = grown - total
    return grown, carry + ((total - (grown - part)) + (x - part))


@helper
def add(state: Any, at: int, x: float) -> None:
    """Add `x` to the pair (total, carry) at ``state[at]``, ``state[at + 1]``, as `gather` does."""
    state[at], state[at + 1] = gather(state[at], state[at + 1], x)


@helper
def roll(state: Any, at: int, entering: float, leaving: float) -> None:
    """Add `entering` to the pair (total, carry) at ``state[at]`` and subtract `leaving`.

    Both are compensated, as in `gather`; NaN and infinity stay in the pair.
    """
    change = entering - leaving
    back = change - entering
    lost = (entering - (change - back)) - (leaving + back)
    old = state[at]
    total = old + change
    part = total - old
    state[at] = total
    state[at + 1] += lost + ((old - (total - part)) + (change - part))


@helper
def take_sum(i: int, x: Any, period: int, state: Any, at: int) -> None:
    """Sum the window that ends at `i` anew into the pair at `at`.

    A value that is not finite makes the sum of the pair not finite; single values are not checked.
    """
    total = 0.0
    carry = 0.0
    for back in range(period):
        total, carry = gather(total, carry, x[i - back])
    state[at] = total
    state[at + 1] = carry


@helper
def window_sum(i: int, x: Any, slot: Any, period: int, state: Any, at: int) -> float:
    """Return the sum of ``x[i - period + 1 .. i]``; slots `SUM` from `at` on.

    Within 1e-15 (relative to the largest partial sum) of the exact sum after any number of bars.
    Reads ``x[i - period]`` from its second call on. Same bits for every start at least
    ``2 * period`` bars earlier.
    """
    if due(i, slot, period, state, at):
        take_sum(i, x, period, state, at + 1)
    else:
        roll(state, at + 1, x[i], x[i - period])
    total = state[at + 1] + state[at + 2]
    if not usual(finite(total), state):
        state[at] = 0.0
        return NAN
    return total


@helper
def _take_weighted(i: int, x: Any, period: int, state: Any, at: int) -> None:
    take_sum(i, x, period, state, at)
    total = 0.0
    carry = 0.0
    for back in range(period):
        total, carry = gather(total, carry, (period - back) * x[i - back])
    state[at + 2] = total
    state[at + 3] = carry


@helper
def weighted_sum(i: int, x: Any, slot: Any, period: int, state: Any, at: int) -> float:
    """Return the sum of weight times `x` over `period` bars, weights 1 (oldest) to `period`.

    It keeps the slots `WEIGHTED` at ``state[at]``. NaN while a value of the window is NaN or
    infinite.
    """
    if due(i, slot, period, state, at):
        _take_weighted(i, x, period, state, at + 1)
    else:
        roll(state, at + 3, period * x[i], state[at + 1])
        add(state, at + 3, -state[at + 2])
        roll(state, at + 1, x[i], x[i - period])
    total = state[at + 3] + state[at + 4]
    if not usual(finite(total), state) or not usual(finite(state[at + 1]), state):
        state[at] = 0.0
        return NAN
    return total
