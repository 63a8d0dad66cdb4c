"""What a hint shows to be written is accepted: it is written into the file that was refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from septet._config.load import load_text
from septet.errors import ConfigError, Problem
from septet_schemas.strategy import Strategy
from tests.config.plugins import fixed_host

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
_EXAMPLE = re.compile(r"(?:^|write |e\.g\. |, or )([a-z_]+: (?:\{|\w).*)")
_GOES_ON = r" \(| (?:or|and|at|in|to|acts|needs) "
_NUMBER = re.compile(r"\d[\d.,]*")
_MISSING = re.compile(r"neither a feature nor a column|^unknown \w+ plugin|no rule ever enters")
_STANDS_FOR = re.compile(r"\.\.\.|\b(?:NAME|EXPR|KEY)\b")


def examples_of(hint: str) -> Iterator[dict[str, Any]]:
    """Yield what a hint shows as YAML: one key and its value."""
    for found in _EXAMPLE.finditer(hint):
        text = _one_value(found[1])
        rest = found[1][len(text) :]
        if _STANDS_FOR.search(text) or (found.start() == 0 and rest and rest[:4] != ", or"):
            continue
        try:
            read = yaml.safe_load(text)
        except yaml.YAMLError:
            continue
        if isinstance(read, dict):
            yield read


def _one_value(text: str) -> str:
    """Return the text up to the end of the first value."""
    depth, end = 0, len(text)
    for place, sign in enumerate(text):
        depth += (sign in "{[") - (sign in "}]")
        if depth == 0 and sign in ",;}]":
            end = place + (sign in "}]")
            break
    text = text[:end]
    return text if "{" in text else re.split(_GOES_ON, text)[0]


def written(tree: Any, key: str, example: dict[str, Any]) -> Any:
    """Return the tree of a file with what a hint about `key` shows written where it belongs."""
    name = next(iter(example))
    path = [each for each in re.split(r"[.\[\]]+", key) if each]
    if name in Strategy.model_fields and name not in path:
        parents: list[str] = []
    elif name in path:
        parents = path[: path.index(name)]
    else:
        around = [path[:count] for count in range(len(path), -1, -1)]
        blocks = [each for each in around if isinstance(_inside(tree, each), dict)]
        parents = next((each for each in blocks if name in _inside(tree, each)), blocks[0])
    block = tree
    for each in parents:
        if not isinstance(block.get(each), dict):
            block[each] = {}
        block = block[each]
    block[name] = _merged(block.get(name), example[name])
    return tree


def _inside(tree: Any, path: list[str]) -> Any:
    for each in path:
        tree = tree.get(each) if isinstance(tree, dict) else None
    return tree


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)) or "use" in new:
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def problems_of(text: str, name: str) -> list[Problem]:
    try:
        loaded = load_text(text, Path(name), base_dir=HERE / "broken", host=fixed_host())
    except ConfigError as error:
        return list(error.problems)
    return list(loaded.warnings)


def _said(problem: Problem) -> str:
    return f"{problem.key}: {_NUMBER.sub('#', problem.message)}"


def _is_in(key: str, block: str) -> bool:
    return f"{key}.".startswith(f"{block}.")


@cache
def tried() -> tuple[tuple[str, tuple[str, ...], Problem, str], ...]:
    """Every example: the file, all that is wrong in it, one of these, and the file with it."""
    found = []
    for path in BROKEN:
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            if not isinstance(yaml.safe_load(text), dict):
                continue
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        problems = problems_of(text, path.name)
        before = tuple(_said(each) for each in problems)
        for problem in problems:
            for example in examples_of(problem.hint):
                tree = written(yaml.safe_load(text), problem.key, example)
                found.append((path.stem, before, problem, yaml.safe_dump(tree, sort_keys=False)))
    return tuple(found)


def test_what_hints_show_is_accepted() -> None:
    assert len(tried()) >= 30
    refused = []
    for name, before, problem, text in tried():
        after = problems_of(text, f"{name}.yaml")
        new = [each for each in after if _said(each) not in before]
        # what a whole strategy needs beside the example is another matter
        inside = [e for e in new if e.severity == "error" and _is_in(e.key, problem.key)]
        left = [_said(each) for each in inside if not _MISSING.search(each.message)]
        if left or _said(problem) in map(_said, after):
            refused.append(f"{name}: {problem}\nleft: {left}\n{text}")
    assert not refused, "\n\n".join(refused)
