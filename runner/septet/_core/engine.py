"""The event path: one event in, commands out; deterministic, no clock, no I/O.

The engine keeps a sliding window of the same arrays the batch path uses and calls the same
compiled functions with the cursor on the newest bar, so both give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

import numpy as np

from septet._core.batch import grow_log
from septet._core.events import (
    BY_HAND,
    Cleared,
    Command,
    Curve,
    Decision,
    Event,
    Funded,
    Halted,
    NewOrder,
    OrderEnded,
    Traded,
    Working,
)
from septet._core.monitor_blocks import MonitorHook, cancel_entries, clear_decisions
from septet._core.snapshot import freeze, thaw
from septet._core.state import Floats, Ints
from septet._core.window import Drain, Frames, Window
from septet._kernel import layout
from septet._kernel import ledger as _ledger

__all__ = ["Engine", "Frames", "PredictRow", "Window"]

PredictRow = Callable[[int, Floats], tuple[float, int]]
"""Time and feature vector to the probability up and the model's state."""
Rows = Callable[[Ints, Floats], None]
"""Receives the rows of the log that are dropped."""
ledger: Any = _ledger  # plain functions whose arguments are numbers and arrays
KNOWN: Final = 1_024
"""Newest orders of which reason and price are remembered for fills that come late."""
LATE_FILL, OPERATOR, ADOPTED, UNKNOWN, MONITOR, GONE, FOREIGN = range(7)
"""Reasons that no rule has, counted from the plan's first of them."""


def _view(array: Any) -> Any:
    return memoryview(array)


class Engine:
    """The deterministic core of a run.

    Parameters
    ----------
    window
        The window the rules look at, with the compiled rules and where the run stands (a copy
        of a snapshot continues it).
    predict_row
        Called with the decision time (ns) and the feature vector, float64 of shape (inputs,), if
        the strategy has a model; returns the probability of a rise, in [0, 1] or NaN, and the
        state of the model as a code of `septet._kernel.layout`.
    model_inputs
        Rows of F that make the feature vector, in order.
    model_row
        Row of F for the probability; the next row is the model's state.
    drain
        Called with what slides out of the window: the number of the symbol (-1: the times), the
        number of its first bar or time, and the rows of each array by name.
    keeps_log
        If False, rows of the log are dropped once they are commands, so that memory is bounded.
    dropped
        Called with the rows of the log that are dropped: integers and floats.
    """

    def __init__(
        self,
        window: Window,
        *,
        predict_row: PredictRow | None = None,
        model_inputs: Sequence[int] = (),
        model_row: int | None = None,
        drain: Drain | None = None,
        keeps_log: bool = True,
        dropped: Rows | None = None,
    ) -> None:
        self.window, self.plan, self.state = window, window.plan, window.state
        self._predict_row, self._model_row = predict_row, model_row
        self._inputs = tuple(model_inputs)
        self._vector = np.zeros(len(self._inputs))
        self._numbers = _view(self._vector)
        facts = self.plan.facts
        self._features, self._levels = facts.features, facts.levels
        self._decision_row = facts.decision_row
        self._up_row, self._increases = facts.model_row, facts.increases
        self._partial = facts.partial
        self._hours_row, self._schedule = facts.hours_row, facts.schedule
        self._members_row = facts.members_row
        self._packed = Struct(f"{len(facts.features + facts.levels)}d").pack
        self._drain = drain
        self._keeps_log, self.dropped = keeps_log, dropped
        self._seen = 0
        self._now_ns = 0
        self._known: dict[int, tuple[int, float, bool]] | None = None  # reason, price, given up
        self._valued = False  # whether equity and halts are unchanged since the newest mark
        module = self.plan.module
        self._push, self._observe, self._trade = module.push, module.observe, module.trade
        self._C, self._B, self._I = self.state.C, self.state.B, self.state.I
        self._arrays = arrays = window.arrays  # only the log's arrays are ever replaced
        # Single numbers are read through a view, which is faster than indexing the array.
        state = (self.state.A, self._C, self._B, self._I)
        self._a, self._c, self._b, self._i = (_view(each) for each in state)
        self._t, self._f, self._d, self._g = (_view(arrays[name]) for name in "TFDG")
        self._log_rows = Struct(f"{layout.LI_COLUMNS}q"), Struct(f"{arrays['LF'].shape[1]}d")
        self._see_log()

    @property
    def log(self) -> tuple[Ints, Floats]:
        """Return the rows of the log so far, without dropped ones."""
        rows = int(self._C[layout.LOG])
        return self._arrays["LI"][:rows], self._arrays["LF"][:rows]

    # ------------------------------------------------------------------ events

    def handle(self, event: Event, monitor: MonitorHook | None = None) -> list[Command]:
        """Process one event; return the commands that follow from it.

        `monitor` is called twice: after the features and the prediction are computed, and again
        after the time has been traded. If it blocks entries, the time is decided again with the
        block. Events must arrive in order of time.
        """
        self._now_ns, self._valued = event.time_ns, False
        t, C, cancels = self._take_in(event), self._C, False
        if monitor is not None:
            change = monitor.before(t)
            C[layout.BLOCKED] += change.blocks
            cancels = change.cancels
        if event.decides:
            if event.late:
                C[layout.LATE] = 1
            if monitor is None:
                self._trade_at(t)
            else:
                cancels |= self._trade_watched(t, monitor)
            if event.late:
                C[layout.LATE] = 0
        elif event.matches:
            self._match_at(t, monitor)
        if cancels:
            cancel_entries(self.plan, self._arrays, event.time_ns)
            self._see_log()
        return self._new()

    def _trade_at(self, t: int) -> None:
        if self._trade(t, t + 1, self._arrays.table) == t:
            self._trade_again(t)

    def _trade_watched(self, t: int, monitor: MonitorHook) -> bool:
        """Trade a time, again if a monitor then acts; return whether entries are cancelled.

        Monitors read events of the bar that ended, which are the same in the second pass.
        """
        state, C = self.state, self._C
        before = state.A.copy(), C.copy(), state.B.copy(), state.I.copy()
        first = int(C[layout.LOG])
        self._trade_at(t)
        rows = slice(first, int(C[layout.LOG]))
        change = monitor.after(t, self._arrays["LI"][rows], self._arrays["LF"][rows])
        if change.blocks:
            for array, saved in zip((state.A, C, state.B, state.I), before, strict=True):
                array[:] = saved
            clear_decisions(self.plan, self._arrays, t)
            C[layout.BLOCKED] += change.blocks
            self._trade_at(t)
        return change.cancels

    def _match_at(self, t: int, monitor: MonitorHook | None) -> None:
        """Match missed bars with resting orders, without decisions."""
        C = self._C
        first = int(C[layout.LOG])
        C[layout.LATE] = layout.ONLY_MATCHED
        self._trade_at(t)
        C[layout.LATE] = 0
        clear_decisions(self.plan, self._arrays, t)  # signals computed ahead of a decision
        if monitor is not None:
            rows = slice(first, int(C[layout.LOG]))
            monitor.matched(self._arrays["LI"][rows], self._arrays["LF"][rows])

    def _take_in(self, event: Event) -> int:
        """Put the bars of an event at the cursor, compute features and predictions; return T."""
        window = self.window
        window.room -= 1
        if window.room <= 0:
            window.make_room(self._drain)
        t, table, predict_row = window.time, self._arrays.table, self._predict_row
        window.time = t + 1
        self._push(t, event.time_ns, event.day, event.columns, event.facts, table)
        if self._hours_row is not None:
            rows = slice(self._hours_row, self._hours_row + len(self.plan.symbols))
            self._arrays["T"][rows, t] = event.hours
        if self._members_row is not None:
            self._t[self._members_row, t] = event.members
        if self._schedule is not None:
            before = self._t[layout.KNOWN, t - 1] if t > 0 else -1
            before = before if before >= 0 else event.time_ns - self._schedule.bar_ns
            self._arrays["DUE"][t] = self._schedule.falls_at(before, event.time_ns)
        self._observe(t, t + 1, table)
        if predict_row is not None:  # the model in force is asked for every symbol that has a bar
            row, f, vector, numbers = self._model_row, self._f, self._vector, self._numbers
            assert row is not None
            for k in range(len(self._I)):
                i = self._t[layout.ROW + k, t]
                if i < 0:
                    continue
                for place, source in enumerate(self._inputs):
                    numbers[place] = f[k, source, i]
                f[k, row, i], f[k, row + 1, i] = predict_row(event.time_ns, vector)
        return t

    def _trade_again(self, t: int) -> None:
        """Trade with a larger log."""
        reached = t
        while reached == t:
            self._grow_log()
            reached = self._trade(t, t + 1, self._arrays.table)

    # ------------------------------------------------------------------ a person

    def halt(self, time_ns: int, *, flatten: bool) -> list[Command]:
        """Block entries and cancel working entries for an operator; with `flatten` close positions.

        Idempotent: a second call changes nothing, except that `flatten` still closes positions
        that the first call left open.
        """
        self._now_ns, self._valued = time_ns, False
        self._make_room()
        code, arrays = self._reason(OPERATOR), self._arrays.whole
        first = self.plan.by_hand.halt_by_hand(code, time_ns, int(flatten), arrays)
        commands: list[Command] = [Halted(time_ns, BY_HAND, self.equity)] if first else []
        return commands + self._new()

    def wind_down(self, time_ns: int, *, flatten: bool) -> list[Command]:
        """Cancel working entries as the run shuts down; with `flatten` close positions.

        No entry is blocked: the next start continues as if the run had not stopped.
        """
        self._now_ns, self._valued = time_ns, False
        self._make_room()
        by_hand, code = self.plan.by_hand, self._reason(OPERATOR)
        end = by_hand.close_by_hand if flatten else by_hand.cancel_by_hand
        end(code, time_ns, self._arrays.whole)
        return self._new()

    def resume(self, time_ns: int) -> list[Command]:
        """Clear every block that waits for a person.

        The peak equity and the count of consecutive losses of a cleared halt start again at
        this time.
        """
        self._now_ns, self._valued = time_ns, False
        self._make_room()
        was_by_hand = self.plan.by_hand.resume_by_hand(time_ns, self._arrays.whole)
        commands = self._new()
        if was_by_hand:
            commands.append(Cleared(time_ns, BY_HAND))
        return commands

    def unblock(self, blocks: int) -> None:
        """End a number of blocks of monitors."""
        self._C[layout.BLOCKED] -= blocks

    def _reason(self, place: int) -> int:
        return self.plan.facts.venue_reasons + place

    def _make_room(self) -> None:
        """Ensure that the log has room for one call outside of a step."""
        if int(self._C[layout.LOG]) + self.plan.facts.log_room > len(self._arrays["LI"]):
            self._grow_log()

    def _grow_log(self) -> None:
        grow_log(self.plan, self._arrays)
        self._see_log()

    def _see_log(self) -> None:
        """Create a byte view of the log, from which a few rows are read at once."""
        self._log_bytes = [self._arrays[name].data.cast("B") for name in ("LI", "LF")]

    # ------------------------------------------------------------------ views

    @property
    def equity(self) -> float:
        """Return the equity at the newest mark (quote)."""
        return self._a[layout.EQUITY]  # type: ignore[no-any-return]

    @property
    def cash(self) -> float:
        """Return the cash of the account (quote)."""
        return self._a[layout.CASH]  # type: ignore[no-any-return]

    @property
    def peak(self) -> float:
        """Return the largest equity since the start, or since halts were cleared (quote)."""
        return self._a[layout.PEAK]  # type: ignore[no-any-return]

    @property
    def blocked(self) -> bool:
        """Whether a halt, or a person, blocks entries."""
        return bool(self._c[layout.BLOCKED] > 0)

    def position(self, k: int) -> tuple[float, float]:
        """Position of a symbol: in the base currency, and in units."""
        units = self._b[k, layout.UNITS]
        return units / self._b[k, layout.SCALE], units

    def scale(self, k: int) -> float:
        """Return the number of units in one unit of a symbol's base currency."""
        return self._b[k, layout.SCALE]  # type: ignore[no-any-return]

    def held(self, k: int) -> float:
        """Position of a symbol in the base currency."""
        units: float = self._b[k, layout.UNITS]
        return units / self._b[k, layout.SCALE] if units else units

    def lots_to_close(self, k: int) -> float:
        """Return the signed units that close a position; whole lots, zero for dust."""
        held, lot = self._b[k, layout.UNITS], self._b[k, layout.LOT]
        lots = ledger.floor_units(abs(held), lot)
        return float(-lots if held > 0.0 else lots)

    def working(self, k: int) -> Working | None:
        """Return the working order of a symbol, if there is one."""
        b, integers = self._b, self._i
        if integers[k, layout.WORKING] == 0:
            return None
        return Working(
            integers[k, layout.ORDER_ID], integers[k, layout.ORDER_TYPE], b[k, layout.ORDER_UNITS],
            b[k, layout.LIMIT_PRICE], b[k, layout.TRIGGER], integers[k, layout.REDUCES] == 1,
            integers[k, layout.ORDER_REASON],
        )  # fmt: skip

    def decision(self, k: int) -> Decision | None:
        """Return the decision for a symbol at the newest time; None if it had no bar then."""
        t, f, d = self.window.time - 1, self._f, self._d
        i = self._t[layout.ROW + k, t] if t >= 0 else -1
        if i < 0:
            return None
        at = self._decision_row
        assert at is not None, "a plan without tables keeps no decisions"
        signal = d[k, layout.D_SIGNAL, i]
        features = [f[k, row, i] for row in self._features]
        features += [f[k, row, i] or math.nan for row in self._levels]
        return Decision(
            self._t[layout.KNOWN, t], k, self._packed(*features),
            math.nan if self._up_row is None else f[k, self._up_row, i], signal & layout.SIGNAL,
            1.0 if signal & layout.CERTAIN else f[k, at + layout.F_CONFIDENCE, i],
            f[k, at + layout.F_REQUESTED, i], f[k, at + layout.F_GRANTED, i],
            d[k, layout.D_CAPPED, i] - 1, d[k, layout.D_REJECTED, i] - 1,
            d[k, layout.D_LATE, i] != 0,
        )  # fmt: skip

    def curve(self) -> Curve:
        """Return the account at the newest decision time; there must have been one."""
        t = self.window.time - 1
        g = self._g
        return Curve(
            self._t[layout.KNOWN, t], g[layout.G_EQUITY, t], g[layout.G_CASH, t],
            g[layout.G_EXPOSURE, t],
        )  # fmt: skip

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> bytes:
        """Return all state needed to continue bit for bit, without log rows that were read."""
        assert self._c[layout.LOG] == self._seen, "commands are waiting to be read"
        return freeze(self.window, {"now_ns": self._now_ns, **self._state_outside_arrays()})

    def restore(self, data: bytes) -> None:
        """Restore a snapshot of an engine of the same plan and window.

        Raises
        ------
        RunError
            If the snapshot is of another plan, window or version.
        """
        outside = thaw(self.window, data)
        self._now_ns, self._valued = int(outside["now_ns"]), False
        self._seen = 0
        self._take_up(outside)

    def _state_outside_arrays(self) -> dict[str, Any]:
        """Return the state outside of the arrays."""
        return {}

    def _take_up(self, outside: dict[str, Any]) -> None:
        """Restore the state outside of the arrays."""

    # ------------------------------------------------------------------ commands

    def _new(self) -> list[Command]:
        """Return the rows appended to the log since the last call, as commands."""
        first, rows = self._seen, self._c[layout.LOG]
        if rows == first:
            return []
        known, (integers, floats), (li, lf) = self._known, self._log_rows, self._log_bytes
        LI = list(integers.iter_unpack(li[first * integers.size : rows * integers.size]))
        LF = list(floats.iter_unpack(lf[first * floats.size : rows * floats.size]))
        held: dict[int, float] | None = None
        commands: list[Command] = []
        for (kind, time_ns, k, order, code, reason), values in zip(LI, LF, strict=True):
            if kind == layout.ORDER:
                units, limit, trigger, price, confidence, up, *sizing = values
                placed = NewOrder(
                    time_ns, k, order, code, units, limit, trigger, reason, price,
                    reason not in self._increases, confidence, up, tuple(sizing),
                    reason not in self._partial,
                )  # fmt: skip
                commands.append(placed)
                if known is not None:
                    known[order] = (reason, price, False)
                    if len(known) > KNOWN:
                        del known[next(iter(known))]
            elif kind == layout.STATUS:
                ended = OrderEnded(time_ns, k, order, code, reason)
                commands.append(ended)
                if known is not None and order in known:
                    why, price, _ = known[order]
                    known[order] = (why, price, self._is_given_up(ended, why))
            elif kind == layout.FILL:
                units, price, fee, net_units, _, charge = values[:6]
                if held is None:
                    held = self._held_before(LI, LF)
                held[k] += net_units
                commands.append(
                    Traded(
                        time_ns, k, order, units, price, fee, net_units, held[k], code == 1, reason,
                        charge if charge == charge else 0.0,
                    )
                )  # fmt: skip
            elif kind == layout.FUNDING:
                commands.append(Funded(time_ns, k, *values[:3]))
            elif kind == layout.HALT:
                commands.append(Halted(time_ns, order, values[0]))
            elif kind == layout.CLEAR:
                commands.append(Cleared(time_ns, order))
        self._seen = rows
        if not self._keeps_log:
            if self.dropped is not None:
                dropped = self.log
                self.dropped(dropped[0].copy(), dropped[1].copy())
            self._c[layout.LOG] = self._seen = 0
        return commands

    def _is_given_up(self, ended: OrderEnded, reason: int) -> bool:
        """Whether a rule cancelled an order, so that its later fills are not expected.

        An order that the venue ended has the reason it was made for.
        """
        by_rule = ended.reason not in (reason, self._reason(LATE_FILL))
        return ended.status == layout.STATUS_CANCELLED and by_rule

    def _held_before(self, LI: Sequence[Any], LF: Sequence[Any]) -> dict[int, float]:
        """Return the units held before the first of some fills."""
        held: dict[int, float] = {}
        for integers, values in zip(LI, LF, strict=True):
            if integers[0] == layout.FILL:
                k = integers[2]
                held[k] = held.get(k, self._b[k, layout.UNITS]) - values[3]
        return held
