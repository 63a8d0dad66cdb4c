"""Bounds of integers from which a step computes an index: absolute, or relative to the cursor.

Arithmetic of intervals. A number without a proved bound is unbounded, so that no proof assumes more
than is known; numbers near the limits of int64 count as unbounded, since they wrap around.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import structs

__all__ = ["AGE", "ANY", "CURSOR", "UNKNOWN", "Value", "exactly", "join", "largest", "smallest"]

LARGEST: Final = 2.0**53
_INF: Final = math.inf


class Value(msgspec.Struct, frozen=True):
    """A number between `low` and `high`; with `cursor`, the cursor plus such a number.

    `age` (infinite where nothing is known) bounds it by the age of the history: a plain number is
    at most the age plus `age`, one beside the cursor at least the history's first bar less `age`.
    `real` marks what may have a fraction, or be NaN.
    """

    low: float = -_INF
    high: float = _INF
    cursor: bool = False
    age: float = _INF
    real: bool = False

    @property
    def bounded(self) -> bool:
        """Whether both ends are known."""
        return self.low > -_INF and self.high < _INF

    def plus(self, other: Value) -> Value:
        """Return the bounds of a sum."""
        if self.cursor and other.cursor:
            return UNKNOWN
        age = min(self.age + other.high, other.age + self.high)
        if self.cursor != other.cursor:
            near_cursor, number = (self, other) if self.cursor else (other, self)
            age = near_cursor.age - number.low
        cursor, real = self.cursor or other.cursor, self.real or other.real
        return _bounds_of(self.low + other.low, self.high + other.high, cursor, age, real)

    def minus(self, other: Value) -> Value:
        """Return the bounds of a difference."""
        real = self.real or other.real
        low, high = self.low - other.high, self.high - other.low
        if other.cursor:
            return _bounds_of(low, high, False, _INF, real) if self.cursor else UNKNOWN
        if not self.cursor:
            return _bounds_of(low, high, False, self.age - other.low, real)
        age = min(other.age - self.low, self.age + other.high)
        return _bounds_of(low, high, True, age, real)

    def times(self, other: Value) -> Value:
        """Return the bounds of a product of plain numbers."""
        return self._corners(other, lambda a, b: a * b, self.real or other.real)

    def over(self, other: Value) -> Value:
        """Return the bounds of a quotient by what is above zero."""
        return self._corners(other, lambda a, b: a / b, True) if other.low > 0.0 else ANY

    def floored(self, other: Value) -> Value:
        """Return the bounds of a floored quotient by what is at least one."""
        real = self.real or other.real
        return self._corners(other, lambda a, b: a // b, real) if other.low >= 1.0 else ANY

    def modulo(self, other: Value) -> Value:
        """Return the bounds of a remainder by whole numbers above zero."""
        if self.real or other.real or self.cursor or other.cursor or other.low < 1.0:
            return ANY
        if self.low == self.high and other.low == other.high and self.bounded and other.bounded:
            return exactly(int(self.low) % int(other.low))
        return _bounds_of(0.0, other.high - 1.0, False, _INF, False)

    def _corners(self, other: Value, operate: Callable[[float, float], float], real: bool) -> Value:
        if self.cursor or other.cursor or not (self.bounded and other.bounded):
            return ANY
        ends = [operate(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return _bounds_of(min(ends), max(ends), False, _INF, real)

    def negated(self) -> Value:
        """Return the bounds of the negative."""
        return exactly(0).minus(self)

    def absolute(self) -> Value:
        """Return the bounds without a sign."""
        if self.cursor:
            return ANY
        far = max(abs(self.low), abs(self.high))
        near = 0.0 if self.low <= 0.0 <= self.high else min(abs(self.low), abs(self.high))
        return _bounds_of(near, far, False, _INF, self.real)

    def whole(self) -> Value:
        """Return the bounds once made a whole number; an unbounded one may be any."""
        if not self.real:
            return self
        if not self.bounded:
            return Value()
        return _bounds_of(math.floor(self.low), math.ceil(self.high), self.cursor, _INF, False)

    def root(self) -> Value:
        """Return the bounds of a square root."""
        if self.cursor or self.low < 0.0 or not self.bounded:
            return ANY
        return _bounds_of(math.sqrt(self.low), math.sqrt(self.high), False, _INF, True)

    def at_most(self, other: Value, less: int) -> Value:
        """Narrow by being `less` (0 or 1) below another number, where that was found true."""
        bounds = self._near_cursor_of(other)
        if bounds.cursor != other.cursor:
            return self
        step = less if not self.real and not other.real else 0
        high = min(bounds.high, other.high - step)
        age = bounds.age if bounds.cursor else min(bounds.age, other.age - step)
        return structs.replace(bounds, high=high, age=age)

    def at_least(self, other: Value, more: int) -> Value:
        """Narrow by being `more` (0 or 1) above another number, where that was found true."""
        bounds = self._near_cursor_of(other)
        if bounds.cursor != other.cursor:
            return self
        step = more if not self.real and not other.real else 0
        age = min(bounds.age, other.age - step) if bounds.cursor else bounds.age
        return structs.replace(bounds, low=max(bounds.low, other.low + step), age=age)

    def _near_cursor_of(self, other: Value) -> Value:
        """Take a number of which nothing is known to lie beside the cursor, if the other does."""
        is_unbounded = self in (ANY, UNKNOWN) and other.cursor
        return structs.replace(self, cursor=True) if is_unbounded else self


ANY: Final = Value(real=True)
UNKNOWN: Final = Value()
CURSOR: Final = Value(0.0, 0.0, cursor=True)
AGE: Final = Value(0.0, 2.0**50, age=0.0)
"""The age of the history: bars since it began."""


def _bounds_of(low: float, high: float, cursor: bool, age: float, real: bool) -> Value:
    """Return bounds; arithmetic on what is not bounded on both sides may wrap around."""
    if not (abs(low) < LARGEST and abs(high) < LARGEST):
        return ANY if real else UNKNOWN
    return Value(low, high, cursor, age if abs(age) < LARGEST else _INF, real)


def exactly(number: float) -> Value:
    """Return the bounds of a number that is known."""
    return _bounds_of(number, number, False, _INF, not isinstance(number, int))


def join(values: Iterable[Value]) -> Value:
    """Return bounds that hold for each of some values."""
    bounds = list(values)
    if len({each.cursor for each in bounds}) != 1:
        return ANY
    return Value(
        min(each.low for each in bounds), max(each.high for each in bounds), bounds[0].cursor,
        max(each.age for each in bounds), any(each.real for each in bounds),
    )  # fmt: skip


def smallest(values: Iterable[Value]) -> Value:
    """Return the bounds of the smallest of some values."""
    bounds = list(values)
    if len({each.cursor for each in bounds}) != 1:
        return ANY
    real = any(each.real for each in bounds)
    certain = [each for each in bounds if not each.real] or [ANY]
    # what may be NaN gives no bound; the others bound the smallest from above
    high = min(each.high for each in certain)
    age = max(each.age for each in bounds) if bounds[0].cursor else min(each.age for each in bounds)
    return Value(min(each.low for each in bounds), high, bounds[0].cursor, age, real)


def largest(values: Iterable[Value]) -> Value:
    """Return the bounds of the largest of some values."""
    bounds = list(values)
    if len({each.cursor for each in bounds}) != 1 or any(each.real for each in bounds):
        return ANY
    pick = min if bounds[0].cursor else max
    return Value(
        max(each.low for each in bounds), max(each.high for each in bounds), bounds[0].cursor,
        pick(each.age for each in bounds), False,
    )  # fmt: skip
