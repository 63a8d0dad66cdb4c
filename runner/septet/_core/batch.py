"""The batch path: the whole tape through the compiled entries, in as few calls as possible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from septet._core.state import TILE, CompiledPlan, Floats, Ints, State
from septet._kernel import layout

__all__ = ["Batch"]

FIRST_LOG = 4_096


@dataclass
class Batch:
    """One run over arrays. `tape` has T, M and X; the rest is made here.

    The log grows when it is full: the entries stop before the time they have no room for, and
    are called again with a larger one.
    """

    plan: CompiledPlan
    tape: Any
    state: State
    F: Floats = field(init=False)
    Y: Floats = field(init=False)
    G: Floats = field(init=False)
    LI: Ints = field(init=False)
    LF: Floats = field(init=False)

    def __post_init__(self) -> None:
        count, width, times = len(self.plan.symbols), self.tape.width, self.tape.times
        f_rows, y_rows = self.plan.rows
        # zeros, not empty: rows that are seldom written cost no memory until they are
        self.F = np.zeros((count, max(1, f_rows), width))
        self.Y = np.empty((count, max(1, y_rows), width + 2 if y_rows else 1))
        self.G = np.empty((layout.G_ROWS, times))
        self.LI, self.LF = self.plan.log(FIRST_LOG + 64 * count)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arrays in the order of the entries' signature."""
        s, t = self.state, self.tape
        return (
            t.T, t.M, t.X, self.F, self.Y, self.G, s.S, self.plan.parameters, s.A, s.C, s.B, s.I,
            self.LI, self.LF, *self.plan.tables,
        )  # fmt: skip

    def observe(self, start: int, stop: int) -> None:
        """Advance the features over a stretch of times."""
        self.plan.module.observe(start, stop, *self.arguments)

    def trade(self, start: int, stop: int) -> None:
        """Trade a stretch whose features and predictions are there."""
        at = start
        while at < stop:
            at = self.plan.module.trade(at, stop, *self.arguments)
            if at < stop:
                self._grow()

    def advance(self, start: int, stop: int) -> None:
        """Observe and trade a stretch, tile by tile: what was computed is still in the cache."""
        for first in range(start, stop, TILE):
            last = min(first + TILE, stop)
            self.observe(first, last)
            self.trade(first, last)

    def _grow(self) -> None:
        rows = self.state.C[layout.LOG]
        larger_int, larger_float = self.plan.log(4 * len(self.LI))
        larger_int[:rows], larger_float[:rows] = self.LI[:rows], self.LF[:rows]
        self.LI, self.LF = larger_int, larger_float
