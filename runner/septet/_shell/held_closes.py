"""The closes that value buy and hold in a run by stretches, at the rows of its curve.

The bars that are kept for display are joined, so that their closes are later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from septet._data.bars import BarTable

__all__ = ["HeldCloses"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass
class HeldCloses:
    """Closes of each symbol: those of the last bars known at some times, and the newest one."""

    parts: dict[str, list[tuple[Ints, Floats]]] = field(default_factory=dict)
    newest: dict[str, tuple[Ints, Floats]] = field(default_factory=dict)

    def take(self, name: str, bars: BarTable, first: int, times_ns: Ints) -> None:
        """Add the rows from `first` on, which follow the previous ones; keep those of `times_ns`.

        The first row of a symbol is kept, since a holding that joins late is bought at its close.
        """
        is_first = name not in self.newest
        known_ns, close = bars.known_ns[first:], bars.close[first:]
        if not is_first:
            newest = self.newest[name]
            known_ns = np.concatenate((newest[0], known_ns))
            close = np.concatenate((newest[1], close))
        if not len(known_ns):
            return
        rows = np.searchsorted(known_ns, times_ns, side="right") - 1
        if is_first:
            rows = np.append(rows, 0)
        rows = np.unique(np.maximum(rows, 0))
        self.parts.setdefault(name, []).append((known_ns[rows], close[rows]))
        self.newest[name] = known_ns[-1:].copy(), close[-1:].copy()

    def tables(self, symbols: Sequence[str]) -> dict[str, tuple[Ints, Floats]]:
        """Return known times (UTC nanoseconds, rising) and closes of every symbol with a bar.

        The order is that of `symbols`, not of the first bars, so that sums always have the same
        bits.
        """
        closes = {}
        for name in symbols:
            if name not in self.newest:
                continue
            parts = [*self.parts[name], self.newest[name]]
            known_ns, close = (np.concatenate(each) for each in zip(*parts, strict=True))
            known_ns, rows = np.unique(known_ns, return_index=True)
            closes[name] = known_ns, close[rows]
        return closes
