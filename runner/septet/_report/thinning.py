"""Columns of stored tables for the page's charts: short, finite, few enough to draw."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats, Ints

__all__ = ["floats", "milliseconds", "short", "stamps", "thin_rows"]

_DIGITS: Final = 7


def stamps(frame: pl.DataFrame, name: str = "time") -> Ints:
    """Return a column of times as nanoseconds since 1970, UTC."""
    return np.asarray(frame.get_column(name).to_physical().to_numpy(), dtype=np.int64)


def floats(frame: pl.DataFrame, name: str) -> Floats:
    """Return a column of numbers; a null is NaN."""
    return np.asarray(frame.get_column(name).to_numpy(), dtype=np.float64)


def milliseconds(time_ns: Ints) -> list[int]:
    """Return times as whole milliseconds, as scripts have them."""
    return [int(value) for value in time_ns // 1_000_000]


def short(values: Floats) -> list[float | None]:
    """Round to seven digits of the largest value; what is not finite becomes null."""
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max(initial=0.0))
    digits = _DIGITS - 1 - math.floor(math.log10(largest)) if largest > 0 else 0
    rounded = np.round(values, digits)
    listed: list[float | None] = rounded.tolist()
    for place in np.flatnonzero(~np.isfinite(rounded)).tolist():
        listed[place] = None
    return listed


def thin_rows(values: Floats, limit: int) -> npt.NDArray[np.int64]:
    """Rows to draw: lowest, highest and last of each of some equal buckets, ends included.

    A line through them shows every extreme that a pixel can show. All rows if there are at most
    `limit`.
    """
    count = len(values)
    if count <= limit:
        return np.arange(count, dtype=np.int64)
    edges = np.linspace(0, count, limit // 3 + 1).astype(np.int64)
    picked = [0, count - 1]
    for begin, end in itertools.pairwise(edges.tolist()):
        part = values[begin:end]
        picked += [begin + int(part.argmin()), begin + int(part.argmax()), int(end) - 1]
    return np.unique(np.array(picked, dtype=np.int64))
