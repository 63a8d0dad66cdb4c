"""Uniqueness of labels that look ahead over the same bars.

A label over eight bars shares seven of them with its neighbour: a window of a thousand such rows
holds about as much as 125 that do not overlap. Rows weigh by their mean uniqueness, so that a crowd
of labels over one move does not outvote the others.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from septet._data.bars import Floats, Ints
    from septet._learn.dataset import Dataset

__all__ = ["DECIMALS", "uniqueness"]

DECIMALS: Final = 6
"""Trees split by sums of weights: in the last bits of a weight they are not the same trees."""
_FIXED_POINT: Final = 2**40


def uniqueness(dataset: Dataset, known_ns: Ints, rows: Ints) -> Floats:
    """Weights of the rows of a window by the mean uniqueness of their labels.

    With c the number of the window's labels of the symbol that look at a bar, a label that looks
    at the bars after its own up to the one that decided it has ``mean(1 / c)`` over them.

    Parameters
    ----------
    dataset : Dataset
        All rows and bars.
    known_ns : int64 (n,)
        When the label of each row of the dataset became known: the known time of the bar that
        decided it.
    rows : int64 (m,)
        Rows of the window, all with a label.

    Returns
    -------
    float64 (m,)
        Positive, with mean 1, rounded to `DECIMALS`, so that a sum in another order gives the
        same bits; all 1 where no labels overlap. Labels outside `rows` do not count, and bars
        before the window's change no bit.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, 4.3 and 4.4.
    """
    own = np.ones(len(rows))
    for number, bars in enumerate(dataset.bars):
        mine = np.flatnonzero(dataset.symbol[rows] == number)
        if not len(mine):
            continue
        first = dataset.row[rows[mine]] + 1
        past = np.searchsorted(bars.known_ns, known_ns[rows[mine]], side="right")
        past = np.maximum(past, first + 1)
        start = first.min()
        first, past = first - start, past - start
        size = int(past.max()) + 1
        alive = np.bincount(first, minlength=size) - np.bincount(past, minlength=size)
        own[mine] = _sums_of_shares(np.maximum(np.cumsum(alive), 1), first, past) / (past - first)
    return np.round(own / (math.fsum(own) / len(own)), DECIMALS)


def _sums_of_shares(count: Ints, first: Ints, past: Ints) -> Floats:
    """Return the sum of 1/count from `first` to `past` (excluded) of each label.

    Whole numbers of 2**-80 are summed, in two parts: a difference of their running sums loses
    nothing.
    """
    high, rest = np.divmod(np.int64(_FIXED_POINT), count)
    low = rest * _FIXED_POINT // count
    high, low = (np.concatenate(([0], np.cumsum(each))) for each in (high, low))
    exact = (high[past] - high[first]) + (low[past] - low[first]) / _FIXED_POINT
    return np.asarray(exact / _FIXED_POINT)
