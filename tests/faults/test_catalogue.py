"""The table of faults is complete, and the tests it names are there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.faults.catalogue import CATALOGUE, LATER

TESTS = Path(__file__).resolve().parents[1]
CODES = [
    *(f"P{number}" for number in range(1, 10)), *(f"S{number}" for number in range(1, 6)),
    *(f"C{number}" for number in range(1, 7)), *(f"M{number}" for number in range(1, 5)),
    *(f"O{number}" for number in range(1, 4)),
    *(f"A{number}" for number in (4, 6, 8, 9, 11, 12, 13, 14, 15)),
]  # fmt: skip


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef))


def test_every_code_is_there_or_reported_to_come_later() -> None:
    assert sorted([*CATALOGUE, *LATER]) == sorted(CODES)


def test_every_test_that_is_named_is_there() -> None:
    for code, fault in CATALOGUE.items():
        assert fault.many, code
        for name in (*fault.many, *fault.few, *fault.beside):
            file, _, function = name.partition("::")
            assert function in functions_of(file), f"{code}: {name} is not there"


def test_every_test_of_the_suite_is_named() -> None:
    named = {n for each in CATALOGUE.values() for n in (*each.many, *each.few, *each.beside)}
    for path in sorted((TESTS / "faults").glob("test_*.py")):
        if path.name != Path(__file__).name:
            for function in functions_of(f"faults/{path.name}"):
                if function.startswith("test_"):
                    assert f"faults/{path.name}::{function}" in named, f"{function} shows no fault"
