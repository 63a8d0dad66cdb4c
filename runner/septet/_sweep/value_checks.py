"""Checks every value of every key once by the check of the whole file.

Combinations are then trusted: a check that needs two swept keys at once is a failed row of the
table, not an error of the sweep. Of a key that is drawn both ends are checked, and some values
between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from septet._config.load import Loaded, variant
from septet._config.overlay import Setting as FileSetting
from septet._sweep.space import Axis, Space, Value
from septet.errors import ConfigError, Problem

__all__ = ["Visit", "check_values", "looked_at"]

_CHECKED_VALUES: Final = 14
_SHOWN_PROBLEMS: Final = 3

Visit = Callable[[int, int, Loaded], None]
"""Called for each checked value: axis, index of the value (-1 for an end of a draw), file."""


def looked_at(axis: Axis) -> Iterator[tuple[int, Value]]:
    """Yield the values that are checked one by one, with their indices."""
    if not axis.drawn:
        yield from enumerate(axis.values)
        return
    yield from ((-1, each) for each in axis.ends)
    order = sorted(range(len(axis.values)), key=lambda place: axis.values[place].number)
    count = min(_CHECKED_VALUES, len(order))
    chosen = {order[k * (len(order) - 1) // max(1, count - 1)] for k in range(count)}
    yield from ((place, axis.values[place]) for place in sorted(chosen))


def check_values(loaded: Loaded, space: Space, visit: Visit | None = None) -> None:
    """Check each value with everything else as in the file.

    Raises
    ------
    ConfigError
        With the errors of the values, each at the place where it was written.
    """
    from septet.testing.other_process import keep_processes

    problems: list[Problem] = []
    with keep_processes():
        for number, axis in enumerate(space.axes):
            problems += _check_axis(loaded, number, axis, visit)
    if problems:
        raise ConfigError(problems)


def _check_axis(loaded: Loaded, number: int, axis: Axis, visit: Visit | None) -> list[Problem]:
    wrong: list[Problem] = []
    refused = 0
    for place, value in looked_at(axis):
        try:
            changed = variant(loaded, [FileSetting(axis.path, value.node)])
        except ConfigError as error:
            refused += 1
            wrong += [_with_value(each, axis, value) for each in error.problems]
            continue
        if visit is not None:
            visit(number, place, changed)
    return _some(wrong, refused)


def _with_value(problem: Problem, axis: Axis, value: Value) -> Problem:
    """Add the value and its place to a problem that names another key."""
    if problem.key == axis.key and problem.found:
        return problem
    mark = value.node.mark
    message = f"{problem.message} (with {axis.key} = {value.text})"
    return replace(problem, message=message, file=mark.source, line=mark.line, column=mark.column)


def _some(wrong: list[Problem], refused: int) -> list[Problem]:
    """Format the first few values of an axis, and the number of other rejected values."""
    once = list(dict.fromkeys(wrong))
    if len(once) <= _SHOWN_PROBLEMS:
        return once
    last = once[_SHOWN_PROBLEMS - 1]
    more = f"{refused} values of this key are refused in all"
    hint = f"{last.hint}; {more}" if last.hint else more
    return [*once[: _SHOWN_PROBLEMS - 1], replace(last, hint=hint)]
