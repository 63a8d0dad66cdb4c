"""Groups the rows of a table by symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Ints

__all__ = ["rows_by_symbol"]


def rows_by_symbol(frame: pl.DataFrame) -> dict[str, Ints]:
    """Give the numbers of the rows of each symbol, rising; symbols in the order they come first."""
    import polars as pl

    column = frame.select(pl.col("symbol").cast(pl.String)).with_row_index("row")
    groups = column.group_by("symbol", maintain_order=True).agg("row")
    rows = groups.get_column("row")
    ends = np.cumsum(rows.list.len().to_numpy())
    numbers = rows.explode().to_numpy().astype(np.int64) if frame.height else np.zeros(0, np.int64)
    parts = np.split(numbers, ends[:-1]) if len(ends) else []
    return dict(zip(map(str, groups.get_column("symbol")), parts, strict=True))
