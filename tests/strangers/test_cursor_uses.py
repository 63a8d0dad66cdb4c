"""The cursor is a place in the arrays: a step that counts bars with it is refused."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from septet._host.cursor_uses import cursor_counts
from septet._host.declare import Step
from septet._host.plugin_registry import BUILT_IN, Host
from septet.testing.static import faults_of
from tests.strangers.package import installed, write_package
from tests.strangers.steps import HEAD

MORE = """
from septet.plugin.numeric import divide, window_sum


@helper
def peek(x, j):
    return x[j]


@helper
def last_above(x, first, last):
    for j in range(last, first - 1, -1):
        if x[j] > 0.0:
            return j
    return first


@helper
def is_late(j, bars):
    return j > bars


@helper
def shifted(j):
    return j - 1


"""
COUNTS: dict[str, tuple[str, str]] = {
    "a constant": ("return of[i] if i > 500 else 0.0", "tests i > 500"),
    "the first index": ("if i == 0:\n        return 0.0\n    return of[i]", "tests i == 0"),
    "a setting": ("if i < period:\n        return math.nan\n    return of[i]", "tests i < period"),
    "the age": ("return of[i] * float(age == i)", "tests age == i"),
    "a value": ("return of[i] * float(of[i] > i)", "tests of[i] > i"),
    "a name": ("n = i - 3\n    return of[n] if n >= 20 else 0.0", "tests n >= 20"),
    "a name in a loop": (
        "j = i\n    while j > 20:\n        j -= 1\n    return of[j]",
        "tests j > 20",
    ),
    "a loop's own name": (
        """total = 0.0
    for j in range(i - period, i + 1):
        if j > 99:
            total += of[j]
    return total""",
        "tests j > 99",
    ),
    "a truth": ("return of[i] if i else 0.0", "tests i"),
    "a part of a test": ("return of[i] if of[i] > 1.0 and 9 < i else 0.0", "tests 9 < i"),
    "a remainder": ("return of[i] if i % 7 == 0 else 0.0", "computes i % 7"),
    "a slot of a ring": ("state[i % 4] = of[i]\n    return state[0]", "computes i % 4"),
    "a group of bars": ("return of[i // 7 * 7]", "computes i // 7"),
    "a bit": ("return of[i] * (i & 1)", "computes i & 1"),
    "an answer": ("return float(i)", "returns float(i)"),
    "a product": ("return of[i] * i", "returns of[i] * i"),
    "a fraction": ("return divide(i, 500.0)", "returns divide(i, 500.0)"),
    "a function": ("return math.sqrt(i - 1)", "returns math.sqrt(i - 1)"),
    "one of two answers": ("return i if of[i] > 1.0 else 0.0", "returns i"),
    "the smaller of two": ("return of[i] * min(i, 500)", "computes min(i, 500)"),
    "the sum of two": ("j = i - 1\n    return 0.5 * (i + j)", "returns 0.5 * (i + j)"),
    "a helper": ("return of[i] if is_late(i, 500) else 0.0", "is_late tests j > bars"),
    "a helper's answer": ("return of[i] if shifted(i) > 3 else 0.0", "tests shifted(i) > 3"),
}
PLACES = {
    "an index": "return of[i] - of[i - period] + of[i - 1]",
    "two places": (
        """j = i - period
    total = 0.0
    while j <= i:
        total += of[j]
        j += 1
    return total"""
    ),
    "a distance": "j = i - period\n    return float(i - j) / period",
    "a distance in a test": (
        """best = i
    for j in range(i - period, i + 1):
        if of[j] > of[best]:
            best = j
    return float(i - best) if i - best > 2 else float((i - best) % 2)"""
    ),
    "a mark for none": (
        """best = -1
    for j in range(i - period, i + 1):
        if of[j] > 1.0:
            best = j
            break
    if best < 0:
        return math.nan
    return float(i - best)"""
    ),
    "a mark before the loop": (
        """last = 0
    for j in range(i - period, i + 1):
        if last > 0 and j - last > 1:
            return 1.0
        last = j
    return 0.0"""
    ),
    "a place in the state": (
        """if of[i] > state[0]:
        state[0], state[1] = of[i], i
    return float(i - int(state[1]))"""
    ),
    "the middle of two": "j = i - 2\n    return of[(i + j) // 2]",
    "an index of a helper": "return peek(of, i - 1) + peek(of, shifted(i))",
    "a place of a helper": "return float(i - last_above(of, i - period, i))",
    "a helper with two places": "return float(is_late(i, i - period))",
    "a window": "return window_sum(i, of, slot, period, state, 0)",
    "counts by other means": (
        """if age < 20 or slot[i] % 7 == 0:
        return math.nan
    state[3] += 1.0
    return float(state[3] > 500.0) * of[i - min(age, 20)]"""
    ),
    "where a read begins": (
        """total = 0.0
    for j in range(max(0, i - period), i + 1):
        total += of[j]
    return total"""
    ),
    "a number of bars": (
        "n = 0\n    for back in range(period):\n        n += of[i - back] > 1.0\n    return n * 1.0"
    ),
    "a name used twice": "j = i\n    j = period\n    return of[i] if j > 3 else 0.0",
    "a scaled distance": "x = i * 0.5\n    return of[i] * (x - (i - period) * 0.5)",
    "a comprehension": "return sum([of[i - n] for n in range(period) if n < 3])",
}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return one module that holds every step of the tables."""
    bodies = [*(body for body, _ in COUNTS.values()), *PLACES.values()]
    head = '@feature(Over, lookback=lambda c: c.period, state=("a", "b", "c", "d"))'
    parts = [
        f"{head}\ndef step_{n}(i, of, slot, age, period, state):\n    {body}\n"
        for n, body in enumerate(bodies)
    ]
    folder = tmp_path_factory.mktemp("cursors")
    files = {"steps.py": "\n\n".join([HEAD + MORE, *parts]), "manifest.py": ""}
    write_package(folder, "odd-cursors", files)
    with installed(folder, "odd_cursors"):
        return importlib.import_module("odd_cursors.steps")


@pytest.mark.parametrize("case", COUNTS)
def test_a_cursor_that_counts_bars_is_refused(steps: ModuleType, case: str) -> None:
    step = getattr(steps, f"step_{list(COUNTS).index(case)}")
    (fault,) = faults_of(step)
    assert f"{COUNTS[case][1]}: i is a place in the arrays, never a count of bars" in fault.message
    path, _, line = fault.place.rpartition(":")
    assert path == steps.__file__
    text = Path(path).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert COUNTS[case][1].split(maxsplit=1)[1].removeprefix("tests ") in text


@pytest.mark.parametrize("case", PLACES)
def test_a_cursor_that_is_a_place_is_taken(steps: ModuleType, case: str) -> None:
    step = getattr(steps, f"step_{len(COUNTS) + list(PLACES).index(case)}")
    assert [str(fault) for fault in faults_of(step)] == []


def test_no_built_in_step_counts_bars_with_the_cursor() -> None:
    host = Host()
    loaded = (host.load(each) for each in host.components() if each.distribution == BUILT_IN)
    found = [each for each in loaded if isinstance(each, Step) and "i" in each.parameters]
    assert len(found) > 50
    assert [fault for step in found for fault in cursor_counts(step)] == []
