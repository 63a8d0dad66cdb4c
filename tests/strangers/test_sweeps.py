"""A sweep over a stranger's feature: reads proved for each value, and the same code everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from septet._config import load
from septet._results.verdict import unchecked_text
from septet._sweep.cluster import run_block, task_of
from septet._sweep.first_decision import begin_sweep
from septet._sweep.folder import differences
from septet._sweep.space import space_of
from septet._sweep.swept_parameters import numbers_of
from septet.cli import main
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

HELPER = "from septet.plugin.numeric import helper\n\n\n@helper\ndef twice(value):\n"


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
        parcel = task_of(loaded, space, numbers, begin_sweep(loaded, space, numbers, print))
    (tmp_path / "other_helpers.py").write_text(f"{HELPER}    return 2.5 * value\n", "utf-8")
    with installed(tmp_path, "odd_steps", "other_helpers"):
        answer = run_block(parcel, list(space.settings())[:1])
    assert (answer.rows, answer.refused) == ([], ("the code of odd-steps differs",))
    assert "install the same versions" in answer.hint


def command(folder: Path, *words: str) -> int:
    with installed(folder, "odd_steps", "other_helpers"), pytest.raises(SystemExit) as left:
        main(["sweep", "strategy.yaml", "--yes", *words])
    code = left.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("unchecked", [False, True])
def test_the_verdict_and_the_page_state_what_ran_unchecked(
    tmp_path: Path,
    unchecked: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    swept(tmp_path, PROVED.replace("twice(of[i - 5 + period])", "of[i]"), "[3, 4]")
    words = ["--unchecked"] if unchecked else []
    assert command(tmp_path, *words) == 0
    text = unchecked_text(["odd-steps:mine"])
    assert (text in " ".join(capsys.readouterr().out.split())) == unchecked
    (path,) = tmp_path.rglob("manifest.json")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    (check,) = manifest["plugin_checks"]
    assert (check["plugin"], check["state"]) == (
        "odd-steps:mine",
        "unchecked" if unchecked else "kept",
    )
    assert list(manifest["plugin_sources"]) == ["odd-steps"]
    page = (path.parent / "sweep.html").read_text(encoding="utf-8")
    assert (text in page) == unchecked
    assert ('<div class="verdict caution">' in page) or not unchecked


def test_a_sweep_is_not_resumed_with_other_checks_or_sources() -> None:
    before = {
        "plugin_sources": {"odd-steps": "aa"},
        "plugin_checks": [{"plugin": "odd-steps:mine", "state": "kept"}],
    }
    now = {
        "plugin_sources": {"odd-steps": "bb"},
        "plugin_checks": [{"plugin": "odd-steps:mine", "state": "unchecked"}],
    }
    assert differences(before, before) == []
    assert differences(before, now) == [
        "source of odd-steps was aa, is bb",
        "check of odd-steps:mine was kept, is unchecked",
    ]
