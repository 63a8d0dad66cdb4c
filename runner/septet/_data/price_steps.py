"""Detection of prices at another level than their neighbours: bars, extremes of a bar, steps.

A market moves from one level to another through the prices between them, and its bars show it: the
range of the bar in which it crashed reaches from one level to the other. A slip of the decimal
point, a change of unit, another symbol or a split leaves bars whose ranges lie apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints

__all__ = ["GAP_FACTOR", "MAX_SPIKE_BARS", "STEP_FACTOR", "Before", "Range", "is_spike_live",
           "price_gaps", "spike_rows", "wick_rows"]  # fmt: skip

STEP_FACTOR: Final = 5.0  # a bar off by this factor is bad, a new level is rejected
GAP_FACTOR: Final = 1.7  # a gap between two bars that gives a warning; a 2-for-1 split is 2
NEAR_FACTOR: Final = 2.0
MAX_SPIKE_BARS: Final = 20
_TILE: Final = 16_384

Range: TypeAlias = tuple[Floats, Floats, Floats]
"""High, low and close of bars in order of time."""


class Before(msgspec.Struct, frozen=True):
    """State before the first row: the last close on the level, and whether a spike continues."""

    close: float
    in_spike: bool = False


def _moves(close: Floats, factor: float) -> Ints:
    """Return rows whose close differs by `factor` or more from the close before.

    Checked in tiles.
    """
    rows = []
    with np.errstate(over="ignore", under="ignore"):
        for at in range(0, len(close) - 1, _TILE):
            part = close[at : at + _TILE + 1]
            far = (part[1:] >= factor * part[:-1]) | (part[:-1] >= factor * part[1:])
            if far.any():
                rows.append(np.flatnonzero(far) + (at + 1))
    return np.concatenate(rows) if rows else np.zeros(0, np.int64)


def _apart(first: float, second: float) -> float:
    """Return the factor by which two prices differ, at least one."""
    return max(first / second, second / first)


def _reaches(high: float, low: float, level: float) -> bool:
    """Return whether the range of a bar comes near a level."""
    return low <= NEAR_FACTOR * level and high * NEAR_FACTOR >= level


def spike_rows(
    bars: Range, before: Before | None = None, ahead: Callable[[], Range] | None = None
) -> tuple[Ints, Before | None]:
    """Return the rows of bars that leave the price level and return to it soon.

    The closes of one bar, or of up to nineteen in a row, differ by a factor of five or more from
    the close before them; the next close is again within a factor of two of that close, and the
    range of the bar that leaves the level, or of the bar that returns, does not reach from one
    level to the other. The first and the last bars of a series have one neighbour and are not
    spikes.

    Parameters
    ----------
    bars
        High, low and close, shape (n,) each, above zero, in order of time.
    before
        State before the first row, if these are a part of a longer series.
    ahead
        Returns the next bars if these are not the last; called only if a spike may continue there.

    Returns
    -------
    rows, before
        Row numbers, and the state before the row that follows the last.
    """
    if not len(bars[2]):
        return np.zeros(0, np.int64), before
    if before is not None:
        bars = _joined((np.array([before.close]),) * 3, bars)
    count, found, done = len(bars[2]), [np.zeros(0, np.int64)], 0
    level = float(bars[2][-1])
    if before is not None and before.in_spike:
        done = _end_of_run(bars[2], 1, before.close)
        found.append(np.arange(1, done))
        level = before.close if done == count else level
    for at in _moves(bars[2], STEP_FACTOR).tolist():
        if at <= done:
            continue
        if ahead is not None and at + MAX_SPIKE_BARS >= count:
            bars, ahead = _joined(bars, ahead()), None
        end = _spike_end(*bars, at)
        if end:
            found.append(np.arange(at, min(end, count)))
            done = end
            level = float(bars[2][at - 1]) if end >= count else level
    rows = np.concatenate(found)
    ends_in_spike = bool(len(rows)) and int(rows[-1]) == count - 1
    return rows - (before is not None), Before(level, ends_in_spike)


def _joined(first: Range, second: Range) -> Range:
    high, low, close = (np.concatenate(both) for both in zip(first, second, strict=True))
    return high, low, close


def _end_of_run(close: Floats, first: int, level: float) -> int:
    """Return the first row from `first` on that is on the level."""
    end = first
    while end < len(close) and _apart(float(close[end]), level) >= STEP_FACTOR:
        end += 1
    return end


def _spike_end(high: Floats, low: Floats, close: Floats, at: int) -> int:
    """Return the row in which prices that left the level at `at` return to it; 0 if they do not."""
    level = float(close[at - 1])
    end = _end_of_run(close[: at + MAX_SPIKE_BARS], at, level)
    if (
        end >= min(len(close), at + MAX_SPIKE_BARS)
        or _apart(float(close[end]), level) > NEAR_FACTOR
    ):
        return 0
    left = _reaches(float(high[at]), float(low[at]), level)
    came = _reaches(float(high[end]), float(low[end]), float(close[end - 1]))
    return 0 if left and came else end


def wick_rows(
    open_: Floats, high: Floats, low: Floats, close: Floats, before: float = np.nan
) -> Ints:
    """Return rows whose high, low or open differs by a factor of five from the rest of the bar.

    Prices are float64 (n,) above zero, without NaN. The rows are those with a high above five times
    open and close, with a low under a fifth of both, or with an open as far from the close of its
    bar and from the previous close (`before` for the first row) on the same side.
    """
    with np.errstate(over="ignore"):
        found = [
            np.flatnonzero(high[at : at + _TILE] >= STEP_FACTOR * low[at : at + _TILE]) + at
            for at in range(0, len(close), _TILE)
        ]
        rows = np.concatenate(found) if found else np.zeros(0, np.int64)
        if not len(rows):
            return rows
        opened, closed = open_[rows], close[rows]
        last = np.where(rows > 0, close[np.maximum(rows - 1, 0)], before)
        odd = (high[rows] >= STEP_FACTOR * np.maximum(opened, closed)) | (
            np.minimum(opened, closed) >= STEP_FACTOR * low[rows]
        )
        slip = (opened >= STEP_FACTOR * np.maximum(closed, last)) | (
            np.minimum(closed, last) >= STEP_FACTOR * opened
        )
    return rows[odd | slip]


def price_gaps(bars: Range) -> tuple[Ints, Floats]:
    """Return rows separated from the row before by prices without a trade, and the gaps' sizes.

    Only gaps by a factor of at least `GAP_FACTOR` from the range of one bar to that of the next.
    """
    high, low, close = bars
    rows = _moves(close, GAP_FACTOR)
    if not len(rows):
        return rows, np.zeros(0)
    with np.errstate(over="ignore"):
        wide = np.maximum(low[rows] / high[rows - 1], low[rows - 1] / high[rows])
    far = wide >= GAP_FACTOR
    return rows[far], wide[far]


def is_spike_live(high: float, low: float, close: float, level: float, other: float) -> bool:
    """Return whether a new bar is far from the previous level: the first of a spike or a step.

    Prices are in the quote currency. `level` is the last close that was admitted, `other` the close
    of a bar held back before this one: a second bar on that level is a step, not a spike. False if
    `level` or `close` is not positive, NaN included.
    """
    if not level > 0.0 or not close > 0.0:
        return False
    if _apart(close, level) < STEP_FACTOR or _reaches(high, low, level):
        return False
    return not (other > 0.0 and _apart(close, other) <= NEAR_FACTOR)
