"""Bars made for tests: seeded, with flat stretches and gaps where asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from septet._data.bars import BarTable

__all__ = ["Columns", "columns_of", "flat_bars", "sample_bars"]

Columns = dict[str, npt.NDArray[Any]]
"""Bar columns by the words of a feature's vocabulary, all of one length."""

HOUR_NS = 3_600_000_000_000
PRICES = ("open", "high", "low", "close")
_FIRST_SLOT = 420_768  # 2018-01-01 in hours since the epoch


def _times(slot: npt.NDArray[np.int64], bar_ns: int) -> Columns:
    opened = slot * bar_ns
    day = opened // (24 * HOUR_NS)
    return {
        "slot": slot,
        "session": day,
        "week": (day + 3) // 7,
        "seconds": (opened + bar_ns) // 1_000_000_000,
        "local_day": day,
        "local_seconds": (opened + bar_ns) // 1_000_000_000,
    }


def sample_bars(
    count: int, *, seed: int = 7, bar_ns: int = HOUR_NS, gaps: bool = True, flats: bool = True
) -> Columns:
    """Make `count` bars of a random walk on the time grid.

    `gaps` leaves out bars of the grid here and there; `flats` keeps the price still for a while,
    which is where averages stand and ratios have no denominator.
    """
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, 0.004, count)
    if flats:
        for first in range(90, count, 210):
            steps[first : first + 45] = 0.0
    close = 100.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate(([100.0], close[:-1]))
    moving = np.abs(steps) > 0.0
    above = np.where(moving, np.exp(np.abs(random.normal(0.0, 0.002, count))), 1.0)
    below = np.where(moving, np.exp(-np.abs(random.normal(0.0, 0.002, count))), 1.0)
    skipped = np.where(random.random(count) < (0.02 if gaps else 0.0), 3, 1)
    skipped[0] = 0
    slot = _FIRST_SLOT * HOUR_NS // bar_ns + np.cumsum(skipped, dtype=np.int64)
    return {
        "open": opened,
        "high": np.maximum(opened, close) * above,
        "low": np.minimum(opened, close) * below,
        "close": close,
        "volume": np.exp(random.normal(3.0, 1.0, count)),
        **_times(slot, bar_ns),
    }


def flat_bars(count: int, *, price: float = 97.3, bar_ns: int = HOUR_NS) -> Columns:
    """Return columns of `count` bars with a constant price (quote) and a volume of one (base).

    Prices and volume are float64 arrays of shape (count,), times int64 nanoseconds.
    """
    level = np.full(count, price)
    slot = _FIRST_SLOT * HOUR_NS // bar_ns + np.arange(count, dtype=np.int64)
    return {
        **{name: level.copy() for name in PRICES},
        "volume": np.ones(count),
        **_times(slot, bar_ns),
    }


def columns_of(bars: BarTable | Mapping[str, npt.NDArray[Any]]) -> Columns:
    """Write bars, or a table of bars, as the columns a feature step may ask for."""
    if not isinstance(bars, BarTable):
        return dict(bars)
    names = (*PRICES, "volume")
    day = bars.open_ns // (24 * HOUR_NS)
    return {
        **{name: np.array(getattr(bars, name)) for name in names},
        "slot": bars.open_ns // bars.bar_ns,
        "session": np.array(bars.session),
        "week": (day + 3) // 7,
        "seconds": bars.known_ns // 1_000_000_000,
        "local_day": day,
        "local_seconds": bars.known_ns // 1_000_000_000,
    }
