"""Reads of the future that no trial meets: every read is proved from the text, or watched."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet._config import load
from septet._host.proved_reads import unproved_reads
from septet._shell.backtest import backtest
from septet._shell.session import plan_of
from septet.errors import RunError
from septet.testing.verdict import decisive, state_of
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

HOUR_NS = 3_600_000_000_000
BACK = "lookback=lambda c: c.period"
OWN = 'state=("a", "b", "c", "d"), lookback=lambda c: c.period, memory=lambda c: window(99)'

PROVED = {
    "a setting": (BACK, "of", "return of[i] - of[i - period]"),
    "a loop": (
        BACK,
        "of",
        """total = 0.0
    for back in range(1, period + 1):
        total += of[i - back]
    return total""",
    ),
    "a loop from the oldest": (
        BACK,
        "of",
        """total = 0.0
    for j in range(i - period, i + 1):
        total += of[j]
    return total""",
    ),
    "a loop downwards": (
        BACK,
        "of",
        """total = 0.0
    for j in range(i, i - period, -1):
        total += of[j]
    return total""",
    ),
    "another name": (BACK, "of", "x = of\n    j = i - 2\n    return x[j] - x[j - 1]"),
    "a comprehension": (
        f"{BACK}, compiled=False",
        "of",
        "return sum([of[i - n] for n in range(period) if of[i - n - 1] > 0.0])",
    ),
    "a helper of its own": (BACK, "of", "return peek(of, i - 1) + peek(of, i)"),
    "half a setting": (BACK, "of", "return of[i - int(period / 2)] - of[i - period // 2]"),
    "bounded by a test": (
        BACK,
        "of",
        """j = i - int(of[i])
    back = int(of[i])
    if back >= 0 and back <= period:
        return of[i - back]
    return of[i]""",
    ),
    "the smaller of two": (BACK, "of", "return of[i - max(0, min(period, int(of[i])))]"),
    "as old as the history": (
        'state=("one",), memory=lambda c: window(99)',
        "of, age",
        "return of[i - min(age, 20)]",
    ),
    "old enough by a test": (
        'state=("one",), memory=lambda c: window(99)',
        "of, age",
        "if age < 20:\n        return math.nan\n    return of[i - 20]",
    ),
    "helpers of septet": (
        OWN,
        "of, slot, state",
        "return window_sum(i, of, slot, period, state, 0) + state[3]",
    ),
    "slots that are counted": (
        OWN,
        "of, state",
        """for n in range(4):
        state[n] += of[i]
    return state[0]""",
    ),
}
RARE = {
    "a price that is rare": (
        BACK,
        "of",
        "return of[i + 1] if of[i] > 1.37 * of[i - period] else of[i]",
        "of[i + 1]",
    ),
    "one bar in many": (
        BACK,
        "of",
        "return of[i + 1] if i % 997 == 996 else of[i]",
        "of[i + 1]",
    ),
    "a cursor in the state": (
        OWN,
        "of, state",
        """state[0] += 1.0
    if state[0] > 300.0:
        state[1] = 1.0
    return of[i + int(state[1])]""",
        "of[i + int(state[1])]",
    ),
    "a helper": (
        BACK,
        "of",
        "return peek(of, i + int(of[i] > 1e6))",
        "x[j]",
    ),
    "before the first bar, which is the last": (
        BACK,
        "of",
        "return of[i - 9 * period] if of[i] > 1e6 else of[i]",
        "of[i - 9 * period]",
    ),
    "another name by way of a loop": (
        BACK,
        "of, high",
        """x = high
    for back in range(2):
        y = x
        x = of
    return y[i + 1] if of[i] > 1e6 else of[i]""",
        "y[i + 1]",
    ),
    "one of two columns": (
        BACK,
        "of, high",
        """if of[i] > 1e6:
        x = of
    else:
        x = high
    return x[i + 1] if of[i] > 1e6 else of[i]""",
        "x[i + 1]",
    ),
    "a loop one too long": (
        BACK,
        "of",
        """total = 0.0
    for j in range(i - period, i + 2):
        if of[i] > 1e6:
            total += of[j]
    return total""",
        "of[j]",
    ),
    "a number that is not known": (
        BACK,
        "of",
        "return of[int(of[i])] if of[i] > 1e6 else of[i]",
        "of[int(of[i])]",
    ),
    "a negated test of what may be NaN": (
        BACK,
        "of",
        """back = of[i] * 0.0
    if back > period or back < 0.0:
        return of[i]
    return of[i - int(back)] if of[i] > 1e6 else of[i]""",
        "of[i - int(back)]",
    ),
    "a whole number that wraps around": (
        BACK,
        "of",
        """far = int(of[i] * 1e300)
    if far < 0:
        return of[i - max(far - 5, 0)] if of[i] > 1e6 else of[i]
    return of[i]""",
        "of[i - max(far - 5, 0)]",
    ),
    "a slot of a helper that it writes": (
        OWN,
        "of, slot, state",
        """if of[i] > 1e6:
        state[0] = 1e18
    return window_sum(i, of, slot, period, state, 0)""",
        "state[0]",
    ),
    "a helper of septet that is led ahead": (
        OWN,
        "of, slot, state",
        "return window_sum(i + int(of[i] > 1e6), of, slot, period, state, 0)",
        "window_sum",
    ),
    "a slot that is none": (
        OWN,
        "of, state",
        "if of[i] > 1e6:\n        state[int(of[i])] = 1.0\n    return state[0]",
        "state[int(of[i])]",
    ),
    "a name of its module that changes": (
        f"{BACK}, compiled=False",
        "of",
        """global AHEAD
    AHEAD = 1 if of[i] > 1e6 else 0
    return of[i + AHEAD]""",
        "writes AHEAD",
    ),
    "a column as a whole": (BACK, "of", "return of[i] + 0.0 * float(len(of) > 0)", "hands of"),
    "a comprehension": (
        f"{BACK}, compiled=False",
        "of",
        "return sum([of[i + n] for n in range(0 if of[i] < 1e6 else 2)])",
        "reads of[i + n]",
    ),
    "a name that an expression gives a value": (
        f"{BACK}, compiled=False",
        "of",
        "j = i\n    [(j := i + n) for n in range(2)]\n    return of[j] if of[i] > 1e6 else of[i]",
        "reads of[j]",
    ),
    "a function without a name": (
        f"{BACK}, compiled=False",
        "of",
        "return (lambda n: of[i + n])(int(of[i] > 1e6))",
        "reads of[...] in a way that is not followed",
    ),
}
MORE = """
from septet.plugin.numeric import window_sum


@helper
def peek(x, j):
    return x[j]

"""


def source_of(case: tuple[str, ...], name: str = "broken") -> str:
    options, columns, body = case[:3]
    names = f"i, {columns}, period"
    return f"{HEAD}{MORE}\n@feature(Over, {options})\ndef {name}({names}):\n    {body}\n"


def declared(folder: Path, case: tuple[str, ...]) -> Any:
    files = {"steps.py": f"{source_of(case)}\n# {folder}\n", "manifest.py": ""}
    write_package(folder, "odd-reads", files)
    with installed(folder, "odd_reads"):
        return importlib.import_module("odd_reads.steps")


@pytest.mark.parametrize("case", PROVED)
def test_what_is_surely_of_the_past_is_proved(tmp_path: Path, case: str) -> None:
    module = declared(tmp_path, PROVED[case])
    config = module.Over()
    first = module.broken.lookback(config)
    assert unproved_reads(module.broken, config, HOUR_NS, first) == []


@pytest.mark.parametrize("case", RARE)
def test_what_the_trial_does_not_meet_is_not_proved(tmp_path: Path, case: str) -> None:
    module = declared(tmp_path, RARE[case])
    config = module.Over()
    found = unproved_reads(module.broken, config, HOUR_NS, module.broken.lookback(config))
    assert any(RARE[case][3] in read.message for read in found), found
    assert all(f"{module.__file__}:" in read.place for read in found)


WRAPPED = """
import functools


def led_ahead(function):
    @functools.wraps(function)
    def ahead(i, of, period):
        return function(i + int(of[i] > 1e6), of, period)

    return ahead


@feature(Over, compiled=False)
@led_ahead
def broken(i, of, period):
    return of[i]
"""


def test_the_text_of_another_function_proves_nothing(tmp_path: Path) -> None:
    files = {"steps.py": f"{HEAD}{WRAPPED}\n# {tmp_path}\n", "manifest.py": ""}
    write_package(tmp_path, "odd-reads", files)
    with installed(tmp_path, "odd_reads"):
        module = importlib.import_module("odd_reads.steps")
    (read,) = unproved_reads(module.broken, module.Over(), HOUR_NS, 0)
    assert "its text cannot be read" in read.message


def test_a_proof_is_of_the_settings(tmp_path: Path) -> None:
    case = ("lookback=lambda c: 9", "of", "return of[i - 5 + period] if of[i] > 1e6 else of[i]")
    module = declared(tmp_path, case)
    counts = [
        len(unproved_reads(module.broken, module.Over(period=period), HOUR_NS, 9))
        for period in (4, 5, 6)
    ]
    assert counts == [0, 0, 1]


def test_the_verdict_states_that_it_is_watched(tmp_path: Path) -> None:
    declared(tmp_path, RARE["a price that is rare"])
    with installed(tmp_path, "odd_reads"):
        module: Any = importlib.import_module("odd_reads.steps")
        checks = decisive(module.broken, module.Over())
    assert state_of(checks) == "watched", checks
    (message,) = (each for each in checks if each.state == "watched")
    assert "reads of[i + 1], which is not proved to be at or before the cursor" in message.message
    assert "steps.py:" in message.message


def strategy_of(folder: Path, case: tuple[str, ...]) -> Path:
    files = {
        "steps.py": f"{source_of(case, 'mine')}\n# {folder}\n",
        "manifest.py": manifest_of("odd_steps", {"mine": ("features", "feature")}),
    }
    write_package(folder, "odd-steps", files)
    path = folder / "strategy.yaml"
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature="{use: mine}")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("engine", ["batch", "event"])
@pytest.mark.compiled
def test_a_run_ends_at_a_read_of_the_future(tmp_path: Path, engine: str) -> None:
    case = (BACK, "of", "return of[i + 1] if i % 397 == 377 else of[i] / of[i - period] - 1.0")
    path = strategy_of(tmp_path, case)
    with installed(tmp_path, "odd_steps"):
        loaded = load(path, unchecked=True)
        plan = plan_of(loaded)
        assert plan.compiled
        assert plan.assembly.slow_columns == ("mine",)
        with pytest.raises(RunError) as caught:
            backtest(loaded, engine=engine)
    assert caught.value.message.startswith("the feature mine of odd-steps failed at ")
    assert "mine reads of[i + 1]: the future" in caught.value.message
    assert "steps.py:" in caught.value.message


FRAMES = {"a formula": "{use: mine, of: close > open}", "a time frame": "{use: mine, bar: 4h}"}


@pytest.mark.parametrize("case", FRAMES)
def test_what_has_no_column_of_its_own_is_watched_too(tmp_path: Path, case: str) -> None:
    body = "return of[i + 1] if i % 41 == 40 else of[i] / of[i - period] - 1.0"
    if case == "a formula":
        body = "return when + (high[i + 1] if i % 341 == 340 else high[i] / high[i - period] - 1.0)"
    path = strategy_of(tmp_path, (BACK, "of" if case != "a formula" else "high, when", body))
    feature = FRAMES[case].replace("of: close > open", "when: close > open")
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature=feature)
    path.write_text(text, encoding="utf-8")
    if case == "a formula":
        steps = tmp_path / "odd_steps" / "steps.py"
        source = steps.read_text(encoding="utf-8")
        with_formula = source.replace(
            "    period: Bars = 4\n", "    period: Bars = 4\n    when: Expression\n"
        )
        steps.write_text(with_formula, encoding="utf-8")
    with installed(tmp_path, "odd_steps"):
        loaded = load(path, unchecked=True)
        assert plan_of(loaded).assembly.slow_parts == ("mine",)
        with pytest.raises(RunError, match=r"mine reads (of|high)\[i \+ 1\]: the future"):
            backtest(loaded)


def test_what_is_proved_runs_compiled(tmp_path: Path) -> None:
    path = strategy_of(tmp_path, PROVED["a setting"])
    with installed(tmp_path, "odd_steps"):
        assert plan_of(load(path, unchecked=True)).assembly.slow_columns == ()


def test_values_outside_the_declared_range_are_counted(tmp_path: Path) -> None:
    body = "return of[i] / of[i - period] - 1.0"
    case = (f"{BACK}, compiled=False, value_range=(-0.005, 0.005)", "of", body)
    path = strategy_of(tmp_path, case)
    with installed(tmp_path, "odd_steps"):
        result = backtest(load(path, unchecked=True))
    assert result.decisions is not None
    values = np.asarray(result.decisions["far"])
    count = int((abs(values) > 0.005).sum())
    assert 0 < count < len(values)
    assert result.manifest["outside_value_range"] == {"far": count}
    (message,) = (note for note in result.notes if "left the range" in note)
    assert message.startswith(f"far left the range that its plugin declares at {count:,} of ")
