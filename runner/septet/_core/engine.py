"""The event path: one event in, commands out; deterministic, no clock, no I/O.

The engine keeps a sliding window of the same arrays the batch path uses and calls the same
compiled functions with the cursor on the newest bar, so both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from septet._core.events import (
    Barrier,
    Command,
    Event,
    Halted,
    Lifted,
    OrderEnded,
    Place,
    Traded,
)
from septet._core.state import CompiledPlan, Floats, Ints, State
from septet._kernel import layout

__all__ = ["Engine", "Frames", "Judge", "Window"]

Judge = Callable[[int, Floats], tuple[float, int]]
"""Time and feature vector to the probability up and the model's state."""
Drain = Callable[[int, int, Floats, Floats], None]


@dataclass(frozen=True, slots=True)
class Frames:
    """Where a higher time frame counts its closed bars, and how many bars it must keep."""

    slot: int
    rows: tuple[int, ...]
    keep: int


@dataclass
class Window:
    """The newest bars and times of a run; older ones slide out.

    `keep` bars survive a slide. `base[k]` is the number of symbol k's bars that slid out,
    `cursor[k]` where its next bar goes; `time_base` and `time` are the same for times.
    """

    plan: CompiledPlan
    columns: int
    keep: int
    size: int
    frames: Sequence[Frames] = ()
    T: Ints = field(init=False)
    M: Ints = field(init=False)
    X: Floats = field(init=False)
    F: Floats = field(init=False)
    Y: Floats = field(init=False)
    G: Floats = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.plan.symbols)
        f_rows, y_rows = self.plan.rows
        self.T = np.full((layout.ROW + count, self.size), -1, np.int64)
        self.M = np.zeros((count, layout.M_ROWS, self.size), np.int64)
        self.X = np.full((count, self.columns, self.size), np.nan)
        self.F = np.full((count, max(1, f_rows), self.size), np.nan)
        self.Y = np.full((count, max(1, y_rows), self.size if y_rows else 1), np.nan)
        self.G = np.zeros((layout.G_ROWS, self.size))
        self.base = [0] * count
        self.cursor = [0] * count
        self.time_base = 0
        self.time = 0

    def make_room(self, state: State, drain: Drain | None) -> None:
        """Slide whatever is full, handing what leaves to `drain`."""
        if self.time == self.size:
            self._slide_time(drain)
        for k in range(len(self.base)):
            if self.cursor[k] == self.size:
                self._slide_symbol(k, drain)
            for frame in self.frames:
                if int(state.S[k, frame.slot]) >= self.size - 4:
                    self._slide_frame(k, frame, state)

    def _slide_time(self, drain: Drain | None) -> None:
        gone = self.size - self.keep
        if drain is not None:
            drain(-1, self.time_base, self.G[:, :gone], self.G[:, :gone])
        self.T[:, : self.keep] = self.T[:, gone:].copy()
        self.T[:, self.keep :] = -1
        self.G[:, : self.keep] = self.G[:, gone:].copy()
        self.time_base += gone
        self.time = self.keep

    def _slide_symbol(self, k: int, drain: Drain | None) -> None:
        gone = self.size - self.keep
        if drain is not None:
            drain(k, self.base[k], self.F[k, :, :gone], self.X[k, :, :gone])
        for array in (self.M, self.X, self.F):
            array[k, :, : self.keep] = array[k, :, gone:].copy()
        rows = self.T[layout.ROW + k]
        np.subtract(rows, gone, out=rows, where=rows >= 0)
        np.maximum(rows, -1, out=rows)
        self.base[k] += gone
        self.cursor[k] = self.keep

    def _slide_frame(self, k: int, frame: Frames, state: State) -> None:
        """Keep the last bars of a time frame, the one being built included."""
        closed = int(state.S[k, frame.slot])
        gone = closed - frame.keep
        rows = list(frame.rows)
        stay = frame.keep + 1
        self.Y[k, rows, :stay] = self.Y[k][rows][:, gone : gone + stay]
        state.S[k, frame.slot] = frame.keep

    def push(self, event: Barrier) -> int:
        """Put the bars of an event at the cursors; return the cursor of the time."""
        t = self.time
        self.T[layout.KNOWN, t] = event.time_ns
        self.T[layout.DAY, t] = event.day
        for k, present in enumerate(event.present):
            if not present:
                self.T[layout.ROW + k, t] = -1
                continue
            i = self.cursor[k]
            self.T[layout.ROW + k, t] = i
            self.F[k, :, i] = 0.0
            self.X[k, :, i] = event.columns[k]
            self.M[k, :, i] = event.facts[k]
            self.cursor[k] = i + 1
        self.time = t + 1
        return t

    def flush(self, drain: Drain) -> None:
        """Hand over everything that is still in the window."""
        drain(-1, self.time_base, self.G[:, : self.time], self.G[:, : self.time])
        for k, cursor in enumerate(self.cursor):
            drain(k, self.base[k], self.F[k, :, :cursor], self.X[k, :, :cursor])


class Engine:
    """The deterministic core of a run.

    Parameters
    ----------
    plan
        The compiled rules.
    state
        Where the run stands; a snapshot's copy continues it.
    window
        The window the rules look at.
    judge
        Asked for a probability when the strategy has a model.
    model_inputs
        Rows of F that make the feature vector.
    model_row
        Row of F for the probability; the next row is the model's state.
    drain
        Told what slides out of the window: symbol (-1: times), first number, values.
    """

    def __init__(
        self,
        plan: CompiledPlan,
        state: State,
        window: Window,
        *,
        judge: Judge | None = None,
        model_inputs: Sequence[int] = (),
        model_row: int | None = None,
        drain: Drain | None = None,
    ) -> None:
        self.plan, self.state, self.window = plan, state, window
        self._judge, self._inputs, self._model_row = judge, list(model_inputs), model_row
        self._drain = drain
        self.LI, self.LF = plan.log(1_024 + 64 * len(plan.symbols))
        self._seen = 0
        self._bind()

    def _bind(self) -> None:
        w, s = self.window, self.state
        self._arguments: tuple[Any, ...] = (
            w.T, w.M, w.X, w.F, w.Y, w.G, s.S, self.plan.parameters, s.A, s.C, s.B, s.I,
            self.LI, self.LF, *self.plan.tables,
        )  # fmt: skip

    def handle(self, event: Event) -> list[Command]:
        """Take one event; return what must happen because of it."""
        window, module = self.window, self.plan.module
        window.make_room(self.state, self._drain)
        t = window.push(event)
        module.observe(t, t + 1, *self._arguments)
        if self._judge is not None:
            self._predict(event)
        if not event.decides:
            return []
        self.state.C[layout.LATE] = 1 if event.late else 0
        while module.trade(t, t + 1, *self._arguments) == t:
            self._grow()
        return self._commands() if self.state.C[layout.LOG] != self._seen else []

    def _predict(self, event: Barrier) -> None:
        """Ask the model in force for every symbol that has a bar."""
        assert self._judge is not None
        assert self._model_row is not None
        for k, present in enumerate(event.present):
            if present:
                i = self.window.cursor[k] - 1
                vector = np.ascontiguousarray(self.window.F[k, self._inputs, i])
                up, state = self._judge(event.time_ns, vector)
                self.window.F[k, self._model_row, i] = up
                self.window.F[k, self._model_row + 1, i] = state

    def _grow(self) -> None:
        rows = int(self.state.C[layout.LOG])
        larger_int, larger_float = self.plan.log(4 * len(self.LI))
        larger_int[:rows], larger_float[:rows] = self.LI[:rows], self.LF[:rows]
        self.LI, self.LF = larger_int, larger_float
        self._bind()

    def _commands(self) -> list[Command]:
        """Read what was appended to the log since the last event."""
        rows = int(self.state.C[layout.LOG])
        found: list[Command] = []
        for row in range(self._seen, rows):
            kind, time_ns, k, order, code, reason = self.LI[row].tolist()
            values = self.LF[row].tolist()
            if kind == layout.ORDER:
                found.append(
                    Place(time_ns, k, order, code, values[0], values[1], values[2], reason)
                )
            elif kind == layout.STATUS:
                found.append(OrderEnded(time_ns, k, order, code, reason))
            elif kind == layout.FILL:
                found.append(Traded(time_ns, k, order, values[0], values[1], values[2]))
            elif kind == layout.HALT:
                found.append(Halted(time_ns, order, values[0]))
            elif kind == layout.LIFT:
                found.append(Lifted(time_ns, order))
        self._seen = rows
        return found
