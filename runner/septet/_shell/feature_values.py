"""Feature values of the last bars of a session, and the rules of the signal over these bars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._config.expressions import (
    And,
    Binary,
    Call,
    Compare,
    Expr,
    Name,
    Negate,
    Not,
    Number,
    Or,
)  # fmt: skip
from septet._core.batch import Batch
from septet._data.bars import Floats
from septet._kernel import layout
from septet._plan.graph import Column
from septet._shell.plain_first import PLAIN_BARS, plain_bars
from septet._shell.session import Session
from septet._shell.tape import Tape, column_values

__all__ = ["FeatureValues", "last_values"]

LEAST_BARS: Final = 100
"""Bars of which something is said; fewer may be an accident."""


@dataclass(frozen=True)
class FeatureValues:
    """Features of the bars from row `begin` of each symbol on; `complete`: of all of them."""

    session: Session
    tape: Tape
    F: Floats
    begin: tuple[int, ...]
    complete: bool

    def ready(self, bars: int) -> npt.NDArray[np.bool_]:
        """Return which bars have at least `bars` bars of history before them, symbol by symbol."""
        return np.concatenate(
            [self.tape.M[k, layout.AGE, :n] >= bars for k, n in enumerate(self.tape.lengths)]
        )

    def column(self, name: str, k: int) -> Floats:
        """Return a column of symbol `k` as a rule reads it.

        Raises
        ------
        SeptetError
            If there is no such column.
        """
        plan = self.session.plan
        column: Column = plan.assembly.graph.column(name)
        n = self.tape.lengths[k]
        if column.kind == "node":
            row = int(plan.assembly.rows.f[column.node, column.output])
            return np.asarray(self.F[k, row, :n])
        market, begin = self.session.market, self.begin[k]
        text = f"series:{column.name}" if column.kind == "series" else str(column)
        table = market.bars[market.symbols[k]]
        return np.asarray(column_values(text, table, market)[begin : begin + n], np.float64)

    def feature(self, name: str) -> Floats:
        """Return a feature's values of all symbols, one symbol after the other."""
        return np.concatenate([self.column(name, k) for k in range(len(self.tape.lengths))])

    def rule(self, expression: Expr) -> Floats:
        """Return a rule on every bar: 1 true, 0 false, NaN unknown."""
        with np.errstate(all="ignore"):
            return np.concatenate(
                [
                    np.broadcast_to(_Evaluation(self, k).value(expression), (n,))
                    for k, n in enumerate(self.tape.lengths)
                ]
            )


def last_values(session: Session) -> FeatureValues | None:
    """Compute the features of the last bars, as though history began with the first of them.

    At most `PLAIN_BARS` bars of all symbols together, as `plain_bars` counts them: about three
    seconds of plain Python. None where warm-up leaves too few of them.
    """
    tape, work = session.tape, plain_bars(session)
    times = tape.times if work <= PLAIN_BARS else tape.times * PLAIN_BARS // work
    cut, begin = _last_of(tape, tape.times - times)
    ages = cut.M[:, layout.AGE]
    if int((ages >= session.plan.warmup_bars).sum()) < LEAST_BARS:
        return None
    if not session.plan.is_stored:
        session.plan.run_plain()
    batch = Batch(session.plan, cut, session.plan.state(1.0, session.instruments))
    with np.errstate(all="ignore"):
        batch.observe(0, cut.times)
    return FeatureValues(session, cut, batch.F, begin, times == tape.times)


def _last_of(tape: Tape, first: int) -> tuple[Tape, tuple[int, ...]]:
    """Return the tape from time `first` on, and the row at which each symbol begins in it."""
    if not first:
        return tape, (0,) * len(tape.lengths)
    T = np.ascontiguousarray(tape.T[:, first:])
    begin, lengths = [], []
    for k, length in enumerate(tape.lengths):
        rows = T[layout.ROW + k]
        known = rows[rows >= 0]
        begin.append(int(known[0]) if len(known) else length)
        lengths.append(length - begin[-1])
        rows[rows >= 0] -= begin[-1]
    width = max(lengths)
    M = np.zeros((len(begin), tape.M.shape[1], width), np.int64)
    X = np.full((len(begin), tape.X.shape[1], width), np.nan)
    for k, (row, n) in enumerate(zip(begin, lengths, strict=True)):
        M[k, :, :n] = tape.M[k, :, row : row + n]
        X[k, :, :n] = tape.X[k, :, row : row + n]
        M[k, layout.AGE, :n] = np.minimum(M[k, layout.AGE, :n], np.arange(n))
    U = tape.U[:, first:] if tape.U.shape[1] == tape.times else tape.U
    return Tape(T, M, X, tuple(lengths), np.ascontiguousarray(U)), tuple(begin)


class _Evaluation:
    """An expression over all bars of a symbol at once, as the plan computes it bar by bar."""

    def __init__(self, values: FeatureValues, k: int) -> None:
        self._values, self._k = values, k

    def value(self, part: Expr) -> Any:
        match part:
            case Number(value=value):
                return np.float64(value)
            case Name():
                return self._values.column(str(part), self._k)
            case Negate(operand=operand):
                return -self.value(operand)
            case Not(operand=operand):
                return 1.0 - self.value(operand)
            case Binary(operator=operator, left=left, right=right):
                return _ARITHMETIC[operator](self.value(left), self.value(right))
            case Compare(operator=operator, left=left, right=right):
                return _compare(operator, self.value(left), self.value(right))
            case And(parts=parts):
                return reduce(_both, map(self.value, parts))
            case Or(parts=parts):
                return 1.0 - reduce(_both, (1.0 - self.value(each) for each in parts))
            case Call():
                return self._call(part)

    def _call(self, part: Call) -> Any:
        name = part.function
        if name == "prev":
            bars = part.arguments[1]
            assert isinstance(bars, Number)
            return self._shifted(self.value(part.arguments[0]), int(bars.value))
        given = [self.value(each) for each in part.arguments]
        if name.startswith("crosses_"):
            left, right = given
            now, before = (">", "<=") if name == "crosses_above" else ("<", ">=")
            earlier = _compare(before, self._shifted(left, 1), self._shifted(right, 1))
            crossed = np.where(_compare(now, left, right) + earlier == 2.0, 1.0, 0.0)
            return np.where(np.isnan(left + right + earlier), np.nan, crossed)
        if name == "between":
            x, low, high = given
            inside = ((low <= x) & (x <= high)).astype(float)
            return np.where(np.isnan(x) | np.isnan(low) | np.isnan(high), np.nan, inside)
        if name in ("min", "max"):
            return reduce(np.minimum if name == "min" else np.maximum, given)
        return getattr(np, name)(*given)  # abs, exp, log, sign, sqrt

    def _shifted(self, values: Any, bars: int) -> Any:
        if not np.ndim(values) or not bars:
            return values
        moved = np.full(len(values), np.nan)
        moved[bars:] = values[:-bars]
        return moved


_ARITHMETIC: Final[dict[str, Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power,
}  # fmt: skip
_COMPARISONS: Final[dict[str, Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    "==": np.equal, "!=": np.not_equal,
}  # fmt: skip


def _compare(operator: str, left: Any, right: Any) -> Any:
    unknown = np.isnan(left) | np.isnan(right)
    return np.where(unknown, np.nan, _COMPARISONS[operator](left, right))


def _both(left: Any, right: Any) -> Any:
    false = (left == 0.0) | (right == 0.0)
    return np.where(false, 0.0, np.where((left == 1.0) & (right == 1.0), 1.0, np.nan))
