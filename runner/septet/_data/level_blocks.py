"""Blocks of rows that lie on another price level than the rows around them.

Rows of two symbols or sources in one file make prices jump to another level and back, again and
again, with no bar between the levels. A market jumps as well, over a closed night or a halt, but
not back to where it was, time after time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints

__all__ = ["MIN_RATIO", "LevelBlocks", "LevelEdge", "likely_blocks", "mixed_blocks"]

MIN_RATIO: Final = 1.06  # least ratio of the empty range between the bars of two levels
ROWS: Final = 20  # rows used on each side of a jump
UNITS: Final = 8.0  # least jump, as a multiple of a large one-bar move near it
_RANGES: Final = 1.5
_MOVING: Final = 0.5  # least share of bars that move; otherwise ticks are coarse
_MAX_EDGES: Final = 5_000
_LOOSE_SHARE, _TIGHT_SHARE, _BLOCK_SHARE = 0.5, 0.35, 0.25
"""How close a return must come to the earlier level, as a share of the smaller of its two jumps."""
_WINDOW, _OF_WINDOW, _RUN = 10, 9, 6
_ADJACENT: Final = 0.5  # least share of jumps between bars that directly follow each other
_WITHOUT_RANGE: Final = 1.2  # least ratio that counts as proof if bars have a single price
_LIKELY_RUN, _LIKELY_RUN_OF_SESSIONS = 2, 4
_LIKELY_RATIO: Final = 1.2
_LIKELY_ROWS: Final = 5


class LevelEdge(msgspec.Struct, frozen=True):
    """A jump over an empty range: its time, the closes on both sides, and the two levels.

    `jump`, `before` and `after` are logarithms: of the empty range, signed, and of the median
    closes on each side, over up to 20 rows not separated from the jump by another one; `rows` is
    the smaller number of these rows. `is_adjacent`: the bars directly follow each other;
    `has_range`: bars have a range.
    """

    open_ns: int
    closes: tuple[float, float]
    jump: float
    before: float
    after: float
    rows: int
    is_adjacent: bool
    has_range: bool


class LevelBlocks(msgspec.Struct):
    """Finds the jumps of a series that is read in parts, each of them once."""

    bar_ns: int
    edges: list[LevelEdge] = msgspec.field(default_factory=list)
    _tail: tuple[np.ndarray, ...] = ()
    _next: int = 1
    _tried: int = 0

    def add(self, open_ns: Ints, high: Floats, low: Floats, close: Floats) -> None:
        """Add the bars that follow the previous ones: arrays of shape (n,), prices above zero."""
        new: tuple[np.ndarray, ...] = (open_ns, high, low, close)
        if self._tail:
            new = tuple(np.concatenate(each) for each in zip(self._tail, new, strict=True))
        self._look(new, max(self._next, len(new[0]) - ROWS))
        kept = max(0, len(new[0]) - 2 * ROWS - 1)
        self._next = max(self._next, len(new[0]) - ROWS) - kept
        self._tail = tuple(each[kept:].copy() for each in new)

    def finish(self) -> list[LevelEdge]:
        """Return all jumps, including those of the last rows."""
        if self._tail:
            self._look(self._tail, len(self._tail[0]))
            self._next = len(self._tail[0])
        return self.edges

    def _look(self, bars: tuple[np.ndarray, ...], until: int) -> None:
        """Check the rows from the next unchecked one up to a row."""
        open_ns, high, low, close = bars
        up = low[1:] > MIN_RATIO * high[:-1]
        far = np.flatnonzero(up | (low[:-1] > MIN_RATIO * high[1:])) + 1
        first, last = np.searchsorted(far, [self._next, until])
        for at in range(int(first), int(last)):
            self._tried += 1
            if self._tried > _MAX_EDGES:
                return
            row = int(far[at])
            first_row = max(row - ROWS, int(far[at - 1]) if at else 0)
            end_row = min(row + ROWS, int(far[at + 1]) if at + 1 < len(far) else len(close))
            levels = _jump(row, first_row, end_row, (high, low, close))
            if levels is None:
                continue
            jump, before, after = levels
            closes = float(close[row - 1]), float(close[row])
            edge = LevelEdge(
                int(open_ns[row]),
                closes,
                jump,
                before,
                after,
                min(row - first_row, end_row - row),
                is_adjacent=bool(open_ns[row] - open_ns[row - 1] <= self.bar_ns),
                has_range=bool(np.any(high[first_row:end_row] > low[first_row:end_row])),
            )
            self.edges.append(edge)


def _jump(
    row: int, begin: int, end: int, bars: tuple[Floats, Floats, Floats]
) -> tuple[float, float, float] | None:
    """Return a jump and the levels on both sides, if it is large relative to moves near it."""
    high, low, close = bars
    up = low[row] > high[row - 1]
    jump = float(np.log(low[row] / high[row - 1] if up else high[row] / low[row - 1]))
    logs = np.log(close[begin:end])
    moves = np.abs(np.diff(logs))
    moves = np.delete(moves, row - begin - 1)
    ranges = np.log(high[begin:end] / low[begin:end])
    unit = _RANGES * float(np.quantile(ranges, 0.75))
    if len(moves) >= 4:
        moving = float(np.mean(moves > 0.0))
        if moving < _MOVING:
            return None
        unit = max(unit, float(np.quantile(moves, 0.95)))
    if unit <= 0.0 or abs(jump) < UNITS * unit:
        return None
    split = row - begin
    return jump, float(np.median(logs[:split])), float(np.median(logs[split:]))


def _returns(edges: list[LevelEdge], share: float) -> np.ndarray:
    """Return for each jump but the first whether it returns to the level before the last one."""
    found = np.zeros(max(0, len(edges) - 1), dtype=np.bool_)
    for at, (there, back) in enumerate(pairwise(edges)):
        least = min(abs(there.jump), abs(back.jump))
        found[at] = there.jump * back.jump < 0.0 and abs(back.after - there.before) <= share * least
    return found


def mixed_blocks(edges: list[LevelEdge]) -> list[LevelEdge]:
    """Return repeated jumps back and forth between two levels, which no market makes.

    Nine of ten jumps in a row return to the level before, or six in a row return almost exactly. Of
    independent jumps, one in four does. Half of the jumps must be between bars that directly follow
    each other, not over a closed night; if bars have a single price, like those of rare trades at
    bid and ask, the levels must differ by a fifth.
    """
    edges = [each for each in edges if each.has_range or abs(each.jump) >= np.log(_WITHOUT_RANGE)]
    loose, tight = _returns(edges, _LOOSE_SHARE), _returns(edges, _TIGHT_SHARE)
    marked = np.zeros(len(edges), dtype=np.bool_)
    for length, least, returns in ((_WINDOW, _OF_WINDOW, loose), (_RUN, _RUN, tight)):
        if len(returns) < length:
            continue
        counts = np.convolve(returns, np.ones(length, dtype=np.int64), mode="valid")
        for at in np.flatnonzero(counts >= least).tolist():
            some = edges[at : at + length + 1]
            if sum(each.is_adjacent for each in some) >= _ADJACENT * len(some):
                marked[at : at + length + 1] = True
    return [each for each, mark in zip(edges, marked, strict=True) if mark]


def likely_blocks(edges: list[LevelEdge]) -> list[LevelEdge]:
    """Return jumps that likely lead to rows of another symbol and back.

    Two returns in a row, or one block of at least five rows that differs by at least a fifth; four
    returns in a row if there are closed nights in between.
    """
    tight, exact = _returns(edges, _TIGHT_SHARE), _returns(edges, _BLOCK_SHARE)
    marked = np.zeros(len(edges), dtype=np.bool_)
    for at in range(len(tight)):
        for run in (_LIKELY_RUN, _LIKELY_RUN_OF_SESSIONS):
            some = edges[at : at + run + 1]
            near = run == _LIKELY_RUN_OF_SESSIONS or all(each.is_adjacent for each in some)
            if len(some) == run + 1 and near and tight[at : at + run].all():
                marked[at : at + run + 1] = True
        pair = edges[at : at + 2]
        wide = min(abs(each.jump) for each in pair) >= np.log(_LIKELY_RATIO)
        whole = all(each.rows >= _LIKELY_ROWS and each.is_adjacent for each in pair)
        if exact[at] and wide and whole:
            marked[at : at + 2] = True
    return [each for each, mark in zip(edges, marked, strict=True) if mark]
