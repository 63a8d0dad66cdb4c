"""Binds names of steps to text: parameters, imports, and the calls of steps.

The parameter names of a step are bound, in this order, to words of its kind's vocabulary that
the caller supplies, to inputs, to `state` and `tables`, and to fields of its config, which
become parameters of the plan: data, never constants.

A plan has three units that are compiled separately: the features, the signal, and the trading. Each
numbers its own parameters and the rows of F that it reads, so that a change in one unit changes no
text of another.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from septet._host.declare import VOCABULARY, Step
from septet._host.sources import place_of
from septet._plan.graph import number_of
from septet._plan.rule_choices import names_of_rules
from septet.errors import PluginError
from septet_schemas.base import Config

__all__ = ["FEATURES", "SIGNAL", "TRADING", "UNITS", "Binder", "Parameter", "Unit"]


class Parameter(msgspec.Struct, frozen=True):
    """One number of the plan and the key it came from."""

    key: str
    value: float
    whole: bool


class Unit(msgspec.Struct, frozen=True):
    """A part of a plan that is compiled by itself: the arrays of its parameters and of its rows.

    `rows` is the array that holds the rows of F it reads; the features know theirs.
    """

    name: str
    parameters: str
    rows: str = ""


FEATURES: Final = Unit("features", "P")
SIGNAL: Final = Unit("signal", "PS", "RS")
TRADING: Final = Unit("trading", "PT", "RT")
UNITS: Final = (FEATURES, SIGNAL, TRADING)


class Binder(msgspec.Struct):
    """Collects what a generated module imports and the numbers it reads."""

    bar_ns: int
    unit: Unit = FEATURES
    numbers: dict[Unit, list[Parameter]] = msgspec.field(
        default_factory=lambda: {unit: list[Parameter]() for unit in UNITS}
    )
    rows: dict[Unit, list[int]] = msgspec.field(
        default_factory=lambda: {unit: list[int]() for unit in UNITS}
    )
    imports: dict[str, set[str]] = msgspec.field(default_factory=dict)
    uses: dict[str, str] = msgspec.field(default_factory=dict)
    steps: list[tuple[Step, str]] = msgspec.field(default_factory=list)
    tables: list[Any] = msgspec.field(default_factory=list)
    _names: dict[int, str] = msgspec.field(default_factory=dict)
    _outside: set[int] = msgspec.field(default_factory=set)
    _watched: set[int] = msgspec.field(default_factory=set)

    def number(self, key: str, value: float, *, is_integral: bool | None = None) -> str:
        """Make a parameter and return the text that reads it."""
        integral = isinstance(value, int) if is_integral is None else is_integral
        parameters = self.numbers[self.unit]
        parameters.append(Parameter(key, float(value), integral))
        text = f"{self.unit.parameters}[{len(parameters) - 1}]"
        return f"int({text})" if integral else text

    @property
    def newest(self) -> tuple[int, Parameter]:
        """The last parameter of the unit, and its place."""
        parameters = self.numbers[self.unit]
        return len(parameters) - 1, parameters[-1]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters of all units, one unit after the other."""
        return tuple(each for unit in UNITS for each in self.numbers[unit])

    def row(self, row: int) -> str:
        """Return the text of a row of F: the number itself, or the place where the unit has it."""
        if not self.unit.rows:
            return str(row)
        rows = self.rows[self.unit]
        if row not in rows:
            rows.append(row)
        return f"{self.unit.rows}[{rows.index(row)}]"

    @contextmanager
    def of(self, unit: Unit) -> Iterator[None]:
        """Bind for a unit."""
        previous, self.unit = self.unit, unit
        try:
            yield
        finally:
            self.unit = previous

    def helper(self, function: Any) -> str:
        """Import a kernel helper under its own name and return it."""
        name: str = function.__name__
        self.imports.setdefault(function.__module__, set()).add(f"{name} as _{name}")
        self.uses[name] = f"_{name}"
        return name

    def step(self, step: Step, name: str, distribution: str = "") -> str:
        """Import a step and return the name it is called by."""
        if id(step) in self._names:
            return self._names[id(step)]
        function = step.function
        assert function is not None
        attribute = self._attribute(step)
        called = f"{step.kind}_{re.sub(r'[^A-Za-z0-9]', '_', name)}"
        while called in self.uses or called in names_of_rules():
            called += "_"
        self.imports.setdefault(function.__module__, set()).add(f"{attribute} as _{called}")
        self.uses[called] = f"_{called}{', True' * (id(step) in self._watched)}"
        self.steps.append((step, distribution))
        self._outside.discard(id(step))
        self._names[id(step)] = called
        return called

    def called_outside(self, step: Step, distribution: str) -> None:
        """Add a step that is a part of the plan and is not imported by its text."""
        if id(step) not in self._names:
            self.steps.append((step, distribution))
            self._outside.add(id(step))

    def watched(self, step: Step) -> None:
        """Record a step whose reads are checked: the text cannot be compiled then."""
        self._watched.add(id(step))
        called = self._names.get(id(step))
        if called is not None:
            self.uses[called] = f"_{called}, True"

    @property
    def wired(self) -> tuple[tuple[str, Step, str], ...]:
        """Steps that the text imports: the name it calls each by, and its distribution."""
        return tuple(
            (self._names[id(step)], step, distribution)
            for step, distribution in self.steps
            if id(step) not in self._outside
        )

    @property
    def slow_columns(self) -> tuple[str, ...]:
        """Steps that are called outside of the text: each makes its own column slow."""
        return tuple(
            step.function.__name__
            for step, _ in self.steps
            if step.function and id(step) in self._outside
        )

    @property
    def slow_parts(self) -> tuple[str, ...]:
        """Steps of the text without a compiled form: they make the plan run uncompiled."""
        return tuple(
            step.function.__name__
            for step, _ in self.steps
            if step.function
            and (not step.compiled or id(step) in self._watched)
            and id(step) not in self._outside
        )

    def closed(self, step: Step, name: str) -> str:
        """Import the function that a sizing calls when a trade closes, and return its name."""
        sized = self.step(step, name)
        self.uses[f"{sized}_closed"] = f"_{sized}.closed"
        return f"{sized}_closed"

    def _attribute(self, step: Step) -> str:
        function = step.function
        assert function is not None
        module = inspect.getmodule(function)
        for name, value in vars(module).items():
            if value is step:
                return name
        prefix = f"{place_of(step)}: " if place_of(step) else ""
        raise PluginError(
            f"{prefix}the step {function.__name__!r} is not a name of its module "
            f"{function.__module__}",
            hint="declare it at the top level of the module",
        )

    def call(
        self,
        step: Step,
        config: Config,
        name: str,
        bound: Mapping[str, str],
        key: str,
        *,
        distribution: str = "",
        number: Callable[[str, float], str] | None = None,
    ) -> str:
        """Return the text that calls a step with every name bound."""
        render_number = number or self.number
        arguments = []
        for parameter in step.parameters:
            text = bound.get(parameter)
            if text is None:
                text = self.field(step, config, parameter, f"{key}.{parameter}", render_number)
            arguments.append(text)
        return f"{self.step(step, name, distribution)}({', '.join(arguments)})"

    def field(
        self,
        step: Step,
        config: Config,
        parameter: str,
        key: str,
        render_number: Callable[[str, float], str] | None = None,
    ) -> str:
        """Bind a name to a number of the config: a parameter of the plan; None reads as NaN."""
        if parameter in type(config).model_fields or hasattr(config, parameter):
            value = getattr(config, parameter)
            if value is None:
                return (render_number or self.number)(key, math.nan)
            number = number_of(value, self.bar_ns)
            if number is not None:
                return (render_number or self.number)(key, number)
        function = step.function
        assert function is not None
        allowed = ", ".join(sorted(VOCABULARY.get(step.kind, {})))
        raise PluginError(
            f"{function.__module__}:{function.__name__} asks for {parameter!r}, which is neither a "
            f"number of {type(config).__name__} nor a word a {step.kind} may use",
            hint=f"words: {allowed}",
        )
