"""Rejection of impossible funding rates, which would invalidate every figure of a run."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data.bars import SeriesTable
from septet._data.stamps import iso
from septet.errors import DataError

__all__ = ["refuse_rates"]

_FUNDING: Final = "funding"
_MAX_RATE: Final = 1.0


def refuse_rates(table: SeriesTable, origin: str) -> None:
    """Reject a series of funding with a rate above 100 % or below -100 % of a position.

    The widest bound of an exchange is 4 %. A payment of more than the whole position is a value in
    another unit, or damaged; multiplying equity by it every period would overflow.

    Raises
    ------
    DataError
        With the first such rate, its time, and a hint.
    """
    if table.name.partition("@")[0] != _FUNDING:
        return
    wrong = np.flatnonzero(np.abs(table.value) > _MAX_RATE)
    if not len(wrong):
        return
    first = wrong[0]
    raise DataError(
        f"{len(wrong):,} of {len(table.value):,} rates of {table.name} from {origin} take more "
        f"than the whole position at once, expected fractions from -1 to 1; the first is "
        f"{table.value[first]:.6g} at {iso(table.stamp_ns[first])}",
        hint="write rates as fractions, 0.0001 for 0.01%: divide percent by 100 and basis points "
        "by 10,000, and leave out rows that are damaged",
    )
