"""The curve of equity of a run by stretches: few of its rows, and sums over all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from septet._results.statistics import sample_days

__all__ = ["ThinnedCurve"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass
class ThinnedCurve:
    """The curve of equity, thinned: starts of days and months, the first and the last time."""

    day_start: str
    time_zone: str
    top: float
    parts: list[tuple[Any, ...]] = field(default_factory=list)
    last: tuple[Any, ...] | None = None
    sums: list[float] = field(default_factory=list)
    count: int = 0

    def take(self, time_ns: Ints, equity: Floats) -> Ints:
        """Add the times of a time span; return the times of the rows that are kept."""
        kept_before = len(self.parts)
        peak = np.maximum.accumulate(np.maximum(equity, self.top))
        self.top = float(peak[-1])
        self.sums.append(float(equity.sum()))
        self.count += len(equity)
        rows: tuple[Any, ...] = (time_ns, equity, 1.0 - equity / peak)
        if self.last is None:
            self._keep(rows, np.zeros(1, np.int64))
        else:
            rows = tuple(np.concatenate(each) for each in zip(self.last, rows, strict=True))
        numbers = np.arange(len(rows[0]), dtype=np.float64)
        starts = {self.day_start, "00:00"}
        picked_rows = [
            sample_days(rows[0], numbers, day_start=start, time_zone=self.time_zone)[1]
            for start in starts
        ]
        self._keep(rows, np.unique(np.concatenate(picked_rows)).astype(np.int64))
        self.last = tuple(each[-1:] for each in rows)
        return np.concatenate([time_ns[:0], *(part[0] for part in self.parts[kept_before:])])

    def _keep(self, rows: tuple[Any, ...], picked: Ints) -> None:
        newest = int(self.parts[-1][0][-1]) if self.parts else -(2**63)
        picked = picked[rows[0][picked] > newest]
        if len(picked):
            self.parts.append(tuple(each[picked] for each in rows))

    def table(self) -> dict[str, Any]:
        """Return the rows of equity.parquet."""
        if self.last is not None:
            self._keep(self.last, np.zeros(1, np.int64))
        columns = [np.concatenate(each) for each in zip(*self.parts, strict=True)]
        return dict(zip(("time", "equity", "drawdown"), columns, strict=True))

    @property
    def mean(self) -> float:
        """Return the mean equity over all times."""
        return math.fsum(self.sums) / self.count
