"""Higher time frames: built from base bars, visible once closed."""

import math

from septet._kernel.layout import CLOSE, HIGH, LOW, OPEN, OPEN_NS, VOLUME
from septet._kernel.maths import NAN, helper

__all__ = [
    "FRAME_ROWS", "FRAME_SLOTS", "INCOMPLETE", "STRETCH", "bars_of", "blank", "blocks", "boundary",
    "clear", "extend", "fetch", "follow", "gather", "keep", "put_right", "unbroken",
    "within",
]  # fmt: skip

# bars that one feature takes before the next does: their columns fit into the cache
STRETCH = 2_048

# rows of a time frame in Y: open high low close volume slot session week seconds age
FRAME_ROWS = 10
# state of a time frame in S: bars closed, bucket, bar begun, incomplete bars, bars closed since
# history (re)started; of the bar begun: its base bars, whether the schedule has more of them, and
# whether one is missing
FRAME_SLOTS = 8
INCOMPLETE = 3


@helper
def unbroken(i0, i1, ages):
    """Return the end of the bars from `i0` on, `i1` at most, in which history does not restart."""
    i1 = min(i1, i0 + STRETCH)
    if ages[i1 - 1] - ages[i0] == i1 - 1 - i0:
        return i1
    end = i0 + 1
    while end < i1 and ages[end] == ages[end - 1] + 1:
        end += 1
    return end


@helper
def blocks(i, i1, slot, period, width):
    """Return the end of the bars to take next from `i`, and whether they are `width` blocks.

    A block is `period` bars of the time grid without a gap, from a multiple of `period` on. The
    bars before the next block, and those after the last, are taken one by one.
    """
    bars = width * period
    if width == 0 or i1 - i < bars or slot[i] <= 0.0:
        return i1, False
    past = slot[i] - period * math.floor(slot[i] / period)
    if past != 0.0:
        return min(i + int(period - past), i1), False
    if slot[i + bars - 1] - slot[i] != bars - 1:
        return min(i + period, i1), False
    return i + bars, True


@helper
def bars_of(rows, t0, t1):
    """Return the first bar of a symbol within times t0 to t1, and the one after its last.

    `rows` gives its bar of each time, -1 where it has none; without any both are the same.
    """
    while t0 < t1 and rows[t0] < 0:
        t0 += 1
    if t0 == t1:
        return 0, 0
    while rows[t1 - 1] < 0:
        t1 -= 1
    return rows[t0], rows[t1 - 1] + 1


@helper
def put_right(numbers, count, k, belongs):
    """Insert `k` into the first `count` ascending numbers, or remove it; return their new count.

    Nothing is changed where `k` is listed already, or is not listed and does not belong.
    """
    n = count
    while n > 0 and numbers[n - 1] >= k:
        n -= 1
    listed = n < count and numbers[n] == k
    if belongs and not listed:
        for at in range(count, n, -1):
            numbers[at] = numbers[at - 1]
        numbers[n] = k
        return count + 1
    if listed and not belongs:
        for at in range(n, count - 1):
            numbers[at] = numbers[at + 1]
        return count - 1
    return count


@helper
def within(i, low, high):
    """Return `i`, or the end of ``low .. high`` beyond which it lies."""
    return min(max(i, low), high)


@helper
def blank(out, first, last):
    """Publish nothing over a stretch of bars."""
    for i in range(first, last):
        out[i] = NAN


@helper
def fetch(slots, stored, age):
    """Take a feature's state out of S; zero where its history (re)starts."""
    for j in range(len(slots)):
        slots[j] = 0.0 if age == 0 else stored[j]


@helper
def keep(slots, stored):
    """Put a feature's state back into S."""
    for j in range(len(slots)):
        stored[j] = slots[j]


@helper
def clear(slots):
    """Zero a stretch of state: history (re)starts."""
    for j in range(len(slots)):
        slots[j] = 0.0


@helper
def boundary(k, age, frame_ns, offset_ns, S, slot):
    """Return where the higher time frame's bar that a base bar may extend closes (ns).

    0 where none has begun, or where history restarts with this base bar: its `age` is 0.
    """
    if S[k, slot + 2] == 0.0 or age == 0:
        return 0
    return (int(S[k, slot + 1]) + 1) * frame_ns + offset_ns


@helper
def extend(k, i, added, totals, frame, M, X, Y, S):
    """Keep what the bar that has begun is after base bar i, the last of so many `added` ones.

    `totals` are its high, low and volume so far; `frame` is as for `gather`.
    """
    high, low, volume = totals
    _, bar_ns, _, _, row, slot = frame
    h = int(S[k, slot])
    Y[k, row + 1, h] = high
    Y[k, row + 2, h] = low
    Y[k, row + 3, h] = X[k, CLOSE, i]
    Y[k, row + 4, h] = volume
    Y[k, row + 8, h] = 1e-9 * (M[k, OPEN_NS, i] + bar_ns)
    S[k, slot + 5] = S[k, slot + 5] + added


@helper
def gather(k, i, age, places, frame, M, X, Y, S):
    """Add base bar i to the bar of the higher time frame; return how many bars that closed.

    The bar closes with the base bar that ends at its boundary or beyond; without that one, with
    the first base bar after it. It is incomplete where a scheduled base bar is missing, and kept
    across a restart of history, from which on its age counts anew.

    Parameters
    ----------
    age
        Base bars since history (re)started; 0 where it does here.
    places
        Of the base bar: its open on the grid of the time frame, the opens of the scheduled base
        bars before and after it, and its end (ns); how many base bars are missing right before
        it; and how many a whole bar of the frame has, or 0 where that differs from bar to bar. If
        it does not differ, 0 stands for the missing ones.
    frame
        The length of the frame's bars, that of base bars, and what the frame's grid is shifted by
        (ns); the row of sessions in X, the frame's first row in Y, and its first slot in S.
    """
    frame_ns, bar_ns, offset_ns, session, row, slot = frame
    open_on_grid, previous_open, next_open, ends, missing, whole = places
    opened = M[k, OPEN_NS, i]
    start = int(S[k, slot + 1]) * frame_ns + offset_ns
    closed = 0
    if S[k, slot + 2] == 1.0 and not start <= open_on_grid < start + frame_ns:
        _close(k, S[k, slot + 6] + S[k, slot + 7] > 0.0, S, slot)
        closed += 1
    h = int(S[k, slot])
    if age == 0:
        S[k, slot + 4] = 0.0
        Y[k, row + 9, h] = 0.0
    if S[k, slot + 2] == 0.0:
        bucket = (open_on_grid - offset_ns) // frame_ns
        start = bucket * frame_ns + offset_ns
        S[k, slot + 1] = 1.0 * bucket
        S[k, slot + 2] = 1.0
        S[k, slot + 5] = 0.0
        S[k, slot + 6] = 1.0
        S[k, slot + 7] = 1.0 if previous_open >= start else 0.0
        Y[k, row, h] = X[k, OPEN, i]
        Y[k, row + 1, h] = X[k, HIGH, i]
        Y[k, row + 2, h] = X[k, LOW, i]
        Y[k, row + 4, h] = 0.0
        Y[k, row + 5, h] = 1.0 * bucket
        Y[k, row + 6, h] = X[k, session, i]
        Y[k, row + 7, h] = 1.0 * ((opened - 345_600_000_000_000) // 604_800_000_000_000)
        Y[k, row + 9, h] = S[k, slot + 4]
    elif missing > 0:
        S[k, slot + 7] = 1.0
    Y[k, row + 1, h] = max(Y[k, row + 1, h], X[k, HIGH, i])
    Y[k, row + 2, h] = min(Y[k, row + 2, h], X[k, LOW, i])
    Y[k, row + 3, h] = X[k, CLOSE, i]
    Y[k, row + 4, h] = Y[k, row + 4, h] + X[k, VOLUME, i]
    Y[k, row + 8, h] = 1e-9 * (opened + bar_ns)
    S[k, slot + 5] = S[k, slot + 5] + 1.0
    if ends >= start + frame_ns:
        _close(k, S[k, slot + 7] > 0.0 or S[k, slot + 5] < whole, S, slot)
        closed += 1
    elif next_open >= start + frame_ns:  # the market closes before the boundary
        S[k, slot + 6] = 0.0
    return closed


@helper
def follow(k, i, first, X, Y, S, column, row, slot):
    """Write a column of base bars into the bar of a time frame that base bar i belongs to.

    With `first` 1 its value at the bar's first base bar, else at its last so far.
    """
    h = int(S[k, slot])
    if S[k, slot + 2] == 0.0:  # the bar has closed with this base bar
        h -= 1
    if first == 0 or S[k, slot + 5] == 1.0:
        Y[k, row, h] = X[k, column, i]


@helper
def _close(k, incomplete, S, slot):
    S[k, slot] = S[k, slot] + 1.0
    S[k, slot + 2] = 0.0
    S[k, slot + 4] = S[k, slot + 4] + 1.0
    if incomplete:
        S[k, slot + 3] = S[k, slot + 3] + 1.0
