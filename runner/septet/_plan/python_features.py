"""Features without a compiled form: plain Python, called by the compiled text for their column.

The text hands over a stretch of bars and the addresses of its arrays; the step is called for each
bar and writes its column. So it makes its own column slow, and nothing else. The address of what
is called stands in an array (H): the compiled text knows no process.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from septet._host.guarded_arrays import GuardedColumn, GuardedState, Watch
from septet._host.step_arrays import detached, read_only_of
from septet._kernel.layout import AGE

__all__ = ["PythonFeatures", "SlowColumn", "called_at"]

_WORDS: Final = 22  # number, k, i0, first, stop; address and lengths of M, X, F, S and P
_KIND: Final = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * _WORDS)
_CALLED: dict[int, PythonFeatures] = {}


class SlowColumn(msgspec.Struct, frozen=True):
    """One uncompiled feature: its function, what it is given, and where its values go.

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
        """Names of what the step is given, in their order."""
        return tuple(inspect.signature(self.function).parameters)


class PythonFeatures:
    """What a plan calls for its uncompiled features; `error` is what one of them raised."""

    def __init__(self, columns: Sequence[SlowColumn]) -> None:
        self.columns = tuple(columns)
        self.error: BaseException | None = None
        self._callback = _KIND(self._by_address)
        self.address = int(ctypes.cast(self._callback, ctypes.c_void_p).value or 0)
        _CALLED[self.address] = self  # it must live as long as any text may call it

    def _by_address(self, *words: int) -> int:
        """Take what compiled text hands over; nothing may be raised into it."""
        if self.error is not None:
            return 1
        try:
            number, k, i0, first, stop = words[:5]
            m, x, f, s, p = words[5:9], words[9:13], words[13:17], words[17:20], words[20:22]
            column = self.columns[number]

            def row(array: tuple[int, ...], place: int) -> Any:
                at = array[0] + (k * array[2] + place) * array[3] * 8
                return _view(ctypes.c_double, at, stop)

            ages = _view(ctypes.c_int64, m[0] + (k * m[2] + AGE) * m[3] * 8, stop)
            low, high = column.state
            state = _view(ctypes.c_double, s[0] + (k * s[2] + low) * 8, high - low)
            numbers = _view(ctypes.c_double, p[0], p[1])
            rows = {"x": lambda place: row(x, place), "f": lambda place: row(f, place)}
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
    """Return what stands at an address of this process."""
    return _CALLED[address]


def _view(kind: Any, address: int, count: int) -> Any:
    """Return an array of so many numbers at an address; only what is read is touched."""
    return np.ctypeslib.as_array((kind * max(count, 0)).from_address(address))


def _advance(
    column: SlowColumn, span: tuple[int, int, int], ages: Any, state: Any, numbers: Any, rows: Any
) -> None:
    """Call a step for every bar of a stretch whose history is unbroken."""
    i0, first, stop = span
    if len(state) and ages[i0] == 0 and not column.keeps_state:
        state[:] = 0.0
    given: list[Any] = []
    moving: list[tuple[int, bool]] = []
    name = column.function.__name__
    watch = Watch(name, 0, column.reach) if column.reach is not None else None
    for place, (word, number) in enumerate(column.arguments):
        if word in ("x", "f"):
            sealed = read_only_of(rows[word](number))
            parameter = column.parameters[place]
            given.append(sealed if watch is None else GuardedColumn(parameter, sealed, watch))
        elif word == "state":
            own = detached(state)
            given.append(own if watch is None else GuardedState(name, own))
        elif word in ("i", "age"):
            moving.append((place, word == "age"))
            given.append(0)
        elif word == "bar_ns":
            given.append(number)
        else:
            given.append(int(numbers[number]) if word == "whole" else numbers[number])
    outs = [rows["f"](row) for row in column.rows]
    with np.errstate(all="ignore"):
        for i in range(first, stop):
            if watch is not None:
                watch.cursor, watch.first = i, max(0, i - int(ages[i]))
            for place, is_age in moving:
                given[place] = ages[i] if is_age else i
            result = column.function(*given)
            if watch is not None:
                watch.insist()
            values = result if len(outs) > 1 else (result,)
            for out, value in zip(outs, values, strict=True):
                out[i] = value
