"""Adverse and favourable excursion of each trade, and its duration in bars.

Maximum adverse and favourable excursion (Sweeney 1996), from the bars of the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from septet._results.by_symbol import rows_by_symbol

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import BarTable, Floats, Ints

__all__ = ["COLUMNS", "Excursions", "HeldRange", "ranges_held"]

COLUMNS = ("mae", "mfe", "bars_held")


class HeldRange(NamedTuple):
    """Lowest and highest price of the bars of each trade (NaN without a bar), and their number."""

    lowest: Floats
    highest: Floats
    bars: Ints


def ranges_held(entry_ns: Ints, exit_ns: Ints, bars: BarTable, after_ns: int) -> HeldRange:
    """Give the range of prices of the bars that a trade was held through.

    A bar counts whole where it became known after the entry and opened before the exit. So the
    bar at whose open a trade began counts and the one at whose open it ended does not; the bar
    inside which it ended counts, and the one inside which it began does not, whose close is the
    time of the entry. A trade whose entry and exit have one time has the range of the bar that
    became known then, and 0 bars.

    Parameters
    ----------
    entry_ns, exit_ns : arrays of int64, shape (n,)
        UTC times of the trades of one symbol, which do not overlap, in order.
    bars : BarTable
        Its bars. Synthetic ones count.
    after_ns : int
        Bars that were known until then do not count: they were counted before.
    """
    known, opened = bars.known_ns, bars.open_ns
    first = np.searchsorted(known, np.maximum(entry_ns, after_ns), side="right")
    last = np.maximum(np.searchsorted(opened, exit_ns, side="left"), first)
    count = last - first
    at = np.searchsorted(known, exit_ns, side="left")
    once = (entry_ns == exit_ns) & (at < len(known))
    once[once] = known[at[once]] == exit_ns[once]
    first, last = np.where(once, at, first), np.where(once, at + 1, last)
    some = np.flatnonzero(last > first)
    lowest, highest = np.full(len(entry_ns), np.nan), np.full(len(entry_ns), np.nan)
    if len(some):
        edges = np.column_stack((first[some], last[some])).ravel()
        low, high = np.append(bars.low, math.inf), np.append(bars.high, -math.inf)
        lowest[some] = np.minimum.reduceat(low, edges)[::2]
        highest[some] = np.maximum.reduceat(high, edges)[::2]
    return HeldRange(lowest, highest, count.astype(np.int64))


class Excursions(msgspec.Struct):
    """Excursions of the trades of a run whose bars may come in stretches."""

    _open: dict[str, tuple[int, float, float, int]] = msgspec.field(default_factory=dict)
    _until: dict[str, int] = msgspec.field(default_factory=dict)

    def take(
        self,
        trades: pl.DataFrame,
        bars: Mapping[str, BarTable],
        still_open: Mapping[str, int] | None = None,
    ) -> pl.DataFrame:
        """Give the trades with `COLUMNS`; remember the range so far of those still open.

        Parameters
        ----------
        trades : frame
            Trades that ended within `bars`, of a symbol in order of time.
        bars : mapping symbol -> BarTable
            A stretch of bars. It may begin with bars of the one before, which count once.
        still_open : mapping symbol -> time of entry
            Trades that go on after these bars.

        Returns
        -------
        frame
            `mae` and `mfe` are fractions of `entry_price`, never below zero: of the lowest and
            highest price of `ranges_held` and of `exit_price`. `bars_held` counts bars. Null for
            ``dust``; without any bar the excursions are those of the exit price.
        """
        import polars as pl

        count = trades.height
        lowest, highest = np.full(count, np.nan), np.full(count, np.nan)
        held = np.zeros(count, np.int64)
        rows_of = rows_by_symbol(trades)
        reason = trades.get_column("exit_reason").cast(pl.String)
        dust = (reason == "dust").fill_null(False).to_numpy()
        entry_ns, exit_ns = (
            np.asarray(trades.get_column(f"{end}_time").to_physical().to_numpy(), np.int64)
            for end in ("entry", "exit")
        )
        for symbol, table in bars.items():
            rows = rows_of.get(symbol, np.zeros(0, np.int64))
            rows = rows[~dust[rows]]
            ranges = self._ranges(symbol, entry_ns[rows], exit_ns[rows], table)
            lowest[rows], highest[rows], held[rows] = ranges
            self._go_on(symbol, table, (still_open or {}).get(symbol))
        return _with_columns(trades, HeldRange(lowest, highest, held), dust)

    def go_on(self, bars: Mapping[str, BarTable], still_open: Mapping[str, int]) -> None:
        """Do what `take` does for a stretch in which no trade ended."""
        for symbol, table in bars.items():
            self._go_on(symbol, table, still_open.get(symbol))

    def _ranges(self, symbol: str, entry_ns: Ints, exit_ns: Ints, bars: BarTable) -> HeldRange:
        after_ns = self._until.get(symbol, -(2**63))
        ranges = ranges_held(entry_ns, exit_ns, bars, after_ns)
        begun = self._open.get(symbol)
        if begun is not None and len(entry_ns) and int(entry_ns[0]) == begun[0]:
            _, low, high, count = begun
            ranges.lowest[0] = np.fmin(ranges.lowest[0], low)
            ranges.highest[0] = np.fmax(ranges.highest[0], high)
            ranges.bars[0] += count
        return ranges

    def _go_on(self, symbol: str, bars: BarTable, entry_ns: int | None) -> None:
        """Remember the range of the trade that goes on, and up to which bar it is counted."""
        if entry_ns is None:
            self._open.pop(symbol, None)
        else:
            ends = np.array([2**63 - 1], np.int64)
            ranges = self._ranges(symbol, np.array([entry_ns], np.int64), ends, bars)
            self._open[symbol] = (
                entry_ns, float(ranges.lowest[0]), float(ranges.highest[0]), int(ranges.bars[0])
            )  # fmt: skip
        if len(bars):
            self._until[symbol] = max(int(bars.known_ns[-1]), self._until.get(symbol, -(2**63)))


def _with_columns(trades: pl.DataFrame, held: HeldRange, dust: np.ndarray) -> pl.DataFrame:
    import polars as pl

    entry, exit_price = (
        np.asarray(trades.get_column(f"{end}_price").to_numpy(), np.float64)
        for end in ("entry", "exit")
    )
    side = trades.get_column("side").cast(pl.String)
    short = (side == "short").fill_null(False).to_numpy()
    lowest = np.fmin(np.fmin(held.lowest, exit_price), entry)
    highest = np.fmax(np.fmax(held.highest, exit_price), entry)
    known = ~dust & (entry > 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        down, up = (entry - lowest) / entry, (highest - entry) / entry
    columns = {
        "mae": pl.Series(np.where(short, up, down), dtype=pl.Float64),
        "mfe": pl.Series(np.where(short, down, up), dtype=pl.Float64),
        "bars_held": pl.Series(held.bars, dtype=pl.Int64),
    }
    return trades.with_columns(
        pl.when(pl.Series(known)).then(values).otherwise(None).alias(name)
        for name, values in columns.items()
    )
