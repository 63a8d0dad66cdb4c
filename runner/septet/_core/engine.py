"""The event path: one event in, commands out; deterministic, no clock, no I/O.

The engine keeps a sliding window of the same arrays the batch path uses and calls the same
compiled functions with the cursor on the newest bar, so both give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from septet._core.batch import grow_log
from septet._core.events import (
    BY_HAND,
    Barrier,
    Command,
    Curve,
    Decision,
    Event,
    Halted,
    Lifted,
    OrderEnded,
    Place,
    Traded,
    Working,
)
from septet._core.snapshot import freeze, thaw
from septet._core.state import Floats, Ints, PlanFacts
from septet._core.window import Drain, Frames, Window
from septet._kernel import layout
from septet._kernel import ledger as _ledger

__all__ = ["Engine", "Frames", "Judge", "Window"]

Judge = Callable[[int, Floats], tuple[float, int]]
"""Time and feature vector to the probability up and the model's state."""
Rows = Callable[[Ints, Floats], None]
"""Told the rows of the log that are dropped."""
TOLD: Final = 4
"""What a decision's row says after its features: confidence, requested, granted, probability."""
ledger: Any = _ledger  # plain functions whose arguments are numbers and arrays
LATE_FILL, OPERATOR, ADOPTED, UNKNOWN = range(4)
"""Reasons that no rule has, counted from the plan's first of them."""


def _told_rows(facts: PlanFacts) -> Any:
    """Rows of F that a decision tells: the features, then `TOLD` more; None without tables."""
    at, up = facts.decision_row, facts.model_row
    if at is None:
        return None
    more = (at + layout.F_CONFIDENCE, at + layout.F_REQUESTED, at + layout.F_GRANTED)
    return np.array([*facts.features, *more, at if up is None else up], np.intp)


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
    keeps_log
        False: rows of the log are dropped once they are commands, so that memory stays bounded.
    dropped
        Told the rows of the log that are dropped.
    """

    def __init__(
        self,
        window: Window,
        *,
        judge: Judge | None = None,
        model_inputs: Sequence[int] = (),
        model_row: int | None = None,
        drain: Drain | None = None,
        keeps_log: bool = True,
        dropped: Rows | None = None,
    ) -> None:
        self.window, self.plan, self.state = window, window.plan, window.state
        self._judge, self._model_row = judge, model_row
        self._inputs = np.array(model_inputs, np.intp)
        self._told = _told_rows(self.plan.facts)
        self._drain = drain
        self._keeps_log, self._dropped = keeps_log, dropped
        self._seen = 0
        self._now_ns = 0
        self._valued = False  # whether equity and halts are as the newest mark left them
        module = self.plan.module
        self._push, self._observe, self._trade = module.push, module.observe, module.trade
        self._C, self._B, self._I = self.state.C, self.state.B, self.state.I
        arrays = window.arrays  # these stay where they are; the log's do not
        self._T, self._F, self._D = arrays["T"], arrays["F"], arrays["D"]
        self._G, self._N = arrays["G"], arrays["N"]

    @property
    def log(self) -> tuple[Ints, Floats]:
        """The rows of the log so far; the dropped ones are not there."""
        rows = int(self._C[layout.LOG])
        return self.window.arrays["LI"][:rows], self.window.arrays["LF"][:rows]

    # ------------------------------------------------------------------ events

    def handle(self, event: Event) -> list[Command]:
        """Take one event; return what must happen because of it."""
        self._now_ns, self._valued = event.time_ns, False
        t = self._take_in(event)
        if not event.decides:
            return []
        if event.late:
            self._C[layout.LATE] = 1
        if self._trade(t, t + 1, self.window.arrays.table) == t:
            self._trade_again(t)
        if event.late:
            self._C[layout.LATE] = 0
        return self._new()

    def _take_in(self, event: Event) -> int:
        """Put the bars of an event at the cursor, observe and judge them; return their time."""
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
        return t

    def _trade_again(self, t: int) -> None:
        """Trade with a larger log."""
        reached = t
        while reached == t:
            grow_log(self.plan, self.window.arrays)
            reached = self._trade(t, t + 1, self.window.arrays.table)

    def _predict(self, event: Barrier) -> None:
        """Ask the model in force for every symbol that has a bar."""
        judge, row, F = self._judge, self._model_row, self._F
        assert judge is not None
        assert row is not None
        cursors = self._N.tolist()
        for k, age in enumerate(event.facts[:, layout.AGE].tolist()):
            if age >= 0:
                bar = F[k, :, cursors[k] - 1]
                bar[row], bar[row + 1] = judge(event.time_ns, bar.take(self._inputs))

    # ------------------------------------------------------------------ a person

    def halt(self, time_ns: int, *, flatten: bool) -> list[Command]:
        """Block entries and end those that work, as a person wishes; close positions if told.

        Again is no different from once; it can still close what a first one left open.
        """
        self._now_ns, self._valued = time_ns, False
        self._make_room()
        code = self._reason(OPERATOR)
        found: list[Command] = []
        if self._C[layout.BY_HAND] == 0:
            self._C[layout.BY_HAND] = 1
            self._C[layout.BLOCKED] += 1
            found.append(Halted(time_ns, BY_HAND, self.equity))
        for k in range(len(self._I)):
            if self._I[k, layout.WORKING] == 1 and self._I[k, layout.REDUCES] == 0:
                self._end_order(k, code, time_ns)
            side = int(self._I[k, layout.OPEN_SIDE])
            if flatten and side != 0:
                self._send_exit(k, code, time_ns)
                if self.plan.facts.disarm_bars is not None:
                    self._I[k, layout.DISARMED] = side
                    self._I[k, layout.DISARM_LEFT] = self.plan.facts.disarm_bars
        return found + self._new()

    def resume(self, time_ns: int) -> list[Command]:
        """Lift every block that waits for a person.

        Where a halt is lifted, the peak and the losses in a row start again from here.
        """
        self._now_ns, self._valued = time_ns, False
        self._make_room()
        C, A, arrays = self._C, self.state.A, self.window.arrays
        for h, (code, waits) in enumerate(self.plan.facts.halts):
            active = layout.C_SLOTS + 3 * h
            if waits and C[active] == 1:
                C[active] = 0
                C[layout.BLOCKED] -= 1
                A[layout.PEAK] = A[layout.EQUITY]
                C[layout.LOSSES] = 0
                LI, LF = arrays["LI"], arrays["LF"]
                ledger.log_row(layout.LIFT, time_ns, -1, h, code, 0, C, LI, LF)
        found = self._new()
        if C[layout.BY_HAND] == 1:
            C[layout.BY_HAND] = 0
            C[layout.BLOCKED] -= 1
            found.append(Lifted(time_ns, BY_HAND))
        return found

    def _reason(self, place: int) -> int:
        return self.plan.facts.outside_reasons + place

    def _make_room(self) -> None:
        """Let the log have room for what one call outside of a step may write."""
        if int(self._C[layout.LOG]) + 4 * len(self._I) + 8 > len(self.window.arrays["LI"]):
            grow_log(self.plan, self.window.arrays)

    def _end_order(self, k: int, reason: int, time_ns: int) -> None:
        arrays = self.window.arrays
        ledger.end_order(
            k, layout.STATUS_CANCELLED, reason, time_ns, self._C, self._B, self._I,
            arrays["LI"], arrays["LF"],
        )  # fmt: skip

    def _send_exit(self, k: int, reason: int, time_ns: int) -> None:
        """Do what the text's `send_exit` does: a market order that nothing blocks."""
        B, whole, arrays = self._B, self._I, self.window.arrays
        units = self.lots_to_close(k)
        if whole[k, layout.WORKING] == 1:
            if whole[k, layout.REDUCES] == 1 and abs(B[k, layout.ORDER_UNITS]) >= abs(units):
                return
            self._end_order(k, reason, time_ns)
        if units == 0.0:
            return
        row = ledger.place_order(
            k, layout.MARKET, units, np.nan, np.nan, time_ns + self.plan.facts.latency_ns, 0, 1,
            reason, B[k, layout.MARK], time_ns, self._C, B, whole, arrays["LI"], arrays["LF"],
        )  # fmt: skip
        arrays["LF"][row, 6] = self.state.A[layout.EQUITY]

    # ------------------------------------------------------------------ views

    @property
    def equity(self) -> float:
        """Equity at the newest mark (quote)."""
        return self.state.A.item(layout.EQUITY)

    @property
    def cash(self) -> float:
        """Cash of the account (quote)."""
        return self.state.A.item(layout.CASH)

    @property
    def blocked(self) -> bool:
        """Whether a halt, or a person, blocks entries."""
        return self._C.item(layout.BLOCKED) > 0

    def position(self, k: int) -> tuple[float, float]:
        """Position of a symbol: in the base currency, and in units."""
        units = self._B.item(k, layout.UNITS)
        return units / self._B.item(k, layout.SCALE), units

    def held(self, k: int) -> float:
        """Position of a symbol in the base currency."""
        units: float = self._B.item(k, layout.UNITS)
        return units / self._B.item(k, layout.SCALE) if units else units

    def lots_to_close(self, k: int) -> float:
        """Units, signed, of the order that closes a position; whole lots, zero for dust."""
        held, lot = self._B.item(k, layout.UNITS), self._B.item(k, layout.LOT)
        lots = ledger.floor_units(abs(held), lot)
        return float(-lots if held > 0.0 else lots)

    def working(self, k: int) -> Working | None:
        """Return the working order of a symbol, if there is one."""
        B, whole = self._B, self._I
        if whole.item(k, layout.WORKING) == 0:
            return None
        return Working(
            whole.item(k, layout.ORDER_ID), whole.item(k, layout.ORDER_TYPE),
            B.item(k, layout.ORDER_UNITS), B.item(k, layout.LIMIT_PRICE),
            B.item(k, layout.TRIGGER), whole.item(k, layout.REDUCES) == 1,
            whole.item(k, layout.ORDER_REASON),
        )  # fmt: skip

    def decision(self, k: int) -> Decision | None:
        """Return what was decided for a symbol at the newest time; None if it had no bar then."""
        t = self.window.time - 1
        i = self._T.item(layout.ROW + k, t) if t >= 0 else -1
        if i < 0:
            return None
        rows = self._told
        assert rows is not None, "a plan without tables keeps no decisions"
        told = self._F[k, :, i].take(rows)
        wish, refused, clipped, late = self._D[k, :, i].tolist()
        confidence, requested, granted, up = told[-TOLD:].tolist()
        return Decision(
            self._T.item(layout.KNOWN, t), k, told[:-TOLD].tobytes(),
            math.nan if self.plan.facts.model_row is None else up, wish & layout.WISH,
            1.0 if wish & layout.CERTAIN else confidence, requested, granted, clipped - 1,
            refused - 1, late != 0,
        )  # fmt: skip

    def curve(self) -> Curve:
        """Return the account at the newest decision time; there must have been one."""
        t = self.window.time - 1
        return Curve(self._T.item(layout.KNOWN, t), *self._G[:, t].tolist())

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> bytes:
        """Everything needed to go on bit for bit; rows of the log that were read are not."""
        assert self._C.item(layout.LOG) == self._seen, "commands are waiting to be read"
        return freeze(self.window, {"now_ns": self._now_ns, **self._kept()})

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot of an engine of the same plan and window.

        Raises
        ------
        RunError
            If the snapshot is of another plan, window or version.
        """
        kept = thaw(self.window, data)
        self._now_ns, self._valued = int(kept["now_ns"]), False
        self._seen = 0
        self._take_up(kept)

    def _kept(self) -> dict[str, Any]:
        """Return what is remembered outside of the arrays."""
        return {}

    def _take_up(self, kept: dict[str, Any]) -> None:
        """Remember it again."""

    # ------------------------------------------------------------------ commands

    def _new(self) -> list[Command]:
        """Return what was appended to the log since it was last read."""
        rows = self._C.item(layout.LOG)
        if rows == self._seen:
            return []
        found = self._read(self._seen, rows)
        self._seen = rows
        if not self._keeps_log:
            if self._dropped is not None:
                LI, LF = self.log
                self._dropped(LI.copy(), LF.copy())
            self._C[layout.LOG] = self._seen = 0
        return found

    def _read(self, first: int, rows: int) -> list[Command]:
        """Read rows of the log as commands."""
        LI = self.window.arrays["LI"][first:rows].tolist()
        LF = self.window.arrays["LF"][first:rows].tolist()
        held: dict[int, float] | None = None
        found: list[Command] = []
        for (kind, time_ns, k, order, code, reason), values in zip(LI, LF, strict=True):
            if kind == layout.ORDER:
                units, limit, trigger, price = values[:4]
                reduces, sizing = reason != 0, tuple(values[6:])
                made = Place(
                    time_ns, k, order, code, units, limit, trigger, reason, price, reduces,
                    values[4], values[5], sizing,
                )  # fmt: skip
                found.append(made)
            elif kind == layout.STATUS:
                found.append(OrderEnded(time_ns, k, order, code, reason))
            elif kind == layout.FILL:
                units, price, fee, got = values[:4]
                if held is None:
                    held = self._held_before(LI, LF)
                held[k] += got
                found.append(
                    Traded(time_ns, k, order, units, price, fee, got, held[k], code == 1, reason)
                )
            elif kind == layout.HALT:
                found.append(Halted(time_ns, order, values[0]))
            elif kind == layout.LIFT:
                found.append(Lifted(time_ns, order))
        return found

    def _held_before(self, LI: list[list[int]], LF: list[list[float]]) -> dict[int, float]:
        """Return the units held before the first of some fills."""
        held: dict[int, float] = {}
        for whole, values in zip(LI, LF, strict=True):
            if whole[0] == layout.FILL:
                k = whole[2]
                held[k] = held.get(k, self._B.item(k, layout.UNITS)) - values[3]
        return held
