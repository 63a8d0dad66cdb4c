"""State kept between decision times, and the interface of a compiled plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from septet._kernel import layout

__all__ = [
    "ORDER",
    "Arrays",
    "Codes",
    "CompiledPlan",
    "DueTimes",
    "Floats",
    "Ints",
    "PlanFacts",
    "RowCounts",
    "State",
    "arrays_of",
    "smallest_units",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]


DTYPES: Final[Mapping[str, Any]] = {
    "T": np.int64, "M": np.int64, "C": np.int64, "I": np.int64, "LI": np.int64, "RS": np.int64,
    "RT": np.int64, "N": np.int64, "Q": np.int64, "J": np.int64, "D": np.int8, "H": np.int64,
    "DUE": np.int64,
}  # fmt: skip
"""Types of the arrays that are not float64."""
ORDER: Final = (
    "T", "M", "X", "F", "D", "Y", "G", "S", "P", "PS", "PT", "A", "C", "B", "I", "LI", "LF", "RS",
    "RT", "N", "Q", "J", "W", "H", "U", "ASKED",
)  # fmt: skip
"""The arrays of the layout, in the order of the table; constant arrays L0, L1, ... follow."""
OPTIONAL: Final = ("DUE",)
"""Arrays that only some plans have, after all others."""


class State(msgspec.Struct):
    """All state that a run keeps from one decision time to the next; a copy is a snapshot."""

    S: Floats
    A: Floats
    C: Ints
    B: Floats
    I: Ints

    def copy(self) -> State:
        """Return an independent copy."""
        return State(self.S.copy(), self.A.copy(), self.C.copy(), self.B.copy(), self.I.copy())

    def put(self, source: State) -> None:
        """Become equal to another, in the same arrays."""
        for name in ("S", "A", "C", "B", "I"):
            getattr(self, name)[:] = getattr(source, name)


class Arrays(dict[str, Any]):
    """The arrays of a run by name, and in the form the entries take them.

    `table` is what an entry is called with: addresses and shapes for compiled entries, the
    arrays themselves for uncompiled ones. The arrays are kept alive here. What is given must be
    C-contiguous and of the layout's dtype; a wrong one is a programmer's error.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], *, compiled: bool) -> None:
        more = [each for each in OPTIONAL if each in arrays]
        tables = len(arrays) - len(ORDER) - len(more)
        names = [*ORDER, *(f"L{number}" for number in range(tables)), *more]
        assert set(names) == arrays.keys(), sorted(set(names) ^ arrays.keys())
        super().__init__({name: arrays[name] for name in names})
        self._rows = {name: row for row, name in enumerate(names)}
        self._compiled = compiled
        self.table: Any = np.zeros((len(arrays), layout.TABLE_COLUMNS), np.int64)
        for name in names:
            self.put(name, arrays[name])
        if compiled:  # a unit of the plan hands the table on to another
            self["H"][[layout.CALL_TABLE, layout.CALL_ROWS]] = self.table.ctypes.data, len(arrays)

    @property
    def whole(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays themselves, for code that always runs as plain Python."""
        return tuple(self.values())

    def put(self, name: str, array: npt.NDArray[Any], *, first: int = 0) -> None:
        """Put an array in the place of another; its last axis begins at cursor `first`."""
        assert array.flags.c_contiguous, name
        assert array.dtype == DTYPES.get(name, np.float64), name
        self[name] = array
        if not self._compiled:
            assert first == 0, "only compiled entries see a window at other cursors"
            self.table = tuple(self.values())
            return
        row = self._rows[name]
        self.table[row, 0] = array.ctypes.data - first * array.itemsize
        self.table[row, 1 : 1 + array.ndim] = array.shape

    def seen(self, name: str, array: npt.NDArray[Any], *, first: int) -> Ints:
        """Return a copy of the table in which another array, from cursor `first` on, is seen."""
        table: Ints = self.table.copy()
        row = self._rows[name]
        table[row, 0] = array.ctypes.data - first * array.itemsize
        table[row, 1 : 1 + array.ndim] = array.shape
        return table


class CompiledPlan(Protocol):
    """The compiled rules of a strategy, as the core sees them."""

    parameters: Floats

    def parameters_of(self, values: Floats) -> dict[str, Floats]:
        """Return the parameters of each unit among those of the plan, by the name of its array."""
        ...

    def rows_of(self, rows: Ints) -> dict[str, Ints]:
        """Return where each unit finds its rows of F, by the name of its array.

        `rows` gives the place of each row of the plan.
        """
        ...

    @property
    def name(self) -> str:
        """Name of the generated text: equal names compute equal bits."""
        ...

    @property
    def facts(self) -> PlanFacts:
        """What the engine must know besides the arrays."""
        ...

    @property
    def module(self) -> ModuleType:
        """`observe` and `trade` over a stretch of times; `push` takes the bars of one event."""
        ...

    @property
    def compiled(self) -> bool:
        """Whether the entries are compiled."""
        ...

    @property
    def by_hand(self) -> Any:
        """What a person or a monitor does, as plain Python: called with `Arrays.whole`."""
        ...

    @property
    def entries(self) -> Any:
        """`observe` and `trade` for a batch, however they were loaded."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """The universe, in its order."""
        ...

    @property
    def rows(self) -> RowCounts:
        """How many rows each array has."""
        ...

    @property
    def tables(self) -> tuple[Any, ...]:
        """Constant arrays of components."""
        ...

    @property
    def calls(self) -> Ints:
        """A new H: addresses of this process, which the text calls, and the first decision row."""
        ...

    @property
    def memory_bars(self) -> int:
        """Bars before another that anything may look back at."""
        ...

    @property
    def forgets(self) -> bool:
        """Whether features begun that many bars earlier have the same bits."""
        ...

    def log(self, rows: int) -> tuple[Ints, Floats]:
        """Return an empty log with room for `rows` rows."""
        ...


def arrays_of(plan: CompiledPlan, state: State, log_rows: int, **own: npt.NDArray[Any]) -> Arrays:
    """Return the arrays of a run: `own` are T, M, X, F, D, Y and G, and whatever else differs.

    `DUE` among them is left out where the plan has no rebalances.
    """
    if plan.facts.schedule is None:
        own.pop("DUE", None)
    LI, LF = plan.log(log_rows)
    shared = {
        "S": state.S, "A": state.A, "C": state.C, "B": state.B, "I": state.I, "LI": LI, "LF": LF,
        **plan.parameters_of(plan.parameters), **plan.rows_of(np.arange(plan.rows.F)),
        "N": np.zeros(len(plan.symbols), np.int64), "Q": np.zeros(0, np.int64),
        "J": np.zeros((layout.J_ROWS, len(plan.symbols)), np.int64),
        "W": np.zeros((1, len(plan.symbols))), "H": plan.calls, "U": np.zeros((1, 1)),
        "ASKED": np.zeros(layout.ASKED_SLOTS),
        **{f"L{number}": table for number, table in enumerate(plan.tables)},
    }  # fmt: skip
    return Arrays({**shared, **own}, compiled=plan.compiled)


class DueTimes(msgspec.Struct, frozen=True):
    """When rebalances fall due, on the clock of a time zone."""

    every: Any
    time_zone: str
    bar_ns: int

    def falls_at(self, before_ns: int, now_ns: int) -> int:
        """Return 1 where one falls due after the time before, and at or before this one."""
        return int(self.every.is_due(before_ns, now_ns, self.time_zone, self.bar_ns))

    def of(self, times_ns: Ints) -> Ints:
        """Return the same of each of many decision times in order; before the first lies a bar."""
        before = np.concatenate((times_ns[:1] - self.bar_ns, times_ns[:-1]))
        if self.every.kind in ("bars", "span"):
            return np.asarray(
                self.every.is_due(before, times_ns, self.time_zone, self.bar_ns), np.int64
            )
        falls = self.every.falls_in(int(before[0]), int(times_ns[-1]), self.time_zone)
        instants = np.array(falls, np.int64)
        counts = [np.searchsorted(instants, each, "right") for each in (before, times_ns)]
        return np.asarray(counts[1] > counts[0], np.int64)


class PlanFacts(msgspec.Struct, frozen=True):
    """What the engine must know of a plan to name what it did, and to show a decision.

    `features` are the rows of F in the order of the decision table, `levels` those after them, of
    which zero stands for none; `decision_row` the first of
    the decision rows, None without tables. `venue_reasons` is the number of the first of the
    reasons late_fill, operator, adopted, unknown and monitor. `timed` states whether a halt looks
    at the time. `increases` are the numbers of the reasons of orders that may enlarge a position,
    `partial` those of reductions that close no more than their quantity.
    `log_room` is how many rows of the log one decision time may write, `schedule` states when a
    portfolio rebalances. `checked` are the rules whose invalid answers are counted, by key path
    and kind, each from a slot of C in `checked_at` on. `hours_row` is the first of the rows of T,
    one a symbol, with the flags of the trading hours, None without any, `members_row` that with the
    number of members, None where nothing counts them. `enters_between` states whether a price
    between two decision times may enter a symbol of which nothing is held, `adds_between` whether
    it may enter or add to one.
    """

    features: tuple[int, ...]
    model_row: int | None
    decision_row: int | None
    venue_reasons: int
    timed: bool
    increases: tuple[int, ...] = (layout.ENTRY,)
    partial: tuple[int, ...] = ()
    log_room: int = 0
    checked: tuple[tuple[str, str], ...] = ()
    checked_at: tuple[int, ...] = ()
    hours_row: int | None = None
    members_row: int | None = None
    schedule: DueTimes | None = None
    enters_between: bool = False
    adds_between: bool = True
    levels: tuple[int, ...] = ()


class RowCounts(msgspec.Struct, frozen=True):
    """Rows of F, D, Y and G in a plan, and those of T after the symbols'."""

    F: int
    D: int
    Y: int
    G: int
    T: int = 0


def smallest_units(min_quantity: float, book: Floats) -> float:
    """Return the units of the smallest order, whole lots; 0 where one lot is enough.

    `book` is the row of `B` of its symbol, whose scale and lot are set.
    """
    lot = float(book[layout.LOT])
    lots = math.ceil(min_quantity * float(book[layout.SCALE]) / lot * (1.0 - 1e-12))
    return lots * lot if lots > 1 else 0.0
