"""Mutated files never end in a traceback, and every problem has words and a place."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._cli.render import render_problems
from septet._config import load
from septet._expressions import (
    Expr,
    ExpressionError,
    is_condition,
    look_back,
    names_in,
    parse_expression,
)
from septet.errors import ConfigError, Problem
from tests.config.plugins import fixed_host
from tests.scale import examples

VALID = sorted((Path(__file__).parent / "valid").glob("*.yaml"))
TEXTS = [path.read_text(encoding="utf-8") for path in VALID]
DATA = [yaml.load(text, yaml.SafeLoader) for text in TEXTS]
HOST = fixed_host()

WORDS = [
    "10%", "-5bps", "3 bars", "12h", "50 trades", "env:X", "2021-02-30", "a@b", "*", "&a", "yes",
    "fast > slow", "lambda: 0", "close[0]", "9" * 400, "use", "sma", "kelly", "12:30", "0x1F",
]  # fmt: skip
SNIPPETS = [
    "\t", "{", "}", "[", "]", ": ", "- ", "'", '"', "#", "&a ", "*a", "<<: ", "!!int ", "%", "\n",
    "|", ">", "---\n", "\x00", "\u2028", "é", "🙂", "on: ", "? ", ",", "@", "`",
]  # fmt: skip
TOKENS = [
    "fast", "slow", "close@ETH/USDT", "1.5", "0", "1e9", "+", "-", "*", "/", "**", "<", ">=", "==",
    "and", "or", "not", "(", ")", ",", "prev(", "abs(", "crosses_above(", "max(", ".", "[", "]",
    "lambda", ":", "if", "else", "=", "%", "'", "@", "~", "in", "is", "\\",
]  # fmt: skip
PATHS = [
    "risk.sizing.fraction", "universe.symbols.0", "universe.symbols.x", "risk.limits.position.max",
    "signal.use", "features.new.use", "a..b", ".", '"x.y".z', "mode", "live.account.capital",
]  # fmt: skip
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
    st.sampled_from(WORDS),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
snippets = st.sampled_from(SNIPPETS)


def problems_of(path: Path, *sets: str) -> tuple[Problem, ...]:
    """Load a file; return its warnings or everything that is wrong, and nothing else may rise."""
    try:
        return load(path, host=HOST, sets=sets).warnings
    except ConfigError as error:
        return error.problems


def attempt(raw: bytes) -> None:
    """Load bytes as a file; every problem must be readable and have a real place."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.yaml"
        path.write_bytes(raw)
        problems = problems_of(path)
        lines = raw.decode("utf-8", "replace").count("\n") + 2
        for problem in problems:
            assert problem.message.strip()
            assert 0 <= problem.line <= lines
            assert problem.severity in ("error", "warning")
        render_problems(problems)


def parsed(text: str) -> Expr | ExpressionError:
    """Parse an expression; only an ExpressionError may rise."""
    try:
        return parse_expression(text)
    except ExpressionError as error:
        return error


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict | list):
        return []
    below = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, each in below:
        found += [(*path, key), *_places(each, (*path, key))]
    return found


def _parent(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        data = data[part]
    return data


@st.composite
def mutated_data(draw: st.DrawFn) -> str:
    """A valid file in which values are replaced, keys dropped, renamed, or moved."""
    data = copy.deepcopy(draw(st.sampled_from(DATA)))
    for _ in range(draw(st.integers(1, 4))):
        places = _places(data)
        if not places:
            break
        path = draw(st.sampled_from(places))
        parent, action = (
            _parent(data, path),
            draw(st.sampled_from(["replace", "drop", "rename", "copy"])),
        )
        if action == "replace":
            parent[path[-1]] = draw(junk)
        elif action == "drop":
            del parent[path[-1]]
        elif action == "rename" and isinstance(parent, dict):
            parent[draw(st.text(max_size=8))] = parent.pop(path[-1])
        else:
            other = draw(st.sampled_from(places))
            source = _parent(data, other)[other[-1]]
            parent[path[-1]] = copy.deepcopy(source)
    return str(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_the_seeds_are_valid(path: Path) -> None:
    assert load(path, host=HOST).strategy.version == 1


@settings(max_examples=examples(180))
@given(text=mutated_data())
def test_mutated_values(text: str) -> None:
    attempt(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=examples(180))
@given(
    text=st.sampled_from(TEXTS),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(snippets, st.text(max_size=4))),
        min_size=1,
        max_size=4,
    ),
)
def test_mutated_text(text: str, changes: list[tuple[float, int, str]]) -> None:
    for where, drop, insert in changes:
        at = int(where * len(text))
        text = text[:at] + insert + text[at + drop :]
    attempt(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=examples(60))
@given(raw=st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    attempt(raw)


@settings(max_examples=examples(180))
@given(
    st.one_of(st.text(max_size=60), st.lists(st.sampled_from(TOKENS), max_size=14).map(" ".join))
)
def test_any_expression(text: str) -> None:
    found = parsed(text)
    if isinstance(found, ExpressionError):
        assert found.message
        assert 0 <= found.offset <= max(len(text), 1)
    else:
        assert look_back(found) >= 0
        assert isinstance(is_condition(found), bool)
        assert all(str(name) for name in names_in(found))


@settings(max_examples=examples(60))
@given(
    path=st.one_of(st.text(max_size=20), st.sampled_from(PATHS)),
    value=st.one_of(st.text(max_size=12), snippets),
)
def test_any_setting(path: str, value: str) -> None:
    assert all(problem.message for problem in problems_of(VALID[0], f"{path}={value}"))


DEEP = [
    *(".".join(["a"] * n) + "=1" for n in (41, 500, 1_000, 20_000)),
    *("features." + ".".join(["a"] * n) + "=1" for n in (39, 300, 990, 3_000)),
    *("universe.symbols." + ".".join(["0"] * n) + "=1" for n in (38, 500, 3_000)),
    *("risk.sizing=" + "{a: " * n + "1" + "}" * n for n in (39, 200, 5_000)),
    *("features.x=" + "[" * n + "]" * n for n in (39, 1_000, 50_000)),
    *("signal.long_if=" + "(" * n + "close" + ")" * n for n in (39, 200, 20_000)),
    *("signal.long_if=" + "not " * n + "close > 1" for n in (39, 200, 20_000)),
    *("signal.long_if=" + " + ".join(["close"] * n) + " > 1" for n in (50, 20_000)),
    "signal.long_if=9**9**9**9 > 1", "signal.long_if=prev(close, 9**9**9) > 1",
    "universe.symbols." + "9" * 5_000 + "=x", "universe.symbols.99999999999=x", "=", "a=", "..=1",
    *(f"{key}={'9' * 5_000}{unit}" for key, unit in (
        ("seed", ""), ("account.capital", ""), ("risk.sizing.fraction", "%"), ("universe.bar", "h"),
        ("universe.start", ""), ("day_start", ":00"),
    )),
    "x=&a [*a]", "a=\udcff", "\udcff=1", "\x00=1", "a=\x00", "name=" + "x" * 100_000,
]  # fmt: skip
"""What a stranger's script could pass on the command line."""


@pytest.mark.parametrize("setting", DEEP, ids=lambda text: f"{text[:16]!a} {len(text)}")
def test_deep_and_long_settings_end_as_messages(setting: str) -> None:
    for problem in problems_of(VALID[0], setting):
        assert problem.message.strip()
        str(problem).encode()


@pytest.mark.parametrize("count", [39, 41, 500, 5_000, 50_000])
def test_deep_files_end_as_messages(count: int) -> None:
    for text in (
        "[" * count + "]" * count, "{a: " * count + "1" + "}" * count, "- " * count + "1",
        "? " * count, "&a " * count + "x", "a: &a [" + "*a," * count + "]", "--- \n" * count,
        "\n".join(" " * i + "a:" for i in range(min(count, 500))), "<<: " * count,
    ):  # fmt: skip
        attempt(text.encode())
