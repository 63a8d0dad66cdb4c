"""Statistics of many overlapping windows at once, for the daily readings of a monitor."""
# Numeric steps carry no annotations: numba reads the types of the call.

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data.bars import Floats, Ints
from septet._learn.compiled_entries import compiled
from septet._learn.scores import Bins, psi_of_counts

__all__ = ["count_windows", "window_psi"]

_COUNT: Final = "void(float64[::1], float64[::1], int64[::1], int64, float64[:,::1])"


def count_windows(values, edges, ends, size, counts):  # type: ignore[no-untyped-def]
    """Count values by bin in windows of `size` that end before `ends`, which never fall.

    Values on an edge are in the bin below. What two windows share is not counted again.
    """
    bins = len(edges) + 1
    for window in range(len(ends)):
        first, last, gone = ends[window] - size, ends[window], 0
        start = first
        for b in range(bins):
            counts[window, b] = 0.0
        if window > 0 and ends[window - 1] > first:
            gone, start = ends[window - 1] - size, ends[window - 1]
            for b in range(bins):
                counts[window, b] = counts[window - 1, b]
            for row in range(gone, first):
                b = 0
                for edge in edges:
                    b += values[row] > edge
                counts[window, b] -= 1.0
        for row in range(start, last):
            b = 0
            for edge in edges:
                b += values[row] > edge
            counts[window, b] += 1.0


def window_psi(bins: Bins, values: Floats, ends: Ints, size: int) -> Floats:
    """Population stability index of every window against a reference.

    Parameters
    ----------
    bins : Bins
        Of the reference sample.
    values : float64 (n,)
        Finite values in order.
    ends : int64 (m,)
        Where each window ends, itself left out; never falling, `size` at least.
    size : int
        Length of every window.

    Returns
    -------
    float64 (m,)
        ``psi(bins, values[end - size : end])`` for every end.
    """
    counts = np.empty((len(ends), len(bins.share)))
    compiled(count_windows, _COUNT)(values, bins.edges, ends, size, counts)
    return psi_of_counts(bins, counts)
