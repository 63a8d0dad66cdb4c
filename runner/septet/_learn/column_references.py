"""Reference distributions of columns in training, with which later samples are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet._data.bars import Floats
from septet._learn.scores import Bins, block_psi

__all__ = ["Reference", "from_card", "reference_of", "to_card"]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a column looked like in training, and the PSI that chance alone gives it."""

    bins: Bins
    chance: float

    @classmethod
    def of(cls, column: Floats, window: int) -> Reference:
        """Cut a training column; `window` is the length that later samples will have."""
        bins = Bins.of(column)
        return cls(bins, block_psi(bins, column, window))

    def bound(self, setting: float) -> float:
        """Return the larger of the setting and the PSI that chance alone reaches."""
        return max(setting, self.chance) if math.isfinite(self.chance) else setting


def reference_of(x: Floats, names: Sequence[str], window: int) -> dict[str, Any]:
    """Describe columns of training, float64 (n, f), for a model's card; `window` counts rows."""
    return {
        name: to_card(Reference.of(np.ascontiguousarray(x[:, column]), window))
        for column, name in enumerate(names)
    }


def to_card(reference: Reference) -> dict[str, Any]:
    """Describe a reference in plain values."""
    chance = reference.chance if math.isfinite(reference.chance) else None
    edges, share = reference.bins.edges.tolist(), reference.bins.share.tolist()
    return {"edges": edges, "share": share, "chance": chance}


def from_card(entry: Mapping[str, Any]) -> Reference:
    """Return what `to_card` described."""
    chance = math.nan if entry["chance"] is None else float(entry["chance"])
    return Reference(Bins(np.array(entry["edges"], float), np.array(entry["share"], float)), chance)
