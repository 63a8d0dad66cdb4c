"""The units of a compiled plan: each is named by a hash of its content, and loaded separately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from septet._host.declare import Step
from septet._host.error_lines import is_compilers
from septet._plan.assemble import Assembly
from septet._plan.binding import FEATURES, SIGNAL, TRADING, UNITS, Unit
from septet._plan.cache import load_entries, load_text, plan_name
from septet._plan.interrupts import interruptible
from septet._plan.native import Entries, address_of
from septet._plan.step_errors import not_compiled
from septet._plan.units import ENTRIES, is_of

__all__ = ["BatchEntries", "CompiledUnits", "Modules", "load_compiled"]

Log = Callable[[str], None] | None
Steps = Sequence[tuple[Step, str]]


def load_compiled(text: str, name: str, log: Log, steps: Steps, kind: str = "plan") -> Any:
    """Import a text as a module, compiled if this machine has not done so before.

    Raises
    ------
    PluginError
        If a step cannot be compiled, with its plugin, its line, and the compiler's error.
    """
    try:
        with interruptible():
            return load_text(text, name, log, kind)
    except Exception as error:  # numba's errors, without importing it to name them
        if not is_compilers(error):
            raise
        raise not_compiled(error, steps) from None


class CompiledUnit:
    """One unit: the machine code that an earlier run stored, or its module."""

    def __init__(self, unit: Unit, assembly: Assembly, log: Log) -> None:
        self.unit, self._assembly, self._log = unit, assembly, log

    @cached_property
    def text(self) -> str:
        """The text of the unit."""
        return self._assembly.texts.of(self.unit.name)

    @cached_property
    def name(self) -> str:
        """Name of its module: a hash of the text and of the steps in it."""
        wired = [each[1:] for each in self._assembly.wired if f"\n{each[0]} = use(" in self.text]
        return plan_name(self.text, wired)

    @cached_property
    def kept(self) -> Entries | None:
        """Its machine code, if an earlier run stored it on this machine."""
        return load_entries(self.name, self._log)

    @cached_property
    def module(self) -> Any:
        """Its module, compiled if this machine has not done so before."""
        steps = self._assembly.steps
        return load_compiled(self.text, self.name, self._log, steps, self.unit.name)

    def address(self, entry: str) -> int:
        """Return the address at which compiled code calls an entry; 0 where it has none."""
        if self.kept is not None:
            return self.kept.addresses.get(entry, 0)
        function = getattr(self.module, entry, None)
        return 0 if function is None else address_of(function)


class Modules:
    """All entries of a compiled plan, as those of one module."""

    def __init__(self, units: CompiledUnits) -> None:
        self._of = {unit.name: units.of(unit).module for unit in UNITS}

    def __getattr__(self, name: str) -> Any:
        """Return an entry, from the unit that has it."""
        (unit,) = (each.name for each in UNITS if is_of(each.name, name))
        return getattr(self.__dict__["_of"][unit], name)


class BatchEntries:
    """The entries that a batch calls: stored machine code, else functions of the modules."""

    def __init__(self, units: CompiledUnits) -> None:
        features, trading = (
            unit.module if unit.kept is None else unit.kept
            for unit in (units.of(FEATURES), units.of(TRADING))
        )
        self.observe, self.trade = features.observe, trading.trade
        units.calls()  # trading calls the signal: it is compiled now, too


class CompiledUnits:
    """The units of a plan; each is loaded or compiled when it is first needed."""

    def __init__(self, assembly: Assembly, log: Log) -> None:
        self._units = {unit: CompiledUnit(unit, assembly, log) for unit in UNITS}

    def of(self, unit: Unit) -> CompiledUnit:
        """Return a unit."""
        return self._units[unit]

    @property
    def are_stored(self) -> bool:
        """Whether earlier runs left the machine code of all three on this machine."""
        return all(each.kept is not None for each in self._units.values())

    def calls(self) -> tuple[int, int]:
        """Return the addresses at which trading calls the signal: over times, and for one bar."""
        signals, signal = (self._units[SIGNAL].address(name) for name in ENTRIES[SIGNAL.name])
        return signals, signal
