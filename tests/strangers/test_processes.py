"""A plain step answers the same in each process, and slow ones are tried on fewer bars."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

import septet.testing.verdict as kit
from septet._host import imports
from septet._host.code_dependencies import reached_of
from septet.testing import budget
from septet.testing.checks import Subject
from septet.testing.verdict import Check, decisive, state_of
from tests.strangers.package import installed, write_package
from tests.strangers.steps import HEAD

FEATURE = "\n@feature(Plain, compiled=False)\ndef broken(i, close):\n"
SIZING = "\n@sizing(Plain, compiled=False)\ndef broken(equity, price, share):\n"
SET = """    total = 0.0
    for number, name in enumerate({"a", "bb", "ccc", "dddd", "eeeee", "ffffff"}):
        total += number * len(name)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))


def tried(folder: Path, source: str) -> tuple[Check, ...]:
    write_package(folder, "odd-process", {"steps.py": HEAD + source, "manifest.py": ""})
    with installed(folder, "odd_process"):
        module: Any = importlib.import_module("odd_process.steps")
        return decisive(module.broken, module.broken.config())


def failure(checks: tuple[Check, ...]) -> str:
    (wrong,) = (each for each in checks if each.state == "failed")
    return f"{wrong.name}: {wrong.message}"


ORDERS = {
    "the order of a set": FEATURE + SET + "    return total + close[i]\n",
    "a hash of a text": FEATURE + "    return close[i] + len(str(''.__hash__())) * 0.0 + "
    "'x'.__hash__() % 1000\n",
    "a rule": SIZING + SET + "    return equity * total / (1e6 * price)\n",
}


@pytest.mark.parametrize("case", ORDERS)
def test_what_differs_from_process_to_process_is_found(tmp_path: Path, case: str) -> None:
    message = failure(tried(tmp_path, ORDERS[case]))
    assert message.startswith("alike in every process: ")
    assert "two processes differ" in message
    assert "steps.py:" in message


CLOCKS = {
    "a cache": "import functools\n@functools.cache\ndef now(x):\n    return time.time()\n",
    "a partial": "import functools\ndef base(x, y):\n    return time.time()\n"
    "now = functools.partial(base, 1)\n",
    "a decorator": "import functools\ndef dated(f):\n    @functools.wraps(f)\n    def inner(x):\n"
    "        return f(x) + time.time()\n    return inner\n@dated\ndef now(x):\n    return 0.0\n",
    "below a decorator": "import functools\ndef plain(f):\n    @functools.wraps(f)\n"
    "    def inner(x):\n        return f(x)\n    return inner\n@plain\ndef now(x):\n"
    "    return time.time()\n",
    "a closure": "def made(f):\n    def inner(x):\n        return f(x)\n    return inner\n"
    "def clock(x):\n    return time.time()\nnow = made(clock)\n",
}


@pytest.mark.parametrize("case", CLOCKS)
def test_a_clock_behind_a_wrapper_is_found(tmp_path: Path, case: str) -> None:
    message = failure(
        tried(tmp_path, "\n" + CLOCKS[case] + FEATURE + "    return now(1) // 86400\n")
    )
    assert message.startswith("sees its parameters alone: ")
    assert "uses the module time" in message
    lines = (HEAD + "\n" + CLOCKS[case]).splitlines()
    numbers = [n for n, each in enumerate(lines, 1) if "time.time()" in each]
    assert any(f"steps.py:{n}:" in message for n in numbers), message


def test_iterating_a_set_of_texts_is_refused_with_its_line(tmp_path: Path) -> None:
    source = FEATURE + "    for name in {'a', 'b'}:\n        first = name\n    return len(first)\n"
    message = failure(tried(tmp_path, source))
    assert "iterates over a set, whose order differs from process to process" in message
    fine = FEATURE + "    return close[i] if 'a' in {'a', 'b'} else sum(k for k in {1, 2})\n"
    assert state_of(tried(tmp_path, fine)) == "kept"


def test_a_cache_of_arithmetic_is_kept(tmp_path: Path) -> None:
    source = "import functools\n@functools.cache\ndef twice(x):\n    return 2.0 * x\n"
    checks = tried(tmp_path, "\n" + source + FEATURE + "    return twice(3.0) * close[i]\n")
    assert state_of(checks) == "kept"
    assert "alike in every process" in {each.name for each in checks}


def test_a_step_that_takes_many_calls_is_tried_on_fewer_bars(tmp_path: Path) -> None:
    source = "\nCALLED = []\ndef work(x):\n    return x\n" + FEATURE
    slow = source + "    for _ in range(60_000):\n        work(i)\n    return close[i]\n"
    write_package(tmp_path, "odd-process", {"steps.py": HEAD + slow, "manifest.py": ""})
    with installed(tmp_path, "odd_process"):
        module: Any = importlib.import_module("odd_process.steps")
        trial = kit._Trial(Subject(module.broken, module.broken.config()))
        trial.prepare()
        trial.check_guarded_reads()
    assert trial.tried_bars == kit.MIN_BARS
    assert trial.count == trial.start + kit.MIN_BARS


def test_all_checks_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "TOTAL_S", 0.0)
    monkeypatch.setattr(budget, "EACH_S", 0.0)
    checks = tried(tmp_path, FEATURE + "    return close[i]\n")
    assert state_of(checks) == "not tried"
    assert {each.state for each in checks} == {"not tried"}
    assert "s together; those before took them, and this one was not begun" in checks[-1].message


def test_a_large_library_is_not_followed_module_by_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`scipy.stats.norm` took 150 seconds: each of its modules was followed anew."""
    asked: list[str] = []
    found = imports._file_of

    def counted(name: str) -> Path | None:
        asked.append(name)
        return found(name)

    monkeypatch.setattr(imports, "_file_of", counted)
    source = "\nimport scipy.stats\n" + FEATURE + "    return scipy.stats.norm.cdf(close[i])\n"
    write_package(tmp_path, "odd-process", {"steps.py": HEAD + source, "manifest.py": ""})
    with installed(tmp_path, "odd_process"):
        module: Any = importlib.import_module("odd_process.steps")
        reached = reached_of(module.broken)
    assert set(reached.packages) == {"odd_process", "scipy"}
    assert not reached.unknown
    assert len(asked) < 50
