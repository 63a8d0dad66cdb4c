"""Detection and separation of rows of several symbols or sources in one series."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints
from septet._data.symbol_columns import names_symbol, shown_values

if TYPE_CHECKING:
    import polars as pl

__all__ = ["OUR_COLUMNS", "Change", "LevelChanges", "level_changes", "separating_column"]

OUR_COLUMNS: Final = frozenset(
    ("timestamp", "open", "high", "low", "close", "volume", "adj_close", "split", "symbol")
)
WINDOW: Final = 256
CHANGES: Final = 10  # changes of level in one window that no market makes
LEVEL_RATIO: Final = 1.2  # least ratio between two price levels in one window
BLOCK_RATIO: Final = 2.0  # least ratio between the levels of two blocks of rows
BLOCK_ROWS: Final = 20
MOVES: Final = 5.0  # the empty range between two levels, as a multiple of the usual move inside one
JUMP_MOVES: Final = 10.0  # the jump between two blocks, as a multiple of a large move inside them
MAX_VALUES: Final = 50
MAX_JUMPS: Final = 1_000


class Change(msgspec.Struct, frozen=True):
    """A close on another price level than the close before it."""

    row: int
    open_ns: int
    before: float
    close: float


class _Jump(msgspec.Struct, frozen=True):
    """A jump by at least a factor of two, and the logarithms of the closes on both sides."""

    change: Change
    before: Floats
    after: Floats


class LevelChanges(msgspec.Struct):
    """Finds closes that jump between separate price levels, in a series that is read in parts.

    There are two patterns, neither of which a market makes. First, in a window of 256 rows the
    closes cross an empty range ten times or more; its ends differ by a fifth, and by five times the
    usual move below it (so that ticks that are coarse relative to the price do not count). Second,
    blocks of at least twenty rows differ by a factor of two and by ten times a large move inside
    them, and a later block returns to the earlier level. Closes are above zero, in order of time.
    """

    _windows: list[Change] = msgspec.field(default_factory=list)
    _jumps: list[_Jump] = msgspec.field(default_factory=list)
    _tail: tuple[Ints, Floats] = (np.zeros(0, np.int64), np.zeros(0))
    _first: int = 0  # index of the first row that is kept
    _window: int = 0  # index of the first row of the incomplete window
    _next: int = 1  # index of the first row whose jump is not checked

    def add(self, open_ns: Ints, close: Floats) -> None:
        """Add the rows that follow the previous ones: closes above zero, arrays of shape (n,)."""
        times = np.concatenate((self._tail[0], open_ns))
        closes = np.concatenate((self._tail[1], close))
        end = self._first + len(closes)
        self._look(times, closes, end // WINDOW * WINDOW, end - BLOCK_ROWS)
        first = max(self._first, min(self._window - 1, self._next - BLOCK_ROWS - 1))
        self._tail = times[first - self._first :].copy(), closes[first - self._first :].copy()
        self._first = first

    def finish(self) -> list[Change]:
        """Return the changes of level of all rows."""
        end = self._first + len(self._tail[1])
        self._look(*self._tail, end, end)
        return self.found

    @property
    def found(self) -> list[Change]:
        """Return the changes of level so far: those inside windows, else those of blocks."""
        return self._windows or self._returning_blocks()

    def _look(self, times: Ints, close: Floats, window_end: int, jump_end: int) -> None:
        """Check complete windows up to a row, and the jumps before a row."""
        before, after = close[:-1], close[1:]
        far = np.flatnonzero((after > LEVEL_RATIO * before) | (before > LEVEL_RATIO * after)) + 1
        number = (far + self._first) // WINDOW
        some = number[(number >= self._window // WINDOW) & (number * WINDOW < window_end)]
        windows, changes = np.unique(some, return_counts=True)
        for each in windows[changes >= CHANGES - 1]:
            begin = int(each) * WINDOW - self._first
            rows = _alternations(close[begin : begin + WINDOW]) + begin
            self._windows += [self._change(times, close, at) for at in rows.tolist()]
        self._window = max(self._window, window_end)
        ratio = close[far] / close[far - 1]
        jumps = far[(ratio >= BLOCK_RATIO) | (ratio <= 1.0 / BLOCK_RATIO)]
        for at in jumps.tolist():
            if self._next <= at + self._first < jump_end and len(self._jumps) < MAX_JUMPS:
                sides = close[max(0, at - BLOCK_ROWS) : at], close[at : at + BLOCK_ROWS]
                change = self._change(times, close, at)
                self._jumps.append(_Jump(change, np.log(sides[0]), np.log(sides[1])))
        self._next = max(self._next, jump_end)

    def _change(self, times: Ints, close: Floats, at: int) -> Change:
        return Change(at + self._first, int(times[at]), float(close[at - 1]), float(close[at]))

    def _returning_blocks(self) -> list[Change]:
        """Return the bounds of blocks that lie on another level than the rows around them."""
        found: dict[int, Change] = {}
        for begin, end in pairwise(self._jumps):
            parts = (begin.before, begin.after, end.before, end.after)
            apart = end.change.row - begin.change.row
            if apart < BLOCK_ROWS or min(len(each) for each in parts) < BLOCK_ROWS:
                continue
            level = [float(np.median(each)) for each in parts]
            there, back = level[1] - level[0], level[3] - level[2]
            returns = there * back < 0.0 and abs(level[3] - level[0]) <= 0.5 * abs(there)
            if returns and min(abs(there), abs(back)) >= JUMP_MOVES * _usual_move(parts):
                found |= {each.change.row: each.change for each in (begin, end)}
        return [found[row] for row in sorted(found)]


def level_changes(close: Floats) -> Ints:
    """Return the rows at which `close`, float64 (n,) above zero, jumps between price levels."""
    changes = LevelChanges()
    changes.add(np.zeros(len(close), np.int64), close)
    return np.array([each.row for each in changes.finish()], dtype=np.int64)


def _alternations(close: Floats) -> Ints:
    """Return the rows at which closes of one window cross its widest empty range, if often."""
    ordered = np.sort(close)
    widest = int(np.argmax(ordered[1:] / ordered[:-1]))
    low, high = ordered[widest], ordered[widest + 1]
    above = close > low
    rows = np.flatnonzero(above[1:] != above[:-1]) + 1
    if len(rows) < CHANGES or high < LEVEL_RATIO * low:
        return rows[:0]
    for part in (close[~above], close[above]):
        moves = np.abs(np.diff(part))
        moves = moves[moves > 0.0]
        if len(moves):
            return rows if high - low >= MOVES * float(np.median(moves)) else rows[:0]
    return rows[:0]


def _usual_move(parts: tuple[Floats, ...]) -> float:
    """Return the 95th percentile of the one-bar moves inside the blocks."""
    return float(np.quantile(np.concatenate([np.abs(np.diff(each)) for each in parts]), 0.95))


def separating_column(frame: pl.DataFrame) -> str:
    """Describe a column of the source that separates its rows, with its first values; else empty.

    Columns with the name of a symbol column come first.
    """
    import polars as pl

    candidates = []
    for name, kind in frame.schema.items():
        if name in OUR_COLUMNS or not (kind in (pl.String, pl.Categorical) or kind.is_integer()):
            continue
        count = frame[name].n_unique()
        if 2 <= count <= min(MAX_VALUES, frame.height // 2):
            candidates.append((not names_symbol(name), name))
    if not candidates:
        return ""
    name = min(candidates)[1]
    return f"column {name!r} holds {shown_values(frame[name].cast(pl.String).unique().sort())}"
