"""Every clause of the rules of positions and portfolios is held by tests that exist."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.fidelity.positions.clauses import CLAUSES, REFUSED

ROOT = Path(__file__).resolve().parents[3]
ROWS = [
    pytest.param(tests, id=f"{heading}: {clause}")
    for heading, section in CLAUSES.items()
    for clause, tests in section.items()
]


def path_of(file: str) -> Path:
    """Return the file of a test, by its short name or by its path from the root."""
    if "/" in file:
        return ROOT / file
    return Path(__file__).with_name(f"test_{file}.py")


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names of the tests that a file defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("tests", ROWS)
def test_a_clause_is_held_by_tests_that_exist(tests: tuple[str, ...]) -> None:
    assert tests
    for each in tests:
        file, _, name = each.partition("::")
        assert name in names_in(path_of(file)), each


def test_what_is_served_is_not_held_by_a_refusal_alone() -> None:
    """These are the clauses of keys that a file cannot have so far."""
    refused = [
        f"{heading}: {clause}"
        for heading, section in CLAUSES.items()
        for clause, tests in section.items()
        if set(tests) <= set(REFUSED)
    ]
    assert refused == [
        "portfolio: optimise, and a universe of a pool with members of its own",
        "legs: spreads", "when, and which account: several strategies",
        "when, and which account: hedge_mode",
    ]  # fmt: skip


def test_every_test_of_the_reference_is_of_a_clause_or_of_its_own_arithmetic() -> None:
    """The files that a clause names are all files of the reference that hold rules."""
    named = {
        each.partition("::")[0]
        for section in CLAUSES.values()
        for tests in section.values()
        for each in tests
    }
    files = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert files - named == {"clauses", "engine_volume", "volume"}
