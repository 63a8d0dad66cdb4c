"""Findings in data although the file lacks a key without a safe default.

The data is read twice, each time with another value for every such key. What both readings find
does not depend on these values, and is reported beside the missing key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from septet._shell.preflight import check_data
from septet.errors import ConfigError, Problem, SeptetError

__all__ = ["problems_without", "known_besides"]

_VALUES: Final = {
    "stamp": ("open", "close"),
    "known_after": ("1h", "2d"),
    "time_zone": ("UTC", "America/New_York"),
}
"""Keys of a block of `data` that only the user can set, and two values that are both plausible."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?")
LoadWith = Callable[[Sequence[str]], Any]


def known_besides(error: ConfigError, load_with: LoadWith) -> list[Problem]:
    """Return the other problems of a file's data, if only such keys are missing from the file.

    `load_with` loads the file again with settings such as ``data.candles.stamp=open``.
    """
    keys = [each.key for each in error.problems if each.severity == "error"]
    if not keys or not all(map(_has_no_default, keys)):
        return []
    reported = {_identity(each) for each in error.problems}
    return [each for each in problems_without(keys, load_with) if _identity(each) not in reported]


def problems_without(keys: Sequence[str], load_with: LoadWith) -> list[Problem]:
    """Return the problems of a backtest's data that do not depend on the values of `keys`."""
    readings = []
    for number in range(2):
        settings = [f"{key}={_VALUES[key.rpartition('.')[2]][number]}" for key in keys]
        try:
            loaded = load_with(settings)
        except SeptetError:
            return []
        if loaded.strategy.mode != "backtest":
            return []
        readings.append(check_data(loaded))
    problems_of_first, problems_of_second = (each.problems for each in readings)
    messages = {_identity(each): each.message for each in problems_of_second}
    assumed = " and ".join(f"{key}: {_VALUES[key.rpartition('.')[2]][0]}" for key in keys)
    problems = []
    for each in problems_of_first:
        message = messages.get(_identity(each))
        if message is not None and message != each.message:
            hint = "; ".join(part for part in (each.hint, f"times are those of {assumed}") if part)
            each = replace(each, hint=hint)
        problems += [each] if message is not None else []
    for key in {each.missing_key for each in readings} - {"", *keys}:
        reported = {_identity(each) for each in problems}
        further = problems_without([*keys, key], load_with)
        problems += [each for each in further if _identity(each) not in reported]
    return problems


def _has_no_default(key: str) -> bool:
    layer, _, path = key.partition(".")
    return layer == "data" and path.count(".") == 1 and path.rpartition(".")[2] in _VALUES


def _identity(problem: Problem) -> tuple[str, str, str]:
    """Return the parts of a problem that both readings share: all but the times in its message."""
    return problem.severity, problem.key, _TIME.sub("", problem.message)
