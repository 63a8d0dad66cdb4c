"""Rows of decisions of both runs in a common form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet import messages as m

__all__ = [
    "Row", "differing", "is_same", "row_of", "rows_of_frame", "rows_of_table", "distinct_texts",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """The decision for a symbol at a time, after lots and limits."""

    signal: str
    granted: float
    rejected_by: str

    def text(self, size: str) -> str:
        """Return the row as a short text, with its formatted size."""
        size = f" {size}" if self.granted else ""
        return f"{self.signal}{size}" + (
            f" rejected by {self.rejected_by}" * bool(self.rejected_by)
        )


def is_same(first: float, second: float) -> bool:
    """Whether two values are equal, or both are NaN."""
    return first == second or (first != first and second != second)


def distinct_texts(first: float, second: float, digits: int = 8) -> tuple[str, str]:
    """Format two values, with more digits if their texts would be equal."""
    for precision in (digits, 12, 17):
        texts = f"{first:.{precision}g}", f"{second:.{precision}g}"
        if texts[0] != texts[1]:
            return texts
    return f"{first:.{digits}g}", f"{second:.{digits}g}"


def row_of(each: m.Decided) -> Row:
    """Return a decision of the live core as a row."""
    return Row(each.signal, each.granted, each.rejected_by)


def rows_of_table(
    table: Any, symbols: Sequence[str], until_ns: int | None = None
) -> dict[tuple[int, int], Row]:
    """Return the rows of a decision table in memory: columns by name."""
    columns = ("symbol", "signal", "granted", "rejected_by")
    times = np.asarray(table["time"]).tolist()
    values = [_plain(table[name]) for name in columns]
    numbers = {name: k for k, name in enumerate(symbols)}
    return {
        (time_ns, numbers[symbol]): Row(signal, granted, rejected_by)
        for time_ns, symbol, signal, granted, rejected_by in zip(times, *values, strict=True)
        if until_ns is None or time_ns <= until_ns
    }


def rows_of_frame(frame: Any, symbols: Sequence[str]) -> dict[tuple[int, int], Row]:
    """Return the rows of a stored decision table."""
    import polars as pl

    table = {name: frame[name] for name in frame.columns}
    return rows_of_table({**table, "time": frame["time"].cast(pl.Int64)}, symbols)


def _plain(column: Any) -> list[Any]:
    values: list[Any] = column.to_list() if hasattr(column, "to_list") else list(column)
    return values


def differing(
    before: Mapping[tuple[int, int], Row], after: Mapping[tuple[int, int], Row]
) -> list[tuple[int, int, Row, Row]]:
    """Return the rows that differ: time, symbol, and the row of each run."""
    return [(*key, before[key], row) for key, row in after.items() if before.get(key, row) != row]
