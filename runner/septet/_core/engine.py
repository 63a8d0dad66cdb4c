"""The event path: one event in, commands out; deterministic, no clock, no I/O.

The engine keeps a sliding window of the same arrays the batch path uses and calls the same
compiled functions with the cursor on the newest bar, so both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from septet._core.batch import grow_log
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
from septet._core.state import Arrays, CompiledPlan, Floats, Ints, State, arrays_of
from septet._kernel import layout

__all__ = ["Engine", "Frames", "Judge", "Window"]

Judge = Callable[[int, Floats], tuple[float, int]]
"""Time and feature vector to the probability up and the model's state."""
Drain = Callable[[int, int, Mapping[str, npt.NDArray[Any]]], None]


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
    `N[k]` where its next bar goes; `time_base` and `time` are the same for times.
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
            T=np.full((layout.ROW + count, self.size), -1, np.int64),
            M=np.zeros((count, layout.M_ROWS, self.size), np.int64),
            X=np.full((count, self.columns, self.size), np.nan),
            F=np.full((count, rows.F, self.size), np.nan),
            D=np.zeros((count, rows.D, self.size), np.int8),
            Y=np.full((count, max(1, rows.Y), self.size if rows.Y else 1), np.nan),
            G=np.zeros((rows.G, self.size)),
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
        gone = self.size - self.keep
        T, G = self.arrays["T"], self.arrays["G"]
        if drain is not None:
            drain(-1, self.time_base, {"G": G[:, :gone]})
        T[:, : self.keep] = T[:, gone:].copy()
        T[:, self.keep :] = -1
        G[:, : self.keep] = G[:, gone:].copy()
        self.time_base += gone
        self.time = self.keep

    def _slide_symbol(self, k: int, drain: Drain | None) -> None:
        gone = self.size - self.keep
        if drain is not None:
            drain(k, self.base[k], {name: self.arrays[name][k, :, :gone] for name in "FD"})
        for name in "MXFD":
            array = self.arrays[name]
            array[k, :, : self.keep] = array[k, :, gone:].copy()
        rows = self.arrays["T"][layout.ROW + k]
        np.subtract(rows, gone, out=rows, where=rows >= 0)
        np.maximum(rows, -1, out=rows)
        self.base[k] += gone
        self.arrays["N"][k] = self.keep

    def _slide_frame(self, k: int, frame: Frames) -> None:
        """Keep the last bars of a time frame, the one being built included."""
        closed = int(self.state.S[k, frame.slot])
        gone = closed - frame.keep
        rows = list(frame.rows)
        stay = frame.keep + 1
        Y = self.arrays["Y"]
        Y[k, rows, :stay] = Y[k][rows][:, gone : gone + stay]
        self.state.S[k, frame.slot] = frame.keep

    def flush(self, drain: Drain) -> None:
        """Hand over everything that is still in the window."""
        drain(-1, self.time_base, {"G": self.arrays["G"][:, : self.time]})
        for k, cursor in enumerate(self.arrays["N"].tolist()):
            drain(k, self.base[k], {name: self.arrays[name][k, :, :cursor] for name in "FD"})


class Engine:
    """The deterministic core of a run.

    Parameters
    ----------
    window
        The window the rules look at, with the compiled rules and where the run stands (a copy
        of a snapshot continues it).
    judge
        Asked for a probability when the strategy has a model.
    model_inputs
        Rows of F that make the feature vector.
    model_row
        Row of F for the probability; the next row is the model's state.
    drain
        Told what slides out of the window: symbol (-1: times), first number, rows of arrays.
    """

    def __init__(
        self,
        window: Window,
        *,
        judge: Judge | None = None,
        model_inputs: Sequence[int] = (),
        model_row: int | None = None,
        drain: Drain | None = None,
    ) -> None:
        self.window, self.plan, self.state = window, window.plan, window.state
        self._judge, self._inputs, self._model_row = judge, list(model_inputs), model_row
        self._drain = drain
        self._seen = 0
        module = self.plan.module
        self._push, self._observe, self._trade = module.push, module.observe, module.trade
        self._C = self.state.C

    @property
    def log(self) -> tuple[Ints, Floats]:
        """The rows of the log so far."""
        rows = int(self._C[layout.LOG])
        return self.window.arrays["LI"][:rows], self.window.arrays["LF"][:rows]

    def handle(self, event: Event) -> list[Command]:
        """Take one event; return what must happen because of it."""
        window = self.window
        window.room -= 1
        if window.room <= 0:
            window.make_room(self._drain)
        t, table = window.time, window.arrays.table
        window.time = t + 1
        self._push(t, event.time_ns, event.day, event.columns, event.facts, table)
        self._observe(t, t + 1, table)
        if self._judge is not None:
            self._predict(event)
        if not event.decides:
            return []
        if event.late:
            self._C[layout.LATE] = 1
        if self._trade(t, t + 1, table) == t:
            self._trade_again(t)
        if event.late:
            self._C[layout.LATE] = 0
        return self._commands() if self._C.item(layout.LOG) != self._seen else []

    def _trade_again(self, t: int) -> None:
        """Trade with a larger log."""
        reached = t
        while reached == t:
            grow_log(self.plan, self.window.arrays)
            reached = self._trade(t, t + 1, self.window.arrays.table)

    def _predict(self, event: Barrier) -> None:
        """Ask the model in force for every symbol that has a bar."""
        assert self._judge is not None
        assert self._model_row is not None
        F, cursors = self.window.arrays["F"], self.window.arrays["N"].tolist()
        for k, facts in enumerate(event.facts):
            if facts[layout.AGE] >= 0:
                i = cursors[k] - 1
                vector = np.ascontiguousarray(F[k, self._inputs, i])
                up, state = self._judge(event.time_ns, vector)
                F[k, self._model_row, i] = up
                F[k, self._model_row + 1, i] = state

    def _commands(self) -> list[Command]:
        """Read what was appended to the log since the last event."""
        rows = int(self._C[layout.LOG])
        LI, LF = self.window.arrays["LI"], self.window.arrays["LF"]
        found: list[Command] = []
        for row in range(self._seen, rows):
            kind, time_ns, k, order, code, reason = LI[row].tolist()
            values = LF[row].tolist()
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
