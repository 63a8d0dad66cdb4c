"""Feature rows of all symbols in one table, with the bars their labels are made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from septet._data.bars import BarTable, Floats, Ints

__all__ = ["Dataset", "SymbolBars", "gather", "pool", "segments", "symbol_bars"]

_TILE: Final = 4_096


@dataclass(frozen=True, slots=True)
class SymbolBars:
    """The bars of one symbol as labels need them; all arrays have shape (n,).

    `segment` numbers the stretches between gaps: two bars of different segments have a gap
    between them that is longer than the data's `reset_after`, and no label crosses it.
    """

    symbol: str
    known_ns: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    segment: Ints

    def __len__(self) -> int:
        return len(self.known_ns)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Every bar of every symbol as one row, ordered by time, then by place in the universe.

    Attributes
    ----------
    x : float64 (n, f), C-contiguous
        Feature values known at `time_ns`; NaN while warming up.
    feature_names : tuple of str
        Names of the columns of `x`, in order.
    time_ns : int64 (n,)
        Known time T of the row, nanoseconds UTC, never falling.
    symbol : int64 (n,)
        Index into `bars`.
    row : int64 (n,)
        Index of the row's bar in the arrays of ``bars[symbol]``.
    bars : tuple of SymbolBars
        In universe order.
    bar_ns : int
        Length of the base bar, nanoseconds.
    subject : mapping
        What computes the columns, as the card of a model keeps it; see `subject`.
    """

    x: Floats
    feature_names: tuple[str, ...]
    time_ns: Ints
    symbol: Ints
    row: Ints
    bars: tuple[SymbolBars, ...]
    bar_ns: int
    subject: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in universe order."""
        return tuple(each.symbol for each in self.bars)

    def digest(self) -> str:
        """SHA-256 over the rows and the bars: the data hash of a model's card."""
        total = hashlib.sha256(repr((self.feature_names, self.symbols, self.bar_ns)).encode())
        arrays = [self.x, self.time_ns, self.symbol, self.row]
        for each in self.bars:
            arrays += [each.known_ns, each.open, each.high, each.low, each.close, each.segment]
        for array in arrays:
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def scatter(self, pooled: np.ndarray) -> tuple[np.ndarray, ...]:
        """Turn one value for each pooled row into one array for each symbol, in bar order."""
        if len(self.bars) == 1:
            return (pooled.copy(),)
        parts = []
        for number, each in enumerate(self.bars):
            of_symbol = self.symbol == number
            part = np.empty(len(each), dtype=pooled.dtype)
            part[self.row[of_symbol]] = pooled[of_symbol]
            parts.append(part)
        return tuple(parts)


def segments(open_ns: Ints, bar_ns: int, reset_after: int = 24) -> Ints:
    """Number the stretches of a round-the-clock series between gaps over `reset_after` bars.

    Parameters
    ----------
    open_ns : int64 (n,)
        Opening times, nanoseconds, rising.
    bar_ns : int
        Length of a bar, nanoseconds.
    reset_after : int
        A new segment starts where more than this many bars are missing.

    Returns
    -------
    int64 (n,)
        Zero for the first stretch; it uses no bar after its own.
    """
    breaks = np.zeros(len(open_ns), dtype=np.int64)
    missing = np.diff(open_ns) // bar_ns - 1
    breaks[1:] = missing > reset_after
    return np.cumsum(breaks, dtype=np.int64)


def symbol_bars(table: BarTable, segment: Ints | None = None) -> SymbolBars:
    """Take what labels need from a bar table; without `segment` the market never closes."""
    if segment is None:
        segment = segments(table.open_ns, table.bar_ns)
    return SymbolBars(
        table.symbol, table.known_ns, table.open, table.high, table.low, table.close, segment
    )


def gather(columns: Floats, rows: Sequence[int], count: int) -> Floats:
    """Turn some rows of features (f, n) into a table (count, len(rows)) of feature vectors.

    The copy goes by tiles that stay in the cache: it is six times quicker than in one piece.
    """
    table = np.empty((count, len(rows)))
    for start in range(0, count, _TILE):
        stop = min(start + _TILE, count)
        table[start:stop] = columns[rows, start:stop].T
    return table


def pool(
    bars: Sequence[SymbolBars],
    features: Sequence[Floats],
    feature_names: Sequence[str],
    bar_ns: int,
) -> Dataset:
    """Put the feature tables of all symbols into one, ordered by time, then universe order.

    Parameters
    ----------
    bars : sequence of SymbolBars
        In universe order.
    features : sequence of float64 (n_k, f)
        One table for each symbol, a row for each of its bars.
    feature_names : sequence of str
        Names of the f columns.
    bar_ns : int
        Length of the base bar, nanoseconds.
    """
    width = len(feature_names)
    for each, table in zip(bars, features, strict=True):
        if table.shape != (len(each), width):
            raise ValueError(
                f"{each.symbol}: expected features of shape {(len(each), width)}, "
                f"found {table.shape}"
            )
    if len(bars) == 1 and (np.diff(bars[0].known_ns) >= 0).all():
        return _alone(bars[0], features[0], feature_names, bar_ns)
    lengths = [len(each) for each in bars]
    time_ns = np.concatenate([np.zeros(0, np.int64), *(each.known_ns for each in bars)])
    symbol = np.repeat(np.arange(len(bars), dtype=np.int64), lengths)
    row = np.concatenate([np.zeros(0, np.int64), *(np.arange(n, dtype=np.int64) for n in lengths)])
    stacked = np.concatenate([np.zeros((0, width)), *features])
    order = np.lexsort((symbol, time_ns))
    return Dataset(
        np.ascontiguousarray(stacked[order], dtype=np.float64),
        tuple(feature_names),
        time_ns[order],
        symbol[order],
        row[order],
        tuple(bars),
        bar_ns,
    )


def _alone(bars: SymbolBars, table: Floats, feature_names: Sequence[str], bar_ns: int) -> Dataset:
    """Take the rows of a single symbol as they are: they are in order already."""
    n = len(bars)
    return Dataset(
        np.ascontiguousarray(table, dtype=np.float64),
        tuple(feature_names),
        bars.known_ns,
        np.zeros(n, dtype=np.int64),
        np.arange(n, dtype=np.int64),
        (bars,),
        bar_ns,
    )
