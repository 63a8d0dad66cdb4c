"""Whether a condition of the file was true at a decision, read again from what a run stored."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from septet._expressions import (
    And,
    Binary,
    Call,
    Compare,
    Expr,
    ExpressionError,
    Name,
    Negate,
    Not,
    Number,
    Or,
    look_back,
    names_in,
    parse_expression,
)

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["Condition", "condition_at"]

_BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume")
_SIGNS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NUMBERS: Final[Mapping[str, Callable[..., float]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": math.pow,
    "abs": abs, "min": min, "max": max, "log": math.log, "exp": math.exp, "sqrt": math.sqrt,
    "sign": lambda x: float((x > 0.0) - (x < 0.0)),
}  # fmt: skip


class _NotStoredError(LookupError):
    """A value that the tables of a run do not have."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition at a decision: its text, true, false or None for unknown, and what it read."""

    text: str
    state: bool | None
    values: Mapping[str, float]

    def words(self) -> str:
        """Return the state, the text and the values: ``false: close > mean (close 1, mean 2)``."""
        state = "unknown" if self.state is None else "true" if self.state else "false"
        read = ", ".join(
            f"{name} {value:.6g}" if math.isfinite(value) else f"{name} not known"
            for name, value in self.values.items()
        )
        return f"{state}: {self.text}" + (f" ({read})" if read else "")


def condition_at(run: Run, text: str, symbol: str, time_ns: int) -> Condition | None:
    """Evaluate a condition for a symbol at a decision time, or return None.

    None where the run did not store what the condition reads: a word of the position, a bar that
    was joined with others, the bars before the first decision.
    """
    try:
        tree = parse_expression(text)
        values = _Values(run, symbol, time_ns, look_back(tree) + 1)
        read = {str(name): values.at(name, 0) for name in names_in(tree)}
        return Condition(text, _truth(tree, values, 0), read)
    except (ExpressionError, _NotStoredError):
        return None


class _Values:
    """Columns of a symbol's last decisions, and of others at the same time."""

    def __init__(self, run: Run, symbol: str, time_ns: int, rows: int) -> None:
        self.run, self.symbol, self.time_ns, self.rows = run, symbol, time_ns, rows
        self._kept: dict[str, pl.DataFrame] = {}

    def at(self, name: Name, back: int) -> float:
        """Return a value so many bars before the decision; NaN where it was not known."""
        symbol = name.symbol or self.symbol
        if back and symbol != self.symbol:
            raise _NotStoredError(str(name))
        frame = self._frame(symbol)
        if name.name not in frame.columns or frame.height <= back:
            raise _NotStoredError(str(name))
        value = frame.item(frame.height - 1 - back, name.name)
        if value is None and name.name in _BAR_COLUMNS:
            raise _NotStoredError(str(name))
        return math.nan if value is None else float(value)

    def _frame(self, symbol: str) -> pl.DataFrame:
        import polars as pl

        if symbol not in self._kept:
            at = pl.lit(self.time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
            mine = self.run.scan("decisions").filter(pl.col("symbol").cast(pl.String) == symbol)
            known = mine.filter(pl.col("time") <= at).tail(self.rows)
            found = self.run.collected("decisions", known)
            if not found.height or int(found["time"].to_physical()[-1]) != self.time_ns:
                raise _NotStoredError(symbol)
            bars = self.run.table("bars").filter(pl.col("symbol").cast(pl.String) == symbol)
            if int(self.run.manifest.get("display", {}).get("bars_joined", {}).get(symbol, 1)) > 1:
                length = (pl.col("time") - pl.col("open_time")).dt.total_nanoseconds()
                bars = bars.filter(length <= self.run.facts.bar_ns)
            columns = [each for each in _BAR_COLUMNS if each not in found.columns]
            self._kept[symbol] = found.join(
                bars.select("time", *columns), on="time", how="left", maintain_order="left"
            )
        return self._kept[symbol]


def _number(tree: Expr, values: _Values, back: int) -> float:
    """Return the value of a number, NaN where a part of it is not known."""
    match tree:
        case Number(value=value):
            return value
        case Name():
            return values.at(tree, back)
        case Negate(operand=operand):
            return -_number(operand, values, back)
        case Call(function="prev", arguments=(inner, Number(value=bars))):
            return _number(inner, values, back + int(bars))
        case Binary(operator=sign, left=left, right=right):
            return _apply(sign, (left, right), values, back)
        case Call(function=sign, arguments=arguments):
            return _apply(sign, arguments, values, back)
    raise _NotStoredError(type(tree).__name__)


def _apply(sign: str, parts: tuple[Expr, ...], values: _Values, back: int) -> float:
    numbers = [_number(each, values, back) for each in parts]
    if any(each != each for each in numbers):
        return math.nan
    try:
        return float(_NUMBERS[sign](*numbers))
    except (ArithmeticError, ValueError):  # a logarithm of zero, a division by it
        return math.nan


def _truth(tree: Expr, values: _Values, back: int) -> bool | None:
    """Return whether a condition is true, None where it is unknown, after Kleene."""
    match tree:
        case Not(operand=operand):
            found = _truth(operand, values, back)
            return None if found is None else not found
        case And(parts=parts):
            return _all([_truth(each, values, back) for each in parts])
        case Or(parts=parts):
            opposite = [_truth(each, values, back) for each in parts]
            found = _all([None if each is None else not each for each in opposite])
            return None if found is None else not found
        case Compare(operator=sign, left=left, right=right):
            return _compare(sign, left, right, values, back)
        case Call(function="between", arguments=(inner, low, high)):
            ends = (_compare(">=", inner, low, values, back),
                    _compare("<=", inner, high, values, back))  # fmt: skip
            return _all(list(ends))
        case Call(function=name, arguments=(left, right)):
            over, under = (">", "<=") if name == "crosses_above" else ("<", ">=")
            now = _compare(over, left, right, values, back)
            return _all([now, _compare(under, left, right, values, back + 1)])
    raise _NotStoredError(type(tree).__name__)


def _compare(sign: str, left: Expr, right: Expr, values: _Values, back: int) -> bool | None:
    pair = _number(left, values, back), _number(right, values, back)
    if any(each != each for each in pair):
        return None
    return _SIGNS[sign](*pair)


def _all(parts: list[bool | None]) -> bool | None:
    if any(each is False for each in parts):
        return False
    return None if any(each is None for each in parts) else True
