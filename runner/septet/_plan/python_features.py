"""Calls features without a compiled form, as plain Python, from compiled text.

The text passes a stretch of bars and the addresses of its arrays; the step is called for each bar
and writes its column. So only its own column is slow. The address of the called function is in an
array (H), so that the compiled text is independent of the process.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec
import numpy as np

from septet._host.guarded_arrays import GuardedColumn, GuardedState, Watch
from septet._host.step_arrays import detached, read_only_of
from septet._kernel.layout import AGE

__all__ = ["PythonFeatures", "SlowColumn", "called_at"]

_WORDS: Final = 22  # number, k, i0, first, stop; address and lengths of M, X, F, S and P
_KIND: Final = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * _WORDS)
_CALLED: WeakValueDictionary[int, PythonFeatures] = WeakValueDictionary()


class SlowColumn(msgspec.Struct, frozen=True):
    """One uncompiled feature: its function, its arguments, and the rows of its values.

    An argument is a word and a number: ``i``, ``age``, ``bar_ns`` (the length), ``state``, ``x``
    or ``f`` (a row of X or F), ``p`` or ``whole`` (a parameter of the plan). With a `reach`, each
    read is watched: nothing behind the cursor, and at most so many bars before it.
    """

    function: Callable[..., Any]
    arguments: tuple[tuple[str, int], ...]
    rows: tuple[int, ...]
    state: tuple[int, int]
    reach: int | None = None
    keeps_state: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arguments of the step, in order."""
        return tuple(inspect.signature(self.function).parameters)


class PythonFeatures:
    """The callback of a plan for its uncompiled features; `error` is what one of them raised."""

    def __init__(self, columns: Sequence[SlowColumn]) -> None:
        self.columns = tuple(columns)
        self.error: BaseException | None = None
        self._callback = _KIND(self._by_address)
        self.address = int(ctypes.cast(self._callback, ctypes.c_void_p).value or 0)
        _CALLED[self.address] = self  # whoever calls a text holds it: `NamedEntries`

    def _by_address(self, *integers: int) -> int:
        """Run a feature for compiled text; no exception may be raised into it."""
        if self.error is not None:
            return 1
        try:
            number, k, i0, first, stop = integers[:5]
            bars_at, columns_at, features_at, state_at, parameters_at = (
                integers[5:9],
                integers[9:13],
                integers[13:17],
                integers[17:20],
                integers[20:22],
            )
            column = self.columns[number]

            def row(array: tuple[int, ...], number: int) -> Any:
                at = array[0] + (k * array[2] + number) * array[3] * 8
                return _view(ctypes.c_double, at, stop)

            ages = _view(ctypes.c_int64, bars_at[0] + (k * bars_at[2] + AGE) * bars_at[3] * 8, stop)
            low, high = column.state
            state = _view(ctypes.c_double, state_at[0] + (k * state_at[2] + low) * 8, high - low)
            numbers = _view(ctypes.c_double, parameters_at[0], parameters_at[1])
            rows = {
                "x": lambda place: row(columns_at, place),
                "f": lambda place: row(features_at, place),
            }
            _advance(column, (i0, first, stop), ages, state, numbers, rows)
        except BaseException as error:  # kept here, and raised once the compiled text returns
            self.error = error
            return 1
        return 0

    def by_arrays(self, number: int, k: int, span: tuple[int, int, int], *arrays: Any) -> int:
        """Do the same for uncompiled text, which has M, X, F, S and P themselves."""
        meta, bars, features, slots, numbers = arrays
        column = self.columns[number]
        low, high = column.state
        rows = {"x": lambda place: bars[k, place], "f": lambda place: features[k, place]}
        _advance(column, span, meta[k, AGE], slots[k, low:high], numbers, rows)
        return 0


def called_at(address: int) -> PythonFeatures:
    """Return the object at an address of this process."""
    return _CALLED[address]


def _view(kind: Any, address: int, count: int) -> Any:
    """Return an array of so many numbers at an address, without a copy."""
    return np.ctypeslib.as_array((kind * max(count, 0)).from_address(address))


def _advance(
    column: SlowColumn, span: tuple[int, int, int], ages: Any, state: Any, numbers: Any, rows: Any
) -> None:
    """Call a step for every bar of a stretch whose history is unbroken."""
    i0, first, stop = span
    if len(state) and ages[i0] == 0 and not column.keeps_state:
        state[:] = 0.0
    arguments: list[Any] = []
    moving: list[tuple[int, bool]] = []
    name = column.function.__name__
    watch = Watch(name, 0, column.reach) if column.reach is not None else None
    for position, (word, number) in enumerate(column.arguments):
        if word in ("x", "f"):
            sealed = read_only_of(rows[word](number))
            parameter = column.parameters[position]
            arguments.append(sealed if watch is None else GuardedColumn(parameter, sealed, watch))
        elif word == "state":
            own_state = detached(state)
            arguments.append(own_state if watch is None else GuardedState(name, own_state))
        elif word in ("i", "age"):
            moving.append((position, word == "age"))
            arguments.append(0)
        elif word == "bar_ns":
            arguments.append(number)
        else:
            arguments.append(int(numbers[number]) if word == "whole" else numbers[number])
    outs = [rows["f"](row) for row in column.rows]
    with np.errstate(all="ignore"):
        for i in range(first, stop):
            if watch is not None:
                watch.cursor, watch.first = i, max(0, i - int(ages[i]))
            for position, is_age in moving:
                arguments[position] = ages[i] if is_age else i
            result = column.function(*arguments)
            if watch is not None:
                watch.raise_fault()
            values = result if len(outs) > 1 else (result,)
            for out, value in zip(outs, values, strict=True):
                out[i] = value
