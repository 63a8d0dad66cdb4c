"""Proves from the source and the settings of a step that its reads are of the past.

The source is followed with the bounds of every integer in it. A read is proved where its index lies
at or before the cursor and not before the first bar that the look-back, or the tested age,
guarantees. A read that is not understood is not proved; this is no fault of the step, which then
runs with a check of each read.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from septet._host.declare import VOCABULARY, Step
from septet._host.imports import OURS
from septet._host.integer_bounds import AGE, CURSOR, Value, exactly, join
from septet._host.named_state import numbered
from septet._host.step_body import Array, Body, Read, Scope, are_values
from septet._kernel import extremes, moments, recursive, scans, sums
from septet_schemas.base import Config, marks_of
from septet_schemas.units import Span

__all__ = ["Read", "is_septets", "reach_of", "unproved_reads"]


class _Reader(msgspec.Struct, frozen=True):
    """What a helper of septet reads: windows of `period` bars of `columns` that end at `i`."""

    columns: tuple[str, ...] = ("x",)
    period: str = "period"
    slots: int = 0


_WINDOWS: Final[Mapping[Callable[..., Any], _Reader]] = {
    sums.window_sum: _Reader(("x", "slot"), slots=len(sums.SUM)),
    sums.weighted_sum: _Reader(("x", "slot"), slots=len(sums.WEIGHTED)),
    sums.due: _Reader(("slot",), "", 1),
    recursive.replay_due: _Reader(("slot",), "", 2),
    recursive.recursive_average: _Reader(("x", "slot"), "", len(recursive.AVERAGE)),
    extremes.window_max: _Reader(slots=len(extremes.EXTREME)),
    extremes.window_min: _Reader(slots=len(extremes.EXTREME)),
    scans.window_counts: _Reader(),
    scans.window_finite: _Reader(slots=1),
    scans.window_rank: _Reader(slots=len(scans.RANK)),
    scans.distance_sum: _Reader(),
    moments.window_moments: _Reader(("x", "slot"), slots=len(moments.MOMENTS)),
    moments.window_powers: _Reader(("x", "slot"), slots=len(moments.POWERS)),
}
_PAIRS: Final[Mapping[Callable[..., Any], int]] = {sums.add: 2, sums.roll: 2}
"""Helpers that keep a pair of the step's own slots, and read no column."""


def is_septets(step: Step) -> bool:
    """Whether a step is of septet itself, whose reads its own tests answer for."""
    return str(getattr(step.function, "__module__", "")).partition(".")[0] in OURS


def reach_of(step: Step, config: Config, bar_ns: int) -> int:
    """Return how many bars back a step may read at most, by what it declares."""
    memory = step.memory_of(config).in_bars(bar_ns)
    return max(step.lookback(config) + 1, memory.bars if memory.kind in ("window", "fading") else 0)


def unproved_reads(step: Step, config: Config, bar_ns: int, first: int) -> list[Read]:
    """Return every read of columns or state that is not proved, in order of their lines.

    `first` is how many bars a history has when the step is called first; no index that lies so
    many bars back is negative.
    """
    if step.function is None or step.kind not in ("feature", "regime"):
        return []
    try:
        walk = _Walk(step, config, bar_ns, first)
        walk.function(step.function, walk.given(), 0)
    except _NoText as error:
        return [Read(str(error), "its text cannot be read")]
    return sorted(dict.fromkeys([*walk.found, *walk.forged()]), key=lambda read: read.place)


class _NoText(Exception):
    """A function whose source is not there."""


class _Slots(msgspec.Struct):
    """State slots that helpers of septet keep, and those that the step writes."""

    kept: list[tuple[int, int]] = msgspec.field(default_factory=list)
    written: list[tuple[Value, Read]] = msgspec.field(default_factory=list)


class _Walk:
    """Follows one step and the helpers it calls."""

    def __init__(self, step: Step, config: Config, bar_ns: int, first: int) -> None:
        self.step, self.config, self.bar_ns, self.first = step, config, bar_ns, first
        self.reach = reach_of(step, config, bar_ns)
        self.count = len(step.state_names(config))
        self.found: list[Read] = []
        self.slots = _Slots()

    def given(self) -> Scope:
        """Return what is known of the parameters of the step."""
        fields, marks = type(self.config).model_fields, marks_of(type(self.config))
        words = VOCABULARY[self.step.kind]
        scope: Scope = {}
        for name in self.step.parameters:
            if name in ("i", "age"):
                scope[name] = CURSOR if name == "i" else AGE
            elif name == "state" or marks.get(name) == "input":
                scope[name] = Array(name)
            elif marks.get(name) == "expression" or name == "tables":
                scope[name] = None
            elif name not in fields and words.get(name, "").startswith("array:"):
                scope[name] = Array(name)
            else:
                scope[name] = self._setting(name)
        return scope

    def _setting(self, name: str) -> Any:
        """Return what is known of a setting; what is none is the column of an inner feature."""
        if name == "bar_ns":
            return exactly(self.bar_ns)
        if name not in type(self.config).model_fields and not hasattr(self.config, name):
            return Array(name)
        value = getattr(self.config, name)
        if isinstance(value, Span):
            value = value.bars(self.bar_ns)
        if isinstance(value, bool | int):
            return exactly(int(value))
        return exactly(value) if isinstance(value, float) and math.isfinite(value) else None

    def function(self, function: Callable[..., Any], scope: Scope, depth: int) -> Any:
        """Follow a function; return what is known of its answer."""
        code: Any = getattr(function, "__code__", None)
        place = f"{code.co_filename}:{code.co_firstlineno}" if code else ""
        try:
            lines, first = inspect.getsourcelines(function)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, TypeError, SyntaxError):
            raise _NoText(place) from None
        node = tree.body[0]
        node = numbered(node, function) if isinstance(node, ast.FunctionDef) else node
        wrapped = hasattr(function, "__wrapped__")  # the text would be that of another function
        if wrapped or not isinstance(node, ast.FunctionDef) or code.co_name != node.name:
            raise _NoText(place)
        body = Body(self, function, first - 1, depth)
        body.block(node.body, scope)
        answers = body.answers
        return join(answers) if answers and are_values(*answers) else None

    def forged(self) -> Iterator[Read]:
        """Yield writes of the step to slots by which a helper of septet knows how far to read."""
        for value, read in self.slots.written:
            for first, end in self.slots.kept:
                if not (value.high < first or value.low >= end):
                    yield read
                    break

    def why_not(self, at: Value, scope: Scope, window: int = 0) -> str:
        """Return why an index is not proved, `window` bars before it included; empty if it is."""
        if at.real or not at.cursor or at.high > 0:
            return "which is not proved to be at or before the cursor"
        bars_back = window - at.low
        if bars_back <= self.first:
            return ""
        age = scope.get("age")
        old = age.low if isinstance(age, Value) and not age.cursor and not age.real else 0.0
        if bars_back <= self.reach and (bars_back <= old or at.age + window <= 0):
            return ""
        return f"which is not proved to lie within the {self.first} bars before its first call"

    def slot(self, at: Value, text: str, read: Read, *, stored: bool) -> None:
        """Require that an index of the state is one of its slots."""
        name = read.message
        if at.real or at.cursor or at.low < 0 or at.high >= self.count:
            why = f"{name} uses {text}, which is not proved to be one of its slots"
            self.found.append(Read(read.place, why))
        elif stored:
            why = f"{name} writes {text}, by which a helper knows how far to read"
            self.slots.written.append((at, Read(read.place, why)))

    def septets(
        self, called: Any, bound: Mapping[str, Any], scope: Scope, report: Callable[[str], None]
    ) -> None:
        """Require of a helper of septet that its windows, and its slots, are in bounds."""
        reader = _WINDOWS.get(called)
        if reader is None and called not in _PAIRS and called is not moments.window_comoments:
            report("whose reads are not known")
            return
        slots = reader.slots if reader else _PAIRS.get(called, 0)
        windows: list[tuple[Any, Any]] = []
        if reader is not None:
            windows = [(bound["i"], bound.get(reader.period, exactly(1)))]
        elif called is moments.window_comoments:
            slots, gap = len(moments.COMOMENTS), bound["gap"]
            ends = bound["i"], bound["i"].minus(gap) if are_values(bound["i"], gap) else None
            windows = [(end, bound["period"]) for end in ends]
        for end, period in windows:
            sound = are_values(end, period) and not period.real and period.low >= 1
            why = self.why_not(end, scope, int(period.high) - 1) if sound else "of unknown length"
            if why:
                report(why)
        at = bound.get("at")
        if not slots:
            return
        if not (isinstance(at, Value) and at.low == at.high):
            report("whose slots are not known")
        elif at.low < 0 or at.low + slots > self.count:
            report(f"which needs {slots} slots")
        elif called not in _PAIRS:
            self.slots.kept.append((int(at.low), int(at.low) + slots))
