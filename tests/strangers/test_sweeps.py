"""A sweep over a stranger's feature: reads proved for each value, and the same code everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load
from septet._sweep.begin import begin_sweep
from septet._sweep.cluster import parcel_of, run_block
from septet._sweep.numbers import numbers_of
from septet._sweep.space import space_of
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

HELPER = '"""Shared."""\n\nfrom septet.plugin import helper\n\n\n@helper\ndef twice(value):\n'


def swept(folder: Path, step: str, values: str) -> Path:
    files = {
        "steps.py": f"{HEAD}from other_helpers import twice\n{step}\n# {folder}\n",
        "manifest.py": manifest_of("odd_steps", {"mine": ("features", "feature")}),
    }
    write_package(folder, "odd-steps", files)
    (folder / "other_helpers.py").write_text(f"{HELPER}    return 2.0 * value\n", "utf-8")
    path = folder / "strategy.yaml"
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature="{use: mine}")
    path.write_text(f"{text}sweep: {{over: {{features.far.period: {values}}}}}\n", "utf-8")
    return path


PROVED = """
@feature(Over, lookback=lambda c: 9)
def mine(i, of, period):
    return twice(of[i - 5 + period]) if of[i] > 1e6 else of[i] / of[i - 9] - 1.0
"""
WATCHED = """
@feature(Over, lookback=lambda c: 9, state=("a",), memory=lambda c: window(20 + c.period))
def mine(i, of, period, state):
    return of[i - int(state[0])] / of[i - 9] - twice(0.5)
"""


@pytest.mark.parametrize(
    ("step", "values", "reason"),
    [
        (PROVED, "[3, 4]", ""),
        (PROVED, "[3, 6]", "the text of the plan"),
        (WATCHED, "[3, 4]", "how much the plan remembers"),
    ],
)
def test_another_proof_is_another_plan(tmp_path: Path, step: str, values: str, reason: str) -> None:
    with installed(tmp_path, "odd_steps", "other_helpers"):
        loaded = load(swept(tmp_path, step, values), unchecked=True)
        numbers = numbers_of(loaded, space_of(loaded))
    assert bool(numbers.reasons) == bool(reason)
    assert all(reason in each for each in numbers.reasons)


def test_a_worker_with_other_plugin_code_is_refused(tmp_path: Path) -> None:
    path = swept(tmp_path, PROVED, "[3, 4]")
    with installed(tmp_path, "odd_steps", "other_helpers"):
        loaded = load(path, unchecked=True)
        space = space_of(loaded)
        numbers = numbers_of(loaded, space)
        parcel = parcel_of(loaded, space, numbers, begin_sweep(loaded, space, numbers, print))
    (tmp_path / "other_helpers.py").write_text(f"{HELPER}    return 2.5 * value\n", "utf-8")
    with installed(tmp_path, "odd_steps", "other_helpers"):
        answer = run_block(parcel, list(space.settings())[:1])
    assert (answer.rows, answer.refused) == ([], ("the code of odd-steps differs",))
    assert "install the same versions" in answer.hint
