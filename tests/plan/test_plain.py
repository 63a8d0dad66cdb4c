"""What of an error of plain Python compiled code would answer with a number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from septet._config.load import load
from septet._plan.plain import IMPORTS, is_arithmetic, plain_module
from septet._shell.session import plan_of

STRATEGIES = Path(__file__).resolve().parents[2] / "strategies"


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code and all that is defined in it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def _place(code: CodeType) -> tuple[str, str, int, list[int]]:
    lines = sorted({line for *_, line in code.co_lines() if line is not None})
    return code.co_qualname, code.co_filename, code.co_firstlineno, lines


@pytest.mark.parametrize("name", ["demo", "perpetual-trend", "us-stocks-momentum"])
def test_functions_stand_at_the_lines_of_the_text(name: str) -> None:
    """Each is compiled by itself, after those of another plan: a traceback shows its own lines."""
    plain_module(*_named("sma-cross"))
    name, text, flavour = _named(name)
    module = plain_module(name, text, flavour)
    whole = text.replace(IMPORTS.format(flavour), IMPORTS.format("plain"))
    compiled = compile(whole, f"<{name}>", "exec", dont_inherit=True)
    functions = [each for each in compiled.co_consts if isinstance(each, CodeType)]
    assert len(functions) > 50
    for expected in functions:
        made = getattr(module, expected.co_name)
        assert isinstance(made, FunctionType)
        assert [*map(_place, _codes(made.__code__))] == [*map(_place, _codes(expected))]
        assert made.__globals__ is module.__dict__


def _named(strategy: str) -> tuple[str, str, str]:
    plan = plan_of(load(STRATEGIES / f"{strategy}.yaml"))
    return plan.name, plan.assembly.text, plan.assembly.flavour


def test_a_cause_counts_and_causes_in_a_circle_end() -> None:
    outer = RuntimeError("a step failed")
    outer.__cause__ = ZeroDivisionError("division by zero")
    assert is_arithmetic(outer)
    one, other = NameError("a"), NameError("b")
    one.__cause__, other.__cause__ = other, one
    assert not is_arithmetic(one)
