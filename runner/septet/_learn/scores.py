"""Scores of a probability against what happened, and of one sample against another."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np

from septet._data.bars import Floats

__all__ = [
    "Bins",
    "CalibrationRow",
    "auc",
    "auc_deviation",
    "block_psi",
    "brier",
    "calibration_table",
    "psi",
    "psi_of_counts",
    "spiegelhalter",
]

BINS: Final = 10
Z95: Final = 1.959963984540054


def auc(up: Floats, label: Floats) -> float:
    """Area under the ROC curve: how often a row that rose was rated above one that fell.

    Parameters
    ----------
    up, label : float64 (n,)
        Probability up, and 0 or 1. No NaN.

    Returns
    -------
    float
        0 to 1, ties count half; NaN if a class is missing.
    """
    ups = label == 1.0
    rose, fell = np.sort(up[ups]), np.sort(up[~ups])
    if not len(rose) or not len(fell):
        return math.nan
    twice = np.searchsorted(fell, rose, side="left").sum()
    twice += np.searchsorted(fell, rose, side="right").sum()
    return int(twice) / 2.0 / (len(rose) * len(fell))


def auc_deviation(area: float, ups: float, downs: float) -> float:
    """Standard deviation of an AUC (Hanley and McNeil 1982) with `ups` and `downs` rows.

    `area` is the AUC, 0 to 1. The numbers of rows are above zero and may be fractions, because
    overlapping labels count as less than one row each. NaN where the AUC is NaN.
    """
    if not math.isfinite(area):
        return math.nan
    q1, q2 = area / (2.0 - area), 2.0 * area * area / (1.0 + area)
    spread = area * (1.0 - area)
    spread += (max(ups, 1.0) - 1.0) * (q1 - area * area)
    spread += (max(downs, 1.0) - 1.0) * (q2 - area * area)
    return math.sqrt(max(spread, 0.0) / (ups * downs))


def brier(up: Floats, label: Floats) -> float:
    """Mean squared error of probabilities `up`, float64 (n,), for labels of 0 or 1, float64 (n,).

    From 0 to 1 (Brier 1950); NaN for no rows.
    """
    return float(np.mean((up - label) ** 2)) if len(up) else math.nan


def spiegelhalter(up: Floats, label: Floats) -> float:
    """Spiegelhalter's z (1986): standard normal if the probabilities are calibrated.

    Σ(y - p)(1 - 2p) / √Σ(1 - 2p)² p(1 - p), with p from `up` and y from `label`, float64 (n,). NaN
    where the root is zero: for no rows, or where every p is 0, 0.5 or 1.
    """
    away = 1.0 - 2.0 * up
    spread = float(np.sum(away * away * up * (1.0 - up)))
    if spread <= 0.0:
        return math.nan
    return float(np.sum((label - up) * away)) / math.sqrt(spread)


class CalibrationRow(msgspec.Struct, frozen=True):
    """One bin: probabilities from `low` to `high`, their mean, and how often it rose."""

    low: float
    high: float
    count: int
    mean_probability: float
    observed: float


def calibration_table(up: Floats, label: Floats, bins: int = BINS) -> tuple[CalibrationRow, ...]:
    """Compare probabilities with frequencies in bins of equal width; empty bins are left out.

    `up` are probabilities, 0 to 1, and `label` 0 or 1, both float64 (n,) without NaN.
    """
    place = np.minimum((up * bins).astype(np.int64), bins - 1)
    rows = []
    for number in range(bins):
        in_bin = place == number
        if in_bin.any():
            low, high = number / bins, (number + 1) / bins
            means = float(up[in_bin].mean()), float(label[in_bin].mean())
            rows.append(CalibrationRow(low, high, int(in_bin.sum()), *means))
    return tuple(rows)


class Bins(msgspec.Struct, frozen=True):
    """Ten bins with equal shares of a reference sample; ties may leave fewer.

    `edges` is float64 (b - 1,), the inner edges; `share` float64 (b,), smoothed.
    """

    edges: Floats
    share: Floats

    @classmethod
    def of(cls, reference: Floats) -> Bins:
        """Cut a reference sample, finite values only."""
        inner = np.quantile(reference, np.arange(1, BINS) / BINS)
        edges = np.unique(inner)
        counts = np.bincount(np.searchsorted(edges, reference), minlength=len(edges) + 1)
        return cls(edges, smoothed(counts.astype(np.float64)))

    def place(self, values: Floats) -> np.ndarray:
        """Return the bin of every value, int64 (n,), 0 to the number of bins less one."""
        return np.searchsorted(self.edges, values)


def smoothed(counts: Floats) -> Floats:
    """Return counts, float64 (..., bins), as shares, with half a row added to every bin.

    No share is zero, so that each has a logarithm.
    """
    total = counts.sum(axis=-1, keepdims=True)
    share: Floats = (counts + 0.5) / (total + 0.5 * counts.shape[-1])
    return share


def psi(bins: Bins, values: Floats) -> float:
    """Population stability index of `values`, float64 (n,): Σ (a - e)·ln(a / e) over the bins.

    a are the smoothed shares of the values, e those of the reference; 0 or more, and finite.
    """
    counts = np.bincount(bins.place(values), minlength=len(bins.share)).astype(np.float64)
    return float(psi_of_counts(bins, counts))


def psi_of_counts(bins: Bins, counts: Floats) -> Floats:
    """PSI of samples by their counts: float64 (..., bins) to (...)."""
    actual = smoothed(counts)
    found: Floats = np.sum((actual - bins.share) * np.log(actual / bins.share), axis=-1)
    return found


def block_psi(bins: Bins, reference: Floats, length: int, share: float = 0.99) -> float:
    """Return the quantile `share` (a fraction) of the PSI of blocks of the reference itself.

    It estimates which PSI chance alone reaches.
    Blocks are `length` rows in a row, a tenth of that apart. NaN if the reference is not longer
    than one block.
    """
    if len(reference) <= length:
        return math.nan
    place = bins.place(reference)
    hot = np.zeros((len(reference) + 1, len(bins.share)))
    hot[np.arange(1, len(reference) + 1), place] = 1.0
    total = np.cumsum(hot, axis=0)
    starts = np.arange(0, len(reference) - length + 1, max(1, length // 10))
    block_psis = psi_of_counts(bins, total[starts + length] - total[starts])
    return float(np.quantile(block_psis, share))
