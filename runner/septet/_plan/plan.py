"""A plan that can run: its compiled functions, and the arrays that they work on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from inspect import signature
from typing import Any

import numpy as np

from septet._core.state import Floats, Ints, PlanFacts, RowCounts, State, smallest_units
from septet._kernel import layout
from septet._plan.assemble import Assembly, assemble
from septet._plan.binding import UNITS
from septet._plan.cache import plan_name
from septet._plan.compiled_units import BatchEntries, CompiledUnits, Modules, load_compiled
from septet._plan.graph import Resolve
from septet._plan.plain import plain_module
from septet._plan.python_features import PythonFeatures
from septet._plan.run_terms import Terms
from septet._plan.step_errors import NamedEntries

__all__ = ["Plan", "make_plan"]

FAR = 1 << 40
SIGNALS = "signals_ahead"
"""What the text calls the signals of a stretch of bars of one symbol."""


class Plan:
    """One strategy's compiled rules.

    `plain` means that the whole text runs as plain Python; `run_plain` and `compile` choose.
    """

    def __init__(self, assembly: Assembly, log: Callable[[str], None] | None = None) -> None:
        self.assembly = assembly
        self.plain = False
        self._log = log
        self.parameters: Floats = np.array([each.value for each in assembly.parameters])
        self._outside = PythonFeatures(assembly.outside) if assembly.outside else None

    @cached_property
    def name(self) -> str:
        """Name of the generated module: equal names compute equal bits.

        The columns of features without a compiled form are made outside of it.
        """
        return plan_name(self.assembly.text, [each[1:] for each in self.assembly.wired])

    @cached_property
    def units(self) -> CompiledUnits:
        """The units, which are compiled separately, of a plan that is compiled."""
        return CompiledUnits(self.assembly, self._log)

    @cached_property
    def module(self) -> Any:
        """All entries of the plan, compiled when first asked for.

        Raises
        ------
        PluginError
            If a step cannot be compiled, with its plugin, its line, and the compiler's error.
        """
        assembly = self.assembly
        if self.compiled:
            return self._named(Modules(self.units))
        if self.plain:
            return self._named(plain_module(self.name, assembly.text, assembly.flavour))
        return self._named(load_compiled(assembly.text, self.name, self._log, assembly.steps))

    def _named(self, entries: Any) -> Any:
        """Return entries in which what plain Python raises names its plugin."""
        if self.compiled and self._outside is None:
            return entries
        return NamedEntries(entries, self.assembly.steps, self._outside)

    @cached_property
    def entries(self) -> Any:
        """The entries that a batch calls: stored machine code, else those of the module.

        The code is the same; linking it needs no compiler.
        """
        return self._named(BatchEntries(self.units)) if self.compiled else self.module

    @cached_property
    def by_hand(self) -> Any:
        """Actions of a person or a monitor, as plain Python: `septet._rules.by_hand`."""
        return plain_module(self.name, self.assembly.text, self.assembly.flavour)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The universe, in its order."""
        return self.assembly.terms.symbols

    @property
    def rows(self) -> RowCounts:
        """How many rows F, D, Y and G have."""
        return self.assembly.counts

    @property
    def facts(self) -> PlanFacts:
        """What the engine must know besides the arrays."""
        return self.assembly.facts

    @property
    def tables(self) -> tuple[Any, ...]:
        """Constant arrays of components, in the order of the entries' signature."""
        return self.assembly.tables

    @property
    def calls(self) -> Ints:
        """A new H: addresses in this process that the text calls, and the first decision row."""
        addresses = np.zeros(layout.H_SLOTS, np.int64)
        addresses[layout.DECISION_ROW] = self.assembly.decision_row
        if self._outside is not None:
            addresses[layout.CALL_OUTSIDE] = self._outside.address
        if self.compiled:
            addresses[[layout.CALL_SIGNALS, layout.CALL_SIGNAL]] = self.units.calls()
        return addresses

    def parameters_of(self, values: Floats) -> dict[str, Floats]:
        """Return the parameters of each unit among those of the plan, by the name of its array."""
        counts = self.assembly.unit_parameters
        ends = np.cumsum([counts[unit] for unit in UNITS])
        return {
            unit.parameters: values[end - counts[unit] : end]
            for unit, end in zip(UNITS, ends, strict=True)
        }

    def rows_of(self, rows: Ints) -> dict[str, Ints]:
        """Return where each unit finds its rows of F, by the name of its array.

        `rows` gives the place of each row of the plan.
        """
        rows_of_units = self.assembly.unit_rows
        return {unit.rows: rows[list(rows_of_units[unit])] for unit in UNITS if unit.rows}

    @property
    def compiled(self) -> bool:
        """Whether every part is compiled; `assembly.slow_parts` names those that are not."""
        return not self.plain and not self.assembly.slow_parts

    @property
    def reads_outside(self) -> bool:
        """Whether features are computed outside of the text: their values may differ each time."""
        return self._outside is not None

    @property
    def is_stored(self) -> bool:
        """Whether an earlier run left its machine code on this machine."""
        return self.compiled and self.units.are_stored

    def run_plain(self) -> None:
        """Run the whole text as plain Python from now on, uncompiled, with the same bits."""
        self._choose(is_plain=True)

    def compile(self) -> None:
        """Run compiled code from now on; it is compiled when it is first asked for."""
        self._choose(is_plain=False)

    def _choose(self, *, is_plain: bool) -> None:
        self.plain = is_plain
        for name in ("module", "entries"):
            self.__dict__.pop(name, None)

    def compute_signals(self, arrays: Mapping[str, Any], lengths: Sequence[int]) -> bool:
        """Compute the signal of every bar, by the same text as plain Python, and nothing else.

        The features in `arrays` must be computed; codes and reasons are written to its D. Returns
        False, and computes nothing, if the signal reads the account: it is then known only at
        the decision time.
        """
        assembly = self.assembly
        module = plain_module(self.name, assembly.text, assembly.flavour)
        if not hasattr(module, SIGNALS):
            return False
        ahead = getattr(NamedEntries(module, assembly.steps, None), SIGNALS)
        _, _, _, *names = signature(getattr(module, SIGNALS)).parameters
        for k, length in enumerate(lengths):
            ahead(k, 0, length, *(arrays[name] for name in names))
        return True

    # ------------------------------------------------------------------ what is needed

    @cached_property
    def warmup_bars(self) -> int:
        """Bars of a symbol until all features that the rules or the model read are valid."""
        graph = self.assembly.graph
        return max((graph.base_ready(column) for column in self.assembly.needed), default=0)

    @cached_property
    def memory_bars(self) -> int:
        """Bars of history that a live start needs so that every bit agrees."""
        graph = self.assembly.graph
        deepest = self.assembly.lookback_times
        for node in graph.nodes:
            ratio = graph.own_bars(node.bar_ns)
            deepest = max(deepest, (node.memory.bars + 2 * (node.bar_ns > graph.bar_ns)) * ratio)
        # rules read features as far back as `prev` reaches, and each remembers from there
        return max(deepest, self.warmup_bars) + self.assembly.look_back + 1

    @cached_property
    def forgets(self) -> bool:
        """Whether features begun `memory_bars` earlier are those begun at the first bar."""
        assembly = self.assembly
        is_forgetting = all(
            node.memory.kind in ("window", "fading") for node in assembly.graph.nodes
        )
        return is_forgetting and not assembly.rows.frames and not assembly.across

    # ------------------------------------------------------------------ arrays

    @cached_property
    def capital_slots(self) -> tuple[int, ...]:
        """Slots of A that begin with the capital."""
        account = (layout.CASH, layout.EQUITY, layout.PEAK, layout.DAY_BASE, layout.TOP)
        return *account, *range(layout.A_SLOTS, layout.A_SLOTS + len(self.assembly.halts))

    def state(self, capital: float, instruments: Sequence[Any]) -> State:
        """Return the state of a run that has not begun; `capital` is in the quote currency.

        `instruments` follow the universe; each has lot, tick, min_notional and precision.
        """
        count, weighs = len(self.symbols), self.facts.schedule is not None
        initial = State(
            np.zeros((count, max(1, self.assembly.rows.state))),
            np.zeros(self.assembly.a_slots),
            np.zeros(self.assembly.c_slots, np.int64),
            np.zeros((count, self.assembly.b_slots)),
            np.zeros((count, layout.I_SLOTS + (layout.I_PORTFOLIO if weighs else 0)), np.int64),
        )
        initial.A[list(self.capital_slots)] = capital
        initial.C[layout.DAY_NOW] = -FAR
        initial.C[layout.MINUTE] = -1
        for k, instrument in enumerate(instruments):
            scale = 1.0 / min(instrument.precision, instrument.lot)
            initial.B[k, layout.SCALE] = round(scale) if scale >= 1.0 else scale
            initial.B[k, layout.LOT] = max(1.0, round(instrument.lot * initial.B[k, layout.SCALE]))
            initial.B[k, layout.TICK] = instrument.tick
            initial.B[k, layout.MIN_NOTIONAL] = instrument.min_notional
            initial.B[k, layout.MIN_UNITS] = smallest_units(instrument.min_quantity, initial.B[k])
            initial.B[k, layout.AVERAGE] = math.nan
            initial.B[k, layout.MARK] = math.nan
            initial.I[k, layout.SINCE_ENTRY] = FAR
        initial.B[:, layout.MARK] = 0.0
        initial.B[:, [layout.FIRST_PRICE, layout.LAST_PRICE, layout.STOP_PRICE]] = math.nan
        return initial

    def log(self, rows: int) -> tuple[Ints, Floats]:
        """Return an empty log with room for `rows` rows."""
        return (
            np.empty((rows, layout.LI_COLUMNS), np.int64),
            np.empty((rows, max(layout.LF_LEAST, layout.LF_FIXED + len(self.assembly.explained)))),
        )

    def parameter_keys(self) -> Mapping[str, float]:
        """Every number the plan reads, by the key of the file it came from."""
        return {each.key: each.value for each in self.assembly.parameters}


def make_plan(
    terms: Terms,
    resolve: Resolve,
    *,
    tables: bool = True,
    curve: bool = True,
    venue_fills: bool = False,
    log: Callable[[str], None] | None = None,
) -> Plan:
    """Assemble the plan of a strategy; nothing is compiled until its module is asked for.

    The orders of a `venue_fills` plan are filled elsewhere: `VenueFillsEngine` books its fills.
    """
    assembly = assemble(terms, resolve, tables=tables, curve=curve, venue_fills=venue_fills)
    return Plan(assembly, log)
