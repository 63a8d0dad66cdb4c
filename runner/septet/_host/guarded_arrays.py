"""Arrays that check each read of a step: none after the cursor, none before the history.

The kit tries steps with them, and a step whose reads are not proved to be of the past runs on them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from septet._host.declare import Step
from septet._host.plugin_calls import words_of

__all__ = [
    "OURS", "GuardedColumn", "GuardedState", "StepError", "Watch", "located", "require_outputs",
    "watched",
]  # fmt: skip

OURS: Final = str(Path(__file__).resolve().parents[1])


class StepError(AssertionError):
    """A step read or wrote what it must not."""


def located(error: BaseException) -> StepError:
    """Return what a plain step raised with the line of its file where it did."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [each for each in frames if not each.filename.startswith(OURS)]
    place = f"{outside[-1].filename}:{outside[-1].lineno}: " if outside else ""
    kind = "" if isinstance(error, StepError) else f"{type(error).__name__}: "
    return StepError(f"{place}{kind}{words_of(error)}")


def require_outputs(step: str, result: Any, count: int) -> None:
    """Require as many numbers as a step declares.

    Raises
    ------
    StepError
        With what it gave instead.
    """
    values = result if isinstance(result, tuple) else (result,)
    if len(values) != count:
        raise StepError(
            f"{step} returns {len(values)} value{'s' * (len(values) != 1)} and declares {count}"
        )
    for value in values:
        if not isinstance(value, int | float | np.integer | np.floating | np.bool_):
            raise StepError(f"{step} returns {value!r:.60}; expected a number")


class Watch(msgspec.Struct):
    """The cursor, the start of the history, and how far back a step may read.

    `fault` is the first refusal: a step that catches it goes on, and its run does not.
    """

    step: str
    first: int
    reach: int
    cursor: int = 0
    reads: int = 0
    fault: StepError | None = None

    def refuse(self, message: str) -> StepError:
        """Return what to raise for a read that may not be; remember the first."""
        error = StepError(message)
        self.fault = self.fault or error
        return error

    def raise_fault(self) -> None:
        """Raise again what the step was refused and caught, with the line at which it was."""
        if self.fault is not None:
            raise self.fault


class GuardedColumn:
    """A read-only input whose every index is checked."""

    def __init__(self, name: str, values: npt.NDArray[Any], watch: Watch) -> None:
        self._name = name
        self._values = values
        self._watch = watch

    def __getitem__(self, index: Any) -> Any:
        watch = self._watch
        watch.reads += 1
        if isinstance(index, slice) or not isinstance(index, int | np.integer):
            shown = "a slice" if isinstance(index, slice) else repr(index)
            raise watch.refuse(
                f"{watch.step} indexes {self._name} with {shown}; expected one whole number, as in "
                f"{self._name}[i - 1]"
            )
        bars_back = watch.cursor - index
        read = (
            f"{watch.step} reads {self._name}[i {'-' if bars_back >= 0 else '+'} {abs(bars_back)}]"
        )
        if bars_back < 0:
            raise watch.refuse(f"{read}: the future; a step reads i and what is before it")
        if index < watch.first:
            raise watch.refuse(
                f"{read} at bar {watch.cursor - watch.first} of the history, before its first; "
                f"declare a larger lookback; an index that does not move with i "
                f"({self._name}[0], a bar kept in the state) is never in it: index relative to i"
            )
        if bars_back > watch.reach:
            raise watch.refuse(
                f"{read}, farther than the {watch.reach} bars it declares; "
                "declare a larger lookback or memory, or, where the index does not move with i, "
                "index relative to i"
            )
        return self._values[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        raise self._watch.refuse(f"{self._watch.step} writes to its input {self._name}")

    def __len__(self) -> int:
        raise self._watch.refuse(
            f"{self._watch.step} asks how long {self._name} is; the window slides"
        )

    def __iter__(self) -> Any:
        raise self._watch.refuse(
            f"{self._watch.step} iterates over {self._name}, which is the whole window; read one "
            f"value at a time, as in {self._name}[i - 1]"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # how Python and NumPy ask what an object is
            raise AttributeError(name)
        raise self._watch.refuse(
            f"{self._watch.step} asks for {self._name}.{name}; of a column one value at a time is "
            f"read, as in {self._name}[i - 1]"
        )


class GuardedState:
    """Slots of a step, each index checked; negative ones would wrap in compiled code."""

    def __init__(self, step: str, values: npt.NDArray[np.float64]) -> None:
        self._step = step
        self._values = values

    def _check(self, index: Any) -> None:
        if not isinstance(index, int | np.integer) or not 0 <= index < len(self._values):
            raise StepError(
                f"{self._step} uses state[{index!r}]; it declares {len(self._values)} slots"
            )

    def __getitem__(self, index: Any) -> Any:
        self._check(index)
        return self._values[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check(index)
        self._values[index] = value


FAR: Final = 1 << 60


def watched(step: Step) -> Callable[..., Any]:
    """Return a plain step that reads no column after its cursor, and none before index 0."""
    function = step.function
    assert function is not None
    names = step.parameters
    cursor = names.index("i") if "i" in names else None
    unguarded = {"state", "tables"}

    @wraps(function)
    def called(*arguments: Any) -> Any:
        if cursor is None:
            return function(*arguments)
        watch = Watch(function.__name__, 0, FAR, int(arguments[cursor]))
        result = function(
            *(
                GuardedColumn(name, each, watch)
                if isinstance(each, np.ndarray) and name not in unguarded
                else each
                for name, each in zip(names, arguments, strict=True)
            )
        )
        watch.raise_fault()
        return result

    return called
