"""The conformance kit: what every feature must keep, built in or a stranger's.

::

    from septet.testing import check_component
    from my_plugin.trend import distance

    def test_distance_conforms():
        check_component(distance, distance.config(period=5))

Choose small periods, so that every branch is reached within a few hundred bars.
"""

from __future__ import annotations

import difflib
import inspect
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats
from septet._host.declare import VOCABULARY, Memory, Step
from septet._host.error_lines import compiler_fault, is_compilers
from septet._host.guarded_arrays import StepError
from septet._host.sources import place_of
from septet.testing.bars import HOUR_NS, Columns, flat_bars, sample_bars
from septet.testing.evaluate import (
    BAR_COLUMNS,
    Evaluation,
    Resolve,
    column_fields,
    resolve,
)
from septet.testing.ranges import RULES
from septet.testing.static import faults_of
from septet.testing.value_range import require_range
from septet_schemas.base import Config
from septet_schemas.position import Distance, distances_of
from septet_schemas.units import Span

__all__ = [
    "CHECKS", "ConformanceError", "Subject", "check_component", "compiled_outputs",
    "compiler_named", "names_bind", "placed", "require_labels", "same_bits",
    "sees_parameters_alone",
]  # fmt: skip

STARTS = 20
_TAIL = 150
_SPREAD = 300


class ConformanceError(AssertionError):
    """A component broke a rule of the kit; the message names every one."""


def same_bits(a: Floats, b: Floats) -> npt.NDArray[np.bool_]:
    """Return where two float64 arrays of one shape have the same bits, as booleans of that shape.

    Any two NaNs count as equal; 0.0 and -0.0 differ.
    """
    same: npt.NDArray[np.bool_] = a.view(np.int64) == b.view(np.int64)
    return same | (np.isnan(a) & np.isnan(b))


def placed(declaration: Any, message: str) -> str:
    """Put the line of the step before a message that names none."""
    place = place_of(declaration)
    file = place.rpartition(":")[0]
    return message if not place or file in message or ".py:" in message else f"{place}: {message}"


@dataclass
class Subject:
    """A component with its settings, and what every check needs of it."""

    declaration: Step
    config: Config
    columns: Mapping[str, npt.NDArray[Any]] | None = None
    absorbs_nan: bool = False
    count: int = 400
    bar_ns: int = HOUR_NS
    resolve: Resolve = resolve

    @property
    def name(self) -> str:
        """The step's name, or its config's for a composition."""
        function = self.declaration.function
        return function.__name__ if function else type(self.config).__name__

    @cached_property
    def named(self) -> dict[str, str]:
        """Columns beyond a bar's that the config names, and the field that does."""
        marks = column_fields(type(self.config))
        found = {}
        for name, kind in marks.items():
            wanted = name if kind == "expression" else getattr(self.config, name)
            if isinstance(wanted, str) and wanted not in BAR_COLUMNS:
                found[wanted] = name
        return found

    def bars(self, count: int, *, flats: bool = True) -> Columns:
        """Bars with a column for everything the config names; the same ones for each call."""
        if self.columns is not None:
            return {name: values[:count] for name, values in self.columns.items()}
        bars = sample_bars(count, flats=flats, bar_ns=self.bar_ns)
        for name in self.named:
            seed = zlib.crc32(name.encode())
            bars[name] = sample_bars(count, seed=seed, flats=flats, bar_ns=self.bar_ns)["close"]
        return bars

    def run(self, columns: Columns, **options: Any) -> dict[str, Floats]:
        """Evaluate over columns; options are those of `Evaluation`."""
        return self.evaluation(columns, **options)[0]

    def evaluation(self, columns: Columns, **options: Any) -> tuple[dict[str, Floats], Evaluation]:
        """Evaluate over columns and keep what was learnt of memory and start."""
        run = Evaluation(columns, bar_ns=self.bar_ns, resolve=self.resolve, **options)
        return run.run(self.declaration, self.config), run

    @cached_property
    def whole(self) -> tuple[Columns, dict[str, Floats], Evaluation]:
        """The bars of the kit, the compiled outputs over them, and the evaluation."""
        bars = self.bars(self.count)
        outputs, run = self.evaluation(bars)
        return bars, outputs, run

    @property
    def memory(self) -> Memory:
        """Memory of the component and all inside it."""
        return self.whole[2].memory


def names_bind(subject: Subject) -> None:
    """Each parameter is a word of the vocabulary, a setting, an inner feature, or `state`."""
    step, config = subject.declaration, subject.config
    known = set(VOCABULARY[step.kind]) | {name for name in dir(type(config)) if name[0] != "_"}
    known |= set(type(config).model_fields)
    known |= {"state"} if step.state_names(config) else set()
    known |= {"tables"} if step.tables else set()
    known |= {f"{name}_amount" for name in distances_of(type(config))}
    for key, part in (step.inner(config) if step.inner else {}).items():
        below = subject.resolve(part.use)
        outputs = below.output_names(below.config(**part.config))
        known |= {key, *(f"{key}_{output}" for output in outputs if output)}
    _is_of_its_module(step)
    for name in step.parameters:
        if name in type(config).model_fields and name not in column_fields(type(config)):
            _require_number(config, name)
        if name not in known:
            close = difflib.get_close_matches(name, known, n=2)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            more = " (it declares no state)" if name == "state" else ""
            raise ConformanceError(f"parameter {name!r} binds to nothing{more}{hint}")


def _is_of_its_module(step: Step) -> None:
    """A plan imports a step by a name of its module."""
    if step.function is None:
        return
    module = inspect.getmodule(step.function)
    if module is not None and not any(value is step for value in vars(module).values()):
        raise ConformanceError(
            f"{step.function.__name__} is not a name of its module {step.function.__module__}; "
            "declare it at the top level"
        )


def _require_number(config: Config, name: str) -> None:
    """A key that a step asks for by name is a number, or nothing."""
    value = getattr(config, name)
    if not isinstance(value, bool | int | float | Span | Distance | None):
        raise ConformanceError(
            f"the key {name} is {value!r:.40}; a step is given numbers: make a property of it that "
            "is one, or a table"
        )


def stays_inside(subject: Subject) -> None:
    """Uncompiled, with every index watched: no future, no reach before the history or memory."""
    try:
        subject.run(subject.bars(subject.count), compiled=False, guarded=True, margin=3)
    except StepError as error:
        raise ConformanceError(str(error)) from error


def compiles(subject: Subject) -> None:
    """It compiles, and allocates nothing: with reference counting off an allocation is refused."""
    with compiler_named():
        _ = subject.whole


@contextmanager
def compiler_named() -> Iterator[None]:
    """Turn the compiler's message into a failure with the step's line."""
    try:
        yield
    except Exception as error:  # numba's errors, without importing it to name them
        if not is_compilers(error):
            raise
        raise ConformanceError(
            f"it does not compile: {compiler_fault(error)}; a step allocates nothing, writes to "
            "no input, and uses numbers, `math` and helpers only"
        ) from None


def compiled_outputs(subject: Subject, bars: Columns) -> dict[str, Floats]:
    """Evaluate compiled over columns.

    Raises
    ------
    ConformanceError
        If it does not compile.
    """
    with compiler_named():
        return subject.run(bars)


def sees_parameters_alone(subject: Subject) -> None:
    """The code of the step reaches nothing but its parameters, helpers and numbers."""
    found = faults_of(subject.declaration)
    if found:
        raise ConformanceError("; ".join(map(str, found)))


def compiles_alike(subject: Subject) -> None:
    """Compiled and plain are equal bit for bit."""
    bars, compiled, _run = subject.whole
    plain = subject.run(bars, compiled=False)
    hint = (
        "a whole number beyond 64 bits or a literal exponent does that: keep to floats, and to the "
        "powers and logarithms of septet.plugin.numeric"
    )
    _require_same(compiled, plain, "compiled and plain differ", hint)


def ignores_margins(subject: Subject) -> None:
    """The compiled step gives the same inside a larger array whose margins hold NaN."""
    bars, whole, _run = subject.whole
    inside = subject.run(bars, margin=64)
    hint = "read nothing before the first bar and nothing after i"
    _require_same(whole, inside, "reads outside its history when compiled", hint)


def sees_no_future(subject: Subject) -> None:
    """Bars after t change nothing up to t."""
    bars, whole, _run = subject.whole
    random = np.random.default_rng(11)
    for count in sorted(random.integers(subject.count // 4, subject.count, 4).tolist()):
        cut = subject.run({name: values[:count].copy() for name, values in bars.items()})
        until = {name: values[:count] for name, values in whole.items()}
        hint = "a step may read what is known at i, and nothing later"
        _require_same(until, cut, f"bars after {count} change what came before", hint)


def is_ready_when_declared(subject: Subject) -> None:
    """On bars that move, the first published value is a number."""
    outputs, run = subject.evaluation(subject.bars(subject.count, flats=False))
    for name, values in outputs.items():
        if run.start < subject.count and not np.isfinite(values[run.start]):
            raise ConformanceError(
                f"{name} is {values[run.start]} at bar {run.start}, the first it publishes; "
                "declare a longer lookback or warmup"
            )


def remembers_as_declared(subject: Subject) -> None:
    """Twenty histories that begin at other bars agree once the declared memory has passed."""
    memory = subject.memory
    if memory.kind == "unbounded" or subject.columns is not None:
        return
    held = 24 * 14 if memory.kind == "anchored" else memory.bars
    bars = subject.bars(held + _SPREAD + _TAIL)
    text = f"it declares a {memory.kind} memory of {held} bars"
    _require_forgotten(subject, bars, text)
    if memory.kind == "fading":
        still = {name: values.copy() for name, values in bars.items()}
        for values in still.values():
            if values.dtype.kind == "f":
                values[_SPREAD + 5 :] = values[_SPREAD + 5]
        _require_forgotten(subject, still, f"{text} that stand still")


def _require_forgotten(subject: Subject, bars: Columns, what: str) -> None:
    whole = subject.run(bars)
    random = np.random.default_rng(13)
    for start in random.integers(1, _SPREAD, STARTS).tolist():
        later = subject.run({name: values[start:].copy() for name, values in bars.items()})
        tail = {name: values[-_TAIL:] for name, values in later.items()}
        until = {name: values[-_TAIL:] for name, values in whole.items()}
        hint = (
            "declare a longer memory=, or begin anew on the time grid as the rolling sums of "
            "septet.plugin.numeric do"
        )
        later_start = f"{what}, and still shows whether its history began at bar 0 or {start}"
        _require_same(until, tail, later_start, hint)


def renews_as_declared(subject: Subject) -> None:
    """A step that declares `renews` gives the same when its state is lost at the multiples."""
    bars, whole, _run = subject.whole
    if "slot" in bars:
        lost = subject.run(bars, renewed=True)
        hint = (
            "at every multiple of that parameter on the grid (`slot`) its answer may not follow "
            "from the state; else leave renews= out"
        )
        _require_same(whole, lost, "does not begin anew where it `renews`", hint)


def answers_labels(subject: Subject) -> None:
    """Every value of a regime is the number of one of its labels, or NaN."""
    require_labels(subject.declaration, subject.whole[1])


def stays_in_range(subject: Subject) -> None:
    """Every value lies in the range that is declared for it."""
    columns, outputs, _ = subject.whole
    require_range(subject.declaration, subject.config, outputs, columns)


def require_labels(step: Step, outputs: Mapping[str, Floats]) -> None:
    """Require of every value of a regime that it is the number of one of its labels, or NaN.

    Raises
    ------
    ConformanceError
        With the first other value. Of a feature nothing is required.
    """
    if step.kind != "regime":
        return
    count, labels = len(step.reasons), ", ".join(step.reasons)
    for values in outputs.values():
        known = np.isnan(values) | np.isin(values, np.arange(float(count)))
        if not known.all():
            at = int(np.argmin(known))
            raise ConformanceError(
                f"the regime at bar {at} is {values[at]:.10g}; expected the number of one of its "
                f"{count} labels ({labels}), or NaN"
            )


def keeps_nan_policy(subject: Subject) -> None:
    """A NaN shows, never becomes infinity, and is gone when the declared memory has passed."""
    memory = subject.memory
    bars = subject.bars(subject.count, flats=False)
    start = subject.whole[2].start
    place = start + (subject.count - start) // 4
    for column in _read(subject, bars):
        poisoned = {name: values.copy() for name, values in bars.items()}
        poisoned[column][place] = np.nan
        outputs = subject.run(poisoned)
        forgotten = place + memory.bars + 1
        shown = [np.isnan(values[place:forgotten]).any() for values in outputs.values()]
        if not subject.absorbs_nan and not any(shown):
            raise ConformanceError(
                f"no output shows a NaN in {column}; return NaN where an input is NaN, or state "
                "check_component(..., absorbs_nan=True) where it is meant to leave no trace"
            )
        for name, values in outputs.items():
            _require_finite(name, values, f"after a NaN in {column}")
            if memory.kind == "window" and np.isnan(values[forgotten:]).any():
                raise ConformanceError(
                    f"{name} is still NaN after a NaN in {column} has left; let none into the "
                    "state (`finite`), or begin anew"
                )


def stays_finite(subject: Subject) -> None:
    """Where nothing moves a feature is a number or NaN, never infinity."""
    flat = flat_bars(subject.count, bar_ns=subject.bar_ns)
    flat |= {name: np.full(subject.count, 1.5) for name in subject.named}
    for name, values in subject.run(flat).items():
        _require_finite(name, values, "in a flat market")


def _read(subject: Subject, bars: Columns) -> list[str]:
    """Float columns that the component reads, found by taking one away at a time."""
    whole = subject.run(bars)
    found = []
    for column, values in bars.items():
        if values.dtype.kind != "f":
            continue
        void = {**bars, column: np.full_like(values, np.nan)}
        changed = subject.run(void)
        if not all(same_bits(whole[name], changed[name]).all() for name in whole):
            found.append(column)
    return found


def _require_same(a: dict[str, Floats], b: dict[str, Floats], what: str, hint: str) -> None:
    for name, values in a.items():
        same = same_bits(values, b[name])
        if not same.all():
            place = int(np.argmin(same))
            raise ConformanceError(
                f"{what}: {name} at bar {place} is {float(values[place])!r} and "
                f"{float(b[name][place])!r}; {hint}"
            )


def _require_finite(name: str, values: Floats, when: str) -> None:
    if np.isinf(values).any():
        raise ConformanceError(f"{name} is infinite {when}; use `divide`, or return NaN")


CHECKS: tuple[Callable[[Subject], None], ...] = (
    names_bind,
    sees_parameters_alone,
    stays_inside,
    compiles,
    compiles_alike,
    ignores_margins,
    sees_no_future,
    is_ready_when_declared,
    remembers_as_declared,
    renews_as_declared,
    answers_labels,
    stays_in_range,
    keeps_nan_policy,
    stays_finite,
)
"""Every check of a feature, in the order in which a failure is best read."""

_FATAL = frozenset((names_bind, sees_parameters_alone, stays_inside, compiles))
# After these nothing else is run: compiled code that reads outside its arrays is not safe to call.


def check_component(
    declaration: Step,
    config: Config | None = None,
    *,
    columns: Mapping[str, npt.NDArray[Any]] | None = None,
    absorbs_nan: bool = False,
    count: int = 400,
    resolve: Resolve = resolve,
) -> None:
    """Run every check of the kit on one feature or regime.

    Parameters
    ----------
    declaration
        What the decorator made.
    config
        Settings; those without a default must be given. Small periods test more.
    columns
        Bars to use instead of the kit's own, by column name.
    absorbs_nan
        Whether a NaN in an input may leave no trace (running sums, replaced values).
    count
        How many bars the kit makes.
    resolve
        Where inner features are found: the installed ones by default.

    Raises
    ------
    ConformanceError
        Naming every check that failed and why.
    """
    subject = Subject(
        declaration,
        config if config is not None else declaration.config(),
        columns,
        absorbs_nan,
        count,
        resolve=resolve,
    )
    if declaration.kind in RULES - {"across"}:
        raise ConformanceError(f"{subject.name} is a {declaration.kind}: check_rule tries it")
    failures: list[str] = []
    for check in CHECKS:
        try:
            check(subject)
        except ConformanceError as error:
            failures.append(f"{check.__name__}: {placed(declaration, str(error))}")
            if check in _FATAL:
                break
        except Exception as error:  # a stranger's step, or its declaration, may raise anything
            reported = (
                str(error) if isinstance(error, StepError) else f"{type(error).__name__}: {error}"
            )
            failures.append(f"{check.__name__}: {placed(declaration, reported)}")
            break
    if failures:
        raise ConformanceError("\n".join([subject.name, *(f"  {each}" for each in failures)]))
