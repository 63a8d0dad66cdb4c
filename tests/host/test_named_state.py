"""Slots of a state by name: what runs is the flat array, and errors point at the author's line."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from septet._host.named_state import names_asked
from septet._host.proved_reads import unproved_reads
from septet._kernel.step import compile_step
from septet.errors import PluginError
from septet.plugin import Config, Input, Step, Trades, feature, sizing, window
from septet.plugin.numeric import SUM, State, helper, slots, window_sum
from septet.testing.static import faults_of


def plain(step: Step) -> Any:
    return step.function


class Reading(Config):
    of: Input = "close"


class Deal(Config):
    window: Trades = 3


@feature(Reading, state=("count", "mean"))
def named(i: int, of: Any, state: State) -> float:
    state.count += 1.0
    state.mean = state.mean + (of[i] - state.mean) / state.count
    return float(state.mean)


@feature(Reading, state=("count", "mean"))
def numbered(i: int, of: Any, state: State) -> float:
    state[0] += 1.0
    state[1] = state[1] + (of[i] - state[1]) / state[0]
    return float(state[1])


def remember(return_: float, state: State, window: int) -> None:
    state.returns[int(state.trades) % window] = return_
    state.trades += 1.0


@sizing(Deal, state=("trades", slots("returns", lambda config: config.window)), closed=remember)
def remembered(equity: float, state: State, window: int) -> float:
    total = 0.0
    for j in range(window):
        total += state.returns[j]
    return equity * total


@helper
def lifted(state: State, at: int) -> float:
    return state[at] + 1.0


@feature(
    Reading, state=("unused", *SUM), memory=lambda config: window(8), lookback=lambda config: 4
)
def by_helper(i: int, of: Any, slot: Any, state: State) -> float:
    return window_sum(i, of, slot, 4, state, state.at.anchor) + lifted(state, state.at.unused)


@helper
def asks(state: State) -> float:
    return float(state.total)


@feature(Reading, state=("total",))
def asking(i: int, of: Any, state: State) -> float:
    return of[i] + asks(state)


def test_names_and_numbers_are_the_same_code() -> None:
    one, two = plain(named).__code__, plain(numbered).__code__
    assert (one.co_code, one.co_names) == (two.co_code, two.co_names)
    assert (one.co_consts, one.co_varnames) == (two.co_consts, two.co_varnames)
    assert (plain(named).__name__, one.co_qualname) == ("named", "named")
    assert plain(named).__annotations__ == plain(numbered).__annotations__


@pytest.mark.compiled
def test_python_and_the_compiler_are_given_the_flat_array() -> None:
    of = np.array([2.0, 4.0, 9.0])
    for step in (plain(named), compile_step(plain(named))):
        state = np.zeros(2)
        assert [step(i, of, state) for i in range(3)] == [2.0, 3.0, 5.0]
        assert state.tolist() == [3.0, 5.0]


@pytest.mark.compiled
def test_slots_of_one_name_stand_at_the_end() -> None:
    assert remembered.state_names(Deal(window=2)) == ("trades", "returns_0", "returns_1")
    state = np.zeros(4)
    closed: Any = remembered.closed
    for given in (0.25, 0.5, 1.0, 2.0):
        closed(given, state, 3)
    assert state.tolist() == [4.0, 2.0, 0.5, 1.0]
    compiled = compile_step(plain(remembered))
    assert remembered(10.0, state, 3) == compiled(10.0, state, 3) == 35.0


def test_a_helper_is_given_the_index() -> None:
    of, slot, state = np.arange(8.0), np.arange(8.0), np.zeros(4)
    assert [by_helper(i, of, slot, state) for i in (4, 5)] == [11.0, 15.0]
    assert state[0] == 0.0
    assert unproved_reads(by_helper, Reading(), 1, 4) == []


def test_a_helper_that_names_slots_is_a_fault_with_its_line() -> None:
    line = asks.__code__.co_firstlineno + 2
    place, message = next((each.place, each.message) for each in faults_of(asking))
    assert place == f"{__file__}:{line}"
    assert "asks uses state.total: names of slots are known where state= is declared" in message


def test_reads_are_reported_by_name() -> None:
    @feature(Reading, state=("back", slots("ring", lambda config: 2)))
    def jumps(i: int, of: Any, state: State) -> float:
        return float(of[i - int(state.back) - int(state.ring[int(state.back) + state.at.back])])

    *_, read = unproved_reads(jumps, Reading(), 1, 0)
    text = "of[i - int(state.back) - int(state.ring[int(state.back) + state.at.back])]"
    assert f"jumps reads {text}" in read.message


def test_an_error_in_a_step_points_at_the_line_and_the_column() -> None:
    @feature(Reading, state=("count", "mean"))
    def divides(i: int, of: Any, state: State) -> float:
        state.count = 0.0
        return float(1.0 + 1 // int(state.count))

    with pytest.raises(ZeroDivisionError) as caught:
        divides(0, np.ones(1), np.zeros(2))
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    first = plain(divides).__code__.co_firstlineno
    assert (frame.filename, frame.lineno, frame.name) == (__file__, first + 3, "divides")
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[first + 2]
    assert frame.colno is not None
    assert line[frame.colno : frame.end_colno] == "1 // int(state.count)"


def test_a_step_inside_a_function_keeps_its_variables_and_defaults() -> None:
    scale, other = 3.0, 5.0

    @feature(Reading, state=("last",))
    def inside(i: int, of: Any, state: State) -> float:
        state.last = scale * of[i] + other
        return float(state.last)

    assert inside(0, np.ones(1), np.zeros(1)) == 8.0
    scale = 4.0
    assert inside(0, np.ones(1), np.zeros(1)) == 9.0


BODY = """\
from septet.plugin import Config, Input, feature
from septet.plugin.numeric import slots

class Reading(Config):
    of: Input = "close"

@feature(Reading, state={state})
def step(i, of, state):
    {body}
    return of[i]
"""
REFUSED = {
    "unknown": ('("mean", "count")', "state.maen = 1.0", 9, "uses state.maen, which is no slot"),
    "close": ('("mean", "count")', "state.maen = 1.0", 9, "did you mean state.mean?"),
    "none close": ('("mean", "count")', "state[0] = state.x", 9, "its slots: mean, count"),
    "an index of nothing": ('("mean",)', "of[state.at.x]", 9, "uses state.at.x, which is no slot"),
    "at alone": ('("mean",)', "x = state.at", 9, "uses state.at without a name"),
    "no index": ('(slots("ring", len),)', "x = state.ring", 9, "uses state.ring without an index"),
    "slots first": ('(slots("ring", len), "mean")', "pass", 7, "slots('ring', ...) before others"),
    "a name that is taken": ('("at",)', "pass", 7, "declares state= with 'at'"),
    "no name": ('("a b",)', "pass", 7, "declares state= with 'a b'"),
    "a function": ("lambda config: ('a',)", "pass", 7, "expected a tuple of names"),
}


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[file.stem]
    return module


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_named_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    state, body, line, message = REFUSED[case]
    file = tmp_path / "odd_state.py"
    file.write_text(BODY.format(state=state, body=body), encoding="utf-8")
    with pytest.raises(PluginError) as caught:
        imported(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert message in f"{caught.value} {caught.value.hint}"


def test_names_are_not_looked_up_in_another_text(tmp_path: Path) -> None:
    """A file that was edited since it was imported, and text that is in no file at all."""
    file = tmp_path / "edited.py"
    text = BODY.format(state='("mean",)', body="state.mean = of[i]")
    code = compile(text, str(file), "exec", dont_inherit=True)
    file.write_text(text.replace("= of[i]", "= of[i] + 1.0"), encoding="utf-8")
    for each in (code, compile(text, "<nowhere>", "exec", dont_inherit=True)):
        with pytest.raises(PluginError, match=r":7: step names slots .* cannot be read"):
            exec(each, {"__name__": "edited"})
    numbers = text.replace("state.mean", "state[0]")
    exec(compile(numbers, "<nowhere>", "exec", dont_inherit=True), {"__name__": "edited"})


def test_names_are_found_in_a_function_within_another() -> None:
    def given() -> Any:
        def step(state: Any) -> Any:
            return state.mean

        return step

    def kept() -> Any:
        state: Any = None
        return lambda: state.count

    asked = [[name for _, name in names_asked(each.__code__)] for each in (given, kept)]
    assert asked == [["mean"], ["count"]]
