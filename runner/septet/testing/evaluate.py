"""Evaluate one feature over bars, inner features included: the small driver behind the kit.

It follows the rules that the planner follows: a step is called once its inputs are published and
its look-back has passed, its value is published after its warm-up, and its state starts at zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from septet._data.bars import BarTable, Floats
from septet._host.declare import Memory, Step, World
from septet._host.guarded_arrays import GuardedColumn, GuardedState, Watch, located, require_outputs
from septet._host.plugin_calls import is_theirs
from septet._host.proved_reads import is_septets, reach_of, unproved_reads
from septet._host.step_arrays import read_only_of
from septet._kernel.step import compile_step
from septet.errors import PluginError
from septet.testing.bars import HOUR_NS, Columns, columns_of
from septet_schemas.base import Config, ExpressionMark, InputMark
from septet_schemas.position import Distance, distances_of
from septet_schemas.units import Span

__all__ = [
    "Evaluation",
    "OWN_NAME",
    "TooLong",
    "column_fields",
    "memory_of",
    "number_of",
    "resolve",
    "run_feature",
]

OWN_NAME = "value"
"""Key of the one output of a feature without output names."""

BAR_COLUMNS = frozenset(
    (
        "open", "high", "low", "close", "volume", "slot", "session", "week", "seconds",
        "local_day", "local_seconds",
    )
)  # fmt: skip
Resolve = Callable[[str], Step]
_ORDER = ("window", "fading", "anchored", "unbounded")


@cache
def _host() -> Any:
    from septet._host.plugin_registry import Host

    return Host()


def resolve(use: str) -> Any:
    """Find the declaration of an installed feature, a `Step`, by its name."""
    found = _host().declaration("features", use)
    if not isinstance(found, Step):
        raise PluginError(f"{use!r} is no feature step, found {type(found).__name__}")
    return found


def column_fields(config: type[Config]) -> dict[str, str]:
    """Fields of a config that name columns (``input``) or hold a formula (``expression``)."""
    kinds: dict[str, str] = {}
    for name, info in config.model_fields.items():
        for mark in _marks(info.annotation, info.metadata):
            kinds[name] = "input" if isinstance(mark, InputMark) else "expression"
    return kinds


def _marks(annotation: Any, metadata: Sequence[Any]) -> Iterator[Any]:
    """Every mark on an annotation, also inside ``Expression | None``."""
    yield from (mark for mark in metadata if isinstance(mark, InputMark | ExpressionMark))
    for part in get_args(annotation):
        yield from _marks(part, getattr(part, "__metadata__", ()))


@dataclass(frozen=True, slots=True)
class _Column:
    values: npt.NDArray[Any]
    start: int
    memory: Memory


@dataclass
class Evaluation:
    """Settings of one evaluation: the bars, how steps are called, and where names are found.

    `renewed` empties the state of a step that declares `renews` at each of its restarts.
    With `most_reads`, guarded steps that read more than so many values raise `TooLong`; `reads`
    and `calls` count them. `unproved` names reads of strangers' steps that are not proved to be of
    the past.
    """

    columns: Mapping[str, npt.NDArray[Any]]
    bar_ns: int = HOUR_NS
    compiled: bool = True
    guarded: bool = False
    margin: int = 0
    renewed: bool = False
    resolve: Resolve = resolve
    memory: Memory = field(default=Memory("window", 0))
    start: int = 0
    most_reads: int | None = None
    reads: int = 0
    calls: int = 0
    unproved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.count = len(next(iter(self.columns.values())))
        self._bars = {name: self._embed(values) for name, values in self.columns.items()}

    def _embed(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Copy a column into a larger array whose margins hold NaN, or absurd numbers."""
        poison = np.nan if values.dtype.kind == "f" else -(2**40)
        wide = np.full(self.count + 2 * self.margin, poison, values.dtype)
        wide[self.margin : self.margin + self.count] = values
        return wide

    def run(self, step: Step, config: Config) -> dict[str, Floats]:
        """Evaluate a feature; the keys are its outputs, `OWN_NAME` where it has one."""
        found = self._instance(step, config, self._bar)
        self.start = max(column.start for column in found.values())
        self.memory = _deepest([column.memory for column in found.values()])
        inside = slice(self.margin, self.margin + self.count)
        return {name or OWN_NAME: column.values[inside].copy() for name, column in found.items()}

    def _bar(self, name: str) -> _Column:
        if name not in self._bars:
            raise KeyError(f"no column {name!r} to read; given: {', '.join(sorted(self._bars))}")
        return _Column(self._bars[name], 0, Memory("window", 1))

    def _instance(
        self, step: Step, config: Config, scope: Callable[[str], _Column]
    ) -> dict[str, _Column]:
        inner: dict[str, _Column] = {}

        def within(name: str) -> _Column:
            return inner[name[1:]] if name.startswith("@") else scope(name)

        for key, part in (step.inner(config) if step.inner else {}).items():
            below = self.resolve(part.use)
            columns = self._instance(below, below.config(**part.config), within)
            inner[key] = next(iter(columns.values()))
            for output, column in columns.items():
                if output:
                    inner[f"{key}_{output}" if key else output] = column
        outputs = step.output_names(config)
        if step.function is None:
            return {output: inner[output] for output in outputs}
        return self._node(step, config, {**self._inputs(step, config, scope), **inner})

    def _inputs(
        self, step: Step, config: Config, scope: Callable[[str], _Column]
    ) -> dict[str, _Column]:
        marks = column_fields(type(config))
        found = {}
        for name in step.parameters:
            if marks.get(name) == "input":
                found[name] = scope(getattr(config, name))
            elif marks.get(name) == "expression" or name in BAR_COLUMNS - set(
                type(config).model_fields
            ):
                found[name] = self._bar(name)
        return found

    def _node(
        self, step: Step, config: Config, available: Mapping[str, _Column]
    ) -> dict[str, _Column]:
        used = {name: available[name] for name in step.parameters if name in available}
        first = max((c.start for c in used.values()), default=0) + step.lookback(config)
        publish = first + step.warmup(config)
        own = step.memory_of(config).in_bars(self.bar_ns)
        inputs = [column.memory for column in used.values()]
        depth = max((each.bars for each in inputs), default=1)
        worst = _deepest([own, *inputs])
        if not is_septets(step):
            self.unproved += map(str, unproved_reads(step, config, self.bar_ns, first))
        memory = Memory(worst.kind, own.bars + max(0, depth - 1), worst.anchor)
        names = step.output_names(config) or ("",)
        out = np.full((len(names), self.count + 2 * self.margin), np.nan)
        reach = reach_of(step, config, self.bar_ns)
        with np.errstate(all="ignore"):
            self._call(step, config, used, first, publish, out, reach)
        return {name: _Column(out[k], publish, memory) for k, name in enumerate(names)}

    def _call(
        self,
        step: Step,
        config: Config,
        used: Mapping[str, _Column],
        first: int,
        publish: int,
        out: Floats,
        reach: int,
    ) -> None:
        assert step.function is not None
        watch = Watch(step.function.__name__, self.margin, reach)
        marks = column_fields(type(config))
        state: Any = np.zeros(max(1, len(step.state_names(config))))
        if self.guarded:
            state = GuardedState(watch.step, np.zeros(len(step.state_names(config))))
        arguments: list[Any] = []
        moving: list[tuple[int, str, npt.NDArray[Any] | None]] = []
        for place, name in enumerate(step.parameters):
            if name in ("i", "age") or marks.get(name) == "expression":
                moving.append((place, name, used[name].values if name in used else None))
                arguments.append(0)
            elif name in used:
                array = used[name].values
                sealed = read_only_of(array)
                arguments.append(GuardedColumn(name, array, watch) if self.guarded else sealed)
            else:
                arguments.append(self._scalar(name, config, state, step))
        compiled = self.compiled and step.compiled
        function = compile_step(step.function) if compiled else step.function
        period = int(number_of(config, step.renews, self.bar_ns)) if step.renews else 0
        called = function if compiled else _located(function)
        for age in range(first, self.count):
            cursor = self.margin + age
            watch.cursor = cursor
            if self.renewed and period and self._bars["slot"][cursor] % period == 0:
                state[:] = 0.0
            for place, name, values in moving:
                if values is None:
                    arguments[place] = age if name == "age" else cursor
                else:
                    arguments[place] = values[cursor]
            result = called(*arguments)
            if self.guarded:
                watch.raise_fault()
                require_outputs(watch.step, result, len(out))
                self._count(watch)
            if age >= publish:
                out[:, cursor] = result

    def _count(self, watch: Watch) -> None:
        """Count the reads of one call."""
        self.reads += watch.reads
        self.calls += 1
        watch.reads = 0
        if self.most_reads is not None and self.reads > self.most_reads:
            raise TooLong(f"it reads more than {self.most_reads:,} values")

    def _scalar(self, name: str, config: Config, state: Any, step: Step) -> Any:
        if name == "state":
            return state
        if name == "bar_ns":
            return np.int64(self.bar_ns)
        if name == "tables" and step.tables is not None:
            return step.tables(config, World(("BTC/USDT",), self.bar_ns))
        return number_of(config, name, self.bar_ns)


class TooLong(Exception):
    """A guarded evaluation that takes more reads than were allowed."""


def _located(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain step whose exceptions name where in its file they arose."""

    def called(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except BaseException as error:  # a stranger's step may raise anything
            if not is_theirs(error):
                raise
            raise located(error) from error

    return called


def number_of(config: Config, name: str, bar_ns: int = HOUR_NS) -> Any:
    """Write a setting as the numpy scalar a step gets; a distance is a share, or an amount."""
    base = name.removesuffix("_amount")
    if base in distances_of(type(config)):
        value = getattr(config, base)
        is_amount = isinstance(value, Distance)
        if name != base:
            return np.float64(1.0 if is_amount else 0.0)
        return np.float64(0.0 if is_amount else value)
    value = getattr(config, name)
    if isinstance(value, Span):
        value = value.bars(bar_ns)
    if isinstance(value, bool | int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float64(value)
    raise TypeError(f"{type(config).__name__}.{name} is {value!r}; a step gets numbers only")


def _deepest(memories: list[Memory]) -> Memory:
    worst = max(memories, key=lambda each: (_ORDER.index(each.kind), each.bars))
    return Memory(worst.kind, max(each.bars for each in memories), worst.anchor)


def run_feature(
    declaration: Step,
    config: Config,
    bars: BarTable | Columns | Mapping[str, npt.NDArray[Any]],
    *,
    compiled: bool = True,
    bar_ns: int = HOUR_NS,
    resolve: Resolve = resolve,
) -> dict[str, Floats]:
    """Evaluate one feature over bars and return its outputs.

    Parameters
    ----------
    declaration, config
        What the decorator made, and its settings.
    bars
        A `BarTable`, or columns by name; inputs the config names must be among them, and the
        value of a formula under the name of its field.
    compiled
        Whether steps are compiled, or run as plain Python.
    bar_ns
        Length of a bar; taken from a `BarTable`.
    resolve
        Where inner features are found: the installed ones by default.

    Returns
    -------
    dict
        Output name to float64 array of the bars' length, NaN while warming up; the one output of
        a feature without output names stands under ``value``.
    """
    length = bars.bar_ns if isinstance(bars, BarTable) else bar_ns
    run = Evaluation(columns_of(bars), bar_ns=length, compiled=compiled, resolve=resolve)
    return run.run(declaration, config)


def memory_of(declaration: Step, config: Config, *, resolve: Resolve = resolve) -> Memory:
    """Return the memory of a feature with its inner features: the longest kind, the bars summed."""
    columns = {name: np.zeros(0) for name in _leaves(declaration, config)}
    run = Evaluation({**columns, "slot": np.zeros(0)}, resolve=resolve)
    run.run(declaration, config)
    return run.memory


def _leaves(declaration: Step, config: Config) -> set[str]:
    """Every column a feature could read: bar columns and what its config names."""
    marks = column_fields(type(config))
    named = {getattr(config, name) for name, kind in marks.items() if kind == "input"}
    formulas = {name for name, kind in marks.items() if kind == "expression"}
    return {*BAR_COLUMNS, *named, *formulas}
