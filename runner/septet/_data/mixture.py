"""Rows of several symbols or sources in one series: how they are noticed and told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from septet._data.bars import Floats, Ints
from septet._data.symbol_columns import names_symbol, shown_values

if TYPE_CHECKING:
    import polars as pl

__all__ = ["OUR_COLUMNS", "level_changes", "separating_column"]

OUR_COLUMNS: Final = frozenset(
    ("timestamp", "open", "high", "low", "close", "volume", "adj_close", "split", "symbol")
)
WINDOW: Final = 256
CHANGES: Final = 10  # changes of level in one window that no market makes
LEVEL_RATIO: Final = 1.2  # least ratio between two price levels in one window
BLOCK_RATIO: Final = 2.0  # least ratio between the levels of two blocks of rows
BLOCK_ROWS: Final = 20
MOVES: Final = 5.0  # the empty range between two levels, in usual moves inside one
JUMP_MOVES: Final = 10.0  # the jump between two blocks, in large moves inside them
MOST_VALUES: Final = 50
MOST_JUMPS: Final = 1_000


def level_changes(close: Floats) -> Ints:
    """Return the rows at which closes jump between separate price levels; none if they do not.

    Two patterns count, neither of which a market makes. In a window of 256 rows, closes cross a
    range that holds no close ten times or more: its ends differ by a fifth and by five times
    the usual move below it (so ticks that are coarse against the price do not count). Or blocks
    of twenty rows or more lie apart by a factor of two and ten times a large move inside them,
    and a later block returns to the level before. Closes are above zero, in order of time.
    """
    before, after = close[:-1], close[1:]
    far = np.flatnonzero((after > LEVEL_RATIO * before) | (before > LEVEL_RATIO * after)) + 1
    if len(far) < 2:
        return np.zeros(0, np.int64)
    found = []
    per_window = np.bincount(far // WINDOW)
    for number in np.flatnonzero(per_window >= CHANGES - 1):
        first = int(number) * WINDOW
        found.append(_alternations(close[first : first + WINDOW]) + first)
    rows = np.concatenate(found) if found else np.zeros(0, np.int64)
    return rows if len(rows) else _returning_blocks(close, far)


def _alternations(close: Floats) -> Ints:
    """Rows of one window at which closes cross its widest empty range, if often enough."""
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


def _returning_blocks(close: Floats, far: Ints) -> Ints:
    """Rows at which blocks begin and end that lie on another level than what is around them."""
    ratio = close[far] / close[far - 1]
    jumps = far[(ratio >= BLOCK_RATIO) | (ratio <= 1.0 / BLOCK_RATIO)][:MOST_JUMPS]
    found: list[int] = []
    for begin, end in zip(jumps[:-1].tolist(), jumps[1:].tolist(), strict=True):
        if begin < BLOCK_ROWS or end - begin < BLOCK_ROWS or len(close) - end < BLOCK_ROWS:
            continue
        parts = (begin - BLOCK_ROWS, begin, end - BLOCK_ROWS, end)
        level = [float(np.log(np.median(close[at : at + BLOCK_ROWS]))) for at in parts]
        there, back = level[1] - level[0], level[3] - level[2]
        returns = there * back < 0.0 and abs(level[3] - level[0]) <= 0.5 * abs(there)
        if returns and min(abs(there), abs(back)) >= JUMP_MOVES * _usual_move(close, parts):
            found += [begin, end]
    return np.array(sorted(set(found)), dtype=np.int64)


def _usual_move(close: Floats, parts: tuple[int, ...]) -> float:
    """Return a large move of one bar inside the blocks: nineteen of twenty are smaller."""
    inside = [np.abs(np.diff(np.log(close[at : at + BLOCK_ROWS]))) for at in parts]
    return float(np.quantile(np.concatenate(inside), 0.95))


def separating_column(frame: pl.DataFrame) -> str:
    """Name a column of the source that tells its rows apart, with its first values; else nothing.

    A column named like a symbol comes first.
    """
    import polars as pl

    found = []
    for name, kind in frame.schema.items():
        if name in OUR_COLUMNS or not (kind in (pl.String, pl.Categorical) or kind.is_integer()):
            continue
        count = frame[name].n_unique()
        if 2 <= count <= min(MOST_VALUES, frame.height // 2):
            found.append((not names_symbol(name), name))
    if not found:
        return ""
    name = min(found)[1]
    return f"column {name!r} holds {shown_values(frame[name].cast(pl.String).unique().sort())}"
