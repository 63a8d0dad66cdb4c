"""Values of a stranger's feature that lie outside of the range it declares, counted in a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from septet._config.feature_ranges import FeatureRanges
from septet._expressions import Name
from septet._host.plugin_registry import BUILT_IN

__all__ = ["outside_notes", "outside_of"]


def outside_of(loaded: Any, decisions: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the number of decisions with a value outside of its range, by column; zeros left out.

    The range of a column is the one that `check` used for the rules. Without the table of decisions
    nothing is counted.
    """
    strategy = loaded.strategy
    strange = [n for n, block in strategy.features.items() if block.distribution != BUILT_IN]
    if decisions is None or not strange:
        return {}
    ranges, counts = FeatureRanges(strategy, loaded.host), {}
    for column, (owner, _) in ranges.owners.items():
        if owner not in strange or column not in decisions:
            continue
        low, high = ranges.of(Name(column, ""))
        values = np.asarray(decisions[column], np.float64)
        count = int(((values < low - _room(low)) | (values > high + _room(high))).sum())
        if count:
            counts[column] = count
    return counts


def _room(bound: float) -> float:
    """Return how far a value may exceed a bound by rounding."""
    return 1e-9 * max(1.0, abs(bound)) if math.isfinite(bound) else 0.0


def outside_notes(counts: Mapping[str, int], decisions: int) -> list[str]:
    """Return a sentence for each column with values outside of its range."""
    return [
        f"{column} left the range that its plugin declares at {count:,} of {decisions:,} "
        "decisions: what check reported of rules that read it may be wrong"
        for column, count in counts.items()
    ]
