"""What a trial finds beside the answers: ranges that are wrong, checks that do not end."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet.errors import ConfigError
from septet.testing import budget
from septet.testing.verdict import Check, decisive, state_of
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))


def tried(folder: Path, source: str, **settings: Any) -> tuple[Check, ...]:
    write_package(folder, "odd-trials", {"steps.py": HEAD + source, "manifest.py": ""})
    with installed(folder, "odd_trials"):
        module = importlib.import_module("odd_trials.steps")
        return decisive(module.broken, module.broken.config(**settings))


def failure(checks: tuple[Check, ...]) -> str:
    (wrong,) = (each for each in checks if each.state == "failed")
    return f"{wrong.name}: {wrong.message}"


RANGES = {
    "a pair": ("value_range=(0.0, 1.0)", "value is 1.", "0 to 1"),
    "a pair below": ("value_range=(2.0, 9.0)", "value is ", "2 to 9"),
    "a function": ("value_range=lambda c: (0.0, c.period / 4.0)", "value is 1.", "0 to 1"),
    "that of an input": ('value_range="of"', "value is ", "its value_range is"),
}


@pytest.mark.parametrize("case", RANGES)
def test_a_declared_range_is_tried(tmp_path: Path, case: str) -> None:
    option, message, bounds = RANGES[case]
    source = f"\n@feature(Over, lookback=lambda c: c.period, {option})\ndef broken(i, of, period):"
    reason = failure(tried(tmp_path, source + "\n    return of[i] / of[i - period]\n"))
    assert reason.startswith("values inside the declared range: ")
    assert message in reason
    assert bounds in reason
    assert "steps.py:" in reason


def test_a_range_that_holds_is_kept(tmp_path: Path) -> None:
    source = """
@feature(Over, outputs=("low", "of"), value_range={"low": (0.0, 1.0), "of": "of"})
def broken(i, of, period):
    return 1.0 - of[i] / (of[i] + 1.0), of[i]
"""
    assert state_of(tried(tmp_path, source)) == "kept"


ENDLESS = {
    "a step": (
        "feature",
        """
@feature(Over, compiled=False)
def broken(i, of, period):
    n = 0
    while of[i] < 1e9:
        n += 1
    return float(n)
""",
        ("n += 1", "while of[i] < 1e9:"),
    ),
    "a rule": (
        "sizing",
        """
@sizing(Plain)
def broken(equity, price, share):
    while price > 0.0:
        price = price + share
    return share * equity
""",
        ("while price > 0.0:", "price = price + share"),
    ),
    "a declaration": (
        "feature",
        """
def long(config):
    while True:
        config = config

@feature(Over, lookback=long)
def broken(i, of, period):
    return of[i]
""",
        ("config = config", "while True:"),
    ),
    "an object": (
        "monitor",
        """
from septet.plugin.live import monitor

@monitor(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def read(self, run):
        while True:
            time.sleep(0.01)
""",
        ("time.sleep(0.01)", "while True:"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDLESS)
def test_what_does_not_end_is_named(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "LIMIT_S", 0.5)
    _, source, texts = ENDLESS[case]
    message = failure(tried(tmp_path, source))
    assert "did not end within 0.5 s" in message
    lines = (HEAD + source).splitlines()
    numbers = [n for n, line in enumerate(lines, 1) if line.strip() in texts]
    assert any(f"steps.py:{n}: did not end" in message for n in numbers), message


COMPILED_ALONE = """
@feature(Over, state=("last",))
def broken(i, of, period, state):
    n = int(of[i])
    while n < 1e19:
        n *= 3
        state[0] = n
    state[0] = 0.0
    return of[i]
"""
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import septet.testing.verdict as kit
from septet.testing import budget
from odd_trials.steps import Over, broken, half
from septet._kernel.step import compile_step
compile_step(half)(1.0)  # what is slow is the compiler's first word
budget.LIMIT_S = 5.0
print(kit.decisive(broken, Over())[-1])
"""


def test_a_step_that_only_compiled_does_not_end_is_named(tmp_path: Path) -> None:
    files = {"steps.py": HEAD + COMPILED_ALONE, "manifest.py": ""}
    write_package(tmp_path, "odd-trials", files)
    done = subprocess.run(  # the thread that spins ends with its process
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "name='compiles to the same bits', state='failed'" in done.stdout, done
    line = (HEAD + COMPILED_ALONE).splitlines().index(COMPILED_ALONE.splitlines()[1]) + 1
    assert f"steps.py:{line}: did not end within 5 s" in done.stdout


def test_a_file_whose_step_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "LIMIT_S", 0.5)
    files = {
        "steps.py": HEAD + ENDLESS["a step"][1],
        "manifest.py": manifest_of("odd_steps", {"broken": ("features", "feature")}),
    }
    write_package(tmp_path, "odd-steps", files)
    path = tmp_path / "strategy.yaml"
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature="{use: broken}")
    path.write_text(text, encoding="utf-8")
    with installed(tmp_path, "odd_steps"), pytest.raises(ConfigError) as caught:
        load(path)
    assert "odd-steps:broken must not run: " in str(caught.value)
    assert "did not end within 0.5 s" in str(caught.value)


LONG = """
@feature(Over, lookback=lambda c: c.period)
def broken(i, of, period):
    total = 0.0
    for back in range({step}, period, {step}):
        total += of[i - back]
    return total / of[i - period]
"""


@pytest.mark.parametrize(
    ("step", "period", "state"),
    [(50, 5_000, "kept"), (1_000, 60_000, "kept"), (1, 60_000, "not tried")],
)
def test_long_look_backs_are_tried_as_far_as_time_allows(
    tmp_path: Path, step: int, period: int, state: str
) -> None:
    checks = tried(tmp_path, LONG.format(step=step), period=period)
    assert state_of(checks) == state, checks
    named = {each.name: each for each in checks}
    assert named["every read is of the past"].state == "kept"
    if state == "not tried":
        untried = [each.message for each in checks if each.state == "not tried"]
        assert all("its author's tests can try smaller settings" in each for each in untried)


def test_plugins_that_only_an_overlay_names_are_checked(tmp_path: Path) -> None:
    source = "\n@limit(Plain)\ndef broken(requested, price, share):\n    return math.nan\n"
    files = {
        "steps.py": HEAD + source,
        "manifest.py": manifest_of("odd_steps", {"broken": ("risk", "limit")}),
    }
    write_package(tmp_path, "odd-steps", files)
    path = tmp_path / "strategy.yaml"
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature="{use: simple_return}")
    text += "paper:\n  risk: {limits: {mine: {use: broken, share: 10%}}}\n"
    path.write_text(text, encoding="utf-8")
    with installed(tmp_path, "odd_steps"), pytest.raises(ConfigError) as caught:
        load(path)
    (found,) = (each for each in caught.value.problems if "must not run" in each.message)
    assert found.message.startswith("odd-steps:broken must not run: ")
    assert found.line == text[: text.index("use: broken")].count("\n") + 1
