"""Every rule of trading is called, uncompiled, by a test of this folder; its lines are counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.rules.line_counter import FOLDER, TABLES

HERE = Path(__file__)
ROOT = HERE.parents[2]
LEAST_SHARE = 0.89
"""Of the lines; most of the others are of choices that `tests/core` and `tests/fidelity` make."""


def counted(folder: Path, *tests: Path) -> dict[str, tuple[list[int], list[int]]]:
    """Run tests in a process of their own; return the lines of each rule, and those not reached."""
    file = folder / "lines.json"
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider",
             "-p", "tests.rules.line_counter", *map(str, tests), "--ignore", str(HERE)]  # fmt: skip
    own = {name: each for name, each in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        words, cwd=ROOT, env={**own, "LINES_OF_RULES": str(file)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found: dict[str, tuple[list[int], list[int]]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def uncalled(found: dict[str, tuple[list[int], list[int]]]) -> list[str]:
    """Return the rules of which no line was reached."""
    return [name for name, (lines, missed) in found.items() if lines == missed]


def test_every_rule_is_called_and_few_of_its_lines_are_not_reached(tmp_path: Path) -> None:
    found = counted(tmp_path, HERE.parent)
    assert uncalled(found) == []
    lines = sum(len(each) for each, _ in found.values())
    missed = {name: each for name, (_, each) in found.items() if each}
    share = 1 - sum(map(len, missed.values())) / lines
    assert share >= LEAST_SHARE, f"{share:.1%} of {lines} lines; not reached: {missed}"


def test_a_rule_that_no_test_calls_is_found(tmp_path: Path) -> None:
    found = counted(tmp_path, HERE.with_name("test_by_hand.py"))
    assert "by_hand.py:halt_by_hand" not in uncalled(found)
    assert "stops.py:liquidate" in uncalled(found)


def test_every_module_holds_rules_or_is_named_with_its_reason() -> None:
    modules = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert set(TABLES) < modules
    for name in modules - set(TABLES):
        assert "\ndef " in (FOLDER / f"{name}.py").read_text(encoding="utf-8"), name
