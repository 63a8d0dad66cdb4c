"""Recursive averages whose memory ends.

A recursive average weighs every value since the first. The weight of an old value falls below the
last bit, and yet two runs that began on different bars need not converge: where the input is
constant, rounding stops each of them within half a unit in the last place. So each is replayed
from its last `depth` bars whenever the time grid passes a multiple of `depth`: from then on it
depends on those bars alone. With ``depth = 36 / weight`` a seed weighs less than e**-36, two parts
in ten to the sixteenth, so that the replay changes no significant digit. Memory: twice the depth.
Cost: each bar is absorbed twice.

The seed is the plain mean of the first `period` values, as in TA-Lib.

NaN policy: a bar whose input is not finite gives NaN and leaves the average as it was.
"""

from __future__ import annotations

from typing import Any, Final

from septet._kernel.maths import NAN, finite, helper
from septet._kernel.sums import due

__all__ = ["AVERAGE", "absorb", "recursive_average", "replay_due"]

AVERAGE: Final = ("anchor", "calls", "count", "value")
"""Slots of `recursive_average`."""


@helper
def replay_due(i: int, slot: Any, depth: int, state: Any, at: int) -> bool:
    """Whether a recursion has to be computed again from the last `depth` bars now.

    It keeps two slots at ``state[at]``: the anchor of `due`, and the number of calls. True when the
    time grid passes a multiple of `depth`, once `depth` bars were seen.
    """
    state[at + 1] += 1.0
    return due(i, slot, depth, state, at) and state[at + 1] >= depth


@helper
def absorb(count: float, value: float, x: float, period: int, weight: float) -> tuple[float, float]:
    """Take one value into an average: the count of values seen, `period` at most, and the average.

    Until `period` values were seen it is their plain mean; the average of equal values is exactly
    that value. `weight` is that of the newest value, a fraction. `x` must be finite: NaN or
    infinity would never leave the average.
    """
    if count >= period:
        return count, value + (x - value) * weight
    count = count + 1.0
    return count, value + (x - value) / count


@helper
def recursive_average(
    i: int, x: Any, slot: Any, period: int, weight: float, depth: int, state: Any, at: int
) -> float:
    """Return the recursive average of `x` with `weight` for the newest value; slots `AVERAGE`.

    NaN until `period` finite values were seen. Reads at most `depth` bars back.
    """
    count = state[at + 2]
    value = state[at + 3]
    if replay_due(i, slot, depth, state, at):
        count = 0.0
        value = 0.0
        for j in range(i - depth + 1, i):
            if finite(x[j]):
                count, value = absorb(count, value, x[j], period, weight)
    is_finite = finite(x[i])
    if is_finite:
        count, value = absorb(count, value, x[i], period, weight)
    state[at + 2] = count
    state[at + 3] = value
    if is_finite and count >= period:
        return value
    return NAN
