"""The sliding window of a run: the newest bars and times, in the arrays that the batch uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from septet._core.state import Arrays, CompiledPlan, State, arrays_of
from septet._kernel import layout

__all__ = ["Drain", "Frames", "Window"]

Drain = Callable[[int, int, Mapping[str, npt.NDArray[Any]]], None]
"""Receives the rows that leave the window: symbol (-1: times), number of the first, arrays."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Where a higher time frame counts its closed bars, and how many bars it must keep."""

    slot: int
    rows: tuple[int, ...]
    keep: int


@dataclass
class Window:
    """The newest bars and times of a run; older ones are dropped.

    If the arrays are full, the last `keep` bars are moved to their start. `base[k]` is the number
    of bars of symbol k that were dropped, `N[k]` the column of its next bar; `time_base` and
    `time` are the same for times.
    """

    plan: CompiledPlan
    columns: int
    keep: int
    size: int
    state: State
    frames: Sequence[Frames] = ()
    arrays: Arrays = field(init=False)

    def __post_init__(self) -> None:
        count, rows = len(self.plan.symbols), self.plan.rows
        self.arrays = arrays_of(
            self.plan, self.state, 1_024 + 64 * count,
            T=np.full((layout.ROW + count + rows.T, self.size), -1, np.int64),
            M=np.zeros((count, layout.M_ROWS, self.size), np.int64),
            X=np.full((count, self.columns, self.size), np.nan),
            F=np.full((count, rows.F, self.size), np.nan),
            D=np.zeros((count, rows.D, self.size), np.int8),
            Y=np.full((count, max(1, rows.Y), self.size if rows.Y else 1), np.nan),
            G=np.zeros((rows.G, self.size)), U=np.zeros((count, self.size)),
            DUE=np.zeros(self.size, np.int64),
        )  # fmt: skip
        self.base = [0] * count
        self.time_base = 0
        self.time = 0
        self.room = self.size

    def make_room(self, drain: Drain | None) -> None:
        """Slide whatever is full, handing what leaves to `drain`; count how much room there is."""
        if self.time == self.size:
            self._slide_time(drain)
        cursors = self.arrays["N"].tolist()
        for k, cursor in enumerate(cursors):
            if cursor == self.size:
                self._slide_symbol(k, drain)
            for frame in self.frames:
                if int(self.state.S[k, frame.slot]) >= self.size - 4:
                    self._slide_frame(k, frame)
        fullest = max(self.time, *self.arrays["N"].tolist())
        self.room = 1 if self.frames else self.size - fullest

    def _slide_time(self, drain: Drain | None) -> None:
        dropped = self.size - self.keep
        T, G = self.arrays["T"], self.arrays["G"]
        if drain is not None:
            drain(-1, self.time_base, {"G": G[:, :dropped]})
        T[:, : self.keep] = T[:, dropped:].copy()
        T[:, self.keep :] = -1
        G[:, : self.keep] = G[:, dropped:].copy()
        self.time_base += dropped
        self.time = self.keep

    def _slide_symbol(self, k: int, drain: Drain | None) -> None:
        dropped = self.size - self.keep
        if drain is not None:
            drain(k, self.base[k], {name: self.arrays[name][k, :, :dropped] for name in "FD"})
        for name in "MXFD":
            array = self.arrays[name]
            array[k, :, : self.keep] = array[k, :, dropped:].copy()
        rows = self.arrays["T"][layout.ROW + k]
        bars = rows >= 0  # other values are no bars, and stay
        rows[bars] = np.maximum(rows[bars] - dropped, -1)
        self.base[k] += dropped
        self.arrays["N"][k] = self.keep

    def _slide_frame(self, k: int, frame: Frames) -> None:
        """Keep the last bars of a time frame, the one being built included."""
        closed = int(self.state.S[k, frame.slot])
        dropped = closed - frame.keep
        rows = list(frame.rows)
        stay = frame.keep + 1
        Y = self.arrays["Y"]
        Y[k, rows, :stay] = Y[k][rows][:, dropped : dropped + stay]
        self.state.S[k, frame.slot] = frame.keep

    def flush(self, drain: Drain) -> None:
        """Hand over everything that is still in the window."""
        drain(-1, self.time_base, {"G": self.arrays["G"][:, : self.time]})
        for k, cursor in enumerate(self.arrays["N"].tolist()):
            drain(k, self.base[k], {name: self.arrays[name][k, :, :cursor] for name in "FD"})
