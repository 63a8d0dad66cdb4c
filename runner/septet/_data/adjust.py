"""Splits and dividends of stocks, and the price moves that indicate them."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from septet._data.bar_checks import Rows
from septet._data.bars import Floats, Ints

__all__ = ["adjusted", "likely_split", "moves", "split_factors"]

MOVE: Final = 0.2
_NEAR_FRACTION: Final = 0.03


def adjusted(rows: Rows, factor: Floats) -> Rows:
    """Return rows with prices multiplied by `factor`, shape (n,), and volume divided by it.

    A NaN in prices, volume or `factor` stays NaN in that row.
    """
    return Rows(
        rows.open * factor,
        rows.high * factor,
        rows.low * factor,
        rows.close * factor,
        rows.volume / factor,
    )


def split_factors(total: Floats) -> tuple[Floats, list[tuple[int, Fraction]]]:
    """Separate the splits from total adjustment factors (adjusted close over close), shape (n,).

    A change of the factor by more than 20 % between two bars is a split of the nearest simple
    ratio; smaller changes are dividends and are left out.

    Returns
    -------
    factors, splits
        Factors that end at 1, and ``(row, ratio)`` of each split: 2 means two for one.
    """
    step = total[1:] / total[:-1]
    splits: list[tuple[int, Fraction]] = []
    change: Floats = np.ones(len(total))
    for row in np.flatnonzero((step > 1.0 + MOVE) | (step < 1.0 / (1.0 + MOVE))):
        ratio = Fraction(float(step[row])).limit_denominator(20)
        if ratio < 1:
            ratio = 1 / Fraction(float(1.0 / step[row])).limit_denominator(20)
        splits.append((int(row) + 1, ratio))
        change[row + 1] = float(ratio)
    factors: Floats = np.asarray(np.cumprod(change), dtype=np.float64)
    return factors / factors[-1], splits


def moves(close: Floats, session: Ints) -> tuple[Ints, Floats]:
    """Return rows that end a session over 20 % away from the close of the session before.

    `close` (float64) and `session` (int64) have shape (n,).

    Returns
    -------
    rows, ratio
        Last row of each such session, and its close over the close before.
    """
    if len(close) < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    ends = np.append(np.flatnonzero(np.diff(session) != 0), len(close) - 1)
    last = close[ends]
    ratio = last[1:] / last[:-1]
    hit = np.abs(ratio - 1.0) > MOVE
    return ends[1:][hit], ratio[hit]


def likely_split(ratio: float) -> str:
    """Return the split that an overnight price ratio suggests as text, or an empty text."""
    for many, one in ((2, 1), (3, 1), (4, 1), (5, 1), (7, 1), (10, 1), (20, 1), (3, 2)):
        for value, name in ((one / many, f"{many} for {one}"), (many / one, f"{one} for {many}")):
            if abs(ratio / value - 1.0) < _NEAR_FRACTION:
                return name
    return ""
