"""Parts of compiled code: the bits of plain Python, and no machine code of their own."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from septet._kernel import marks, part_compiler, step


@marks.helper
def _shared(x, y):
    return math.sqrt(x * x + y) - math.log(x) / 3.0


def _kernel(rows, t):
    return _shared(rows[0, t], 1.5)


def _routine(rows, t):
    rows[1, t] = kernel(rows, t) + _shared(rows[0, t], rows[0, t])


def _entry(t0, t1, rows):
    for t in range(t0, t1):
        routine(rows, t)
        rows[2, t] = kernel(rows, t) * rows[1, t]
    return t1


kernel: Any = None
routine: Any = None


@pytest.fixture(scope="module")
def made():
    """An entry, and the parts it is made of: one inlined, one called."""
    with pytest.MonkeyPatch.context() as patch:
        scope = globals()
        patch.setitem(scope, "_shared", step.compile_part(_shared))
        patch.setitem(scope, "kernel", step.jit_inner(_kernel, inline=True))
        patch.setitem(scope, "routine", step.jit_inner(_routine, inline=False))
        inner = [scope[name] for name in ("_shared", "kernel", "routine")]
        yield step.jit_entry(_entry, "int64(int64, int64, float64[:, ::1])"), inner


def drawn():
    rows = np.zeros((3, 400))
    rows[0] = np.random.default_rng(5).uniform(0.1, 9.0, 400)
    return rows


def test_a_routine_of_a_kernel_is_not_forced_into_it():
    """numba hands `forceinline` on to what a function calls, unless that sets otherwise."""

    @partial(step.jit_inner, inline=False)
    def rare(x):
        return x * 2.0 + 1.0

    @partial(step.jit_inner, inline=True)
    def hot(x):
        return rare(x) + x

    step.jit_entry(lambda x: hot(x), "float64(float64)")
    for part, forced in ((hot, True), (rare, False)):
        (compiled,) = part.overloads.values()
        assert ("alwaysinline" in str(compiled.library._final_module)) is forced


def test_an_entry_gives_the_bits_of_plain_python(made):
    entry, _ = made
    rows, plain = drawn(), drawn()
    assert entry(3, 390, rows) == 390
    for t in range(3, 390):
        x = plain[0, t]
        first = math.sqrt(x * x + 1.5) - math.log(x) / 3.0
        plain[1, t] = first + (math.sqrt(x * x + x) - math.log(x) / 3.0)
        plain[2, t] = first * plain[1, t]
    assert rows.tobytes() == plain.tobytes()


def test_parts_have_no_machine_code(made):
    entry, inner = made
    (compiled,) = entry.overloads.values()
    engine = compiled.library.codegen._engine
    assert engine.is_symbol_defined(compiled.fndesc.llvm_func_name)
    for part in inner:
        for each in part.overloads.values():
            assert each.library.get_pointer_to_function(each.fndesc.llvm_func_name) == 0
            assert not engine.is_symbol_defined(each.fndesc.llvm_cpython_wrapper_name)


def test_an_entry_needs_nothing_but_itself(made):
    """Its object is whole: what it took in is not looked up elsewhere when it is loaded again."""
    entry, inner = made
    (compiled,) = entry.overloads.values()
    names = {each.fndesc.llvm_func_name for part in inner for each in part.overloads.values()}
    missing = {
        each.name for each in compiled.library._final_module.functions if each.is_declaration
    }
    assert not names & missing


def test_options_are_those_of_numba_in_every_comparison():
    from numba.core.compiler import DEFAULT_FLAGS, Flags
    from numba.core.registry import cpu_target

    contexts = cpu_target.typing_context, cpu_target.target_context
    options = type(
        part_compiler.entry_compiler()(*contexts, None, (), None, Flags(), {}).state.flags
    )
    ours, theirs = options(DEFAULT_FLAGS), Flags(DEFAULT_FLAGS)
    assert (ours, hash(ours)) == (theirs, hash(theirs)) == (ours.copy(), hash(ours.copy()))
    ours.forceinline = not ours.forceinline
    assert ours != theirs
    assert theirs != ours
    assert ours != options(theirs)
    del ours.forceinline
    assert ours == options(theirs)
    ours.boundscheck = theirs.boundscheck  # set to what it was by itself
    assert ours == options(theirs) == theirs


def test_there_is_one_compiler_of_parts():
    assert part_compiler.part_compiler() is part_compiler.part_compiler()


TEXT = "def total(a, b):\n    return (a + b) * (a - b) + (b + a) * (b - a) + abs(a) + abs(b)\n"


def test_an_operator_is_asked_once_for_the_same_types(monkeypatch):
    from numba.core.types.functions import BaseFunction

    usual, asked = BaseFunction.get_call_type, []

    def counted(function, context, args, kws):
        asked.append((function, args))
        return usual(function, context, args, kws)

    monkeypatch.setattr(BaseFunction, "get_call_type", counted)
    scope: dict[str, Any] = {}
    exec(compile(TEXT, "<total>", "exec"), scope)
    for kind in ("float64", "int64"):
        total = step.jit_entry(scope["total"], f"{kind}({kind}, {kind})")
        assert total(3, -2) == scope["total"](3, -2) == 5
    assert len(asked) == len(set(asked))
    assert BaseFunction.get_call_type is counted, "numba is as it was"
