"""The batch path: the whole history through the compiled entries, in as few calls as possible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from septet._core.observe_ahead import CHUNK, chunks_ahead
from septet._core.observe_halves import observe_halves
from septet._core.state import Arrays, Codes, CompiledPlan, Floats, Ints, State, arrays_of
from septet._kernel import layout

__all__ = ["Batch", "grow_log", "tile_of"]

FIRST_LOG = 4_096
LEAST_CHUNK, SHORT_CHUNK = 2_048, 512
CHUNK_BARS = 1 << 18  # of all symbols: with longer chunks trading waits longer for the first one
TILE_BYTES = 1 << 19


@dataclass
class Batch:
    """One run over the arrays of a whole history.

    `aligned` has the arrays T (times), M (facts of bars) and X (columns); the other arrays are
    allocated here. With `keeps` False the features are not kept after the run, and F may be a
    sliding window. If the log is full, the entries stop before the time that does not fit, and
    are called again with a larger log.
    """

    plan: CompiledPlan
    aligned: Any
    state: State
    keeps: bool = True
    arrays: Arrays = field(init=False)

    def __post_init__(self) -> None:
        aligned, rows = self.aligned, self.plan.rows
        count, width = len(self.plan.symbols), aligned.width
        seen = self._chunk + self.plan.memory_bars if self._slides else width
        # zeros, not empty: rows that are rarely written cost no memory until written
        self.arrays = arrays_of(
            self.plan, self.state, FIRST_LOG + 64 * count,
            T=aligned.T, M=aligned.M, X=aligned.X, U=aligned.U,
            F=np.zeros((count, rows.F, seen)),
            D=np.zeros((count, rows.D, width), np.int8),
            Y=np.empty((count, max(1, rows.Y), width + 2 if rows.Y else 1)),
            G=np.empty((rows.G, aligned.times)), W=tile_of(count), DUE=aligned.DUE,
        )  # fmt: skip

    @property
    def _chunk(self) -> int:
        """Decision times whose features are computed while others are traded."""
        count = len(self.plan.symbols)
        least = min(LEAST_CHUNK, max(SHORT_CHUNK, CHUNK_BARS // count))
        return max(CHUNK // count, min(CHUNK, least))

    @property
    def _slides(self) -> bool:
        """Whether F is a window: true if the bars of every symbol are the times themselves."""
        times, chunk = self.aligned.times, self._chunk
        if self.keeps or not self.plan.compiled or min(self.aligned.lengths) < times:
            return False
        return times > 2 * chunk and self.plan.memory_bars <= chunk

    @property
    def F(self) -> Floats:
        """Features, predictions and sizes of decisions, float64; NaN while warming up."""
        return self.arrays["F"]  # type: ignore[no-any-return]

    @property
    def D(self) -> Codes:
        """Decisions as codes of `septet._kernel.layout`."""
        return self.arrays["D"]  # type: ignore[no-any-return]

    @property
    def Y(self) -> Floats:
        """Bars and features of higher time frames."""
        return self.arrays["Y"]  # type: ignore[no-any-return]

    @property
    def G(self) -> Floats:
        """The curve, float64 of shape (3, times): equity, cash and exposure (quote).

        A plan without tables keeps equity alone.
        """
        return self.arrays["G"]  # type: ignore[no-any-return]

    @property
    def LI(self) -> Ints:
        """The integer columns of the log, allocated to its capacity."""
        return self.arrays["LI"]  # type: ignore[no-any-return]

    @property
    def LF(self) -> Floats:
        """The float columns of the log, allocated to its capacity."""
        return self.arrays["LF"]  # type: ignore[no-any-return]

    def observe(self, start: int, stop: int) -> None:
        """Compute the features of the times `start` to `stop` (excluded).

        A long history is computed in two threads, with the same bits.
        """
        plan, times = self.plan, self.aligned.times
        observe = plan.entries.observe
        in_halves = (start, stop) == (0, times) and plan.compiled and plan.forgets
        if in_halves and observe_halves(self.arrays, times, observe, plan.memory_bars):
            return
        observe(start, stop, self.arrays.table)

    def trade(self, start: int, stop: int) -> None:
        """Trade the times `start` to `stop` (excluded), whose features are computed."""
        at = start
        while at < stop:
            at = self.plan.entries.trade(at, stop, self.arrays.table)
            if at < stop:
                grow_log(self.plan, self.arrays)

    def run(self, first: int) -> None:
        """Compute the features of all times, and trade from time number `first` on."""
        times = self.aligned.times
        chunk = self._chunk
        if not self.plan.compiled or times <= chunk:
            self.observe(0, times)
            self.trade(first, times)
            return
        keep = self.plan.memory_bars if self._slides else None
        observe = self.plan.entries.observe
        for start, stop in chunks_ahead(self.arrays, times, observe, chunk, keep):
            if stop > first:
                self.trade(max(start, first), stop)


def tile_of(symbols: int) -> Floats:
    """Return the work array of a range of times: small enough for the processor's cache."""
    times = min(2_048, max(64, TILE_BYTES // (8 * symbols)))
    return np.empty((times, symbols))


def grow_log(plan: CompiledPlan, arrays: Arrays) -> None:
    """Enlarge a full log to four times its rows; its contents are kept."""
    rows = int(arrays["C"][layout.LOG])
    larger = plan.log(4 * len(arrays["LI"]))
    for name, array in zip(("LI", "LF"), larger, strict=True):
        array[:rows] = arrays[name][:rows]
        arrays.put(name, array)
